/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/decoder.h"
#include "tests/model/hf_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LLAMA2                                                                                     \
    "{'type': 'Sequence', 'decoders': [{'type': 'Replace', 'pattern': {'String': '▁'}, "         \
    "'content': ' '},"                                                                             \
    " {'type': 'ByteFallback'}, {'type': 'Fuse'}, {'type': 'Strip', 'content': ' ', 'start': 1, "  \
    "'stop': 0}]}"

static tn_status init(tn_hf_decoder *decoder, const char *part, tn_error *err)
{
    tn_strbuf section = TN_STRBUF(1 << 16);
    tn_strbuf_printf(&section, "{'decoder': %s}", part);
    json_t *root = hf_json(section.data);
    const tn_status st = tn_hf_decoder_init(decoder, root, err);
    json_decref(root);
    tn_strbuf_deinit(&section);
    return st;
}

/* The text of tokens, each ended by a bar. */
static void expect_text(const char *part, const char *tokens, const char *text)
{
    tn_hf_decoder decoder;
    tn_hf_decode_state decode = { 0 };
    tn_strbuf out = TN_STRBUF(1 << 16);
    tn_error err = { 0 };
    if (init(&decoder, part, &err))
        fail_msg("%s: %s", part, err.text);
    for (const char *at = tokens; *at; at += strcspn(at, "|") + 1) {
        const tn_text token = { at, strcspn(at, "|") };
        assert_int_equal(tn_hf_decoder_step(&decoder, token, &decode, &out, &err), TN_OK);
    }
    assert_string_equal(tn_strbuf_text(&out), text);
    tn_strbuf_deinit(&out);
    tn_hf_decoder_deinit(&decoder);
}

static void without_a_decoder_tokens_have_blanks_between(void **state)
{
    (void)state;
    expect_text("null", "a|b|c|", "a b c");
}

static void byte_level_reads_its_alphabet(void **state)
{
    (void)state;
    expect_text("{'type': 'ByteLevel'}", "Ġa|Ċ|Ã|©|", " a\né");
    expect_text("{'type': 'ByteLevel'}", "中|", "中"); /* no letters of it: the token as it is */
}

static void llamas_sequence_gives_blanks_bytes_and_no_first_blank(void **state)
{
    (void)state;
    expect_text(LLAMA2, "▁a|▁b|", "a b");
    expect_text(LLAMA2, "▁|▁|a|", " a");
    expect_text(LLAMA2, "<0xE2>|<0x82>|<0xAC>|x|", "€x");
    expect_text(LLAMA2, "a|<0x0A|<0x0A>|", "a<0x0A\n");
}

static void metaspace_drops_the_blanks_of_the_first_token(void **state)
{
    (void)state;
    expect_text("{'type': 'Metaspace', 'replacement': '▁'}", "▁a|▁b▁|", "a b ");
    expect_text("{'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'never'}", "▁a|▁b|",
                " a b");
}

static void strip_takes_up_to_so_many_from_each_token(void **state)
{
    (void)state;
    expect_text("{'type': 'Strip', 'content': '_', 'start': 1, 'stop': 2}", "__a__|_b___|", "_ab_");
}

/* What is shown of a token cannot be taken back by a later one. */
static void what_a_stream_cannot_do_is_refused(void **state)
{
    static const struct {
        const char *decoder, *text;
    } cases[] = {
        { "{'type': 'WordPiece'}", "type 'WordPiece' does not run" },
        { "{'type': 'Sequence', 'decoders': [{'type': 'Fuse'}, {'type': 'Strip', 'content': ' ',"
          " 'start': 0, 'stop': 1}]}",
          "does not run after what joins the tokens" },
        { "{'type': 'Sequence', 'decoders': [{'type': 'ByteFallback'}, {'type': 'Replace',"
          " 'pattern': {'String': 'a'}, 'content': 'b'}]}",
          "does not run after what joins the tokens" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tn_hf_decoder decoder;
        tn_error err = { 0 };
        assert_int_equal(init(&decoder, cases[i].decoder, &err), TN_UNSUPPORTED);
        assert_non_null(strstr(err.text, cases[i].text));
        tn_hf_decoder_deinit(&decoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_decoder_tokens_have_blanks_between),
        cmocka_unit_test(byte_level_reads_its_alphabet),
        cmocka_unit_test(llamas_sequence_gives_blanks_bytes_and_no_first_blank),
        cmocka_unit_test(metaspace_drops_the_blanks_of_the_first_token),
        cmocka_unit_test(strip_takes_up_to_so_many_from_each_token),
        cmocka_unit_test(what_a_stream_cannot_do_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
