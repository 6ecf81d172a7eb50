/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model's own chat template (Jinja), with the variables that Hugging Face's apply_chat_template
 * gives it. Thread: immutable after create.
 */
#ifndef TN_MODEL_TEXT_CHAT_TEMPLATE_H
#define TN_MODEL_TEXT_CHAT_TEMPLATE_H

#include "model/text/tokenizer.h"

#include <jansson.h>

typedef struct tn_chat_template tn_chat_template;

typedef struct tn_chat_message {
    const char *role, *text; /* "system" "user" "assistant", and what else the template knows */
} tn_chat_message;

/** The tokenizer is needed during the call only. TN_UNSUPPORTED: the model has no template, or one
 * that uses what templates cannot do here; TN_INVALID: its template is wrong. */
tn_status tn_chat_template_create(const tn_vocab *vocab, const tn_tokenizer *tokenizer,
                                  tn_chat_template **out, tn_error *err) TN_MUST_USE;
void tn_chat_template_destroy(tn_chat_template *t);

/** {"messages": [...], "add_generation_prompt": true}; the caller's (json_decref). TN_INVALID for
 * text that is no UTF-8. */
tn_status tn_chat_context(const tn_chat_message *messages, size_t n, json_t **out,
                          tn_error *err) TN_MUST_USE;

/**
 * Append the prompt. context: "messages" and what else the template reads; not changed. What it
 * does not have is as in transformers: tools and documents are None, bos_token and its like are the
 * model's. Texts are taken as they are: one that holds "<|im_end|>" ends its message when the
 * prompt is encoded with TN_ENCODE_SPECIAL. Errors: TN_INVALID, among them what the template
 * itself refuses (raise_exception); TN_UNSUPPORTED.
 */
tn_status tn_chat_template_render(const tn_chat_template *t, json_t *context, tn_strbuf *out,
                                  tn_error *err) TN_MUST_USE;

#endif
