/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/chat_session.h"

#include "core/base/alloc.h"
#include "model/formats/file_map.h"
#include "core/base/strbuf.h"
#include "model/formats/write_file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TURNS = 100000, MAX_FILE_BYTES = 64 << 20 };

/* ---- turns ---- */

void tn_chat_reset(tn_chat_session *s)
{
    while (s->n > 0)
        tn_chat_remove_turn(s);
    tn_chat_forget_prefix(s);
}

void tn_chat_session_deinit(tn_chat_session *s)
{
    tn_chat_reset(s);
    tn_free(s->turn);
    tn_free(s->system);
    *s = (tn_chat_session){ 0 };
}

static tn_status copy(const char *text, char **out, tn_error *err)
{
    char *made = tn_strdup(text);
    if (!made)
        return tn_fail_memory(err, "the conversation");
    tn_free(*out);
    *out = made;
    return TN_OK;
}

tn_status tn_chat_set_system(tn_chat_session *s, const char *text, tn_error *err)
{
    if (text)
        return copy(text, &s->system, err);
    tn_free(s->system);
    s->system = NULL;
    return TN_OK;
}

static tn_status reserve(tn_chat_session *s, tn_error *err)
{
    if (s->n < s->capacity)
        return TN_OK;
    if (s->n >= MAX_TURNS)
        return tn_fail(err, TN_INVALID, "the conversation has %d turns, no more are allowed",
                       MAX_TURNS);
    const size_t capacity = s->capacity > 0 ? 2 * s->capacity : 16;
    tn_chat_turn *turn = tn_realloc_array(s->turn, capacity, sizeof *turn);
    if (!turn)
        return tn_fail_memory(err, "the conversation");
    s->turn = turn;
    s->capacity = capacity;
    return TN_OK;
}

tn_status tn_chat_add_turn(tn_chat_session *s, const char *user, tn_error *err)
{
    TN_TRY(reserve(s, err));
    tn_chat_turn turn = { 0 };
    TN_TRY(copy(user, &turn.user, err));
    s->turn[s->n++] = turn;
    return TN_OK;
}

tn_status tn_chat_set_answer(tn_chat_session *s, const char *answer, tn_error *err)
{
    return copy(answer, &s->turn[s->n - 1].answer, err);
}

void tn_chat_remove_turn(tn_chat_session *s)
{
    tn_chat_turn *last = &s->turn[--s->n];
    tn_free(last->user);
    tn_free(last->answer);
    if (s->n_skipped > s->n)
        s->n_skipped = s->n;
}

void tn_chat_known_deinit(tn_chat_known *known)
{
    tn_free(known->id);
    tn_free(known->text);
    *known = (tn_chat_known){ 0 };
}

void tn_chat_forget_prefix(tn_chat_session *s)
{
    tn_chat_known_deinit(&s->known);
    s->n_skipped = 0;
}

void tn_chat_set_known(tn_chat_session *s, tn_chat_known *known)
{
    tn_chat_known_deinit(&s->known);
    s->known = *known;
    *known = (tn_chat_known){ 0 };
}

tn_status tn_chat_messages(const tn_chat_session *s, tn_message **out, size_t *out_n, tn_error *err)
{
    size_t n = 0;
    *out_n = 0;
    tn_message *list = *out = tn_alloc_array(2 * (s->n - s->n_skipped) + 1, sizeof *list);
    if (!list)
        return tn_fail_memory(err, "the messages");
    if (s->system)
        list[n++] = (tn_message){ "system", s->system };
    for (size_t i = s->n_skipped; i < s->n; i++) {
        list[n++] = (tn_message){ "user", s->turn[i].user };
        if (i + 1 < s->n)
            list[n++] = (tn_message){ "assistant", s->turn[i].answer };
    }
    *out_n = n;
    return TN_OK;
}

/* ---- save ---- */

static void add_message(json_t *list, const char *role, const char *text)
{
    json_array_append_new(list, json_pack("{s:s, s:s}", "role", role, "content", text));
}

