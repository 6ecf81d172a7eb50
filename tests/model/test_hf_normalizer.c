/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/normal_form.h"
#include "model/text/hf/normalizer.h"
#include "tests/model/hf_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What a text becomes at the beginning of a whole text. *first: whether it still begins there. */
static void normalise(const char *section, const char *text, bool continues, bool *first,
                      tn_strbuf *out)
{
    json_t *root = hf_json(section);
    tn_pattern_scratch *scratch = tn_pattern_scratch_create(strlen(text));
    tn_hf_normalizer normalizer;
    tn_error err = { 0 };
    *first = true;
    tn_strbuf_clear(out);
    if (tn_hf_normalizer_init(&normalizer, root, &err) ||
        tn_hf_normalizer_run(&normalizer, scratch, text, strlen(text), continues, first, out, &err))
        fail_msg("%s: %s", section, err.text);
    tn_hf_normalizer_deinit(&normalizer);
    tn_pattern_scratch_destroy(scratch);
    json_decref(root);
}

static void each_part_does_what_it_is_named_after(void **state)
{
    static const struct {
        const char *normalizer, *text, *normalised;
    } cases[] = {
        { "null", " a ", " a " },
        { "{'type': 'NFC'}", "e\u0301", "é" },
        { "{'type': 'NFD'}", "é", "e\u0301" },
        { "{'type': 'NFKC'}", "ﬁ①", "fi1" },
        { "{'type': 'NFKD'}", "ﬁé", "fie\u0301" },
        { "{'type': 'Prepend', 'prepend': '_'}", "a", "_a" },
        { "{'type': 'Prepend', 'prepend': '_'}", "", "" },
        { "{'type': 'Replace', 'pattern': {'String': 'a.'}, 'content': '-'}", "aba.", "ab-" },
        { "{'type': 'Replace', 'pattern': {'Regex': 'a.'}, 'content': '-'}", "aba.", "--" },
        { "{'type': 'Strip'}", " \u3000a b\n", "a b" },
        { "{'type': 'Strip', 'strip_right': false}", " a ", "a " },
        { "{'type': 'Strip'}", "  ", "" },
        { "{'type': 'Lowercase'}", "ÀBİ", "àbi\u0307" },
        { "{'type': 'StripAccents'}", "e\u0301é", "eé" },
        { "{'type': 'Sequence', 'normalizers': [{'type': 'NFD'}, {'type': 'StripAccents'}]}", "é",
          "e" },
    };
    tn_strbuf out = TN_STRBUF(1 << 16), section = TN_STRBUF(1 << 16);
    bool first;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tn_strbuf_clear(&section);
        tn_strbuf_printf(&section, "{'normalizer': %s}", cases[i].normalizer);
        normalise(section.data, cases[i].text, false, &first, &out);
        assert_string_equal(tn_strbuf_text(&out), cases[i].normalised);
    }
    tn_strbuf_deinit(&section);
    tn_strbuf_deinit(&out);
}

/* Bytes that are no UTF-8 stand before it: it is no beginning, which would be given a blank. */
static void nothing_is_prepended_to_what_continues(void **state)
{
    tn_strbuf out = TN_STRBUF(1 << 16);
    bool first;
    (void)state;

    normalise("{'normalizer': {'type': 'Prepend', 'prepend': '_'}}", "a", true, &first, &out);

    assert_string_equal(tn_strbuf_text(&out), "a");
    tn_strbuf_deinit(&out);
}

static void a_text_that_loses_its_beginning_is_no_beginning_any_more(void **state)
{
    tn_strbuf out = TN_STRBUF(1 << 16);
    bool first;
    (void)state;
    normalise("{'normalizer': {'type': 'Strip'}}", " a", false, &first, &out);
    assert_false(first);
    normalise("{'normalizer': {'type': 'Strip'}}", "a ", false, &first, &out);
    assert_true(first);
    tn_strbuf_deinit(&out);
}

/* By combining class, marks of one class in their order (Unicode 15, D109): dot below (220) before
 * acute and grave (230). */
static void marks_are_put_in_canonical_order(void **state)
{
    tn_strbuf out = TN_STRBUF(1 << 16);
    const char *text = "x\u0301\u0300\u0323y";
    (void)state;

    assert_int_equal(tn_normal_form(TN_NFD, text, strlen(text), &out, NULL), TN_OK);

    assert_string_equal(tn_strbuf_text(&out), "x\u0323\u0301\u0300y");
    tn_strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_does_what_it_is_named_after),
        cmocka_unit_test(nothing_is_prepended_to_what_continues),
        cmocka_unit_test(a_text_that_loses_its_beginning_is_no_beginning_any_more),
        cmocka_unit_test(marks_are_put_in_canonical_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
