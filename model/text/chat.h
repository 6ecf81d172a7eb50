/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to prompt text. For now ChatML (<|im_start|>role\ntext<|im_end|>\n); the model's own
 * Jinja template is not read yet. */
#ifndef TN_MODEL_TEXT_CHAT_H
#define TN_MODEL_TEXT_CHAT_H

#include "core/base/strbuf.h"
#include "model/formats/vocab.h"

typedef struct tn_chat_message {
    const char *role, *text; /* "system" "user" "assistant" */
} tn_chat_message;

/** True when the vocabulary has a chat template that ChatML renders (it names <|im_start|> and
 * <|im_end|>). */
bool tn_chat_is_chatml(const tn_vocab *vocab);
/**
 * Append the ChatML prompt, ending with the assistant's opening. When the first message is not
 * "system" and the template states a default system text literally (as SmolLM2's does), that text
 * is used, as the template would. Texts are taken as they are: one that holds "<|im_end|>" ends its
 * message when the prompt is encoded with TN_ENCODE_SPECIAL.
 * Errors: TN_UNSUPPORTED (no ChatML template), TN_INVALID (no message; a role other than system,
 * user, assistant).
 */
tn_status tn_chat_render(const tn_vocab *vocab, const tn_chat_message *messages, size_t n,
                         tn_strbuf *out, tn_error *err) TN_MUST_USE;

#endif
