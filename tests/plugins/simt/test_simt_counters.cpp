// SPDX-License-Identifier: Apache-2.0
// Sectors and bank conflicts of patterns whose cost follows from the definition: sectors of 32
// bytes, 32 banks of 4 bytes.
#include "tests/plugins/simt/kernels.h"
#include "tests/plugins/simt/rig.h"

using namespace simt_test;

/* The counter of the only counted place that ran. */
template <class Launch> static simt::counter count(Launch launch)
{
    simt::settings s = default_settings();
    s.count = 1;
    tn_simt_set_settings(&s);
    tn_simt_reset_counters();
    launch();
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    simt::counter c = {};
    assert_int_equal(tn_simt_counters(&c, 1), 1);
    assert_int_equal(c.n_requests, 1);
    assert_int_equal(c.n_lanes, 32);
    return c;
}

static void global_loads_count_the_sectors_they_touch(void **)
{
    device_array<float> x(numbers(1024, 9)), y(size_t(32));
    const struct {
        int stride;
        uint64_t n_sectors;
    } cases[] = { { 0, 1 }, { 1, 4 }, { 2, 8 }, { 4, 16 }, { 8, 32 }, { 16, 32 } };
    for (const auto &one : cases) {
        simt::counter c = count([&] { global_stride(x.p, y.p, one.stride, nullptr); });

        assert_string_equal(c.kernel, "global_stride_kernel");
        assert_false(c.is_shared);
        assert_int_equal(c.n_bytes, 128);
        assert_int_equal(c.n_ideal_sectors, 4);
        assert_int_equal(c.n_sectors, one.n_sectors);
    }
}

static void shared_loads_count_passes_over_the_banks(void **)
{
    device_array<float> y(size_t(32));
    const struct {
        int stride;
        uint64_t n_passes;
    } cases[] = { { 0, 1 }, { 1, 1 }, { 2, 2 }, { 8, 8 }, { 17, 1 }, { 31, 1 } };
    for (const auto &one : cases) {
        simt::counter c = count([&] { shared_stride(y.p, one.stride, nullptr); });

        assert_true(c.is_shared);
        assert_int_equal(c.n_ideal_passes, 1);
        assert_int_equal(c.n_passes, one.n_passes);
    }
}

static void ldmatrix_counts_a_pass_for_each_matrix_at_best(void **)
{
    device_array<float> y(size_t(32));
    const struct {
        int row_floats;
        uint64_t n_passes;
    } cases[] = { { 4, 4 }, { 8, 8 }, { 32, 32 }, { 36, 4 }, { 40, 8 } };
    for (const auto &one : cases) {
        simt::counter c = count([&] { shared_rows(y.p, one.row_floats, nullptr); });

        assert_int_equal(c.n_ideal_passes, 4);
        assert_int_equal(c.n_passes, one.n_passes);
    }
}

static void the_gemm_has_no_conflict_and_no_wasted_sector(void **)
{
    simt::settings s = default_settings();
    s.count = 1;
    tn_simt_set_settings(&s);
    device_array<uint16_t> a(std::vector<uint16_t>(32 * 160)), b(std::vector<uint16_t>(64 * 160));
    device_array<float> c(size_t(32 * 64));

    gemm_f16(a.p, b.p, c.p, 32, 64, 160, nullptr);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);

    std::vector<simt::counter> all(16);
    size_t n = tn_simt_counters(all.data(), all.size());
    assert_true(n >= 8 && n <= all.size());
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(all[i].n_sectors, all[i].n_ideal_sectors);
        assert_int_equal(all[i].n_passes, all[i].n_ideal_passes);
    }
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(global_loads_count_the_sectors_they_touch, reset),
        cmocka_unit_test_setup(shared_loads_count_passes_over_the_banks, reset),
        cmocka_unit_test_setup(ldmatrix_counts_a_pass_for_each_matrix_at_best, reset),
        cmocka_unit_test_setup(the_gemm_has_no_conflict_and_no_wasted_sector, reset),
    };
    return cmocka_run_group_tests_name("simt_counters", tests, nullptr, nullptr);
}
