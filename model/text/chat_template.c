/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/chat_template.h"

#include "core/base/alloc.h"
#include "model/text/template/template.h"
#include "model/text/utf8.h"

#include <string.h>

enum { MAX_SPECIAL_BYTES = 1 << 16 };

struct tn_chat_template {
    tn_template *template;
    json_t *defaults; /* variables that the context need not have */
};

/* ---- variables ---- */

/* One that the model does not have stays undefined, as in transformers. */
static tn_status set_token(json_t *object, const char *name, const tn_tokenizer *tokenizer,
                           int32_t id, tn_error *err)
{
    if (id < 0)
        return TN_OK;
    tn_strbuf text = TN_STRBUF(MAX_SPECIAL_BYTES);
    tn_status status = tn_tokenizer_piece(tokenizer, id, true, &text, err);
    /* A token that is no UTF-8 cannot stand in a prompt's text. */
    const bool is_text =
        !status && tn_utf8_valid_prefix(tn_strbuf_text(&text), text.len) == text.len;
    if (is_text && json_object_set_new(object, name, json_stringn(tn_strbuf_text(&text), text.len)))
        status = tn_fail_memory(err, "the variables of the chat template");
    tn_strbuf_deinit(&text);
    return status;
}

static tn_status make_defaults(const tn_tokenizer *tokenizer, json_t **out, tn_error *err)
{
    const tn_vocab *vocab = tn_tokenizer_vocab(tokenizer); /* ids are settled there */
    const struct {
        const char *name;
        int32_t id;
    } token[] = { { "bos_token", vocab->bos },
                  { "eos_token", vocab->eos },
                  { "unk_token", vocab->unk },
                  { "pad_token", vocab->pad } };
    *out = json_pack("{s:n, s:n}", "tools", "documents");
    if (!*out)
        return tn_fail_memory(err, "the variables of the chat template");
    for (size_t i = 0; i < sizeof token / sizeof token[0]; i++)
        TN_TRY(set_token(*out, token[i].name, tokenizer, token[i].id, err));
    return TN_OK;
}

tn_status tn_chat_template_create(const tn_vocab *vocab, const tn_tokenizer *tokenizer,
                                  tn_chat_template **out, tn_error *err)
{
    *out = NULL;
    if (!vocab->chat_template)
        return tn_fail(err, TN_UNSUPPORTED, "the model has no chat template");
    tn_chat_template *t = tn_alloc_array(1, sizeof *t);
    if (!t)
        return tn_fail_memory(err, "the chat template");
    tn_status status =
        tn_template_parse(vocab->chat_template, strlen(vocab->chat_template), &t->template, err);
    if (status)
        status = tn_error_wrap(err, status, "the model's chat template");
    else
        status = make_defaults(tokenizer, &t->defaults, err);
    if (status) {
        tn_chat_template_destroy(t);
        return status;
    }
    *out = t;
    return TN_OK;
}

void tn_chat_template_destroy(tn_chat_template *t)
{
    if (!t)
        return;
    tn_template_destroy(t->template);
    json_decref(t->defaults);
    tn_free(t);
}

/* ---- messages ---- */

static bool is_utf8(const char *text)
{
    const size_t n = strlen(text);
    return tn_utf8_valid_prefix(text, n) == n;
}

static tn_status add_message(json_t *list, const tn_chat_message *m, tn_error *err)
{
    if (!is_utf8(m->role) || !is_utf8(m->text))
        return tn_fail(err, TN_INVALID, "message %zu is not UTF-8", json_array_size(list) + 1);
    json_t *message = json_pack("{s:s, s:s}", "role", m->role, "content", m->text);
    return json_array_append_new(list, message) ? tn_fail_memory(err, "the messages") : TN_OK;
}

tn_status tn_chat_context(const tn_chat_message *messages, size_t n, json_t **out, tn_error *err)
{
    *out = json_pack("{s:[], s:b}", "messages", "add_generation_prompt", 1);
    json_t *list = json_object_get(*out, "messages");
    tn_status status = list ? TN_OK : tn_fail_memory(err, "the messages");
    for (size_t i = 0; i < n && !status; i++)
        status = add_message(list, &messages[i], err);
    if (status) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}

tn_status tn_chat_template_render(const tn_chat_template *t, json_t *context, tn_strbuf *out,
                                  tn_error *err)
{
    tn_template_options options = TN_TEMPLATE_DEFAULT;
    options.now = tn_template_local_time();
    json_t *all = json_copy(t->defaults);
    if (!all || json_object_update(all, context)) {
        json_decref(all);
        return tn_fail_memory(err, "the variables of the chat template");
    }
    tn_status status = tn_template_render(t->template, all, &options, out, err);
    json_decref(all);
    return status ? tn_error_wrap(err, status, "the model's chat template") : TN_OK;
}
