/* SPDX-License-Identifier: Apache-2.0 */
/* qk_norm, rope, kv_write, rope_kv_write, attention. */
#include "apps/check/sweep.h"
#include "core/bind/bind.h"

#include <string.h>

enum { MAX_SEQS = 5 };

/* Sequences of a batch, in blocks of B tokens: past counts as whole blocks and a rest. */
typedef struct seqs {
    struct {
        int32_t blocks, rest, n_blocks, n;
        bool pad;
        int32_t shares;
    } seq[MAX_SEQS];
} seqs;

static const seqs batches[] = {
    { { { 0, 0, 0, 1, false, 0 } } },  /* the very first token */
    { { { 1, -1, 0, 1, false, 0 } } }, /* fills a block */
    { { { 1, 0, 0, 1, false, 0 } } },  /* one past it */
    { { { 0, 0, 1, 3, false, 0 } } },  /* a prompt over a border */
    { { { 2, 0, 0, 1, false, 0 },
        { 0, 17, 0, 1, false, 0 }, /* decoding, a chunk, and... */
        { 0, 5, 0, 7, false, 0 },
        { 0, 0, 0, 2, true, 0 } } },                            /* ...padding */
    { { { 1, 3, 0, 1, false, 0 }, { 1, 5, 0, 4, false, 1 } } }, /* a shared first block */
    { { { 0, 0, 0, 1, true, 0 }, { 0, 9, 0, 5, false, 0 }, { 0, 0, 0, 11, false, 0 } } },
    { { { 12, 3, 0, 1, false, 0 }, { 11, 5, 0, 20, false, 0 } } }, /* more than a tile of keys */
};

typedef struct kv_row {
    const char *format;
    int32_t heads, kv_heads, dim, block, batch, window, fill;
    float softcap;
    int32_t logn;
} kv_row;

/* Every format and block size, 1 to 16 query heads a kv head, head sizes that are multiples of
 * little, windows that end inside of blocks, or leave whole tiles of keys with a mask of -inf and
 * nothing else, scores that overflow an exponential, denormals. */
static const kv_row table[TN_KV_CASES] = {
    { "f32", 4, 2, 16, 16, 0, 0, TN_FILL_NORMAL, 0, 0 },
    { "f32", 4, 1, 64, 16, 1, 0, TN_FILL_NORMAL, 0, 0 },
    { "f16", 9, 3, 64, 16, 2, 0, TN_FILL_NORMAL, 0, 0 },
    { "i8", 9, 3, 64, 32, 3, 0, TN_FILL_NORMAL, 0, 0 },
    { "i8-static", 4, 2, 32, 16, 4, 0, TN_FILL_NORMAL, 0, 0 },
    { "f32", 16, 1, 40, 64, 4, 0, TN_FILL_NORMAL, 0, 0 },
    { "f16", 2, 2, 128, 16, 5, 0, TN_FILL_NORMAL, 0, 0 },
    { "i8", 8, 4, 80, 16, 6, 0, TN_FILL_NORMAL, 0, 0 },
    { "f32", 4, 2, 16, 16, 4, 7, TN_FILL_NORMAL, 0, 0 },
    { "i8", 4, 2, 64, 16, 3, 5, TN_FILL_NORMAL, 0, 0 },
    { "f16", 4, 2, 64, 128, 3, 33, TN_FILL_NORMAL, 0, 0 },
    { "f32", 4, 4, 256, 16, 5, 0, TN_FILL_NORMAL, 30, 0 },
    { "f16", 4, 2, 16, 32, 4, 0, TN_FILL_NORMAL, 0, 8 },
    { "f32", 4, 2, 64, 16, 3, 0, TN_FILL_HUGE, 0, 0 },
    { "f16", 6, 2, 24, 16, 4, 0, TN_FILL_HUGE, 0, 0 },
    { "i8", 4, 2, 16, 16, 4, 0, TN_FILL_ONE_SIGN, 0, 0 },
    { "f32", 3, 3, 16, 16, 4, 0, TN_FILL_ZERO, 0, 0 },
    { "i8-static", 8, 2, 64, 64, 3, 0, TN_FILL_NORMAL, 0, 0 },
    { "i8", 5, 1, 64, 16, 5, 0, TN_FILL_OUTLIER, 0, 0 },
    { "f32", 4, 2, 16, 16, 5, 0, TN_FILL_NORMAL, 0, 0 },
    { "f32", 4, 2, 16, 16, 3, 0, TN_FILL_SMALL, 0, 0 },
    { "f16", 4, 2, 64, 16, 7, 5, TN_FILL_NORMAL, 0, 0 },
    { "f32", 14, 2, 64, 16, 7, 0, TN_FILL_NORMAL, 0, 0 },
    { "i8", 8, 1, 64, 16, 7, 100, TN_FILL_NORMAL, 0, 0 },
    { "f32", 12, 2, 32, 32, 4, 1, TN_FILL_NORMAL, 0, 0 },
    { "f32", 4, 2, 16, 16, 4, 0, TN_FILL_TINY, 0, 0 },
    { "i8", 4, 2, 32, 16, 5, 0, TN_FILL_TINY, 0, 0 },
    { "f16", 10, 1, 64, 16, 4, 0, TN_FILL_NORMAL, 0, 0 },
};

