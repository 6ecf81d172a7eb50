/* SPDX-License-Identifier: Apache-2.0 */
/* embed, rmsnorm, add, glu, gather_rows, argmax. */
#include "apps/check/sweep.h"

#include <math.h>
#include <string.h>

/* Rows and widths by index; the fill pattern goes with it. */
static const int32_t rows_of[TN_ROWS_CASES] = { 1, 3, 8, 33, 2, 5, 7, 4, 16 };
static const int32_t width_of[TN_ROWS_CASES] = { 37, 64, 301, 576, 1, 130, 96, 33, 100 };

static const int32_t fill_of[TN_ROWS_CASES] = { TN_FILL_NORMAL,  TN_FILL_SMALL,  TN_FILL_NORMAL,
                                                TN_FILL_OUTLIER, TN_FILL_NORMAL, TN_FILL_HUGE,
                                                TN_FILL_TINY,    TN_FILL_ZERO,   TN_FILL_ONE_SIGN };

/* Every weight format; tokens that repeat, and the last one of the table. */
static const struct {
    const char *wfmt;
    int32_t group, dim, rows;
} embeds[TN_EMBED_CASES] = {
    { "f32", 0, 37, 1 },     { "f16", 0, 33, 3 },    { "bf16", 0, 50, 8 },   { "u4z", 32, 96, 33 },
    { "u4z", 64, 192, 2 },   { "u4z", 128, 128, 5 }, { "u4z", 301, 301, 7 }, { "u4b", 32, 64, 4 },
    { "u4b", 64, 128, 16 },  { "u4b", 128, 256, 2 }, { "q8", 32, 96, 9 },    { "q2_k", 0, 256, 3 },
    { "q3_k", 0, 256, 1 },   { "q4_k", 0, 256, 6 },  { "q5_k", 0, 512, 2 },  { "q6_k", 0, 256, 4 },
    { "q8_k", 0, 256, 3 },   { "q5_0", 0, 64, 11 },  { "q5_1", 0, 96, 2 },   { "iq4_nl", 0, 32, 5 },
    { "iq4_xs", 0, 256, 2 },
};

tn_status tn_check_make_embed(tn_check_made *m, const char *op, int32_t index, tn_error *err)
{
    const int32_t rows = embeds[index].rows, dim = embeds[index].dim;
    const tn_check_seq seq = { .n = rows };
    int32_t blocks;
    tn_part part;
    tn_embed *embed = tn_arena_alloc(&m->arena, sizeof *embed);
    if (!embed)
        return tn_fail_memory(err, "a case");
    TN_TRY(tn_check_made_batch(m, &seq, 1, 16, 0, &blocks, &m->batch, NULL, err));
    TN_TRY(tn_check_made_weight(m, 0, embeds[index].wfmt, 50, dim, embeds[index].group, false,
                                TN_CODES_ANY, &part, err));
    m->batch.tokens[0] = 49;
    *embed = (tn_embed){ .size = sizeof *embed,
                         .vocab = 50,
                         .dim = dim,
                         .group = part.group,
                         .values = part.values,
                         .scale = index % 2 ? 8.5f : 0,
                         .wfmt = part.wfmt };
    m->format = part.wfmt;
    tn_check_made_node(m, op, embed, NULL, rows);
    tn_check_made_out(m, 0, m->resid, tn_check_dense("x", rows, dim, 0, NULL));
    m->c.name = tn_arena_printf(&m->arena, "embed %s %d x %d", m->format, (int)rows, (int)dim);
    return TN_OK;
}

static tn_status make_norm(tn_check_made *m, int32_t index, const float *x, tn_error *err)
{
    const int32_t rows = rows_of[index], width = width_of[index];
    tn_norm *norm = tn_arena_alloc(&m->arena, sizeof *norm);
    if (!norm)
        return tn_fail_memory(err, "a case");
    *norm = (tn_norm){
        .size = sizeof *norm, .dim = width, .eps = 1e-5f, .offset = index % 3 == 1 ? 1.0f : 0.0f
    };
    TN_TRY(tn_check_made_weight(m, 0, "f32", 1, width, 0, false, TN_CODES_ANY, NULL, err));
    tn_check_made_node(m, "rmsnorm", norm, NULL, rows);
    tn_check_made_in(m, 0, m->resid, tn_check_dense("x", rows, width, 0, x));
    tn_check_made_out(m, 0, m->act, tn_check_dense("h", rows, width, 0, NULL));
    return TN_OK;
}

/* The same largest value twice, and NaN, which never wins; rows that are masked with -inf, all of
 * them or all but one. */
