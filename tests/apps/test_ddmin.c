/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/ddmin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

enum { MOST = 64 };

/* The property: every needed member is there. */
typedef struct need {
    int32_t item[MOST], n_items, n_calls;
} need;

static tn_status has_all(void *ctx, const bool *member, bool *out_holds, tn_error *err)
{
    need *s = ctx;
    (void)err;
    s->n_calls++;
    *out_holds = true;
    for (int32_t i = 0; i < s->n_items; i++)
        *out_holds = *out_holds && member[s->item[i]];
    return TN_OK;
}

static tn_status refuses(void *ctx, const bool *member, bool *out_holds, tn_error *err)
{
    (void)ctx;
    (void)member;
    *out_holds = false;
    return tn_fail(err, TN_INTERNAL, "no");
}

static tn_ddmin run(need *s, int32_t n, int32_t max_tests, bool *member)
{
    tn_ddmin d = { .test = has_all, .ctx = s, .max_tests = max_tests };
    tn_error err = { 0 };
    for (int32_t i = 0; i < n; i++)
        member[i] = true;
    assert_int_equal(tn_ddmin_run(&d, member, n, &err), TN_OK);
    return d;
}

static void exactly_what_is_needed_is_left(void **state)
{
    static const need cases[] = {
        { { 0 }, 1, 0 },     { { 63 }, 1, 0 },        { { 17, 18 }, 2, 0 },
        { { 0, 63 }, 2, 0 }, { { 5, 20, 41 }, 3, 0 }, { { 1, 2, 3, 30, 31, 62 }, 6, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int32_t n = 64; n > cases[i].item[cases[i].n_items - 1]; n -= 7) {
            need s = cases[i];
            bool member[MOST], expected[MOST] = { false };

            const tn_ddmin d = run(&s, n, 1000, member);

            for (int32_t k = 0; k < s.n_items; k++)
                expected[s.item[k]] = true;
            assert_memory_equal(member, expected, (size_t)n * sizeof(bool));
            assert_true(d.smallest);
            assert_int_equal(d.n_tests, s.n_calls);
        }
}

static void one_culprit_takes_a_logarithm_of_tests(void **state)
{
    (void)state;
    for (int32_t at = 0; at < MOST; at++) {
        need s = { { at }, 1, 0 };
        bool member[MOST];

        const tn_ddmin d = run(&s, MOST, 1000, member);

        assert_in_range(d.n_tests, 6, 12); /* log2(64) halvings, of one or two tests */
    }
}

static void a_set_that_is_needed_whole_stays_whole(void **state)
{
    need s = { .n_items = 9 };
    bool member[9];
    (void)state;
    for (int32_t i = 0; i < 9; i++)
        s.item[i] = i;

    const tn_ddmin d = run(&s, 9, 1000, member);

    for (int32_t i = 0; i < 9; i++)
        assert_true(member[i]);
    assert_true(d.smallest);
}

static void no_more_tests_are_made_than_allowed_and_the_set_still_has_the_property(void **state)
{
    need s = { { 5, 20, 41 }, 3, 0 };
    (void)state;
    for (int32_t max_tests = 0; max_tests < 20; max_tests++) {
        bool member[MOST], holds;
        s.n_calls = 0;

        const tn_ddmin d = run(&s, MOST, max_tests, member);

        assert_int_equal(s.n_calls, max_tests);
        assert_false(d.smallest);
        assert_int_equal(has_all(&s, member, &holds, NULL), TN_OK);
        assert_true(holds);
    }
}

static void a_set_of_one_needs_no_test(void **state)
{
    need s = { { 0 }, 1, 0 };
    bool member[1];
    (void)state;

    const tn_ddmin d = run(&s, 1, 10, member);

    assert_int_equal(d.n_tests, 0);
    assert_true(d.smallest && member[0]);
}

static void an_error_of_the_test_ends_the_search(void **state)
{
    tn_ddmin d = { .test = refuses, .max_tests = 10 };
    bool member[4] = { true, true, true, true };
    tn_error err = { 0 };
    (void)state;

    assert_int_equal(tn_ddmin_run(&d, member, 4, &err), TN_INTERNAL);

    assert_int_equal(d.n_tests, 1);
    assert_string_equal(err.text, "no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_what_is_needed_is_left),
        cmocka_unit_test(one_culprit_takes_a_logarithm_of_tests),
        cmocka_unit_test(a_set_that_is_needed_whole_stays_whole),
        cmocka_unit_test(no_more_tests_are_made_than_allowed_and_the_set_still_has_the_property),
        cmocka_unit_test(a_set_of_one_needs_no_test),
        cmocka_unit_test(an_error_of_the_test_ends_the_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
