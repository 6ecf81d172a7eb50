/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-ref: rmsnorm, add, glu, gather_rows, argmax; and the 16-bit conversions of plugins/common. */
#include "core/base/alloc.h"
#include "plugins/common/half.h"
#include "plugins/cpu-ref/kernels.h"
#include "tests/support/plugin_harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 7, DIM = 53, STRIDE = 61 };

static const double relative = 0x1p-24 * 1.001;

static void the_table_has_one_whole_kernel_for_each_op(void **state)
{
    (void)state;
    static const char *const ops[] = { "embed",           "rmsnorm",   "linear",      "add",
                                       "linear_add",      "glu",       "linear_glu",  "norm_linear",
                                       "norm_linear_glu", "qk_norm",   "rope",        "kv_write",
                                       "rope_kv_write",   "attention", "gather_rows", "argmax" };
    size_t n = 0, n_ops = sizeof ops / sizeof *ops;
    harness h;
    harness_open(&h, 1);
    while (tn_cpu_ref_kernels[n])
        n++;
    assert_int_equal(n, n_ops);
    for (size_t i = 0; i < n_ops; i++) {
        const tn_kernel *kernel = harness_kernel(&h, ops[i]);
        assert_int_equal(kernel->size, sizeof *kernel);
        assert_true(kernel->supports && kernel->plan && kernel->run);
        assert_true(!kernel->unpack || kernel->pack);
        assert_true(strcmp(kernel->tolerance, "exact") == 0 ||
                    strcmp(kernel->tolerance, "f32acc") == 0);
        assert_int_equal(kernel->flags & 7u,
                         TN_K_CAPTURE_SAFE | TN_K_DETERMINISTIC | TN_K_BATCH_INVARIANT);
    }
    harness_close(&h);
}

static void open_reports_lack_of_memory(void **state)
{
    (void)state;
    tn_error err = { 0 };
    harness h;
    void *self = &h;
    harness_open(&h, 1);
    tn_alloc_fail_at(1);
    assert_int_equal(tn_cpu_ref_open(&h.host, &self, &err), TN_NO_MEMORY);
    assert_null(self);
    assert_int_equal(err.code, TN_NO_MEMORY);
    harness_close(&h);
}

static void rmsnorm_matches_the_formula_and_honours_strides(void **state)
{
    (void)state;
    static float x[ROWS * STRIDE], w[DIM], y[ROWS * STRIDE];
    uint64_t seed = 1;
    harness h;
    harness_op op;
    harness_fill(&seed, x, ROWS * STRIDE, -3.0f, 3.0f);
    harness_fill(&seed, w, DIM, 0.5f, 1.5f);
    memset(x + 2 * STRIDE, 0, DIM * sizeof *x); /* eps alone under the root */
    for (int32_t threads = 1; threads <= 3; threads++) {
        harness_open(&h, threads);
        tn_norm norm = { .size = sizeof norm, .dim = DIM, .eps = 1e-6f, .offset = 1.0f };
        tn_node node = harness_node("rmsnorm", 1, 1, &norm);
        harness_op_init(&op, &h, &node);
        harness_pack_vector(&op, w, DIM, 0);
        tn_tensor in = harness_rows(x, ROWS, DIM, STRIDE), out = harness_rows(y, ROWS, DIM, STRIDE);
        for (size_t i = 0; i < ROWS * STRIDE; i++)
            y[i] = 7e30f;

        harness_run(&op, &in, 1, &out, 1, NULL);

        for (int32_t r = 0; r < ROWS; r++) {
            double expected[DIM], sum = 0.0;
            for (int32_t k = DIM - 1; k >= 0; k--) /* another order than the kernel's */
                sum += (double)x[r * STRIDE + k] * (double)x[r * STRIDE + k];
            double root = sqrt(sum / DIM + (double)1e-6f);
            for (int32_t k = 0; k < DIM; k++)
                expected[k] = ((double)w[k] + 1.0) * (double)x[r * STRIDE + k] / root;
            harness_assert_close(y + r * STRIDE, expected, DIM, relative, 0.0);
            assert_true(y[r * STRIDE + DIM] == 7e30f);
        }
        harness_op_deinit(&op);
        harness_close(&h);
    }
}

static void add_rounds_once_and_may_run_in_place(void **state)
{
    (void)state;
    static float y[ROWS * DIM], x[ROWS * DIM], out[ROWS * DIM];
    uint64_t seed = 2;
    harness h;
    harness_op op;
    harness_open(&h, 2);
    harness_fill(&seed, y, ROWS * DIM, -3.0f, 3.0f);
    harness_fill(&seed, x, ROWS * DIM, -3e4f, 3e4f);
    tn_rows_op param = { .size = sizeof param, .dim = DIM };
    tn_node node = harness_node("add", 2, 1, &param);
    harness_op_init(&op, &h, &node);
    tn_tensor in[2] = { harness_rows(y, ROWS, DIM, DIM), harness_rows(x, ROWS, DIM, DIM) };
    tn_tensor result = harness_rows(out, ROWS, DIM, DIM);

    harness_run(&op, in, 2, &result, 1, NULL);
    for (size_t i = 0; i < ROWS * DIM; i++)
        assert_true(out[i] == (float)((double)x[i] + (double)y[i]));
    harness_run(&op, in, 2, &in[1], 1, NULL);
    harness_assert_same_bits(x, out, ROWS * DIM);

    param.scale = 2.0f;
    harness_refuses(&h, &node);
    harness_op_deinit(&op);
    harness_close(&h);
}

