/* SPDX-License-Identifier: Apache-2.0 */
/* The bridge from messages to a template's text; test_template.c has the language itself. */
#include "core/base/alloc.h"
#include "model/text/chat_template.h"
#include "tests/model/text_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* In the way of SmolLM2's: a system message of its own when the conversation has none. */
static const char chatml[] =
    "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
    "<|im_start|>system\nYou are Tim<|im_end|>\n{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

typedef struct rig {
    text_fixture f;
    tn_tokenizer *tokenizer;
    tn_chat_template *chat;
    tn_error err;
} rig;

static tn_status create(rig *r, const char *text)
{
    memset(r, 0, sizeof *r);
    fixture_spm(&r->f);
    r->f.vocab.chat_template = text;
    r->f.vocab.pad = -1;
    assert_int_equal(tn_tokenizer_create(&r->f.vocab, &r->tokenizer, NULL), TN_OK);
    return tn_chat_template_create(&r->f.vocab, r->tokenizer, &r->chat, &r->err);
}

static void destroy(rig *r)
{
    tn_chat_template_destroy(r->chat);
    tn_tokenizer_destroy(r->tokenizer);
}

static tn_status render(rig *r, json_t *context, tn_strbuf *out)
{
    *out = TN_STRBUF(1 << 16);
    const tn_status status = tn_chat_template_render(r->chat, context, out, &r->err);
    json_decref(context);
    return status;
}

static void expect_text(const char *template, json_t *context, const char *expected)
{
    static rig r;
    tn_strbuf out;
    if (create(&r, template) || render(&r, context, &out))
        fail_msg("%s", r.err.text);
    assert_string_equal(tn_strbuf_text(&out), expected);
    tn_strbuf_deinit(&out);
    destroy(&r);
}

static json_t *context_of(const tn_chat_message *messages, size_t n)
{
    json_t *context;
    assert_int_equal(tn_chat_context(messages, n, &context, NULL), TN_OK);
    return context;
}

static void messages_become_the_template_s_text_with_the_assistant_opened(void **state)
{
    (void)state;
    const tn_chat_message messages[] = {
        { "system", "Be kind" }, { "user", "Hi" }, { "assistant", "Hello\n" }, { "user", "" }
    };

    expect_text(chatml, context_of(messages, 4),
                "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                "<|im_start|>assistant\nHello\n<|im_end|>\n<|im_start|>user\n<|im_end|>\n"
                "<|im_start|>assistant\n");
    expect_text(chatml, context_of(&messages[1], 1),
                "<|im_start|>system\nYou are Tim<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                "<|im_start|>assistant\n");
}

static void special_tokens_are_those_of_the_model(void **state)
{
    (void)state;

    expect_text("{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token is defined }}",
                json_object(), "<s>|</s>|<unk>|False");
    expect_text("{{ bos_token }}", json_pack("{s:s}", "bos_token", "mine"), "mine");
}

static void tools_and_documents_are_none_unless_given(void **state)
{
    (void)state;

    expect_text("{{ tools is none and documents is none }}", json_object(), "True");
    expect_text("{{ tools[0].name }}", json_pack("{s:[{s:s}]}", "tools", "name", "look"), "look");
}

static void the_date_is_known(void **state)
{
    (void)state;

    expect_text("{{ strftime_now('%Y') | int >= 2024 }}", json_object(), "True");
}

static void a_model_without_template_says_so(void **state)
{
    (void)state;
    static rig r;

    assert_int_equal(create(&r, NULL), TN_UNSUPPORTED);
    assert_non_null(strstr(r.err.text, "no chat template"));
    destroy(&r);
}

static void a_wrong_template_is_an_error_with_its_line(void **state)
{
    (void)state;
    static rig r;

    assert_int_equal(create(&r, "a\n{% for %}"), TN_INVALID);
    assert_non_null(strstr(r.err.text, "chat template: line 2"));
    destroy(&r);
    assert_int_equal(create(&r, "{{ x | nonsense }}"), TN_UNSUPPORTED);
    assert_non_null(strstr(r.err.text, "nonsense"));
    destroy(&r);
}

static void what_the_template_refuses_is_an_error(void **state)
{
    (void)state;
    static rig r;
    tn_strbuf out;
    assert_int_equal(create(&r, "\n{{ raise_exception('no tool role') }}"), TN_OK);

    assert_int_equal(render(&r, json_object(), &out), TN_INVALID);

    assert_non_null(strstr(r.err.text, "no tool role"));
    assert_non_null(strstr(r.err.text, "line 2"));
    tn_strbuf_deinit(&out);
    destroy(&r);
}

static void a_text_above_the_limit_is_an_error(void **state)
{
    (void)state;
    static rig r;
    tn_strbuf out = TN_STRBUF(16);
    assert_int_equal(create(&r, "{{ 'ab' * 16 }}"), TN_OK);
    json_t *context = json_object();

    assert_int_equal(tn_chat_template_render(r.chat, context, &out, &r.err), TN_INVALID);

    json_decref(context);
    tn_strbuf_deinit(&out);
    destroy(&r);
}

static void messages_that_are_no_utf8_are_refused(void **state)
{
    (void)state;
    const tn_chat_message messages[] = { { "user", "ok" }, { "user", "\xff" } };
    tn_error err = { 0 };
    json_t *context;

    assert_int_equal(tn_chat_context(messages, 2, &context, &err), TN_INVALID);

    assert_null(context);
    assert_non_null(strstr(err.text, "message 2"));
}

static tn_status create_and_render(rig *r)
{
    const tn_chat_message message = { "user", "Hi" };
    tn_strbuf out = TN_STRBUF(1 << 16);
    json_t *context = context_of(&message, 1);
    tn_status status = tn_chat_template_create(&r->f.vocab, r->tokenizer, &r->chat, NULL);
    if (!status)
        status = tn_chat_template_render(r->chat, context, &out, NULL);
    tn_chat_template_destroy(r->chat);
    r->chat = NULL;
    tn_strbuf_deinit(&out);
    json_decref(context);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static rig r;
    assert_int_equal(create(&r, chatml), TN_OK);
    tn_chat_template_destroy(r.chat);
    r.chat = NULL;
    tn_status status = TN_NO_MEMORY;

    for (uint64_t n = 1; status; n++) {
        tn_alloc_fail_at(n);
        status = create_and_render(&r);
        tn_alloc_fail_at(0);
        assert_true(status == TN_OK || status == TN_NO_MEMORY);
        assert_true(n < 10000);
    }
    destroy(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_become_the_template_s_text_with_the_assistant_opened),
        cmocka_unit_test(special_tokens_are_those_of_the_model),
        cmocka_unit_test(tools_and_documents_are_none_unless_given),
        cmocka_unit_test(the_date_is_known),
        cmocka_unit_test(a_model_without_template_says_so),
        cmocka_unit_test(a_wrong_template_is_an_error_with_its_line),
        cmocka_unit_test(what_the_template_refuses_is_an_error),
        cmocka_unit_test(a_text_above_the_limit_is_an_error),
        cmocka_unit_test(messages_that_are_no_utf8_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
