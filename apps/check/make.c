/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/sweep.h"
#include "core/base/float16.h"

#include <math.h>
#include <string.h>

static float draw(tn_check_made *m, int32_t pattern, float huge)
{
    switch (pattern) {
    case TN_FILL_SMALL:
        return tn_check_uniform(&m->state, -3e-3f, 3e-3f);
    case TN_FILL_ONE_SIGN:
        return tn_check_uniform(&m->state, 0, 1);
    case TN_FILL_HUGE:
        return tn_check_uniform(&m->state, -huge, huge);
    case TN_FILL_TINY:
        return tn_check_uniform(&m->state, -1e-39f, 1e-39f);
    case TN_FILL_ZERO:
        return 0;
    default:
        return tn_check_uniform(&m->state, -2, 2);
    }
}

float *tn_check_fill(tn_check_made *m, int32_t pattern, int32_t rows, int32_t width, float huge)
{
    const size_t n = (size_t)rows * (size_t)width;
    float *x = tn_arena_alloc(&m->arena, n * sizeof *x);
    for (size_t i = 0; x && i < n; i++)
        x[i] = draw(m, pattern, huge);
    for (int32_t r = 0; x && pattern == TN_FILL_OUTLIER && r < rows; r++)
        x[(size_t)r * (size_t)width + tn_check_random(&m->state) % (uint64_t)width] *= 500;
    return x;
}

void tn_check_made_node(tn_check_made *m, const char *op, const void *param, const void *param2,
                        int32_t max_rows)
{
    m->c.op = tn_op_find(op);
    m->c.part = m->part;
    m->c.node = (tn_node){ .size = sizeof(tn_node),
                           .op = m->c.op->name,
                           .path = "case",
                           .resid_dtype = m->resid,
                           .act_dtype = m->act,
                           .n_out = m->c.op->n_out,
                           .max_tokens = max_rows,
                           .max_seqs = max_rows,
                           .max_ctx = 512,
                           .block_tokens = 16,
                           .max_rows = max_rows,
                           .param = param,
                           .param2 = param2 };
}

void tn_check_made_in(tn_check_made *m, int32_t i, int32_t dtype, tn_check_tensor t)
{
    m->c.in[i] = t;
    m->c.node.in_dtype[i] = dtype;
    if (m->c.node.n_in <= i)
        m->c.node.n_in = i + 1;
}

void tn_check_made_out(tn_check_made *m, int32_t i, int32_t dtype, tn_check_tensor t)
{
    m->c.out[i] = t;
    m->c.node.out_dtype[i] = dtype;
}

tn_check_tensor tn_check_dense(const char *name, int32_t rows, int32_t width, int32_t heads,
                               const float *values)
{
    return (tn_check_tensor){ .name = name,
                              .rows = rows,
                              .width = width,
                              .heads = heads,
                              .base_width = width,
                              .values = values };
}

/* ---- weights ---- */

static float plain_value(const char *wfmt, float value)
{
    if (strcmp(wfmt, "f16") == 0)
        return tn_f16_to_f32(tn_f32_to_f16(value));
    return strcmp(wfmt, "bf16") == 0 ? tn_bf16_to_f32(tn_f32_to_bf16(value)) : value;
}

/* K-quants arrive as values, but on the grid of their codes: d * scale * (q - 32) in groups of 16.
 */
static void fill_grid(tn_check_made *m, float *v, size_t n)
{
    float step = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % 16 == 0)
            step = 0x1p-11f * (float)(1 + tn_check_random(&m->state) % 60);
        v[i] = step * ((float)(tn_check_random(&m->state) % 64) - 32);
    }
}

static bool fill_plain(tn_check_made *m, tn_check_part *p, const char *wfmt)
{
    float *v = tn_check_fill(m, TN_FILL_NORMAL, p->rows.rows, p->rows.cols, 0);
    for (size_t i = 0; v && i < (size_t)p->rows.rows * (size_t)p->rows.cols; i++)
        v[i] = plain_value(wfmt, v[i] * 0.5f);
    if (v && wfmt[0] == 'q')
        fill_grid(m, v, (size_t)p->rows.rows * (size_t)p->rows.cols);
    p->rows.values = v;
    return v != NULL;
}

static bool fill_codes(tn_check_made *m, tn_check_part *p, bool constant)
{
    const size_t n = (size_t)p->rows.rows * (size_t)p->rows.cols;
    const size_t group = (size_t)p->rows.group, n_groups = n / group;
    const bool u4 = p->wfmt[0] == 'u';
    float *scale = tn_arena_alloc(&m->arena, n_groups * sizeof *scale);
    float *zero = tn_arena_alloc(&m->arena, n_groups * sizeof *zero);
    uint8_t *code = tn_arena_alloc(&m->arena, n);
    if (!scale || !zero || !code)
        return false;
    for (size_t g = 0; g < n_groups; g++) {
        scale[g] = plain_value("f16", tn_check_uniform(&m->state, 0.01f, 0.1f));
        zero[g] = p->wfmt[2] == 'z' ? (float)(tn_check_random(&m->state) % 17)
                                    : plain_value("f16", tn_check_uniform(&m->state, -0.5f, 0.5f));
    }
    for (size_t i = 0; i < n; i++)
        code[i] = constant && i % group ? code[i - 1]
                                        : (uint8_t)(tn_check_random(&m->state) & (u4 ? 15u : 255u));
    p->rows.scale = scale;
    p->rows.zero = u4 ? zero : NULL;
    p->rows.codes = code;
    return true;
}

tn_status tn_check_made_weight(tn_check_made *m, int32_t index, const char *wfmt, int32_t rows,
                               int32_t cols, int32_t group, bool bias, bool constant, tn_part *part,
                               tn_error *err)
{
    tn_check_part *p = &m->part[index];
    *p = (tn_check_part){
        .wfmt = group ? tn_arena_printf(&m->arena, "%s.g%d", wfmt, (int)group) : wfmt,
        .rows = { .size = sizeof(tn_weight_rows), .rows = rows, .cols = cols, .group = group }
    };
    if (!p->wfmt || !(group ? fill_codes(m, p, constant) : fill_plain(m, p, wfmt)))
        return tn_fail_memory(err, "a case");
    if (bias)
        p->rows.bias = tn_check_fill(m, TN_FILL_NORMAL, 1, rows, 0);
    if (bias && !p->rows.bias)
        return tn_fail_memory(err, "a case");
    m->c.n_parts = m->c.n_parts > index ? m->c.n_parts : index + 1;
    if (part)
        *part = (tn_part){ .size = sizeof *part,
                           .out = rows,
                           .bias = bias,
                           .group = group,
                           .values = !group && strcmp(wfmt, "f32") != 0,
                           .wfmt = p->wfmt };
    return TN_OK;
}

/* ---- batches ---- */

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

void tn_check_made_deinit(tn_check_made *m)
{
    tn_arena_deinit(&m->arena);
    *m = (tn_check_made){ 0 };
}
