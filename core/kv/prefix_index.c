/* SPDX-License-Identifier: Apache-2.0 */
#include "core/kv/prefix_index.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"

#include <string.h>

enum { NO_NODE = -2, NO_PARENT = -1, LIST_END = -1 };

/* A node is a block, so everything is an array by block number and nothing is allocated after
 * create. */
struct tn_prefix_index {
    tn_block_pool *pool;
    int32_t block_tokens, n_idle;
    uint32_t bucket_mask;
    int32_t *bucket;      /* [bucket_mask + 1] first node, or LIST_END */
    int32_t *bucket_next; /* [n_blocks] */
    int32_t *parent; /* [n_blocks] parent node, NO_PARENT, or NO_NODE for a block that is no node */
    uint64_t *seed;  /* [n_blocks] compared for first blocks only */
    int32_t *tokens; /* [n_blocks][block_tokens] */
    int32_t *older, *newer; /* [n_blocks + 1] ring of idle nodes; entry n_blocks is its end: newer =
                               the oldest node */
};

tn_status tn_prefix_index_create(tn_block_pool *pool, int32_t block_tokens, tn_prefix_index **out,
                                 tn_error *err)
{
    *out = NULL;
    if (block_tokens < 1)
        return tn_fail(err, TN_INVALID, "KV blocks of %d tokens, at least 1 is needed",
                       block_tokens);
    size_t n = (size_t)pool->n_blocks, n_tokens = 0;
    uint32_t n_buckets = 1;
    while (n_buckets < (uint32_t)pool->n_blocks)
        n_buckets *= 2;
    tn_prefix_index *index = tn_alloc_array(1, sizeof(*index));
    if (!index || !tn_size_mul(n, (size_t)block_tokens, &n_tokens))
        goto fail;
    index->pool = pool;
    index->block_tokens = block_tokens;
    index->bucket_mask = n_buckets - 1;
    index->bucket = tn_alloc_array(n_buckets, sizeof(int32_t));
    index->bucket_next = tn_alloc_array(n, sizeof(int32_t));
    index->parent = tn_alloc_array(n, sizeof(int32_t));
    index->seed = tn_alloc_array(n, sizeof(uint64_t));
    index->tokens = tn_alloc_array(n_tokens, sizeof(int32_t));
    index->older = tn_alloc_array(n + 1, sizeof(int32_t));
    index->newer = tn_alloc_array(n + 1, sizeof(int32_t));
    if (!index->bucket || !index->bucket_next || !index->parent || !index->seed || !index->tokens ||
        !index->older || !index->newer)
        goto fail;
    for (uint32_t i = 0; i < n_buckets; i++)
        index->bucket[i] = LIST_END;
    for (size_t i = 0; i < n; i++)
        index->parent[i] = NO_NODE;
    index->older[n] = index->newer[n] = pool->n_blocks;
    *out = index;
    return TN_OK;
fail:
    tn_prefix_index_destroy(index);
    return tn_fail_memory(err, "the prefix index");
}

void tn_prefix_index_destroy(tn_prefix_index *index)
{
    if (!index)
        return;
    tn_free(index->bucket);
    tn_free(index->bucket_next);
    tn_free(index->parent);
    tn_free(index->seed);
    tn_free(index->tokens);
    tn_free(index->older);
    tn_free(index->newer);
    tn_free(index);
}

static const int32_t *node_tokens(const tn_prefix_index *index, int32_t node)
{
    return index->tokens + (size_t)node * (size_t)index->block_tokens;
}

static int32_t *key_bucket(const tn_prefix_index *index, int32_t parent, uint64_t seed,
                           const int32_t *tokens)
{
    uint64_t root = parent == NO_PARENT ? seed : (uint64_t)parent;
    uint64_t hash = tn_hash64(tokens, (size_t)index->block_tokens * sizeof(int32_t), root);
    return &index->bucket[(uint32_t)hash & index->bucket_mask];
}

int32_t tn_prefix_index_find(const tn_prefix_index *index, int32_t parent, uint64_t seed,
                             const int32_t *tokens)
{
    size_t n_bytes = (size_t)index->block_tokens * sizeof(int32_t);
    int32_t node = *key_bucket(index, parent, seed, tokens);
    for (; node != LIST_END; node = index->bucket_next[node]) {
        if (index->parent[node] == parent && (parent != NO_PARENT || index->seed[node] == seed) &&
            memcmp(node_tokens(index, node), tokens, n_bytes) == 0)
            return node;
    }
    return -1;
}

static void idle_remove(tn_prefix_index *index, int32_t node)
{
    index->newer[index->older[node]] = index->newer[node];
    index->older[index->newer[node]] = index->older[node];
    index->n_idle--;
}

