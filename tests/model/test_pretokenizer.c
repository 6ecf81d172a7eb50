/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/base/strbuf.h"
#include "model/text/pretokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Pieces joined by '|'. */
typedef struct joined {
    tn_strbuf text;
} joined;

static tn_status join_piece(void *ctx, const char *piece, size_t n, tn_error *err)
{
    joined *j = ctx;
    (void)err;
    tn_strbuf_append(&j->text, piece, n);
    tn_strbuf_append(&j->text, "|", 1);
    return TN_OK;
}

static void expect_pieces(const char *pre, const char *text, const char *expected)
{
    tn_pretokenizer_spec spec;
    tn_pretokenizer *p;
    joined j = { TN_STRBUF(1 << 16) };
    assert_int_equal(tn_pretokenizer_lookup(pre, &spec, NULL), TN_OK);
    assert_int_equal(tn_pretokenizer_create(spec.pattern, 0, &p, NULL), TN_OK);
    assert_int_equal(tn_pretokenizer_split(p, text, strlen(text), join_piece, &j, NULL), TN_OK);
    assert_string_equal(tn_strbuf_text(&j.text), expected);
    tn_strbuf_deinit(&j.text);
    tn_pretokenizer_destroy(p);
}

/* Expected pieces: read off the patterns of GPT-2's encoder.py and of Llama 3's and Qwen 2's
 * tokenizer.json. */
static void pretokenizers_cut_text_as_their_models_do(void **state)
{
    (void)state;

    expect_pieces("gpt-2", "I'm at 12:30, DON'T  go\n\n now ",
                  "I|'m| at| 12|:|30|,| DON|'|T| | go|\n\n| now| |");
    expect_pieces("smollm", "I'm at 12:30, DON'T  go\n\n now ",
                  "I|'m| at| |1|2|:|3|0|,| DON|'|T| | go|\n\n| now| |");
    expect_pieces("llama-bpe", "I'm at 12345, DON'T  go \n\n now ",
                  "I|'m| at| |123|45|,| DON|'T| | go| \n\n| now| |");
    expect_pieces("qwen2", "I'm at 123, DON'T\n x", "I|'m| at| |1|2|3|,| DON|'T|\n| x|");
    expect_pieces("default", "a=12345 b", "a|=|123|45| b|");
    expect_pieces("llama-bpe", "(foo) bar!!\nx", "(foo|)| bar|!!\n|x|");
    expect_pieces("gpt-2", "", "");
    expect_pieces(NULL, "a", "a|");
}

static void pretokenizers_know_unicode_letters_digits_and_blanks(void **state)
{
    (void)state;

    expect_pieces("gpt-2", "\xC3\xA9t\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87",
                  "\xC3\xA9t\xC3\xA9| \xE4\xB8\xAD\xE6\x96\x87|");
    expect_pieces("smollm", "\xD9\xA1\xD9\xA2", "\xD9\xA1|\xD9\xA2|"); /* Arabic-Indic digits */
    expect_pieces("gpt-2", "a\xC2\xA0 b", "a|\xC2\xA0| b|");     /* a no-break space is a blank */
    expect_pieces("gpt-2", "!\xE1\xA0\x8E!", "!\xE1\xA0\x8E!|"); /* U+180E is none */
}

static void pretokenizer_keeps_invalid_bytes_apart(void **state)
{
    (void)state;

    expect_pieces("gpt-2", "ab\xFF\xC3 cd\xE2\x82", "ab|\xFF\xC3| cd|\xE2\x82|");
}

static void pretokenizer_refuses_a_pattern_that_backtracks_without_end(void **state)
{
    (void)state;
    const char *const patterns[] = { "(a+)+$", NULL };
    tn_pretokenizer *p;
    joined j = { TN_STRBUF(1 << 16) };
    tn_error err = { 0 };
    assert_int_equal(tn_pretokenizer_create(patterns, 100000, &p, NULL), TN_OK);

    tn_status st = tn_pretokenizer_split(p, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 45,
                                         join_piece, &j, &err);

    assert_int_equal(st, TN_INVALID);
    assert_non_null(strstr(err.text, "pattern 1 backtracks too much"));
    tn_strbuf_deinit(&j.text);
    tn_pretokenizer_destroy(p);
}

