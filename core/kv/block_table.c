/* SPDX-License-Identifier: Apache-2.0 */
#include "core/kv/block_table.h"

int32_t tn_blocks_for(int32_t n_tokens, int32_t block_tokens)
{
    return n_tokens / block_tokens + (n_tokens % block_tokens != 0);
}

bool tn_block_table_grow(tn_block_table *table, tn_prefix_index *index, int32_t n_blocks)
{
    if (n_blocks > table->capacity || n_blocks - table->n > tn_prefix_index_available(index))
        return false;
    while (table->n < n_blocks)
        table->block[table->n++] = tn_prefix_index_take(index);
    return true;
}

void tn_block_table_append(tn_block_table *table, tn_prefix_index *index, int32_t block)
{
    tn_prefix_index_hold(index, block);
    table->block[table->n++] = block;
}

void tn_block_table_share(tn_block_table *dst, const tn_block_table *src, tn_prefix_index *index)
{
    for (int32_t i = 0; i < src->n; i++)
        tn_block_table_append(dst, index, src->block[i]);
}

void tn_block_table_clear(tn_block_table *table, tn_prefix_index *index)
{
    while (table->n > 0)
        tn_prefix_index_release(index, table->block[--table->n]);
}

bool tn_block_table_is_shared(const tn_block_table *table, const tn_block_pool *pool, int32_t i)
{
    return pool->refs[table->block[i]] > 1;
}

bool tn_block_table_unshare(tn_block_table *table, tn_prefix_index *index, int32_t i,
                            int32_t *out_src, int32_t *out_dst)
{
    int32_t own = tn_prefix_index_take(index);
    if (own < 0)
        return false;
    *out_src = table->block[i];
    *out_dst = own;
    tn_prefix_index_release(index, table->block[i]);
    table->block[i] = own;
    return true;
}