static double naive_act(int32_t act, double g)
{
    const double pi = 3.14159265358979323846;
    if (act == TN_ACT_SILU)
        return g * (0.5 + 0.5 * tanh(0.5 * g)); /* the same function, written otherwise */
    if (act == TN_ACT_GELU)
        return g * 0.5 * erfc(-g / sqrt(2.0));
    return 0.5 * g * (1.0 + tanh(sqrt(2.0 / pi) * (g + 0.044715 * pow(g, 3.0))));
}

static void glu_has_three_activations_and_may_run_in_place(void **state)
{
    (void)state;
    static float both[ROWS * 2 * DIM], out[ROWS * DIM];
    uint64_t seed = 3;
    harness h;
    harness_op op;
    harness_open(&h, 2);
    for (int32_t act = TN_ACT_SILU; act <= TN_ACT_GELU_TANH; act++) {
        tn_rows_op param = { .size = sizeof param, .dim = DIM, .act = act, .scale = 1.5f };
        tn_node node = harness_node("glu", 2, 1, &param);
        harness_op_init(&op, &h, &node);
        harness_fill(&seed, both, ROWS * 2 * DIM, -8.0f, 8.0f);
        tn_tensor in[2] = { harness_rows(both, ROWS, DIM, 2 * DIM),
                            harness_rows(both + DIM, ROWS, DIM, 2 * DIM) };
        tn_tensor result = harness_rows(out, ROWS, DIM, DIM);

        harness_run(&op, in, 2, &result, 1, NULL);
        for (int32_t r = 0; r < ROWS; r++) {
            double expected[DIM];
            for (int32_t k = 0; k < DIM; k++)
                expected[k] = 1.5 * naive_act(act, (double)both[r * 2 * DIM + k]) *
                              (double)both[r * 2 * DIM + DIM + k];
            harness_assert_close(out + r * DIM, expected, DIM, relative, 1e-13);
        }
        harness_run(&op, in, 2, &in[0], 1, NULL);
        for (int32_t r = 0; r < ROWS; r++)
            harness_assert_same_bits(both + r * 2 * DIM, out + r * DIM, DIM);
        param.act = act + 3;
        harness_refuses(&h, &node);
        harness_op_deinit(&op);
    }
    harness_close(&h);
}

static void silu_of_extremes_is_finite(void **state)
{
    (void)state;
    float gate[4] = { -1000.0f, 1000.0f, 0.0f, -0.0f }, up[4] = { 1, 1, 1, 1 }, out[4];
    harness h;
    harness_op op;
    harness_open(&h, 1);
    tn_rows_op param = { .size = sizeof param, .dim = 4, .act = TN_ACT_SILU };
    tn_node node = harness_node("glu", 2, 1, &param);
    harness_op_init(&op, &h, &node);
    tn_tensor in[2] = { harness_rows(gate, 1, 4, 4), harness_rows(up, 1, 4, 4) };
    tn_tensor result = harness_rows(out, 1, 4, 4);

    harness_run(&op, in, 2, &result, 1, NULL);

    assert_true(out[0] == 0.0f && out[1] == 1000.0f && out[2] == 0.0f && out[3] == 0.0f);
    harness_op_deinit(&op);
    harness_close(&h);
}

static void gather_rows_takes_the_wanted_rows(void **state)
{
    (void)state;
    static float x[ROWS * STRIDE], out[4 * DIM];
    static harness_batch batch;
    static const int32_t rows[4] = { 6, 0, 6, 3 };
    uint64_t seed = 4;
    tn_error err = { 0 };
    harness h;
    harness_op op;
    harness_open(&h, 3);
    harness_fill(&seed, x, ROWS * STRIDE, -3.0f, 3.0f);
    tn_rows_op param = { .size = sizeof param, .dim = DIM };
    tn_node node = harness_node("gather_rows", 1, 1, &param);
    harness_op_init(&op, &h, &node);
    harness_batch_init(&batch, NULL, 0);
    memcpy(batch.rows, rows, sizeof rows);
    tn_tensor in = harness_rows(x, ROWS, DIM, STRIDE), y = harness_rows(out, 4, DIM, DIM);

    harness_run(&op, &in, 1, &y, 1, &batch.batch);

    for (int32_t i = 0; i < 4; i++)
        harness_assert_same_bits(out + i * DIM, x + rows[i] * STRIDE, DIM);
    batch.rows[2] = ROWS;
    assert_int_equal(harness_try_run(&op, &in, 1, &y, 1, &batch.batch, &err), TN_INVALID);
    harness_op_deinit(&op);
    harness_close(&h);
}

