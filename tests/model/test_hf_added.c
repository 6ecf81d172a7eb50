/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "model/text/hf/added.h"
#include "tests/model/hf_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct found {
    const char *text;
    tn_strbuf out;
} found;

/* "text|[id:text]|" */
static tn_status put_stretch(void *ctx, int32_t id, size_t from, size_t to, tn_error *err)
{
    found *f = ctx;
    (void)err;
    tn_strbuf_printf(&f->out, id < 0 ? "" : "[%d:", (int)id);
    tn_strbuf_append(&f->out, f->text + from, to - from);
    tn_strbuf_puts(&f->out, id < 0 ? "|" : "]|");
    return TN_OK;
}

/* Of the tokens whose `normalized` is as given; normalizer: a section of the file, or "null". */
static void expect_found(const char *tokens, const char *normalizer, bool normalized,
                         const char *text, bool with_special, const char *expected)
{
    tn_strbuf file = TN_STRBUF(1 << 16);
    found f = { text, TN_STRBUF(1 << 16) };
    tn_hf_added_token *added = NULL;
    tn_hf_normalizer n;
    tn_hf_added_set set;
    size_t n_added = 0;
    tn_error err = { 0 };
    tn_strbuf_printf(&file, "{'added_tokens': %s, 'normalizer': %s}", tokens, normalizer);
    json_t *root = hf_json(file.data);
    if (tn_hf_read_added(root, &added, &n_added, &err) || tn_hf_normalizer_init(&n, root, &err) ||
        tn_hf_added_set_init(&set, added, n_added, &n, normalized, &err) ||
        tn_hf_added_find(&set, text, strlen(text), with_special, put_stretch, &f, &err))
        fail_msg("%s: %s", tokens, err.text);
    assert_string_equal(tn_strbuf_text(&f.out), expected);
    tn_hf_added_set_deinit(&set);
    tn_hf_normalizer_deinit(&n);
    tn_free(added);
    json_decref(root);
    tn_strbuf_deinit(&f.out);
    tn_strbuf_deinit(&file);
}

static void a_token_has_the_defaults_of_tokenizers(void **state)
{
    json_t *root = hf_json("{'added_tokens': [{'id': 1, 'content': 'a'},"
                           " {'id': 2, 'content': 'b', 'special': true}]}");
    tn_hf_added_token *added = NULL;
    size_t n = 0;
    (void)state;

    assert_int_equal(tn_hf_read_added(root, &added, &n, NULL), TN_OK);

    assert_int_equal(n, 2);
    assert_true(!added[0].special && added[0].normalized && !added[0].lstrip &&
                !added[0].single_word);
    assert_true(added[1].special && !added[1].normalized);
    tn_free(added);
    json_decref(root);
}

static void the_longest_token_at_the_leftmost_place_is_found(void **state)
{
    static const char tokens[] = "[{'id': 1, 'content': '<a', 'normalized': false},"
                                 " {'id': 2, 'content': '<ab>', 'normalized': false}]";
    (void)state;
    expect_found(tokens, "null", false, "x<ab><ac", true, "x|[2:<ab>]|[1:<a]|c|");
    expect_found(tokens, "null", false, "", true, "");
    expect_found(tokens, "null", true, "<a", true, "<a|");
}

static void special_tokens_are_found_when_asked_for(void **state)
{
    static const char tokens[] = "[{'id': 1, 'content': '<s>', 'special': true},"
                                 " {'id': 2, 'content': '<t>', 'normalized': false}]";
    (void)state;
    expect_found(tokens, "null", false, "<s><t>", true, "[1:<s>]|[2:<t>]|");
    expect_found(tokens, "null", false, "<s><t>", false, "<s>|[2:<t>]|");
}

static void stripping_takes_the_blanks_beside_a_token(void **state)
{
    (void)state;
    expect_found("[{'id': 1, 'content': 'X', 'normalized': false, 'lstrip': true}]", "null", false,
                 "a \u3000X b", true, "a|[1: \u3000X]| b|");
    expect_found("[{'id': 1, 'content': 'X', 'normalized': false, 'rstrip': true}]", "null", false,
                 "a X \n b", true, "a |[1:X \n ]|b|");
    expect_found("[{'id': 1, 'content': 'X', 'normalized': false, 'lstrip': true, 'rstrip': true}]",
                 "null", false, "X  X", true, "[1:X  ]|[1:X]|");
}

/* Letters, digits, marks and _ make a word. */
static void a_single_word_is_found_between_other_characters_only(void **state)
{
    static const char tokens[] =
        "[{'id': 1, 'content': 'ab', 'normalized': false, 'single_word': true}]";
    (void)state;
    expect_found(tokens, "null", false, "ab", true, "[1:ab]|");
    expect_found(tokens, "null", false, "(ab) ab", true, "(|[1:ab]|) |[1:ab]|");
    expect_found(tokens, "null", false, "abc éab ab\u0301 _ab", true, "abc éab ab\u0301 _ab|");
}

/* The token's own text goes through the normalizer too. */
static void normalized_tokens_are_found_in_normalised_text(void **state)
{
    static const char tokens[] = "[{'id': 1, 'content': 'Ab', 'normalized': true}]";
    (void)state;
    expect_found(tokens, "{'type': 'Lowercase'}", true, "xab", true, "x|[1:ab]|");
    expect_found(tokens, "{'type': 'Lowercase'}", true, "xAb", true, "xAb|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_has_the_defaults_of_tokenizers),
        cmocka_unit_test(the_longest_token_at_the_leftmost_place_is_found),
        cmocka_unit_test(special_tokens_are_found_when_asked_for),
        cmocka_unit_test(stripping_takes_the_blanks_beside_a_token),
        cmocka_unit_test(a_single_word_is_found_between_other_characters_only),
        cmocka_unit_test(normalized_tokens_are_found_in_normalised_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