/* A group that repeats keeps its way back on a stack; PCRE2's compiled code has 32 KiB for it, its
 * interpreter more. */
static void pretokenizer_interprets_what_compiled_code_has_no_stack_for(void **state)
{
    (void)state;
    const char *const patterns[] = { "(?:a|(b))+", NULL };
    const size_t n = 20000;
    char *text = tn_alloc(n);
    tn_pretokenizer *p;
    joined j = { TN_STRBUF(1 << 16) };
    memset(text, 'a', n);
    text[n - 1] = 'c';
    assert_int_equal(tn_pretokenizer_create(patterns, 0, &p, NULL), TN_OK);

    assert_int_equal(tn_pretokenizer_split(p, text, n, join_piece, &j, NULL), TN_OK);

    assert_int_equal(j.text.len, n + 2);
    assert_string_equal(tn_strbuf_text(&j.text) + n - 2, "a|c|");
    tn_strbuf_deinit(&j.text);
    tn_pretokenizer_destroy(p);
    tn_free(text);
}

static void pretokenizer_refuses_bad_patterns(void **state)
{
    (void)state;
    const char *const unclosed[] = { "a", "(b", NULL };
    const char *const many[] = { "a", "a", "a", "a", "a", "a", "a", "a", "a", NULL };
    tn_pretokenizer *p;
    tn_error err = { 0 };

    assert_int_equal(tn_pretokenizer_create(unclosed, 0, &p, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "pattern 2"));
    assert_int_equal(tn_pretokenizer_create(many, 0, &p, &err), TN_UNSUPPORTED);
}

static void pretokenizer_goes_on_after_empty_matches(void **state)
{
    (void)state;
    const char *const patterns[] = { "x*", NULL };
    tn_pretokenizer *p;
    joined j = { TN_STRBUF(1 << 16) };
    assert_int_equal(tn_pretokenizer_create(patterns, 0, &p, NULL), TN_OK);

    assert_int_equal(tn_pretokenizer_split(p, "a\xC3\xA9xxb", 6, join_piece, &j, NULL), TN_OK);

    assert_string_equal(tn_strbuf_text(&j.text), "a\xC3\xA9|xx|b|");
    tn_strbuf_deinit(&j.text);
    tn_pretokenizer_destroy(p);
}

/* A name whose patterns have another name too is found by the first of them. */
static void pretokenizers_are_found_by_their_patterns(void **state)
{
    (void)state;
    const char *const names[][2] = { { "smollm", "smollm" },    { "gpt-2", "gpt-2" },
                                     { "llama3", "llama-bpe" }, { "stablelm2", "qwen2" },
                                     { "default", "default" },  { "olmo", "gpt-2" } };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        tn_pretokenizer_spec spec;
        tn_strbuf regex[4];
        const char *found = NULL;
        size_t n = 0;
        assert_int_equal(tn_pretokenizer_lookup(names[i][0], &spec, NULL), TN_OK);
        for (; spec.pattern[n]; n++) {
            regex[n] = TN_STRBUF(1 << 16);
            tn_pretokenizer_put_regex(spec.pattern[n], &regex[n]);
        }

        assert_int_equal(tn_pretokenizer_find(regex, n, spec.ignore_merges, &found, NULL), TN_OK);
        assert_string_equal(found, names[i][1]);
        assert_int_equal(tn_pretokenizer_find(regex, n, !spec.ignore_merges, &found, NULL), TN_OK);
        assert_null(found);
        assert_int_equal(tn_pretokenizer_find(regex, n - 1, spec.ignore_merges, &found, NULL),
                         TN_OK);
        assert_null(found);
        for (size_t k = 0; k < n; k++)
            tn_strbuf_deinit(&regex[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pretokenizers_cut_text_as_their_models_do),
        cmocka_unit_test(pretokenizers_know_unicode_letters_digits_and_blanks),
        cmocka_unit_test(pretokenizer_keeps_invalid_bytes_apart),
        cmocka_unit_test(pretokenizer_refuses_a_pattern_that_backtracks_without_end),
        cmocka_unit_test(pretokenizer_interprets_what_compiled_code_has_no_stack_for),
        cmocka_unit_test(pretokenizer_refuses_bad_patterns),
        cmocka_unit_test(pretokenizer_goes_on_after_empty_matches),
        cmocka_unit_test(pretokenizers_are_found_by_their_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
