/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/make.h"

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

void tn_check_made_deinit(tn_check_made *m)
{
    tn_arena_deinit(&m->arena);
    *m = (tn_check_made){ 0 };
}