static void argmax_takes_the_lowest_id_and_never_nan(void **state)
{
    (void)state;
    const float inf = INFINITY, nan = NAN;
    float logits[6][4] = {
        { 1, 3, 3, 2 },          { nan, -5, nan, -5 }, { nan, nan, nan, nan },
        { -inf, -inf, -2, nan }, { 0, -0.0f, 0, 0 },   { nan, -inf, -inf, nan }
    };
    static const int32_t expected[6] = { 1, 1, 0, 2, 0, 1 };
    int32_t ids[6];
    harness h;
    harness_op op;
    harness_open(&h, 2);
    tn_rows_op param = { .size = sizeof param, .dim = 4 };
    tn_node node = harness_node("argmax", 1, 1, &param);
    harness_refuses(&h, &node); /* ids are i32 */
    node.out_dtype[0] = TN_I32;
    harness_op_init(&op, &h, &node);
    tn_tensor in = harness_rows(logits, 6, 4, 4);
    tn_tensor out = {
        .addr = (uint64_t)(uintptr_t)ids, .dtype = TN_I32, .rank = 1, .dim = { 6 }, .stride = { 1 }
    };

    harness_run(&op, &in, 1, &out, 1, NULL);

    assert_memory_equal(ids, expected, sizeof ids);
    harness_op_deinit(&op);
    harness_close(&h);
}

/* ---- plugins/common/half.h ---- */

static double naive_f16(uint16_t h)
{
    int exponent = (h >> 10) & 31, mantissa = h & 1023;
    double sign = h & 0x8000 ? -1.0 : 1.0;
    if (exponent == 31)
        return mantissa ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024.0 + mantissa, exponent - 25) : ldexp(mantissa, -24));
}

static void every_f16_converts_exactly_and_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        float value = tn_half_f16_to_f32((uint16_t)i);
        double expected = naive_f16((uint16_t)i);
        if (isnan(expected)) {
            assert_true(isnan(value));
            assert_int_equal(tn_half_f32_to_f16(value), i | 0x200u);
            continue;
        }
        assert_true((double)value == expected);
        assert_int_equal(signbit(value) != 0, i >> 15);
        assert_int_equal(tn_half_f32_to_f16(value), i);
    }
}

static void f16_rounds_to_nearest_even_between_all_neighbours(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x7bff; i++) {
        double low = naive_f16((uint16_t)i), high = naive_f16((uint16_t)(i + 1));
        float middle = (float)((low + high) / 2.0); /* exact in f32 */
        assert_int_equal(tn_half_f32_to_f16(middle), i + (i & 1u));
        assert_int_equal(tn_half_f32_to_f16(nextafterf(middle, 0.0f)), i);
        assert_int_equal(tn_half_f32_to_f16(nextafterf(middle, INFINITY)), i + 1);
        assert_int_equal(tn_half_f32_to_f16(-middle), 0x8000u | (i + (i & 1u)));
    }
    assert_int_equal(tn_half_f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(tn_half_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(tn_half_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(tn_half_f32_to_f16(1e-45f), 0);
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x7f80; i++) {
        float value = tn_half_bf16_to_f32((uint16_t)i);
        assert_int_equal(tn_half_bits(value), i << 16);
        assert_int_equal(tn_half_f32_to_bf16(value), i);
        assert_int_equal(tn_half_f32_to_bf16(tn_half_float((i << 16) + 0x8000u)), i + (i & 1u));
        assert_int_equal(tn_half_f32_to_bf16(tn_half_float((i << 16) + 0x7fffu)), i);
        assert_int_equal(tn_half_f32_to_bf16(tn_half_float((i << 16) + 0x8001u)), i + 1);
    }
    assert_int_equal(tn_half_f32_to_bf16(-INFINITY), 0xff80);
    assert_true(isnan(tn_half_bf16_to_f32(tn_half_f32_to_bf16(tn_half_float(0x7f800001u)))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_one_whole_kernel_for_each_op),
        cmocka_unit_test(open_reports_lack_of_memory),
        cmocka_unit_test(rmsnorm_matches_the_formula_and_honours_strides),
        cmocka_unit_test(add_rounds_once_and_may_run_in_place),
        cmocka_unit_test(glu_has_three_activations_and_may_run_in_place),
        cmocka_unit_test(silu_of_extremes_is_finite),
        cmocka_unit_test(gather_rows_takes_the_wanted_rows),
        cmocka_unit_test(argmax_takes_the_lowest_id_and_never_nan),
        cmocka_unit_test(every_f16_converts_exactly_and_back),
        cmocka_unit_test(f16_rounds_to_nearest_even_between_all_neighbours),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
