// SPDX-License-Identifier: Apache-2.0
// GEMV, GEMM and expansion of 4-bit weights against loops over the codes: every group and both
// formats, numbers of rows around every tile, sums split over k, all that is fused behind the
// product; under every schedule.
#include "tests/plugins/cuda-w4a16/w4_case.h"

using namespace w4_test;

// An A100 has 108 SMs, so that sums of these shapes are split; with one SM tiles are as wide as
// they get.
enum { MANY = 108, ONE = 1 };

static void the_gemv_equals_loops_under_every_schedule(void **)
{
    const shape shapes[] = {
        { 1, 320, 70, 32, "u4b", false, false, 0, false },
        { 3, 576, 45, 64, "u4z", true, true, 0, true },
        { 9, 256, 33, 128, "u4z", true, false, TN_ACT_SILU, false },
        { 16, 200, 9, 200, "u4z", false, false, 0, true },
    };
    for (const shape &s : shapes) {
        w4_case c(s);
        simt_test::under_every_setting([&] {
            c.check(w4_gemv, MANY);
            c.check(w4_gemv, ONE);
        });
    }
}

static void the_gemm_equals_loops_under_every_schedule(void **)
{
    const shape shapes[] = {
        { 17, 576, 70, 32, "u4b", true, true, 0, true },
        { 33, 256, 40, 128, "u4z", false, false, TN_ACT_SILU, false },
        { 65, 328, 133, 328, "u4z", false, true, 0, false },
    };
    for (const shape &s : shapes) {
        if (SIMT_RIG_TSAN && s.rows == 65)
            continue; // its fibers are slow
        w4_case c(s);
        simt_test::under_every_setting([&] { c.check(w4_gemm, s.rows == 65 ? ONE : MANY); });
    }
}

static void every_group_and_number_of_rows_gives_the_same_product(void **)
{
    const int groups[] = { 32, 64, 128, 0 }, widths[] = { 1, 31, 32, 33, 63, 64, 65, 130 };
    const int row_counts[] = { 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65 };
    for (size_t i = 0; i < std::size(row_counts); i++) {
        if (SIMT_RIG_TSAN && i % 5)
            continue;
        for (size_t j = 0; j < 8; j++) {
            const int rows = row_counts[i], group = groups[(i + j) % 4],
                      n = widths[(3 * i + j) % 8];
            const int in = group ? group * (1 + static_cast<int>(i + 2 * j) % 7)
                                 : 8 * (1 + static_cast<int>(5 * i + j) % 40);
            const bool has_offset = j % 2 && group;
            const w4_case c({ rows, in, n, group ? group : in, has_offset ? "u4b" : "u4z",
                              j % 3 == 1, j % 4 == 2, j % 4 == 3 ? TN_ACT_SILU : 0, j % 4 == 2 });
            if (rows <= W4_GEMV_ROWS)
                c.check(w4_gemv, j % 2 ? ONE : MANY);
            c.check(w4_gemm, ONE);
            c.check(w4_gemm, MANY);
        }
    }
}

static void expanded_weights_are_those_of_the_codes(void **)
{
    const shape shapes[] = {
        { 1, 96, 200, 32, "u4b", false, false, 0, false },
        { 1, 200, 200, 200, "u4z", false, false, 0, false },
        { 1, 192, 90, 64, "u4z", false, false, TN_ACT_SILU, false },
        { 1, 384, 90, 128, "u4b", false, false, TN_ACT_SILU, false },
    };
    for (const shape &s : shapes) {
        const w4_case c(s, false);
        const int first = 64, columns = s.out - first; // of each matrix
        const size_t in = static_cast<size_t>(s.in), n = static_cast<size_t>(columns);
        device_array<uint8_t> weights(c.blob);
        device_array<uint16_t> out(c.matrices * n * in);
        w4_dequantize_args a = { c.matrix(weights.p), out.p, first, columns, s.in, s.act != 0 };
        assert_int_equal(w4_dequantize(&a, nullptr), cudaSuccess);
        assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
        const std::vector<uint16_t> got = out.read();
        for (size_t r = 0; r < c.matrices * n; r++)
            for (size_t k = 0; k < in; k++)
                near(tn_half_f16_to_f32(got[r * in + k]),
                     c.weight(r / n * static_cast<size_t>(s.out) + 64 + r % n, k), 0.0, "w",
                     r * in + k);
    }
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_gemv_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(the_gemm_equals_loops_under_every_schedule, simt_test::reset),
        cmocka_unit_test_setup(every_group_and_number_of_rows_gives_the_same_product,
                               simt_test::reset),
        cmocka_unit_test_setup(expanded_weights_are_those_of_the_codes, simt_test::reset),
    };
    return cmocka_run_group_tests_name("w4_linear", tests, nullptr, nullptr);
}