static void idle_push_newest(tn_prefix_index *index, int32_t node)
{
    int32_t end = index->pool->n_blocks;
    index->newer[node] = end;
    index->older[node] = index->older[end];
    index->newer[index->older[end]] = node;
    index->older[end] = node;
    index->n_idle++;
}

int32_t tn_prefix_index_publish(tn_prefix_index *index, int32_t parent, uint64_t seed,
                                const int32_t *tokens, int32_t block)
{
    int32_t node = tn_prefix_index_find(index, parent, seed, tokens);
    if (node >= 0 && node != block) {
        tn_prefix_index_hold(index, node);
        tn_prefix_index_release(index, block);
    }
    if (node >= 0)
        return node;
    int32_t *bucket = key_bucket(index, parent, seed, tokens);
    index->parent[block] = parent;
    index->seed[block] = seed;
    memcpy(index->tokens + (size_t)block * (size_t)index->block_tokens, tokens,
           (size_t)index->block_tokens * sizeof(int32_t));
    index->bucket_next[block] = *bucket;
    *bucket = block;
    tn_block_pool_hold(index->pool, block);
    return block;
}

static void evict_oldest(tn_prefix_index *index)
{
    int32_t node = index->newer[index->pool->n_blocks];
    int32_t *link =
        key_bucket(index, index->parent[node], index->seed[node], node_tokens(index, node));
    while (*link != node)
        link = &index->bucket_next[*link];
    *link = index->bucket_next[node];
    idle_remove(index, node);
    index->parent[node] = NO_NODE;
    tn_block_pool_release(index->pool, node);
}

int32_t tn_prefix_index_take(tn_prefix_index *index)
{
    if (index->pool->n_free == 0 && index->n_idle > 0)
        evict_oldest(index);
    return tn_block_pool_take(index->pool);
}

void tn_prefix_index_hold(tn_prefix_index *index, int32_t block)
{
    if (tn_prefix_index_is_idle(index, block))
        idle_remove(index, block);
    tn_block_pool_hold(index->pool, block);
}

void tn_prefix_index_release(tn_prefix_index *index, int32_t block)
{
    tn_block_pool_release(index->pool, block);
    if (tn_prefix_index_is_idle(index, block))
        idle_push_newest(index, block);
}

int32_t tn_prefix_index_available(const tn_prefix_index *index)
{
    return index->pool->n_free + index->n_idle;
}

int32_t tn_prefix_index_idle(const tn_prefix_index *index)
{
    return index->n_idle;
}

bool tn_prefix_index_has(const tn_prefix_index *index, int32_t block)
{
    return index->parent[block] != NO_NODE;
}

bool tn_prefix_index_is_idle(const tn_prefix_index *index, int32_t block)
{
    return tn_prefix_index_has(index, block) && index->pool->refs[block] == 1;
}

void tn_prefix_index_clear(tn_prefix_index *index)
{
    while (index->n_idle > 0)
        evict_oldest(index);
}

static tn_status check_node(const tn_prefix_index *index, int32_t node, tn_error *err)
{
    int32_t parent = index->parent[node];
    const int32_t *refs = index->pool->refs;
    if (refs[node] < 1)
        return tn_fail(err, TN_INTERNAL, "node %d has no reference", node);
    if (tn_prefix_index_find(index, parent, index->seed[node], node_tokens(index, node)) != node)
        return tn_fail(err, TN_INTERNAL, "node %d is not found by its own key", node);
    if (parent != NO_PARENT && !tn_prefix_index_has(index, parent))
        return tn_fail(err, TN_INTERNAL, "node %d outlives its parent %d", node, parent);
    if (parent != NO_PARENT && refs[node] > 1 && refs[parent] < 2)
        return tn_fail(err, TN_INTERNAL, "node %d is held but its parent %d is not", node, parent);
    return TN_OK;
}

tn_status tn_prefix_index_check(const tn_prefix_index *index, tn_error *err)
{
    int32_t n_idle = 0, n_listed = 0, end = index->pool->n_blocks;
    for (int32_t b = 0; b < end; b++) {
        if (!tn_prefix_index_has(index, b))
            continue;
        TN_TRY(check_node(index, b, err));
        n_idle += tn_prefix_index_is_idle(index, b);
    }
    for (int32_t b = index->newer[end]; b != end && n_listed <= n_idle; b = index->newer[b]) {
        if (!tn_prefix_index_is_idle(index, b) || index->older[index->newer[b]] != b)
            return tn_fail(err, TN_INTERNAL, "the list of idle nodes is wrong at block %d", b);
        n_listed++;
    }
    if (n_idle != n_listed || n_idle != index->n_idle)
        return tn_fail(err, TN_INTERNAL, "%d idle nodes, %d listed, %d counted", n_idle, n_listed,
                       index->n_idle);
    return TN_OK;
}