static void put_ties(tn_check_made *m, float *x, int32_t rows, int32_t width)
{
    for (int32_t r = 0; r < rows && width > 8; r++) {
        float *row = x + (size_t)r * (size_t)width;
        const int32_t a = (int32_t)(tn_check_random(&m->state) % (uint64_t)(width / 2));
        row[a] = row[width - 1 - a] = 3e9f;
        if (r % 2)
            row[a + 1] = NAN;
        for (int32_t i = 0; i < width && r % 8 >= 6; i++)
            if (r % 8 == 6 || i != a)
                row[i] = -INFINITY;
    }
}

static void make_two(tn_check_made *m, const char *op, int32_t index, float *x, const float *y,
                     const tn_rows_op *param)
{
    const int32_t rows = rows_of[index], width = width_of[index];
    tn_check_made_node(m, op, param, NULL, rows);
    if (strcmp(op, "add") == 0) {
        tn_check_made_in(m, 0, index % 2 ? TN_F32 : m->act, tn_check_dense("y", rows, width, 0, y));
        tn_check_made_in(m, 1, m->resid, tn_check_dense("x", rows, width, 0, x));
        tn_check_made_out(m, 0, m->resid, tn_check_dense("x'", rows, width, 0, NULL));
        return;
    }
    /* Views of one linear's output, as in a model. */
    const int32_t aligned = (width + 7) / 8 * 8;
    tn_check_tensor gate = tn_check_dense("gate", rows, width, 0, x);
    tn_check_tensor up = tn_check_dense("up", rows, width, 0, y);
    gate.base_width = up.base_width = 2 * aligned;
    up.offset = aligned;
    tn_check_made_in(m, 0, m->act, gate);
    tn_check_made_in(m, 1, m->act, up);
    tn_check_made_out(m, 0, m->act, tn_check_dense("out", rows, width, 0, NULL));
}

static tn_status make_gather(tn_check_made *m, int32_t index, const float *x,
                             const tn_rows_op *param, tn_error *err)
{
    const int32_t rows = rows_of[index], width = width_of[index];
    const tn_check_seq seq[] = { { .n = 1 }, { .n = rows } };
    int32_t blocks;
    TN_TRY(
        tn_check_made_batch(m, rows > 1 ? seq + 1 : seq, 1, 16, 0, &blocks, &m->batch, NULL, err));
    m->batch.n_rows = 0;
    for (int32_t r = rows - 1; r >= 0; r -= 2) /* not in order, not all */
        m->batch.rows[m->batch.n_rows++] = r;
    tn_check_made_node(m, "gather_rows", param, NULL, rows);
    tn_check_made_in(m, 0, m->resid, tn_check_dense("x", rows, width, 0, x));
    tn_check_made_out(m, 0, m->resid, tn_check_dense("x'", m->batch.n_rows, width, 0, NULL));
    return TN_OK;
}

static tn_status make_one(tn_check_made *m, const char *op, int32_t index, tn_error *err)
{
    const int32_t rows = rows_of[index], width = width_of[index];
    const float huge = 100.0f; /* products stay in f16 */
    tn_rows_op *param = tn_arena_alloc(&m->arena, sizeof *param);
    float *x = tn_check_fill(m, fill_of[index], rows, width, huge);
    const float *y = tn_check_fill(m, TN_FILL_NORMAL, rows, width, huge);
    if (!param || !x || !y)
        return tn_fail_memory(err, "a case");
    *param = (tn_rows_op){ .size = sizeof *param, .dim = width };
    if (strcmp(op, "rmsnorm") == 0)
        return make_norm(m, index, x, err);
    if (strcmp(op, "gather_rows") == 0)
        return make_gather(m, index, x, param, err);
    if (strcmp(op, "glu") == 0) {
        param->act = 1 + index % 3;
        param->scale = index % 4 == 2 ? 0.5f : 0;
    }
    if (strcmp(op, "argmax") != 0) {
        make_two(m, op, index, x, y, param);
        return TN_OK;
    }
    put_ties(m, x, rows, width);
    tn_check_made_node(m, op, param, NULL, rows);
    tn_check_made_in(m, 0, TN_F32, tn_check_dense("logits", rows, width, 0, x));
    tn_check_made_out(m, 0, TN_I32, tn_check_dense("ids", rows, 1, 0, NULL));
    m->c.out[0].is_ids = true;
    return TN_OK;
}

tn_status tn_check_make_rows(tn_check_made *m, const char *op, int32_t index, tn_error *err)
{
    TN_TRY(make_one(m, op, index, err));
    m->c.name = tn_arena_printf(&m->arena, "%s %d x %d, values %d", op, (int)m->c.out[0].rows,
                                (int)(m->c.node.n_in ? m->c.in[0].width : m->c.out[0].width),
                                (int)fill_of[index]);
    return TN_OK;
}
