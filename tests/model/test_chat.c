/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "model/text/chat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define USER_AND_ANSWER "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"

/* As in SmolLM2-135M-Instruct's tokenizer_config.json (Apache-2.0), but for the name. */
static const char smollm2_like[] =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
    "'<|im_start|>system\nYou are Tim, "
    "an AI<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

static void expect_prompt(const char *template, const tn_chat_message *messages, size_t n,
                          const char *expected)
{
    tn_vocab vocab = { .chat_template = template };
    tn_strbuf out = TN_STRBUF(1 << 16);
    tn_error err = { 0 };
    if (tn_chat_render(&vocab, messages, n, &out, &err))
        fail_msg("%s", err.text);
    assert_string_equal(tn_strbuf_text(&out), expected);
    tn_strbuf_deinit(&out);
}

static void expect_default(const char *template, const char *expected)
{
    const tn_chat_message message = { "user", "Hi" };
    expect_prompt(template, &message, 1, expected);
}

static void messages_become_chatml_with_the_assistant_opened(void **state)
{
    (void)state;
    const tn_chat_message messages[] = {
        { "system", "Be kind" }, { "user", "Hi" }, { "assistant", "Hello\n" }, { "user", "" }
    };

    expect_prompt(smollm2_like, messages, 4,
                  "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                  "<|im_start|>assistant\nHello\n<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_"
                  "start|>assistant\n");
}

static void default_system_text_comes_from_the_template(void **state)
{
    (void)state;

    expect_default(smollm2_like,
                   "<|im_start|>system\nYou are Tim, an AI<|im_end|>\n" USER_AND_ANSWER);
    /* Escapes and the other quotes; an apostrophe in a comment opens no string. */
    expect_default("{# don't #}{{- \"<|im_start|>system\\nIt's \\\"me\\\"<|im_end|>\\n\" -}}",
                   "<|im_start|>system\nIt's \"me\"<|im_end|>\n" USER_AND_ANSWER);
    /* Outside of tags. */
    expect_default("{% if x == '}}' %}<|im_start|>system\nPlain<|im_end|>\n{% endif %}",
                   "<|im_start|>system\nPlain<|im_end|>\n" USER_AND_ANSWER);
    /* Qwen 2.5's order: the text composed for tools first, then the literal. */
    expect_default("{%- if tools %}{{- '<|im_start|>system\\n' }}{{- 'With tools' }}{{- "
                   "'<|im_end|>\\n' }}{%- else %}"
                   "{{- '<|im_start|>system\\nWithout tools<|im_end|>\\n' }}{%- endif %}",
                   "<|im_start|>system\nWithout tools<|im_end|>\n" USER_AND_ANSWER);
}

static void template_without_a_literal_system_text_adds_none(void **state)
{
    (void)state;

    expect_default(
        "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>'}}",
        USER_AND_ANSWER);
    expect_default("{{ '<|im_start|>system\\n' + system + '<|im_end|>\\n' }}", USER_AND_ANSWER);
    /* A statement writes nothing. */
    expect_default("{% set s = '<|im_start|>system\\nNo<|im_end|>' %}", USER_AND_ANSWER);
    /* Broken templates are read as far as they go. */
    expect_default("<|im_start|><|im_end|>{{ '<|im_start|>system\\nNo<|im_end|>", USER_AND_ANSWER);
    expect_default("<|im_start|><|im_end|>{", USER_AND_ANSWER);
    expect_default("<|im_start|><|im_end|>{{ 'a\\", USER_AND_ANSWER);
    expect_default("<|im_start|><|im_end|>{%", USER_AND_ANSWER);
}

static void only_chatml_templates_are_rendered(void **state)
{
    (void)state;
    const tn_chat_message message = { "user", "Hi" };
    tn_vocab none = { 0 }, other = { .chat_template = "[INST] {{ messages[0] }} [/INST]" };
    tn_vocab chatml = { .chat_template = smollm2_like };
    tn_strbuf out = TN_STRBUF(1 << 10);
    tn_error err = { 0 };

    assert_true(tn_chat_is_chatml(&chatml));
    assert_false(tn_chat_is_chatml(&none));
    assert_false(tn_chat_is_chatml(&other));
    assert_int_equal(tn_chat_render(&none, &message, 1, &out, &err), TN_UNSUPPORTED);
    assert_non_null(strstr(err.text, "no chat template"));
    assert_int_equal(tn_chat_render(&other, &message, 1, &out, &err), TN_UNSUPPORTED);
    assert_non_null(strstr(err.text, "not ChatML"));
    assert_int_equal(out.len, 0);
}

static void empty_chats_and_unknown_roles_are_invalid(void **state)
{
    (void)state;
    const tn_chat_message messages[] = { { "user", "Hi" }, { "robot", "Hi" } };
    tn_vocab vocab = { .chat_template = smollm2_like };
    tn_strbuf out = TN_STRBUF(1 << 10);
    tn_error err = { 0 };

    assert_int_equal(tn_chat_render(&vocab, messages, 0, &out, &err), TN_INVALID);
    assert_int_equal(tn_chat_render(&vocab, messages, 2, &out, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "'robot' of message 2"));
    assert_int_equal(out.len, 0);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    const tn_chat_message message = { "user", "Hi" };
    tn_vocab vocab = { .chat_template = smollm2_like };
    tn_status st = TN_NO_MEMORY;

    for (uint64_t at = 1; st == TN_NO_MEMORY; at++) {
        tn_strbuf out = TN_STRBUF(1 << 10);
        tn_alloc_fail_at(at);
        st = tn_chat_render(&vocab, &message, 1, &out, NULL);
        tn_strbuf_deinit(&out);
        assert_true(at < 100);
    }
    tn_alloc_fail_at(0);

    assert_int_equal(st, TN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_become_chatml_with_the_assistant_opened),
        cmocka_unit_test(default_system_text_comes_from_the_template),
        cmocka_unit_test(template_without_a_literal_system_text_adds_none),
        cmocka_unit_test(only_chatml_templates_are_rendered),
        cmocka_unit_test(empty_chats_and_unknown_roles_are_invalid),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
