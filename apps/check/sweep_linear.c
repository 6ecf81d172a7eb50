/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/sweep.h"

#include <string.h>

typedef struct linear_row {
    const char *wfmt;
    int32_t group, cols, rows, out, fill;
    bool bias;
    int32_t codes; /* TN_CODES_* */
    float out_scale;
} linear_row;

/* Widths and rows that are multiples of no vector; every weight format; then values that hurt. */
static const linear_row table[TN_LINEAR_CASES] = {
    { "f32", 0, 37, 1, 19, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "f16", 0, 301, 9, 33, TN_FILL_NORMAL, true, TN_CODES_ANY, 0 },
    { "bf16", 0, 33, 3, 8, TN_FILL_NORMAL, false, TN_CODES_ANY, 0.5f },
    { "q6_k", 0, 256, 2, 31, TN_FILL_NORMAL, true, TN_CODES_ANY, 0 },
    { "u4z", 32, 96, 1, 17, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "u4z", 64, 320, 8, 40, TN_FILL_NORMAL, true, TN_CODES_ANY, 0 },
    { "u4z", 128, 256, 5, 9, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "u4z", 301, 301, 2, 33, TN_FILL_NORMAL, false, TN_CODES_ANY, 2 },
    { "u4b", 32, 288, 33, 150, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "u4b", 64, 64, 7, 3, TN_FILL_NORMAL, true, TN_CODES_ANY, 0 },
    { "u4b", 128, 384, 1, 65, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "q8", 32, 576, 4, 34, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "q8", 32, 32, 17, 50, TN_FILL_NORMAL, true, TN_CODES_ANY, 0 },
    { "f32", 0, 1027, 9, 70, TN_FILL_NORMAL, true, TN_CODES_ANY, 0 },
    { "f16", 0, 95, 3, 21, TN_FILL_HUGE, false, TN_CODES_ANY, 0 },
    { "f32", 0, 50, 3, 21, TN_FILL_TINY, false, TN_CODES_ANY, 0 },
    { "f32", 0, 130, 3, 21, TN_FILL_SMALL, true, TN_CODES_ANY, 0 },
    { "u4b", 32, 64, 3, 21, TN_FILL_ONE_SIGN, false, TN_CODES_CONSTANT, 0 },
    { "u4z", 32, 64, 3, 21, TN_FILL_NORMAL, false, TN_CODES_CONSTANT, 0 },
    { "u4z", 64, 128, 3, 21, TN_FILL_OUTLIER, true, TN_CODES_ANY, 0 },
    { "q8", 32, 96, 3, 21, TN_FILL_SMALL, false, TN_CODES_ANY, 0 },
    { "q8", 32, 64, 2, 40, TN_FILL_ZERO, true, TN_CODES_ANY, 0 },
    { "u4b", 32, 96, 10, 21, TN_FILL_HUGE, false, TN_CODES_ANY, 0 },
    { "u4z", 32, 64, 12, 68, TN_FILL_SMALL, true, TN_CODES_ANY, 0 },
    { "q4_k", 0, 512, 3, 19, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "q5_k", 0, 256, 5, 17, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "q2_k", 0, 256, 1, 33, TN_FILL_NORMAL, true, TN_CODES_ANY, 0 },
    { "q3_k", 0, 512, 2, 9, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "q8_k", 0, 256, 4, 18, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "q5_0", 0, 96, 9, 21, TN_FILL_OUTLIER, false, TN_CODES_ANY, 0 },
    { "q5_1", 0, 160, 2, 35, TN_FILL_NORMAL, true, TN_CODES_ANY, 0 },
    { "iq4_nl", 0, 64, 3, 16, TN_FILL_NORMAL, false, TN_CODES_ANY, 0 },
    { "iq4_xs", 0, 256, 7, 20, TN_FILL_ONE_SIGN, false, TN_CODES_ANY, 0 },
    { "u4z", 32, 96, 3, 21, TN_FILL_NORMAL, false, TN_CODES_ONE_SIGN, 0 },
    { "u4b", 64, 192, 2, 18, TN_FILL_ONE_SIGN, false, TN_CODES_ONE_SIGN, 0 },
    { "q8", 32, 64, 5, 21, TN_FILL_NORMAL, false, TN_CODES_ONE_SIGN, 0 },
    { "q8", 32, 96, 1, 33, TN_FILL_NORMAL, true, TN_CODES_CONSTANT, 0 },
    { "f16", 0, 77, 3, 21, TN_FILL_ONE_SIGN, false, TN_CODES_ONE_SIGN, 0 },
};

