/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/chat.h"

#include <string.h>

#define IM_START "<|im_start|>"
#define IM_END   "<|im_end|>"

/* A template is a page of text; the largest in use have some 20 KiB. */
#define MAX_TEMPLATE_BYTES (1u << 20)

bool tn_chat_is_chatml(const tn_vocab *vocab)
{
    const char *t = vocab->chat_template;
    return t && strstr(t, IM_START) && strstr(t, IM_END);
}

/*
 * The end of the Jinja tag ({{ }}, {% %} or {# #}) that begins at `at`: strings in it may hold
 * anything. NULL when it does not end.
 */
static const char *tag_end(const char *at)
{
    const char close = (char)(at[1] == '{' ? '}' : at[1]);
    char quote = 0;
    for (at += 2; *at; at++) {
        if (quote && *at == '\\' && at[1])
            at++;
        else if (quote && *at == quote)
            quote = 0;
        else if (!quote && close != '#' && (*at == '\'' || *at == '"'))
            quote = *at;
        else if (!quote && *at == close && at[1] == '}')
            return at + 2;
    }
    return NULL;
}

static bool begins_tag(const char *at)
{
    return at[0] == '{' && (at[1] == '{' || at[1] == '%' || at[1] == '#');
}

/* The string literal at *at (its opening quote), unescaped, into *out; *at moves behind it. */
static void read_literal(const char **at, tn_strbuf *out)
{
    const char quote = **at;
    const char *p = *at + 1;
    tn_strbuf_clear(out);
    for (; *p && *p != quote; p++) {
        char c = *p;
        if (c == '\\' && p[1]) {
            c = *++p;
            c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c);
        }
        tn_strbuf_append(out, &c, 1);
    }
    *at = *p ? p + 1 : p;
}

/* True when text states a whole system message; what it says goes to *out. */
static bool states_system(const char *text, tn_strbuf *out)
{
    const char *begin = strstr(text, IM_START "system\n");
    if (!begin)
        return false;
    begin += strlen(IM_START "system\n");
    const char *end = strstr(begin, IM_END);
    if (!end)
        return false;
    tn_strbuf_clear(out);
    tn_strbuf_append(out, begin, (size_t)(end - begin));
    return true;
}

/* Looks through the string literals of one {{ }} tag. */
static bool find_in_expression(const char *tag, const char *end, tn_strbuf *literal, tn_strbuf *out)
{
    const char *at = tag + 2;
    while (at < end) {
        if (*at != '\'' && *at != '"') {
            at++;
            continue;
        }
        read_literal(&at, literal);
        if (states_system(tn_strbuf_text(literal), out))
            return true;
    }
    return false;
}

/*
 * The system text that a template writes by itself: a literal "<|im_start|>system\n...<|im_end|>",
 * in one string of an output tag or in the plain text between tags. The first one counts. A
 * template that composes it from several strings states none that can be read here.
 */
static bool find_default_system(const char *template, tn_strbuf *out)
{
    tn_strbuf literal = TN_STRBUF(MAX_TEMPLATE_BYTES);
    bool found = false;
    const char *at = template;
    while (*at && !found) {
        if (begins_tag(at)) {
            const char *end = tag_end(at);
            if (!end)
                break;
            found = at[1] == '{' && find_in_expression(at, end, &literal, out);
            at = end;
            continue;
        }
        tn_strbuf_clear(&literal);
        for (; *at && !begins_tag(at); at++)
            tn_strbuf_append(&literal, at, 1);
        found = states_system(tn_strbuf_text(&literal), out);
    }
    out->failed = out->failed || literal.failed;
    tn_strbuf_deinit(&literal);
    return found;
}

static void put_message(tn_strbuf *out, const char *role, const char *text)
{
    tn_strbuf_puts(out, IM_START);
    tn_strbuf_puts(out, role);
    tn_strbuf_puts(out, "\n");
    tn_strbuf_puts(out, text);
    tn_strbuf_puts(out, IM_END "\n");
}

static bool is_role(const char *role)
{
    return strcmp(role, "system") == 0 || strcmp(role, "user") == 0 ||
           strcmp(role, "assistant") == 0;
}

static tn_status check(const tn_vocab *vocab, const tn_chat_message *messages, size_t n,
                       tn_error *err)
{
    if (!tn_chat_is_chatml(vocab))
        return tn_fail(err, TN_UNSUPPORTED,
                       "%s, only ChatML (" IM_START "role ... " IM_END
                       ") can be rendered: use raw text instead",
                       vocab->chat_template ? "the model's chat template is not ChatML"
                                            : "the model has no chat template");
    if (strlen(vocab->chat_template) > MAX_TEMPLATE_BYTES)
        return tn_fail(err, TN_INVALID, "chat template has over %u bytes", MAX_TEMPLATE_BYTES);
    if (n == 0)
        return tn_fail(err, TN_INVALID, "a chat needs at least one message");
    for (size_t i = 0; i < n; i++) {
        if (!is_role(messages[i].role))
            return tn_fail(
                err, TN_INVALID,
                "role '%.40s' of message %zu is not known, known are: system user assistant",
                messages[i].role, i + 1);
    }
    return TN_OK;
}

tn_status tn_chat_render(const tn_vocab *vocab, const tn_chat_message *messages, size_t n,
                         tn_strbuf *out, tn_error *err)
{
    TN_TRY(check(vocab, messages, n, err));
    if (strcmp(messages[0].role, "system") != 0) {
        tn_strbuf system = TN_STRBUF(MAX_TEMPLATE_BYTES);
        if (find_default_system(vocab->chat_template, &system))
            put_message(out, "system", tn_strbuf_text(&system));
        bool failed = system.failed;
        tn_strbuf_deinit(&system);
        if (failed)
            return tn_fail_memory(err, "the chat prompt");
    }
    for (size_t i = 0; i < n; i++)
        put_message(out, messages[i].role, messages[i].text);
    tn_strbuf_puts(out, IM_START "assistant\n");
    return out->failed ? tn_fail_memory(err, "the chat prompt") : TN_OK;
}
