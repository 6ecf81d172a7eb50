/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-ref: the linear family and embed. Expected values are the formulas of docs/numerics.md,
 * evaluated here in f64. */
#include "core/base/alloc.h"
#include "tests/support/linear_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* f32 rounding of the result; the sums themselves are f64 in both. */
static const double relative = 0x1p-24 * 1.001, absolute = 1e-12;

/* Row of the linear's input, after the norm if there is one. */
static void naive_input(const linear_case *c, int32_t row, double *h)
{
    const float *x = c->x + row * c->linear.in;
    double sum = 0.0;
    for (int32_t k = 0; k < c->linear.in; k++)
        sum += (double)x[k] * (double)x[k];
    double scale = 1.0 / sqrt(sum / c->linear.in + (double)c->linear.eps);
    for (int32_t k = 0; k < c->linear.in; k++)
        h[k] = c->is_norm ? (double)(float)((double)x[k] * scale *
                                            ((double)c->norm[k] + (double)c->linear.offset))
                          : (double)x[k];
}

static double naive_dot(const harness_weight *w, int32_t r, const double *h)
{
    double sum = w->bias ? (double)w->bias[r] : 0.0;
    for (int32_t k = 0; k < w->cols; k++)
        sum += harness_weight_at(w, r, k) * h[k];
    return sum;
}

/* The op by its formula, with f32 rounding at the inner edges: gate and up, and what `add` adds. */
static double naive_value(const linear_case *c, int32_t row, int32_t column, const double *h)
{
    double scale = c->linear.out_scale == 0.0f ? 1.0 : (double)c->linear.out_scale;
    if (c->is_glu) {
        double g = (double)(float)naive_dot(&c->w[0], column, h);
        double u = (double)(float)naive_dot(&c->w[1], column, h);
        return g / (1.0 + exp(-g)) * u * scale;
    }
    int32_t part = 0, r = column;
    while (r >= c->w[part].rows)
        r -= c->w[part++].rows;
    double y = scale * naive_dot(&c->w[part], r, h);
    return c->is_add ? (double)(float)y + (double)c->add[row * c->width + column] : y;
}

static void check_case(linear_case *c)
{
    double h[1024], expected[LINEAR_WIDE];
    linear_case_run(c, c->out);
    for (int32_t row = 0; row < c->n_rows; row++) {
        naive_input(c, row, h);
        for (int32_t j = 0; j < c->width; j++)
            expected[j] = naive_value(c, row, j, h);
        harness_assert_close(c->out + row * c->width, expected, (size_t)c->width, relative,
                             absolute);
    }
}

static void every_op_matches_the_formula_in_every_format(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    for (size_t o = 0; o < LINEAR_OPS; o++)
        for (size_t s = 0; s < LINEAR_SHAPES; s++) {
            int32_t glu = strstr(linear_ops[o], "_glu") != NULL;
            linear_case_args args = { .op = linear_ops[o],
                                      .wfmt = linear_shapes[s].wfmt,
                                      .cols = linear_shapes[s].cols,
                                      .group = linear_shapes[s].group,
                                      .n_parts = glu ? 2 : 1 + (int32_t)(s % 3),
                                      .bias = (int32_t)(s % 2),
                                      .n_rows = 1 + (int32_t)(s % 4),
                                      .out = { 19, glu ? 19 : 8, 5 },
                                      .out_scale = s % 3 == 1 ? 0.25f : 0.0f };
            linear_case *c = linear_case_new(&h, &args, 1000 * o + s);
            check_case(c);
            linear_case_free(c);
        }
    harness_close(&h);
}

/* ---- fused linear_ops and their primitives ---- */

static void run_rows_op(harness *h, const char *name, const tn_rows_op *param, const tn_tensor *in,
                        const tn_tensor *out)
{
    harness_op op;
    tn_node node = harness_node(name, 2, 1, param);
    harness_op_init(&op, h, &node);
    harness_run(&op, in, 2, out, 1, NULL);
    harness_op_deinit(&op);
}

