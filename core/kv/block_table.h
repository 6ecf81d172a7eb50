/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocks of one sequence, in order of position: position p lies in block[p / block_tokens]. The
 * array is the caller's; each entry is one reference in the index's pool. Full blocks may be shared
 * by many tables; a partial one only until somebody writes to it (copy on write). Thread: one
 * thread (the engine's).
 */
#ifndef TN_CORE_KV_BLOCK_TABLE_H
#define TN_CORE_KV_BLOCK_TABLE_H

#include "core/kv/prefix_index.h"

typedef struct tn_block_table {
    int32_t *block; /* [capacity], caller's memory */
    int32_t n, capacity;
} tn_block_table;

/** Blocks that n_tokens positions need. */
int32_t tn_blocks_for(int32_t n_tokens, int32_t block_tokens);

/** Add blocks until there are n_blocks (<= capacity); false, with nothing added, when fewer are
 * available. */
bool tn_block_table_grow(tn_block_table *table, tn_prefix_index *index, int32_t n_blocks);
/** Append a block found in the index, taking a reference. */
void tn_block_table_append(tn_block_table *table, tn_prefix_index *index, int32_t block);
/** dst (empty) gets every block of src, with a reference of its own. */
void tn_block_table_share(tn_block_table *dst, const tn_block_table *src, tn_prefix_index *index);
/** Release everything, deepest first; the table is empty afterwards. */
void tn_block_table_clear(tn_block_table *table, tn_prefix_index *index);

/** Must entry i be copied before a write? True when the block has other holders. */
bool tn_block_table_is_shared(const tn_block_table *table, const tn_block_pool *pool, int32_t i);
/**
 * Replace the shared entry i by a block of its own and report the copy to make; false when none is
 * available. The source keeps its other holders' references.
 */
bool tn_block_table_unshare(tn_block_table *table, tn_prefix_index *index, int32_t i,
                            int32_t *out_src, int32_t *out_dst);

#endif
