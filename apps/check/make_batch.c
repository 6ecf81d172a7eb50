/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/make.h"

#include <math.h>

typedef struct tables {
    int32_t *order, n_blocks, next, stride;
    int32_t block[TN_CHECK_MAX_SEQS][64];
} tables;

static bool allocate(tn_check_made *m, tn_check_batch *b, int32_t n_tokens, int32_t n_seqs)
{
    const size_t tokens = (size_t)n_tokens * sizeof(int32_t);
    const size_t seqs = (size_t)n_seqs * sizeof(int32_t);
    tn_arena *a = &m->arena;
    b->tokens = tn_arena_alloc(a, tokens);
    b->pos = tn_arena_alloc(a, tokens);
    b->slot = tn_arena_alloc(a, tokens);
    b->rows = tn_arena_alloc(a, tokens);
    b->q_start = tn_arena_alloc(a, seqs + sizeof(int32_t));
    b->kv_len = tn_arena_alloc(a, seqs);
    b->rope_index = tn_arena_alloc(a, seqs);
    b->table = tn_arena_alloc(a, seqs * (size_t)b->table_stride);
    b->rope_table = tn_arena_alloc(a, 2 * (size_t)b->half_rotary * sizeof(float) + 16);
    return b->tokens && b->pos && b->slot && b->rows && b->q_start && b->kv_len && b->rope_index &&
           b->table && b->rope_table;
}

static void add(tn_check_made *m, const tables *t, tn_check_batch *b, const tn_check_seq *q,
                int32_t past, int32_t n, int32_t block_tokens)
{
    const int32_t s = b->n_seqs++, total = past + n;
    for (int32_t i = 0; i < t->stride; i++)
        b->table[s * t->stride + i] =
            !q->pad && i < tn_check_blocks(total, block_tokens) ? t->block[s][i] : -1;
    for (int32_t i = 0; i < n; i++) {
        const int32_t pos = past + i, at = b->n_tokens + i;
        /* A shared block was written by its owner. */
        const bool written = !q->pad && !(q->shares && pos < block_tokens);
        b->tokens[at] = (int32_t)(tn_check_random(&m->state) % 50);
        b->pos[at] = q->pad ? 0 : pos;
        b->slot[at] =
            written ? t->block[s][pos / block_tokens] * block_tokens + pos % block_tokens : -1;
    }
    b->n_tokens += n;
    b->q_start[s + 1] = b->n_tokens;
    b->kv_len[s] = q->pad ? 0 : total;
    b->rope_index[s] = s % b->n_tables;
    b->max_q = n > b->max_q ? n : b->max_q;
    b->max_kv = b->kv_len[s] > b->max_kv ? b->kv_len[s] : b->max_kv;
    b->n_decode += n == 1 && b->n_decode == s;
    b->rows[b->n_rows++] = b->n_tokens - 1;
}

static void assign_blocks(tn_check_made *m, tables *t, const tn_check_seq *seq, int32_t n_seqs,
                          int32_t block_tokens)
{
    for (int32_t i = t->n_blocks - 1; i > 0; i--) {
        const int32_t k = (int32_t)(tn_check_random(&m->state) % (uint64_t)(i + 1));
        const int32_t swap = t->order[i];
        t->order[i] = t->order[k];
        t->order[k] = swap;
    }
    for (int32_t s = 0; s < n_seqs; s++) {
        const int32_t n = seq[s].pad ? 0 : tn_check_blocks(seq[s].past + seq[s].n, block_tokens);
        for (int32_t i = 0; i < n; i++)
            t->block[s][i] =
                i == 0 && seq[s].shares ? t->block[seq[s].shares - 1][0] : t->order[t->next++];
    }
}

/* Two tables, so that the index matters; frequencies as of base 10,000 and 500. */
static void set_rope(tn_check_batch *b)
{
    b->n_tables = 2;
    for (int32_t i = 0; i < b->half_rotary; i++) {
        const double part = (double)i / b->half_rotary;
        b->rope_table[i] = (float)pow(10000, -part);
        b->rope_table[b->half_rotary + i] = (float)pow(500, -part);
    }
}

tn_status tn_check_made_batch(tn_check_made *m, const tn_check_seq *seq, int32_t n_seqs,
                              int32_t block_tokens, int32_t half_rotary, int32_t *out_blocks,
                              tn_check_batch *out, tn_check_batch *fill, tn_error *err)
{
    tables t = { .n_blocks = 3, .stride = 1 };
    int32_t n_tokens = 0, n_all = 0;
    for (int32_t s = 0; s < n_seqs; s++) {
        const int32_t blocks = tn_check_blocks(seq[s].past + seq[s].n, block_tokens);
        t.n_blocks += blocks;
        t.stride = blocks + 1 > t.stride ? blocks + 1 : t.stride;
        n_tokens += seq[s].n;
        n_all += seq[s].past + seq[s].n;
    }
    t.order = tn_arena_alloc(&m->arena, (size_t)t.n_blocks * sizeof(int32_t));
    *out = (tn_check_batch){ .table_stride = t.stride, .half_rotary = half_rotary };
    bool have = t.order && allocate(m, out, n_tokens, n_seqs);
    if (fill) {
        *fill = (tn_check_batch){ .table_stride = t.stride, .half_rotary = half_rotary };
        have = have && allocate(m, fill, n_all, n_seqs);
    }
    if (!have)
        return tn_fail_memory(err, "a case");
    for (int32_t i = 0; i < t.n_blocks; i++)
        t.order[i] = i;
    set_rope(out);
    assign_blocks(m, &t, seq, n_seqs, block_tokens);
    for (int32_t s = 0; s < n_seqs; s++)
        add(m, &t, out, &seq[s], seq[s].past, seq[s].n, block_tokens);
    if (fill)
        set_rope(fill);
    for (int32_t s = 0; fill && s < n_seqs; s++)
        add(m, &t, fill, &seq[s], 0, seq[s].past + seq[s].n, block_tokens);
    *out_blocks = t.n_blocks;
    return TN_OK;
}