static void run_rmsnorm(harness *h, const linear_case *c, float *out)
{
    harness_op op;
    int32_t dim = c->linear.in;
    tn_norm norm = {
        .size = sizeof norm, .dim = dim, .eps = c->linear.eps, .offset = c->linear.offset
    };
    tn_node node = harness_node("rmsnorm", 1, 1, &norm);
    harness_op_init(&op, h, &node);
    harness_pack_vector(&op, c->norm, dim, 0);
    tn_tensor x = harness_rows(c->x, c->n_rows, dim, dim),
              y = harness_rows(out, c->n_rows, dim, dim);
    harness_run(&op, &x, 1, &y, 1, NULL);
    harness_op_deinit(&op);
}

/* The chain of primitives that c's op stands for, into out. */
static void run_primitives(harness *h, linear_case *c, float *out)
{
    harness_op op;
    tn_linear linear = c->linear;
    int32_t n = c->n_rows, wide = 0;
    static float normed[LINEAR_MAX_ROWS * 600], y[LINEAR_MAX_ROWS * LINEAR_WIDE];
    const float *x = c->x;
    for (int32_t i = 0; i < linear.n_parts; i++)
        wide += c->part[i].out;
    if (c->is_norm) {
        run_rmsnorm(h, c, normed);
        x = normed;
    }
    linear.out_scale = c->is_glu ? 0.0f : linear.out_scale;
    tn_node node = harness_node("linear", 1, 1, &linear);
    harness_op_init(&op, h, &node);
    for (int32_t i = 0; i < linear.n_parts; i++)
        harness_pack(&op, &c->w[i], i);
    tn_tensor in = harness_rows(x, n, linear.in, linear.in), mid = harness_rows(y, n, wide, wide);
    harness_run(&op, &in, 1, &mid, 1, NULL);
    harness_op_deinit(&op);

    tn_rows_op rows = { .size = sizeof rows, .dim = c->width, .act = linear.act };
    tn_tensor result = harness_rows(out, n, c->width, c->width);
    if (c->is_glu) {
        rows.scale = c->linear.out_scale;
        tn_tensor gate_up[2] = { harness_rows(y, n, c->width, wide),
                                 harness_rows(y + c->width, n, c->width, wide) };
        run_rows_op(h, "glu", &rows, gate_up, &result);
    } else if (c->is_add) {
        tn_tensor both[2] = { mid, harness_rows(c->add, n, c->width, c->width) };
        run_rows_op(h, "add", &rows, both, &result);
    } else {
        memcpy(out, y, (size_t)(n * wide) * sizeof *y);
    }
}

static void fused_ops_equal_their_primitives_to_the_bit(void **state)
{
    (void)state;
    static float expected[LINEAR_MAX_ROWS * LINEAR_WIDE];
    harness h;
    harness_open(&h, 2);
    for (size_t o = 0; o < LINEAR_OPS; o++)
        for (int32_t act = TN_ACT_SILU; act <= TN_ACT_GELU_TANH; act++) {
            int32_t glu = strstr(linear_ops[o], "_glu") != NULL;
            linear_case_args args = { .op = linear_ops[o],
                                      .wfmt = act == TN_ACT_GELU ? "q8" : "u4b",
                                      .cols = 288,
                                      .group = 32,
                                      .n_parts = glu ? 2 : 3,
                                      .bias = 1,
                                      .n_rows = 35,
                                      .out = { 43, glu ? 43 : 17, 8 },
                                      .out_scale = 0.7f };
            linear_case *c = linear_case_new(&h, &args, 77 + o);
            c->linear.act = act;
            run_primitives(&h, c, expected);
            linear_case_run(c, c->out);
            harness_assert_same_bits(c->out, expected, (size_t)(c->n_rows * c->width));
            linear_case_free(c);
        }
    harness_close(&h);
}

