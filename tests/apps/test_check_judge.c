/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of logits of a free run: the same token, a tie, another token, or logits too far off. */
#include "apps/check/bisect.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

enum { N = 400 };

/* Logits of deviation about 1: a wave, and token 7 the best by `lead` over token 9. */
static void make_logits(float *logit, double lead)
{
    for (int32_t i = 0; i < N; i++)
        logit[i] = (float)(1.4 * sin(0.7 * i));
    logit[7] = 5;
    logit[9] = (float)(5 - lead);
}

/* Errors of RMS `size`, which sum up to about 0, and none at the two best. */
static void add_errors(float *logit, double size)
{
    for (int32_t i = 0; i < N; i++)
        if (i != 7 && i != 9)
            logit[i] += (float)(i % 2 ? size : -size);
}

static tn_check_token judge(const float *got, const float *expected)
{
    tn_check_token t = { 0 };
    tn_check_free_judge(got, -1, expected, N, 0.02, &t);
    return t;
}

static void equal_logits_have_no_error_and_no_divergence(void **state)
{
    float expected[N];
    (void)state;
    make_logits(expected, 0.5);

    const tn_check_token t = judge(expected, expected);

    assert_int_equal(t.state, TN_FREE_SAME);
    assert_int_equal(t.expected, 7);
    assert_true(t.rms == 0 && t.kl == 0 && t.gap == 0);
    assert_true(t.deviation > 0.9 && t.deviation < 1.2);
}

static void what_is_added_to_all_logits_alike_is_no_error(void **state)
{
    float expected[N], got[N];
    (void)state;
    make_logits(expected, 0.5);
    for (int32_t i = 0; i < N; i++)
        got[i] = expected[i] + 16;

    const tn_check_token t = judge(got, expected);

    assert_int_equal(t.state, TN_FREE_SAME);
    assert_true(t.rms < 1e-5 && t.kl < 1e-6);
}

static void another_token_within_4_rms_errors_is_a_tie(void **state)
{
    static const struct {
        double lead, error;
        int32_t state;
    } cases[] = {
        { 0.030, 0.01, TN_FREE_TIE },       /* 3 RMS errors apart */
        { 0.050, 0.01, TN_FREE_DIFFERENT }, /* 5: no error of that size swaps them */
        { 0.003, 0.001, TN_FREE_TIE },      { 0.030, 0.001, TN_FREE_DIFFERENT },
        { 0.030, 0.05, TN_FREE_LOGITS }, /* 5 % of the deviation: near or not, it is wrong */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float expected[N], got[N];
        make_logits(expected, cases[i].lead);
        make_logits(got, cases[i].lead);
        add_errors(got, cases[i].error);
        got[9] = expected[7]; /* now the best, by a little */
        got[7] = expected[9];

        const tn_check_token t = judge(got, expected);

        assert_int_equal(t.expected, 7);
        assert_int_equal(t.got, 9);
        assert_int_equal(t.state, cases[i].state);
        assert_int_equal(tn_check_free_fails(&t), cases[i].state != TN_FREE_TIE);
        assert_true(fabs(t.gap - cases[i].lead) < 1e-6);
    }
}

static void the_token_of_the_argmax_kernel_counts_not_the_logits(void **state)
{
    float expected[N];
    tn_check_token t = { 0 };
    (void)state;
    make_logits(expected, 0.5);

    tn_check_free_judge(expected, 9, expected, N, 0.02, &t);

    assert_int_equal(t.got, 9);
    assert_int_equal(t.state, TN_FREE_DIFFERENT);
}

static void logits_that_are_not_finite_are_too_far_off(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        float expected[N], got[N];
        make_logits(expected, 0.5);
        make_logits(got, 0.5);
        got[100] = bad[i];

        const tn_check_token t = judge(got, expected);

        assert_int_equal(t.state, TN_FREE_LOGITS);
    }
}

static void divergence_is_that_of_the_distributions(void **state)
{
    /* p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): KL = 1/2 ln 2 + 0 - 1/4 ln 2 (Cover and Thomas
     * 2006, eq. 2.26). */
    const float p[] = { logf(2), 0, 0 }, q[] = { 0, 0, logf(2) };
    tn_check_token t = { 0 };
    (void)state;

    tn_check_free_judge(q, -1, p, 3, 10, &t);

    assert_true(fabs(t.kl - 0.25 * log(2)) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_logits_have_no_error_and_no_divergence),
        cmocka_unit_test(what_is_added_to_all_logits_alike_is_no_error),
        cmocka_unit_test(another_token_within_4_rms_errors_is_a_tie),
        cmocka_unit_test(the_token_of_the_argmax_kernel_counts_not_the_logits),
        cmocka_unit_test(logits_that_are_not_finite_are_too_far_off),
        cmocka_unit_test(divergence_is_that_of_the_distributions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