static json_t *to_json(const tn_chat_session *s)
{
    json_t *list = json_array();
    size_t n = 0;
    if (s->system && ++n)
        add_message(list, "system", s->system);
    for (size_t i = 0; i < s->n; i++) {
        if (!s->turn[i].answer)
            continue;
        add_message(list, "user", s->turn[i].user);
        add_message(list, "assistant", s->turn[i].answer);
        n += 2;
    }
    if (json_array_size(list) == n) /* else a message was lost for lack of memory */
        return json_pack("{s:o}", "messages", list);
    json_decref(list);
    return NULL;
}

static int append(const char *text, size_t n, void *out)
{
    tn_strbuf_append(out, text, n);
    return ((const tn_strbuf *)out)->failed ? -1 : 0;
}

tn_status tn_chat_save(const tn_chat_session *s, const char *path, tn_error *err)
{
    tn_strbuf text = TN_STRBUF(SIZE_MAX / 2);
    json_t *json = to_json(s);
    const bool failed = !json || json_dump_callback(json, append, &text, JSON_INDENT(2)) != 0;
    json_decref(json);
    tn_strbuf_puts(&text, "\n");
    const tn_file_part part = { tn_strbuf_text(&text), text.len };
    const tn_write_args args = { .part = &part, .n_parts = 1, .mode = 0600 }; /* it is private */
    const tn_status status = failed || text.failed ? tn_fail_memory(err, "the saved conversation")
                                                   : tn_write_file(path, &args, err);
    tn_strbuf_deinit(&text);
    return status;
}

/* ---- load ---- */

static tn_status add_loaded(tn_chat_session *s, const char *path, size_t number, const char *role,
                            const char *text, tn_error *err)
{
    const bool open_turn = s->n > 0 && !s->turn[s->n - 1].answer;
    const char *expected = open_turn ? "assistant" : "user";
    if (number == 1 && strcmp(role, "system") == 0)
        return tn_chat_set_system(s, text, err);
    if (strcmp(role, expected) != 0)
        return tn_fail(err, TN_INVALID,
                       "%s: message %zu is of \"%.40s\", expected \"%s\": a conversation is an "
                       "optional system message, then user and assistant in turn",
                       path, number, role, expected);
    return open_turn ? tn_chat_set_answer(s, text, err) : tn_chat_add_turn(s, text, err);
}

static tn_status from_json(tn_chat_session *s, const json_t *json, const char *path, tn_error *err)
{
    const json_t *list = json_is_object(json) ? json_object_get(json, "messages") : json;
    if (!json_is_array(list))
        return tn_fail(err, TN_INVALID,
                       "%s: no conversation; expected {\"messages\": [...]} as /save writes it",
                       path);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *message = json_array_get(list, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        const char *text = json_string_value(json_object_get(message, "content"));
        if (!role || !text)
            return tn_fail(err, TN_INVALID,
                           "%s: message %zu needs \"role\" and \"content\", both strings", path,
                           i + 1);
        TN_TRY(add_loaded(s, path, i + 1, role, text, err));
    }
    if (s->n > 0 && !s->turn[s->n - 1].answer)
        return tn_fail(err, TN_INVALID,
                       "%s: the last message is the user's; a conversation ends with an answer",
                       path);
    return TN_OK;
}

tn_status tn_chat_load(tn_chat_session *s, const char *path, tn_error *err)
{
    char *text;
    size_t n;
    json_error_t where;
    tn_chat_session loaded = { 0 };
    TN_TRY(tn_file_read(path, MAX_FILE_BYTES, &text, &n, err));
    json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
    tn_status status = json ? from_json(&loaded, json, path, err)
                            : tn_fail(err, TN_INVALID, "%s:%d:%d: no JSON: %s", path, where.line,
                                      where.column, where.text);
    json_decref(json);
    tn_free(text);
    if (status) {
        tn_chat_session_deinit(&loaded);
        return status;
    }
    tn_chat_session_deinit(s);
    *s = loaded;
    return TN_OK;
}