static const linear_case_args u4_case = { .op = "norm_linear",
                                          .wfmt = "u4b",
                                          .cols = 576,
                                          .group = 32,
                                          .n_parts = 3,
                                          .bias = 1,
                                          .n_rows = 37,
                                          .out = { 41, 16, 9 } };

static void one_row_alone_has_the_bits_of_a_batch(void **state)
{
    (void)state;
    static float one[LINEAR_WIDE];
    harness h;
    harness_open(&h, 1);
    linear_case *c = linear_case_new(&h, &u4_case, 5);
    linear_case_run(c, c->out);
    for (int32_t row = 0; row < c->n_rows; row++) {
        tn_tensor x = harness_rows(c->x + row * c->linear.in, 1, c->linear.in, c->linear.in);
        tn_tensor y = harness_rows(one, 1, c->width, c->width);
        harness_run(&c->op, &x, 1, &y, 1, NULL);
        harness_assert_same_bits(one, c->out + row * c->width, (size_t)c->width);
    }
    linear_case_free(c);
    harness_close(&h);
}

static void thread_count_does_not_change_a_bit(void **state)
{
    (void)state;
    float *expected = NULL;
    for (int32_t threads = 1; threads <= 3; threads++) {
        harness h;
        harness_open(&h, threads);
        linear_case *c = linear_case_new(&h, &u4_case, 6);
        size_t n = (size_t)(c->n_rows * c->width);
        linear_case_run(c, c->out);
        if (!expected) {
            expected = tn_alloc_array(n, sizeof *expected);
            assert_non_null(expected);
            memcpy(expected, c->out, n * sizeof *expected);
        }
        harness_assert_same_bits(c->out, expected, n);
        linear_case_free(c);
        harness_close(&h);
    }
    tn_free(expected);
}

static void linear_add_in_place_equals_not_in_place(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 2);
    linear_case_args args = u4_case;
    args.op = "linear_add";
    linear_case *c = linear_case_new(&h, &args, 9);
    linear_case_run(c, c->out);
    linear_case_run(c, c->add);
    harness_assert_same_bits(c->add, c->out, (size_t)(c->n_rows * c->width));
    linear_case_free(c);
    harness_close(&h);
}

static void strides_of_inputs_and_outputs_are_honoured(void **state)
{
    (void)state;
    static float x[LINEAR_MAX_ROWS * 700], y[LINEAR_MAX_ROWS * LINEAR_WIDE];
    enum { OUT_STRIDE = 80, IN_STRIDE = 590 };
    harness h;
    harness_open(&h, 1);
    linear_case *c = linear_case_new(&h, &u4_case, 10);
    int32_t k = c->linear.in;
    linear_case_run(c, c->out);
    for (int32_t row = 0; row < c->n_rows; row++)
        memcpy(x + row * IN_STRIDE, c->x + row * k, (size_t)k * sizeof *x);
    for (size_t i = 0; i < sizeof y / sizeof *y; i++)
        y[i] = 1e30f;

    tn_tensor in = harness_rows(x, c->n_rows, k, IN_STRIDE);
    tn_tensor out = harness_rows(y, c->n_rows, c->width, OUT_STRIDE);
    harness_run(&c->op, &in, 1, &out, 1, NULL);

    for (int32_t row = 0; row < c->n_rows; row++) {
        harness_assert_same_bits(y + row * OUT_STRIDE, c->out + row * c->width, (size_t)c->width);
        for (int32_t j = c->width; j < OUT_STRIDE; j++)
            assert_true(y[row * OUT_STRIDE + j] == 1e30f);
    }
    linear_case_free(c);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_matches_the_formula_in_every_format),
        cmocka_unit_test(fused_ops_equal_their_primitives_to_the_bit),
        cmocka_unit_test(one_row_alone_has_the_bits_of_a_batch),
        cmocka_unit_test(thread_count_does_not_change_a_bit),
        cmocka_unit_test(linear_add_in_place_equals_not_in_place),
        cmocka_unit_test(strides_of_inputs_and_outputs_are_honoured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
