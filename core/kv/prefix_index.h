/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds blocks whose KV is already there. A node is a full block; its key is its parent node (or,
 * for the first block, a seed) and its own token ids, all compared on a match, so a hash collision
 * cannot give wrong KV. The index holds one reference to each node. Nodes that nobody else holds
 * form the LRU list and are evicted when the pool is empty.
 *
 * A parent is never evicted before its children: who holds a node holds its ancestors too, and
 * releases deepest first. Thread: one thread (the engine's). Memory is taken at create only.
 */
#ifndef TN_CORE_KV_PREFIX_INDEX_H
#define TN_CORE_KV_PREFIX_INDEX_H

#include "core/kv/block_pool.h"

#include <stdbool.h>

typedef struct tn_prefix_index tn_prefix_index;

/** pool is borrowed until destroy. */
tn_status tn_prefix_index_create(tn_block_pool *pool, int32_t block_tokens, tn_prefix_index **out,
                                 tn_error *err) TN_MUST_USE;
void tn_prefix_index_destroy(tn_prefix_index *index);

/**
 * The node below `parent` (-1: a first block, keyed by seed) with these block_tokens token ids, or
 * -1. Takes no reference: hold it before the next take. The seed stands for all else that KV
 * depends on: model, KV format and parameters, the sequence's rope row, a salt; it is not compared
 * below the first block, where the parent implies it.
 */
int32_t tn_prefix_index_find(const tn_prefix_index *index, int32_t parent, uint64_t seed,
                             const int32_t *tokens);

/**
 * Make `block` (full, computed, held by the caller, whose parent the caller holds too) a node. When
 * the same content is there already under another block, the caller's reference moves to that block
 * and its own block is released: a caller always holds the nodes of its prefix. Returns the block
 * to use from now on.
 */
int32_t tn_prefix_index_publish(tn_prefix_index *index, int32_t parent, uint64_t seed,
                                const int32_t *tokens, int32_t block);

/** A block with one reference, free or evicted (least recently released first); -1 when all are in
 * use. */
int32_t tn_prefix_index_take(tn_prefix_index *index);
void tn_prefix_index_hold(tn_prefix_index *index, int32_t block);
/** Release the blocks of one sequence deepest first (see the top). */
void tn_prefix_index_release(tn_prefix_index *index, int32_t block);

/** Blocks that take can give: free ones and idle nodes. */
int32_t tn_prefix_index_available(const tn_prefix_index *index);
/** Nodes that only the index holds. */
int32_t tn_prefix_index_idle(const tn_prefix_index *index);
bool tn_prefix_index_has(const tn_prefix_index *index, int32_t block);
bool tn_prefix_index_is_idle(const tn_prefix_index *index, int32_t block);
/** Evict every idle node. */
void tn_prefix_index_clear(tn_prefix_index *index);

/** TN_INTERNAL unless lists, references and parents are consistent. For tests; walks everything. */
tn_status tn_prefix_index_check(const tn_prefix_index *index, tn_error *err) TN_MUST_USE;

#endif
