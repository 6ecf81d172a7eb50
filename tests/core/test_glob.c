/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/base/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void patterns_without_wildcards_match_themselves_only(void **state)
{
    (void)state;

    assert_true(tn_glob_match("", ""));
    assert_true(tn_glob_match("head", "head"));
    assert_false(tn_glob_match("head", "heads"));
    assert_false(tn_glob_match("head", "hea"));
    assert_false(tn_glob_match("", "a"));
    assert_false(tn_glob_match("Head", "head"));
    assert_true(tn_glob_match("[a]", "[a]"));
    assert_false(tn_glob_match("[a]", "a"));
}

static void a_star_matches_any_run_also_across_dots(void **state)
{
    (void)state;

    assert_true(tn_glob_match("*", ""));
    assert_true(tn_glob_match("layer.0.*", "layer.0.qkv"));
    assert_false(tn_glob_match("layer.0.*", "layer.01.qkv"));
    assert_true(tn_glob_match("layer.*.q", "layer.0.attn.q"));
    assert_false(tn_glob_match("layer.*.q", "layer.0.attn.k"));
    assert_true(tn_glob_match("**a**", "a"));
    assert_true(tn_glob_match("*ab*ab", "abxabab"));
    assert_false(tn_glob_match("*ab*abc", "ababab"));
}

static void a_question_mark_matches_exactly_one_character(void **state)
{
    (void)state;

    assert_true(tn_glob_match("layer.?.q", "layer.7.q"));
    assert_false(tn_glob_match("layer.?.q", "layer.17.q"));
    assert_false(tn_glob_match("?", ""));
    assert_true(tn_glob_match("*?", "ab"));
}

static void many_stars_against_a_long_text_end_soon(void **state)
{
    (void)state;
    enum { N = 20000 };
    char *text = tn_alloc(N + 1);
    assert_non_null(text);
    memset(text, 'a', N);
    text[N] = '\0';

    /* Exponential for a matcher that recurses on each star; here at most |pattern| * |text| steps.
     */
    assert_false(tn_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*b", text));

    tn_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_without_wildcards_match_themselves_only),
        cmocka_unit_test(a_star_matches_any_run_also_across_dots),
        cmocka_unit_test(a_question_mark_matches_exactly_one_character),
        cmocka_unit_test(many_stars_against_a_long_text_end_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
