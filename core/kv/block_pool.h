/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KV blocks by number: a fixed count, reference counts, and a free stack. It knows nothing of
 * bytes; block b of a layer lies in the pool that the executor owns. The scheduler goes through the
 * prefix index, which keeps unused blocks for reuse. Thread: one thread (the engine's).
 */
#ifndef TN_CORE_KV_BLOCK_POOL_H
#define TN_CORE_KV_BLOCK_POOL_H

#include "core/base/status.h"

typedef struct tn_block_pool {
    int32_t n_blocks, n_free;
    int32_t *refs;       /* [n_blocks]; 0 = free */
    int32_t *free_stack; /* [n_blocks]; the first n_free entries are the free blocks */
} tn_block_pool;

/** Takes two arrays of n_blocks (>= 1); deinit gives them back. */
tn_status tn_block_pool_init(tn_block_pool *pool, int32_t n_blocks, tn_error *err) TN_MUST_USE;
void tn_block_pool_deinit(tn_block_pool *pool);

/** A free block, with one reference; -1 when there is none. */
int32_t tn_block_pool_take(tn_block_pool *pool);
/** One more reference to a block that has at least one. */
void tn_block_pool_hold(tn_block_pool *pool, int32_t block);
/** One reference less; the last one frees the block. Returns the references left. */
int32_t tn_block_pool_release(tn_block_pool *pool, int32_t block);

/** TN_INTERNAL unless every block is either free (no reference, once on the stack) or referenced.
 * For tests. */
tn_status tn_block_pool_check(const tn_block_pool *pool, tn_error *err) TN_MUST_USE;

#endif
