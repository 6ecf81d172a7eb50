/* SPDX-License-Identifier: Apache-2.0 */
/* Oniguruma's expressions in PCRE2's words, and what a hostile one may cost. */
#include "core/base/alloc.h"
#include "model/text/hf/regex.h"
#include "tests/model/hf_json.h"
#include "tests/support/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static tn_status translate(const char *regex, tn_strbuf *out, tn_error *err)
{
    tn_strbuf_clear(out);
    return tn_hf_regex_translate(regex, strlen(regex), out, err);
}

static void what_means_the_same_is_copied(void **state)
{
    static const char *const same[] = { "a|b",           "(?:ab)+?", "[a-z]*+",
                                        "(?<=a)b(?!c)",  "a{2,5}",   "\\n\\t\\x41",
                                        "\\p{L}\\P{Nd}", "^$.",      "(?i:x)" };
    tn_strbuf out = TN_STRBUF(1 << 16);
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_int_equal(translate(same[i], &out, NULL), TN_OK);
        assert_string_equal(tn_strbuf_text(&out), same[i]);
    }
    tn_strbuf_deinit(&out);
}

static void what_means_something_else_is_rewritten(void **state)
{
    static const struct {
        const char *oniguruma, *pcre2;
    } cases[] = {
        { "\\u00e9", "\\x{00e9}" },
        { "\\p{Letter}", "\\p{L}" },
        { "\\p{^lu}", "\\P{Lu}" },
        { "\\p{Han}", "\\p{sc:han}" }, /* the script, without its extensions */
        { "(?m:.)", "(?s:.)" },        /* Oniguruma's m: the dot matches a line's end too */
        { "a{,3}", "a{0,3}" },
        { "a{2}+", "(?:a{2})+" }, /* not possessive */
        { "a{2}?", "(?:a{2})?" }, /* not lazy */
        { "(ab){2,3}+", "(?:(ab){2,3})+" },
        { "x{", "x\\{" },
        { "[]a]", "[\\]a]" },
        { "\\d", "\\p{Nd}" },
        { "[\\h]", "[0-9a-fA-F]" },
        { "[[:digit:]]", "[\\p{Nd}]" },
    };
    tn_strbuf out = TN_STRBUF(1 << 16);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(translate(cases[i].oniguruma, &out, NULL), TN_OK);
        assert_string_equal(tn_strbuf_text(&out), cases[i].pcre2);
    }
    tn_strbuf_deinit(&out);
}

static void what_has_no_counterpart_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *regex, *text;
    } cases[] = {
        { "a[b[c]]", "byte 3: a class inside a class" },
        { "[a&&b]", "byte 2: a class inside a class" },
        { "(?R)", "byte 0: this kind of group" },
        { "(a)\\1", "byte 3: a backreference" },
        { "a{17}", "byte 1: a repeat that must be made more than 16 times" },
        { "\\yx", "byte 0: this escape" },
        { "[\\W]", "byte 1: \\W, \\H or \\B between [ and ]" },
        { "\\p{", "byte 0: \\p without a property's name" },
        { "\\u12", "byte 0: \\u without four hexadecimal digits" },
        { "(a", "byte 2: ( without )" },
        { "a)", "byte 1: ) without (" },
        { "[a", "byte 0: [ without ]" },
        { "a\\", "byte 1: a backslash at the end" },
        { "(*UCP)", "byte 0: (*" },
        { "(?x-s:a)", "byte 4: this option of a group" },
    };
    tn_strbuf out = TN_STRBUF(1 << 16);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tn_error err = { 0 };
        if (translate(cases[i].regex, &out, &err) != TN_UNSUPPORTED ||
            !strstr(err.text, cases[i].text))
            fail_msg("%s: \"%s\"", cases[i].regex, err.text);
    }
    tn_strbuf_deinit(&out);
}

/* ---- hostile ---- */

/* A tokenizer that cuts at a pattern, n times over. */
static tn_tokenizer *splitting_at(const char *regex, int n)
{
    tn_strbuf text = TN_STRBUF(1 << 16);
    tn_tokenizer *t = NULL;
    tn_error err = { 0 };
    tn_strbuf_puts(&text, "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [");
    for (int i = 0; i < n; i++)
        tn_strbuf_printf(&text,
                         "%s{\"type\": \"Split\", \"behavior\": \"Isolated\", \"pattern\": "
                         "{\"Regex\": \"%s\"}}",
                         i ? "," : "", regex);
    tn_strbuf_puts(&text, "]}, \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"1\": 1}, "
                          "\"merges\": []}}");
    if (hf_tokenizer(text.data, text.len, &t, &err))
        fail_msg("%s: %s", regex, err.text);
    tn_strbuf_deinit(&text);
    return t;
}