static int32_t expand(const kv_row *row, tn_check_seq *out)
{
    const seqs *from = &batches[row->batch];
    int32_t n = 0;
    for (; n < MAX_SEQS && (from->seq[n].n || from->seq[n].n_blocks); n++)
        out[n] = (tn_check_seq){ .past = from->seq[n].blocks * row->block + from->seq[n].rest,
                                 .n = from->seq[n].n_blocks * row->block + from->seq[n].n,
                                 .pad = from->seq[n].pad,
                                 .shares = from->seq[n].shares };
    return n;
}

/* Calibration of a layer, for one or for every head. */
static tn_status add_static(tn_check_made *m, const kv_row *row, int32_t index, int32_t part,
                            tn_attention *a, tn_error *err)
{
    if (strcmp(row->format, "i8-static") != 0)
        return TN_OK;
    const int32_t n = index % 2 ? 1 : row->kv_heads;
    float *values = tn_arena_alloc(&m->arena, (size_t)n * 4 * sizeof *values);
    if (!values)
        return tn_fail_memory(err, "a case");
    for (int32_t i = 0; i < n * 2; i++) {
        values[2 * i] = tn_check_uniform(&m->state, 0.01f, 0.03f);
        values[2 * i + 1] = tn_check_uniform(&m->state, -0.2f, 0.2f);
    }
    a->kv_static = values;
    a->n_kv_static = n;
    m->part[part] = (tn_check_part){
        .wfmt = "f32",
        .rows = { .size = sizeof(tn_weight_rows), .rows = n, .cols = 4, .values = values }
    };
    m->c.n_parts = part + 1;
    return TN_OK;
}

static tn_status add_pool(tn_check_made *m, const kv_row *row, const tn_attention *a,
                          int32_t n_blocks, tn_error *err)
{
    const uint64_t bytes = tn_kv_block_bytes(row->format, row->kv_heads, row->dim, row->block);
    const uint64_t stride = (bytes + 255) / 256 * 256;
    uint8_t *pool = tn_arena_alloc(&m->arena, (size_t)stride * (size_t)n_blocks);
    if (!pool)
        return tn_fail_memory(err, "a case");
    memset(pool, 0xff, (size_t)stride * (size_t)n_blocks);
    m->c.pool = (tn_check_pool){ .format = row->format,
                                 .attention = a,
                                 .n_blocks = n_blocks,
                                 .block_tokens = row->block,
                                 .block_bytes = stride,
                                 .bytes = pool };
    m->c.node.kvfmt = row->format;
    m->c.node.block_tokens = row->block;
    return TN_OK;
}

static tn_check_tensor heads(tn_check_made *m, const char *name, const kv_row *row, int32_t n,
                             int32_t n_heads, int32_t fill)
{
    const float huge = m->act == TN_F16 ? 60.0f : 200.0f;
    return tn_check_dense(name, n, n_heads * row->dim, n_heads,
                          tn_check_fill(m, fill, n, n_heads * row->dim, huge));
}

/* q, k, v are views of one linear's output, as in a model. */
static void add_qkv(tn_check_made *m, const kv_row *row, const char *op)
{
    const int32_t n = m->batch.n_tokens, q = row->heads * row->dim, k = row->kv_heads * row->dim;
    tn_check_tensor t[3] = { heads(m, "q", row, n, row->heads, row->fill),
                             heads(m, "k", row, n, row->kv_heads, row->fill),
                             heads(m, "v", row, n, row->kv_heads, row->fill) };
    const int32_t offset[3] = { 0, q, q + k };
    const bool only_kv = strcmp(op, "kv_write") == 0, all = strcmp(op, "rope_kv_write") == 0;
    for (int32_t i = 0; i < 3; i++) {
        t[i].base_width = q + 2 * k;
        t[i].offset = offset[i];
    }
    for (int32_t i = only_kv ? 1 : 0, to = 0; i < (only_kv || all ? 3 : 2); i++)
        tn_check_made_in(m, to++, m->act, t[i]);
    if (only_kv)
        return;
    tn_check_made_out(m, 0, m->act, tn_check_dense("q'", n, q, row->heads, NULL));
    if (!all)
        tn_check_made_out(m, 1, m->act, tn_check_dense("k'", n, k, row->kv_heads, NULL));
}

