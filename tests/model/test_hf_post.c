/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/strbuf.h"
#include "model/text/hf/post.h"
#include "tests/model/hf_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKENS = 10 };
#define BOS                                                                                        \
    "{'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': 's'}}, {'Sequence': "       \
    "{'id': 'A'}}],"

static tn_status init(tn_hf_post *post, const char *part, tn_error *err)
{
    tn_strbuf section = TN_STRBUF(1 << 16);
    *post = (tn_hf_post){ 0 };
    tn_strbuf_printf(&section, "{'post_processor': %s}", part);
    json_t *root = hf_json(section.data);
    const tn_status st = tn_hf_post_init(post, root, N_TOKENS, err);
    json_decref(root);
    tn_strbuf_deinit(&section);
    return st;
}

/* "1 2 . 3": what goes before and after a text. */
static void expect_around(const char *part, const char *expected)
{
    tn_hf_post post;
    tn_strbuf out = TN_STRBUF(1 << 16);
    tn_error err = { 0 };
    if (init(&post, part, &err))
        fail_msg("%s: %s", part, err.text);
    for (int32_t i = 0; i < post.n_before; i++)
        tn_strbuf_printf(&out, "%d ", (int)post.before[i]);
    tn_strbuf_puts(&out, ".");
    for (int32_t i = 0; i < post.n_after; i++)
        tn_strbuf_printf(&out, " %d", (int)post.after[i]);
    assert_string_equal(tn_strbuf_text(&out), expected);
    tn_strbuf_deinit(&out);
}

static void a_template_says_what_goes_around_a_text(void **state)
{
    (void)state;
    expect_around("null", ".");
    expect_around(BOS "'special_tokens': {'s': {'id': 's', 'ids': [1, 2]}}}", "1 2 .");
    expect_around("{'type': 'TemplateProcessing', 'single': [{'Sequence': {'id': 'A'}}, "
                  "{'SpecialToken': {'id': 'e'}}],"
                  " 'special_tokens': {'e': {'ids': [3]}}}",
                  ". 3");
}

static void older_processors_put_cls_before_and_sep_after(void **state)
{
    (void)state;
    expect_around("{'type': 'RobertaProcessing', 'cls': ['<s>', 1], 'sep': ['</s>', 2]}", "1 . 2");
    expect_around("{'type': 'BertProcessing', 'cls': ['a', 4], 'sep': ['b', 5]}", "4 . 5");
}

/* The second goes around what the first made. */
static void a_sequence_goes_outwards(void **state)
{
    (void)state;
    expect_around("{'type': 'Sequence', 'processors': [{'type': 'ByteLevel'},"
                  " {'type': 'BertProcessing', 'cls': ['a', 4], 'sep': ['b', 5]},"
                  " {'type': 'BertProcessing', 'cls': ['c', 6], 'sep': ['d', 7]}]}",
                  "6 4 . 5 7");
}

static void what_is_no_template_is_refused(void **state)
{
    static const struct {
        const char *part, *text;
    } cases[] = {
        { BOS "'special_tokens': {}}", "has no ids in special_tokens" },
        { BOS "'special_tokens': {'s': {'ids': [10]}}}",
          "no token of the vocabulary, 0 to 9 are allowed" },
        { BOS "'special_tokens': {'s': {'ids': ['1']}}}",
          "no token of the vocabulary, 0 to 9 are allowed" },
        { "{'type': 'TemplateProcessing', 'single': [], 'special_tokens': {}}",
          "single has no place for the text" },
        { "{'type': 'TemplateProcessing', 'single': 'x'}", "single is no list" },
        { "{'type': 'BertProcessing', 'cls': ['a', 4]}", "sep is missing" },
        { "{'type': 'Other'}", "type 'Other' does not run; supported: TemplateProcessing" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tn_hf_post post;
        tn_error err = { 0 };
        if (!init(&post, cases[i].part, &err) || !strstr(err.text, cases[i].text))
            fail_msg("%s: \"%s\"", cases[i].part, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_says_what_goes_around_a_text),
        cmocka_unit_test(older_processors_put_cls_before_and_sep_after),
        cmocka_unit_test(a_sequence_goes_outwards),
        cmocka_unit_test(what_is_no_template_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
