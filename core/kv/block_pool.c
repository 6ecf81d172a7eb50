/* SPDX-License-Identifier: Apache-2.0 */
#include "core/kv/block_pool.h"

#include "core/base/alloc.h"

tn_status tn_block_pool_init(tn_block_pool *pool, int32_t n_blocks, tn_error *err)
{
    *pool = (tn_block_pool){ 0 };
    if (n_blocks < 1)
        return tn_fail(err, TN_INVALID, "KV pool: %d blocks, at least 1 is needed", n_blocks);
    pool->refs = tn_alloc_array((size_t)n_blocks, sizeof(int32_t));
    pool->free_stack = tn_alloc_array((size_t)n_blocks, sizeof(int32_t));
    if (!pool->refs || !pool->free_stack) {
        tn_block_pool_deinit(pool);
        return tn_fail_memory(err, "the KV block pool");
    }
    pool->n_blocks = n_blocks;
    pool->n_free = n_blocks;
    /* The stack gives low numbers first, so that a lightly used pool touches few pages. */
    for (int32_t i = 0; i < n_blocks; i++)
        pool->free_stack[i] = n_blocks - 1 - i;
    return TN_OK;
}

void tn_block_pool_deinit(tn_block_pool *pool)
{
    if (!pool)
        return;
    tn_free(pool->refs);
    tn_free(pool->free_stack);
    *pool = (tn_block_pool){ 0 };
}

int32_t tn_block_pool_take(tn_block_pool *pool)
{
    if (pool->n_free == 0)
        return -1;
    int32_t block = pool->free_stack[--pool->n_free];
    pool->refs[block] = 1;
    return block;
}

void tn_block_pool_hold(tn_block_pool *pool, int32_t block)
{
    pool->refs[block]++;
}

int32_t tn_block_pool_release(tn_block_pool *pool, int32_t block)
{
    int32_t left = --pool->refs[block];
    if (left == 0)
        pool->free_stack[pool->n_free++] = block;
    return left;
}

tn_status tn_block_pool_check(const tn_block_pool *pool, tn_error *err)
{
    int32_t n_unused = 0;
    for (int32_t b = 0; b < pool->n_blocks; b++) {
        if (pool->refs[b] < 0)
            return tn_fail(err, TN_INTERNAL, "block %d has %d references", b, pool->refs[b]);
        n_unused += pool->refs[b] == 0;
    }
    if (n_unused != pool->n_free)
        return tn_fail(err, TN_INTERNAL, "%d blocks have no reference but %d are free", n_unused,
                       pool->n_free);
    /* As many entries as unused blocks, all unused: it remains that none is there twice. */
    for (int32_t i = 0; i < pool->n_free; i++) {
        int32_t block = pool->free_stack[i];
        if (block < 0 || block >= pool->n_blocks || pool->refs[block] != 0)
            return tn_fail(err, TN_INTERNAL, "block %d is on the free stack but in use", block);
        for (int32_t j = 0; j < i; j++) {
            if (pool->free_stack[j] == block)
                return tn_fail(err, TN_INTERNAL, "block %d is free twice", block);
        }
    }
    return TN_OK;
}
