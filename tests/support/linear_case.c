/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/linear_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

const linear_shape linear_shapes[LINEAR_SHAPES] = {
    { "f32", 37, 0 },   { "f16", 300, 0 },  { "bf16", 33, 0 },   { "q5_k", 64, 32 },
    { "u4z", 96, 32 },  { "u4z", 320, 64 }, { "u4z", 256, 128 }, { "u4z", 301, 301 },
    { "u4b", 288, 32 }, { "u4b", 64, 64 },  { "u4b", 384, 128 }, { "q8", 64, 32 },
    { "q8", 576, 32 },
};

const char *const linear_ops[LINEAR_OPS] = { "linear", "linear_add", "linear_glu", "norm_linear",
                                             "norm_linear_glu" };

linear_case *linear_case_new(harness *h, const linear_case_args *args, uint64_t seed)
{
    linear_case *c = tn_alloc_array(1, sizeof *c);
    assert_non_null(c);
    c->is_norm = strncmp(args->op, "norm_", 5) == 0;
    c->is_glu = strstr(args->op, "_glu") != NULL;
    c->is_add = strcmp(args->op, "linear_add") == 0;
    c->n_rows = args->n_rows;
    for (int32_t i = 0; i < args->n_parts; i++) {
        /* One bias in two parts, when there are biases, so that absent ones are met too. */
        int32_t bias = args->bias && (i == 0 || args->n_parts < 3);
        harness_weight_init(&c->w[i], &seed, args->wfmt, args->out[i], args->cols, args->group,
                            bias);
        c->part[i] = harness_part(&c->w[i]);
        c->parts[i] = &c->part[i];
        c->width += args->out[i];
    }
    if (c->is_glu)
        c->width = args->out[0];
    c->linear = (tn_linear){ .size = sizeof c->linear,
                             .in = args->cols,
                             .n_parts = args->n_parts,
                             .act = TN_ACT_SILU,
                             .part = c->parts,
                             .eps = 1e-5f,
                             .offset = c->is_norm ? 0.5f : 0.0f,
                             .out_scale = args->out_scale };
    c->node = harness_node(args->op, c->is_add ? 2 : 1, 1, &c->linear);
    harness_op_init(&c->op, h, &c->node);
    for (int32_t i = 0; i < args->n_parts; i++)
        harness_pack(&c->op, &c->w[i], i);
    harness_fill(&seed, c->norm, (size_t)args->cols, 0.5f, 1.5f);
    if (c->is_norm)
        harness_pack_vector(&c->op, c->norm, args->cols, args->n_parts);
    harness_fill(&seed, c->x, (size_t)args->n_rows * (size_t)args->cols, -2.0f, 2.0f);
    harness_fill(&seed, c->add, (size_t)args->n_rows * (size_t)c->width, -2.0f, 2.0f);
    return c;
}

void linear_case_free(linear_case *c)
{
    harness_op_deinit(&c->op);
    for (int32_t i = 0; i < 3; i++)
        harness_weight_deinit(&c->w[i]);
    tn_free(c);
}

void linear_case_run(linear_case *c, float *out)
{
    tn_tensor in[2] = { harness_rows(c->x, c->n_rows, c->linear.in, c->linear.in),
                        harness_rows(c->add, c->n_rows, c->width, c->width) };
    tn_tensor y = harness_rows(out, c->n_rows, c->width, c->width);
    harness_run(&c->op, in, c->is_add ? 2 : 1, &y, 1, NULL);
}
