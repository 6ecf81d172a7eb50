/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/metrics.h"

#include <tenon/plugin.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { ROWS = 3, WIDTH = 4, N = ROWS * WIDTH };

static const float expected[N] = { 1, 2, 3, 4, 10, 20, 30, 40, -1, -2, -3, -4 };

/* Metrics of `expected` with one element replaced, all limits alike. */
static tn_check_metrics compare_with(int32_t at, float value, float limit, int32_t dtype)
{
    float got[N], limits[N];
    tn_check_metrics m;
    for (int32_t i = 0; i < N; i++) {
        got[i] = i == at ? value : expected[i];
        limits[i] = limit;
    }
    tn_check_metrics_compare(got, expected, limits, ROWS, WIDTH, dtype, &m);
    return m;
}

static void equal_tensors_have_no_error_even_without_limits(void **state)
{
    (void)state;
    tn_check_metrics m;

    tn_check_metrics_compare(expected, expected, NULL, ROWS, WIDTH, TN_F32, &m);

    assert_int_equal(m.n, N);
    assert_int_equal(m.n_bad, 0);
    assert_true(m.worst == 0 && m.nmse == 0 && m.worst_row_nmse == 0 && m.max_abs == 0);
    assert_int_equal(m.ulp[0], N);
}

static void one_wrong_element_is_found_with_its_place_and_values(void **state)
{
    (void)state;

    const tn_check_metrics m = compare_with(6, 31, 0.25f, TN_F32);

    assert_int_equal(m.n_bad, 1);
    assert_int_equal(m.worst_row, 1);
    assert_int_equal(m.worst_col, 2);
    assert_true(m.worst == 4 && m.got == 31 && m.expected == 30 && m.limit == 0.25);
    assert_true(m.max_abs == 1);
}

static void an_error_of_just_the_limit_passes(void **state)
{
    (void)state;

    assert_int_equal(compare_with(0, 1.5f, 0.5f, TN_F32).n_bad, 0);
    assert_int_equal(compare_with(0, nextafterf(1.5f, 2), 0.5f, TN_F32).n_bad, 1);
}

static void the_worst_rows_nmse_is_not_diluted_by_the_others(void **state)
{
    (void)state;

    const tn_check_metrics m = compare_with(8, -2, 100, TN_F32);

    /* 1 of error in a row of 1 + 4 + 9 + 16, and in a tensor of 30 + 3000 + 30. */
    assert_true(fabs(m.worst_row_nmse - 1.0 / 30) < 1e-12);
    assert_true(fabs(m.nmse - 1.0 / 3060) < 1e-12);
}

static void what_is_not_finite_on_one_side_only_fails_whatever_the_limit(void **state)
{
    (void)state;
    const float values[] = { NAN, INFINITY, -INFINITY };
    for (int32_t i = 0; i < 3; i++) {
        const tn_check_metrics m = compare_with(5, values[i], 1e30f, TN_F32);
        assert_int_equal(m.n_not_finite, 1);
        assert_int_equal(m.n_bad, 1);
        assert_true(isinf(m.worst));
    }
    assert_int_equal(compare_with(5, NAN, INFINITY, TN_F32).n_not_finite, 1);
    assert_int_equal(compare_with(5, INFINITY, INFINITY, TN_F32).n_not_finite, 0);
}

static void infinities_and_nans_on_both_sides_are_equal(void **state)
{
    (void)state;
    const float x[] = { NAN, INFINITY, -INFINITY };
    const float opposite[] = { NAN, -INFINITY, -INFINITY };
    tn_check_metrics m;

    tn_check_metrics_compare(x, x, NULL, 1, 3, TN_F32, &m);
    assert_int_equal(m.n_bad, 0);
    tn_check_metrics_compare(x, opposite, NULL, 1, 3, TN_F32, &m);
    assert_int_equal(m.n_bad, 1);
}

static void distances_are_in_units_of_the_edges_type(void **state)
{
    (void)state;

    assert_int_equal(compare_with(0, nextafterf(1, 2), 1, TN_F32).ulp[1], 1);
    assert_int_equal(compare_with(0, 1 + 0x1p-10f, 1, TN_F16).ulp[1], 1);
    assert_int_equal(compare_with(0, 1 + 0x1p-7f, 1, TN_BF16).ulp[1], 1);
    assert_int_equal(compare_with(0, 1 + 2 * 0x1p-10f, 1, TN_F16).ulp[2], 1);
    /* From the smallest number on one side of 0 to that on the other are two steps. */
    const float got = -0x1p-149f, want = 0x1p-149f, limit = 1;
    tn_check_metrics m;
    tn_check_metrics_compare(&got, &want, &limit, 1, 1, TN_F32, &m);
    assert_int_equal(m.ulp[2], 1);
}

static void the_reference_is_rounded_to_the_edges_type_first(void **state)
{
    (void)state;
    const float want = 1.0f + 0x1p-12f, got = 1.0f;
    tn_check_metrics m;

    tn_check_metrics_compare(&got, &want, NULL, 1, 1, TN_F16, &m);
    assert_int_equal(m.n_bad, 0);
    tn_check_metrics_compare(&got, &want, NULL, 1, 1, TN_F32, &m);
    assert_int_equal(m.n_bad, 1);
}

static void merging_adds_counts_and_keeps_the_worse(void **state)
{
    (void)state;
    tn_check_metrics all = { 0 };
    const tn_check_metrics mild = compare_with(0, 1.5f, 1, TN_F32),
                           bad = compare_with(7, 44, 1, TN_F32);

    tn_check_metrics_merge(&all, &mild);
    tn_check_metrics_merge(&all, &bad);
    tn_check_metrics_merge(&all, &mild);

    assert_int_equal(all.n, 3 * N);
    assert_int_equal(all.n_bad, 1);
    assert_true(all.worst == 4 && all.got == 44 && all.max_abs == 4);
    assert_true(all.nmse == bad.nmse &&
                all.worst_row_nmse == fmax(bad.worst_row_nmse, mild.worst_row_nmse));
    assert_int_equal(all.ulp[0], 3 * (N - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_tensors_have_no_error_even_without_limits),
        cmocka_unit_test(one_wrong_element_is_found_with_its_place_and_values),
        cmocka_unit_test(an_error_of_just_the_limit_passes),
        cmocka_unit_test(the_worst_rows_nmse_is_not_diluted_by_the_others),
        cmocka_unit_test(what_is_not_finite_on_one_side_only_fails_whatever_the_limit),
        cmocka_unit_test(infinities_and_nans_on_both_sides_are_equal),
        cmocka_unit_test(distances_are_in_units_of_the_edges_type),
        cmocka_unit_test(the_reference_is_rounded_to_the_edges_type_first),
        cmocka_unit_test(merging_adds_counts_and_keeps_the_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
