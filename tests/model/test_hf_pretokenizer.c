/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/pretokenizer.h"
#include "tests/model/hf_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static tn_status join_word(void *ctx, const char *word, size_t n, tn_error *err)
{
    tn_strbuf *out = ctx;
    (void)err;
    tn_strbuf_append(out, word, n);
    tn_strbuf_puts(out, "|");
    return TN_OK;
}

/* The words of a text, each with a bar after it. */
static void expect_words(const char *part, const char *text, int32_t place, const char *words)
{
    tn_strbuf section = TN_STRBUF(1 << 16), out = TN_STRBUF(1 << 16);
    tn_hf_pretokenizer p;
    tn_hf_pretokenizer_work work = { .scratch = tn_pattern_scratch_create(strlen(text)) };
    tn_error err = { 0 };
    tn_strbuf_printf(&section, "{'pre_tokenizer': %s}", part);
    json_t *root = hf_json(section.data);
    if (tn_hf_pretokenizer_init(&p, root, &err) ||
        tn_hf_pretokenizer_run(&p, &work, text, strlen(text), place, join_word, &out, &err))
        fail_msg("%s: %s", part, err.text);
    assert_string_equal(tn_strbuf_text(&out), words);
    tn_hf_pretokenizer_work_deinit(&work);
    tn_pattern_scratch_destroy(work.scratch);
    tn_hf_pretokenizer_deinit(&p);
    json_decref(root);
    tn_strbuf_deinit(&section);
    tn_strbuf_deinit(&out);
}

static void each_part_cuts_as_it_is_named_after(void **state)
{
    static const struct {
        const char *part, *text, *words;
    } cases[] = {
        { "null", "a b", "a b|" },
        { "{'type': 'Digits'}", "ab12c3", "ab|12|c|3|" },
        { "{'type': 'Digits', 'individual_digits': true}", "a12½", "a|1|2|½|" },
        { "{'type': 'Punctuation'}", "a,b!?", "a|,|b|!|?|" },
        { "{'type': 'Punctuation', 'behavior': 'Contiguous'}", "a!?b", "a|!?|b|" },
        { "{'type': 'Whitespace'}", "Hi, a-b\t c", "Hi|,|a|-|b|c|" },
        { "{'type': 'WhitespaceSplit'}", " a,  b\u3000c ", "a,|b|c|" },
        { "{'type': 'CharDelimiterSplit', 'delimiter': 'x'}", "axbxx", "a|b|" },
        { "{'type': 'Split', 'pattern': {'String': 'ab'}, 'behavior': 'Isolated'}", "xabab",
          "x|ab|ab|" },
        { "{'type': 'Split', 'pattern': {'Regex': 'a+'}, 'behavior': 'Removed', 'invert': true}",
          "baac", "aa|" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_words(cases[i].part, cases[i].text, TN_PLACE_FIRST, cases[i].words);
}

static void byte_level_spells_bytes_and_adds_a_blank_before_a_word_without_one(void **state)
{
    static const char gpt2[] = "{'type': 'ByteLevel', 'add_prefix_space': true}",
                      bare[] =
                          "{'type': 'ByteLevel', 'add_prefix_space': false, 'use_regex': false}";
    (void)state;
    expect_words(gpt2, "é it's  3", TN_PLACE_FIRST, "ĠÃ©|Ġit|'s|Ġ|Ġ3|");
    expect_words(gpt2, " a", TN_PLACE_FIRST, "Ġa|");
    expect_words(gpt2, "a", TN_PLACE_CONTINUES, "a|");
    expect_words(bare, "a b\n", TN_PLACE_FIRST, "aĠbĊ|");
}

static void metaspace_writes_blanks_and_puts_one_first_where_its_scheme_says_so(void **state)
{
    static const char always[] =
        "{'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'always'}",
                      first[] =
                          "{'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'first'}",
                      never[] =
                          "{'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'never'}",
                      old[] =
                          "{'type': 'Metaspace', 'replacement': '_', 'add_prefix_space': false}",
                      whole[] = "{'type': 'Metaspace', 'replacement': '▁', 'split': false}";
    (void)state;
    expect_words(always, "a b", TN_PLACE_FIRST, "▁a|▁b|");
    expect_words(always, "a b", TN_PLACE_INNER, "▁a|▁b|");
    expect_words(always, "a b", TN_PLACE_CONTINUES, "a|▁b|");
    expect_words(always, " a", TN_PLACE_FIRST, "▁a|");
    expect_words(first, "a", TN_PLACE_FIRST, "▁a|");
    expect_words(first, "a", TN_PLACE_INNER, "a|");
    expect_words(never, "a  b", TN_PLACE_FIRST, "a|▁|▁b|");
    expect_words(old, "a b", TN_PLACE_FIRST, "a|_b|");
    expect_words(whole, "a b", TN_PLACE_FIRST, "▁a▁b|");
}

/* Each part cuts the pieces of the part before it, and only the text's first piece is the
 * beginning. */
static void a_sequence_cuts_what_it_has_cut(void **state)
{
    (void)state;
    expect_words(
        "{'type': 'Sequence', 'pretokenizers': [{'type': 'Digits', 'individual_digits': true},"
        " {'type': 'Split', 'pattern': {'Regex': 'b'}, 'behavior': 'MergedWithPrevious'}]}",
        "ab1b2cbb", TN_PLACE_FIRST, "ab|1|b|2|cb|b|");
    expect_words("{'type': 'Sequence', 'pretokenizers': [{'type': 'WhitespaceSplit'},"
                 " {'type': 'Metaspace', 'prepend_scheme': 'first'}]}",
                 "a b", TN_PLACE_FIRST, "▁a|b|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_cuts_as_it_is_named_after),
        cmocka_unit_test(byte_level_spells_bytes_and_adds_a_blank_before_a_word_without_one),
        cmocka_unit_test(metaspace_writes_blanks_and_puts_one_first_where_its_scheme_says_so),
        cmocka_unit_test(a_sequence_cuts_what_it_has_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