/* As JSON has them. Some have too many ways to match, others go over the rest of the text from
 * every place, the last do so within one match. [bc] is no letter that PCRE2 could look for first.
 */
static const char *const catastrophic[] = {
    "(a+)+[bc]",
    "(a|a)*[bc]",
    "(a|aa)+[bc]",
    "(a*)*[bc]",
    "(?:a?){16}(?:a?){16}(?:a?){16}a{16}a{16}[bc]",
    "(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)(?:a|a)[bc]",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(\\\\w+\\\\s?)+[:;]",
    "[^x]*[xy]",
    ".*.*.*[xy]",
    "a.*[bc].*[cd].*[de]",
    "(?=a*[bc])a",
    "a(?!a*\\\\z)",
    "(?>a*)[bc]",
    "(?:(?=a*)a)*",
    "(?:(?=[^x]*+)a)+",
};

static void a_catastrophic_pattern_ends_over_a_long_text(void **state)
{
    const size_t n = 1 << 20;
    char *text = tn_alloc(n);
    (void)state;
    memset(text, 'a', n);
    for (size_t i = 0; i < sizeof catastrophic / sizeof catastrophic[0]; i++) {
        tn_tokenizer *t = splitting_at(catastrophic[i], 1);
        tn_ids ids = { 0 };
        tn_error err = { 0 };

        tn_test_refusal_begin();
        const tn_status st = tn_tokenizer_encode(t, text, n, 0, &ids, &err);
        const bool in_time = tn_test_refusal_end();

        if (st != TN_INVALID || !in_time ||
            strncmp(err.text, "tokenizer.json: the pattern ", 28) != 0 ||
            (!strstr(err.text, "takes more steps than a text may take (64 a byte) at byte ") &&
             !strstr(err.text, "backtracks too much at byte ")))
            fail_msg("%s: status %d, in time %d, \"%s\"", catastrophic[i], st, in_time, err.text);
        assert_int_equal(ids.n, 0);
        tn_ids_deinit(&ids);
        tn_tokenizer_destroy(t);
    }
    tn_free(text);
}

static void all_parts_draw_on_one_budget(void **state)
{
    const size_t n = 1 << 20;
    char *text = tn_alloc(n);
    tn_tokenizer *one = splitting_at("a|[^b]", 1), *many = splitting_at("a|[^b]", 32);
    tn_ids ids = { 0 };
    (void)state;
    memset(text, 'a', n);

    assert_int_equal(tn_tokenizer_encode(one, text, n, 0, &ids, NULL), TN_OK);
    assert_int_equal(tn_tokenizer_encode(many, text, n, 0, &ids, NULL), TN_INVALID);

    assert_int_equal(ids.n, n);
    tn_ids_deinit(&ids);
    tn_tokenizer_destroy(one);
    tn_tokenizer_destroy(many);
    tn_free(text);
}

/* Digits by threes, counted from the end: each place looks at all digits after it. */
static void numbers_of_a_thousand_digits_are_no_attack(void **state)
{
    const size_t n = 1000;
    char text[1000];
    tn_tokenizer *t = splitting_at("\\\\p{N}{1,3}(?=(?:\\\\p{N}{3})*\\\\b)", 1);
    tn_ids ids = { 0 };
    (void)state;
    memset(text, '1', n);

    assert_int_equal(tn_tokenizer_encode(t, text, n, 0, &ids, NULL), TN_OK);

    assert_int_equal(ids.n, n);
    tn_ids_deinit(&ids);
    tn_tokenizer_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_means_the_same_is_copied),
        cmocka_unit_test(what_means_something_else_is_rewritten),
        cmocka_unit_test(what_has_no_counterpart_is_refused_with_its_place),
        cmocka_unit_test(a_catastrophic_pattern_ends_over_a_long_text),
        cmocka_unit_test(all_parts_draw_on_one_budget),
        cmocka_unit_test(numbers_of_a_thousand_digits_are_no_attack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
