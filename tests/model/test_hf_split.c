/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct joined {
    const char *text;
    tn_strbuf out;
} joined;

static tn_status join_piece(void *ctx, size_t from, size_t to, tn_error *err)
{
    joined *j = ctx;
    (void)err;
    tn_strbuf_append(&j->out, j->text + from, to - from);
    tn_strbuf_puts(&j->out, "|");
    return TN_OK;
}

static tn_status join_segment(void *ctx, size_t from, size_t to, bool is_match, tn_error *err)
{
    joined *j = ctx;
    tn_strbuf_puts(&j->out, is_match ? "*" : "");
    return join_piece(ctx, from, to, err);
}

static tn_pattern *pattern_of(const char *text)
{
    const tn_pattern_options options = { .name = "the pattern" };
    tn_pattern *pattern = NULL;
    assert_int_equal(tn_pattern_create(text, strlen(text), &options, &pattern, NULL), TN_OK);
    return pattern;
}

static void expect_pieces(int32_t behavior, bool invert, const char *text, const char *pieces)
{
    tn_split split = { .pattern = pattern_of("-"), .behavior = behavior, .invert = invert };
    tn_pattern_scratch *scratch = tn_pattern_scratch_create(strlen(text));
    joined j = { .text = text, .out = TN_STRBUF(1 << 16) };
    assert_int_equal(tn_split_run(&split, scratch, text, strlen(text), join_piece, &j, NULL),
                     TN_OK);
    assert_string_equal(tn_strbuf_text(&j.out), pieces);
    tn_strbuf_deinit(&j.out);
    tn_pattern_scratch_destroy(scratch);
    tn_pattern_destroy(split.pattern);
}

/* The example of Hugging Face's documentation of Split. */
static void each_behavior_puts_matches_where_its_name_says(void **state)
{
    static const char text[] = "the-final--countdown";
    (void)state;
    expect_pieces(TN_SPLIT_REMOVED, false, text, "the|final|countdown|");
    expect_pieces(TN_SPLIT_ISOLATED, false, text, "the|-|final|-|-|countdown|");
    expect_pieces(TN_SPLIT_PREVIOUS, false, text, "the-|final-|-|countdown|");
    expect_pieces(TN_SPLIT_NEXT, false, text, "the|-final|-|-countdown|");
    expect_pieces(TN_SPLIT_CONTIGUOUS, false, text, "the|-|final|--|countdown|");
}

static void inverted_what_lies_between_is_the_match(void **state)
{
    static const char text[] = "the--end-";
    (void)state;
    expect_pieces(TN_SPLIT_REMOVED, true, text, "-|-|-|");
    expect_pieces(TN_SPLIT_PREVIOUS, true, text, "the|-|-end|-|");
}

static void a_text_without_a_match_is_one_piece_and_an_empty_one_none(void **state)
{
    (void)state;
    expect_pieces(TN_SPLIT_ISOLATED, false, "abc", "abc|");
    expect_pieces(TN_SPLIT_ISOLATED, false, "", "");
}

/* As Rust's onig finds them: an empty match right after a match does not count. */
static void empty_matches_are_found_between_characters(void **state)
{
    static const char text[] = "éaab";
    tn_pattern *pattern = pattern_of("a*");
    tn_pattern_scratch *scratch = tn_pattern_scratch_create(strlen(text));
    joined j = { .text = text, .out = TN_STRBUF(1 << 16) };
    (void)state;

    assert_int_equal(
        tn_pattern_segments(pattern, scratch, text, strlen(text), join_segment, &j, NULL), TN_OK);

    assert_string_equal(tn_strbuf_text(&j.out), "*|é|*aa|b|*|");
    tn_strbuf_deinit(&j.out);
    tn_pattern_scratch_destroy(scratch);
    tn_pattern_destroy(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_behavior_puts_matches_where_its_name_says),
        cmocka_unit_test(inverted_what_lies_between_is_the_match),
        cmocka_unit_test(a_text_without_a_match_is_one_piece_and_an_empty_one_none),
        cmocka_unit_test(empty_matches_are_found_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