static tn_status make_parts(tn_check_made *m, const linear_row *row, int32_t index, bool is_glu,
                            bool is_add, tn_linear *linear, tn_error *err)
{
    const int32_t n = is_add ? 1 : is_glu ? 2 : 1 + index % 3;
    tn_part *part = tn_arena_alloc(&m->arena, (size_t)n * sizeof *part);
    const tn_part **parts = tn_arena_alloc(&m->arena, (size_t)n * sizeof(tn_part *));
    if (!part || !parts)
        return tn_fail_memory(err, "a case");
    for (int32_t i = 0; i < n; i++) {
        /* Parts of unlike height, and not all with a bias, but for gate and up. */
        const int32_t out = is_glu || i == 0 ? row->out : row->out / (i + 1) + 1;
        const bool bias = row->bias && (is_glu || i != 1);
        parts[i] = &part[i];
        TN_TRY(tn_check_made_weight(m, i, row->wfmt, out, row->cols, row->group, bias, row->codes,
                                    &part[i], err));
    }
    *linear = (tn_linear){ .size = sizeof *linear,
                           .in = row->cols,
                           .n_parts = n,
                           .act = is_glu ? 1 + index % 3 : 0,
                           .part = parts,
                           .eps = 1e-5f,
                           .out_scale = row->out_scale };
    m->format = part[0].wfmt;
    return TN_OK;
}

static int32_t width_of(const tn_linear *linear, bool is_glu)
{
    int32_t width = 0;
    for (int32_t i = 0; i < linear->n_parts; i++)
        width += linear->part[i]->out;
    return is_glu ? linear->part[0]->out : width;
}

tn_status tn_check_make_linear(tn_check_made *m, const char *op, int32_t index, tn_error *err)
{
    const linear_row *row = &table[index];
    const bool is_glu = strstr(op, "_glu") != NULL, is_add = strcmp(op, "linear_add") == 0;
    const bool is_norm = strncmp(op, "norm_", 5) == 0;
    const float huge = 30.0f; /* 1e3 times the others would leave f16 */
    tn_linear *linear = tn_arena_alloc(&m->arena, sizeof *linear);
    if (!linear)
        return tn_fail_memory(err, "a case");
    TN_TRY(make_parts(m, row, index, is_glu, is_add, linear, err));
    if (is_norm) {
        linear->offset = index % 4 == 3 ? 1.0f : 0.0f;
        TN_TRY(tn_check_made_weight(m, linear->n_parts, "f32", 1, row->cols, 0, false, TN_CODES_ANY,
                                    NULL, err));
    }
    const int32_t width = width_of(linear, is_glu);
    const bool f32_out = strcmp(op, "linear") == 0 && index % 2;
    const float *x = tn_check_fill(m, row->fill, row->rows, row->cols, huge);
    const float *y = tn_check_fill(m, TN_FILL_NORMAL, row->rows, width, huge);
    if (!x || !y)
        return tn_fail_memory(err, "a case");
    tn_check_made_node(m, op, linear, NULL, row->rows);
    tn_check_made_in(m, 0, is_norm ? m->resid : m->act,
                     tn_check_dense("x", row->rows, row->cols, 0, x));
    if (is_add)
        tn_check_made_in(m, 1, m->resid, tn_check_dense("residual", row->rows, width, 0, y));
    tn_check_made_out(m, 0,
                      is_add    ? m->resid
                      : f32_out ? TN_F32
                                : m->act,
                      tn_check_dense("y", row->rows, width, 0, NULL));
    m->c.name =
        tn_arena_printf(&m->arena, "%s %s, %d x %d x %d%s%s, values %d", op, m->format,
                        (int)row->rows, (int)row->cols, (int)width, row->bias ? ", bias" : "",
                        row->codes == TN_CODES_CONSTANT   ? ", one code a group"
                        : row->codes == TN_CODES_ONE_SIGN ? ", weights of one sign"
                                                          : "",
                        (int)row->fill);
    return TN_OK;
}
