// SPDX-License-Identifier: Apache-2.0
// Right kernels give the results of plain loops under every schedule. Inputs are small multiples of
// 1/64, so sums are exact.
#include "plugins/common/half.h"
#include "tests/plugins/simt/kernels.h"
#include "tests/plugins/simt/rig.h"

using namespace simt_test;

static void vector_add_equals_a_loop_under_every_schedule(void **)
{
    const size_t n = 1000;
    std::vector<float> a = numbers(n, 1), b = numbers(n, 2);

    under_every_setting([&] {
        device_array<float> da(a), db(b), sum(n);
        vector_add(da.p, db.p, sum.p, static_cast<int>(n), nullptr);
        std::vector<float> got = sum.read();
        for (size_t i = 0; i < n; i++)
            assert_true(got[i] == a[i] + b[i]);
    });
}

static void the_last_block_sums_what_all_blocks_left(void **)
{
    const size_t n = 5000;
    std::vector<float> x = numbers(n, 3);
    float expected = 0.0f;
    for (float value : x)
        expected += value;

    under_every_setting([&] {
        device_array<float> dx(x), partial(size_t(7)), sum(size_t(1));
        device_array<unsigned> done(std::vector<unsigned>{ 0 });
        for (int round = 0; round < 2;
             round++) { /* the counter is left at zero for the next launch */
            reduce_sum(dx.p, static_cast<int>(n), partial.p, done.p, sum.p, 7, nullptr);
            assert_true(sum.read()[0] == expected);
            assert_int_equal(done.read()[0], 0);
        }
    });
}

static std::vector<uint16_t> narrow(const std::vector<float> &x)
{
    std::vector<uint16_t> h(x.size());
    for (size_t i = 0; i < x.size(); i++)
        h[i] = tn_half_f32_to_f16(x[i]);
    return h;
}

static void a_staged_mma_gemm_equals_loops_under_every_schedule(void **)
{
    const size_t m = 32, n = 64, k = 160;
    std::vector<float> a = numbers(m * k, 4), b = numbers(n * k, 5);

    under_every_setting([&] {
        device_array<uint16_t> da(narrow(a)), db(narrow(b));
        device_array<float> c(m * n);
        gemm_f16(da.p, db.p, c.p, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k),
                 nullptr);
        std::vector<float> got = c.read();
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                float expected = 0.0f;
                for (size_t l = 0; l < k; l++)
                    expected += a[i * k + l] * b[j * k + l];
                assert_true(got[i * n + j] == expected);
            }
    });
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(vector_add_equals_a_loop_under_every_schedule, reset),
        cmocka_unit_test_setup(the_last_block_sums_what_all_blocks_left, reset),
        cmocka_unit_test_setup(a_staged_mma_gemm_equals_loops_under_every_schedule, reset),
    };
    return cmocka_run_group_tests_name("simt_kernels", tests, nullptr, nullptr);
}