static tn_status make_rope(tn_check_made *m, const char *op, const kv_row *row, int32_t index,
                           tn_attention *a, int32_t n_blocks, tn_error *err)
{
    const bool fused = strcmp(op, "rope_kv_write") == 0, norm = strcmp(op, "qk_norm") == 0;
    tn_rope *rope = tn_arena_alloc(&m->arena, sizeof *rope);
    if (!rope)
        return tn_fail_memory(err, "a case");
    *rope = (tn_rope){ .size = sizeof *rope,
                       .heads = row->heads,
                       .kv_heads = row->kv_heads,
                       .head_dim = row->dim,
                       .rotary_dim = m->batch.half_rotary * 2,
                       .pairing = index % 2 ? TN_ROPE_HALVES : TN_ROPE_INTERLEAVED,
                       .qk_norm = fused && index % 3 == 1,
                       .qk_eps = 1e-6f,
                       .qk_offset = index % 5 == 2 ? 1.0f : 0,
                       .mscale = index % 4 == 3 ? 1.25f : 1.0f };
    for (int32_t i = 0; i < 2 && (norm || rope->qk_norm); i++)
        TN_TRY(tn_check_made_weight(m, i, "f32", 1, row->dim, 0, false, TN_CODES_ANY, NULL, err));
    if (fused)
        TN_TRY(add_static(m, row, index, 2, a, err));
    tn_check_made_node(m, op, rope, fused ? a : NULL, m->batch.n_tokens);
    add_qkv(m, row, op);
    return fused ? add_pool(m, row, a, n_blocks, err) : TN_OK;
}

static tn_status make_attention(tn_check_made *m, const char *op, const kv_row *row, int32_t index,
                                tn_attention *a, int32_t n_blocks, tn_error *err)
{
    const bool writes = strcmp(op, "kv_write") == 0;
    const int32_t n = m->batch.n_tokens;
    TN_TRY(add_static(m, row, index, 0, a, err));
    tn_check_made_node(m, op, a, NULL, n);
    if (writes) {
        add_qkv(m, row, op);
        return add_pool(m, row, a, n_blocks, err);
    }
    tn_check_made_in(m, 0, m->act, heads(m, "q'", row, n, row->heads, row->fill));
    tn_check_made_out(m, 0, m->act, tn_check_dense("a", n, row->heads * row->dim, 0, NULL));
    TN_TRY(add_pool(m, row, a, n_blocks, err));
    /* The reference writes what the pool holds. */
    const int32_t all = m->fill_batch.n_tokens;
    m->fill = m->c;
    m->fill.op = tn_op_find("kv_write");
    m->fill.node.op = "kv_write";
    m->fill.node.n_in = 2;
    m->fill.node.n_out = 0;
    m->fill.node.max_tokens = m->fill.node.max_rows = all;
    m->fill.batch = &m->fill_batch;
    for (int32_t i = 0; i < 2; i++) {
        m->fill.node.in_dtype[i] = TN_F32;
        m->fill.in[i] = heads(m, i ? "v" : "k", row, all, row->kv_heads,
                              row->fill == TN_FILL_HUGE ? TN_FILL_NORMAL : row->fill);
        if (!m->fill.in[i].values)
            return tn_fail_memory(err, "a case");
    }
    m->has_fill = true;
    return TN_OK;
}

tn_status tn_check_make_kv(tn_check_made *m, const char *op, int32_t index, tn_error *err)
{
    const kv_row *row = &table[index];
    tn_check_seq seq[MAX_SEQS];
    const int32_t n_seqs = expand(row, seq);
    const int32_t half = index % 4 == 2 ? row->dim / 4 : row->dim / 2; /* a part of the head only */
    int32_t n_blocks;
    tn_attention *a = tn_arena_alloc(&m->arena, sizeof *a);
    if (!a)
        return tn_fail_memory(err, "a case");
    *a = (tn_attention){ .size = sizeof *a,
                         .heads = row->heads,
                         .kv_heads = row->kv_heads,
                         .head_dim = row->dim,
                         .window = row->window,
                         .logn_length = row->logn,
                         .softcap = row->softcap };
    TN_TRY(tn_check_made_batch(m, seq, n_seqs, row->block, half, &n_blocks, &m->batch,
                               &m->fill_batch, err));
    if (strcmp(op, "attention") == 0 || strcmp(op, "kv_write") == 0)
        TN_TRY(make_attention(m, op, row, index, a, n_blocks, err));
    else
        TN_TRY(make_rope(m, op, row, index, a, n_blocks, err));
    m->format = m->c.pool.format ? row->format : "";
    m->c.name = tn_arena_printf(
        &m->arena, "%s %s, heads %d/%d x %d, blocks of %d, batch %d, window %d, values %d", op,
        m->format, (int)row->heads, (int)row->kv_heads, (int)row->dim, (int)row->block,
        (int)row->batch, (int)row->window, (int)row->fill);
    for (int32_t i = 0; i < m->c.node.n_in; i++)
        if (!m->c.in[i].values)
            return tn_fail_memory(err, "a case");
    return TN_OK;
}
