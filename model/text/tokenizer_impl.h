/* SPDX-License-Identifier: Apache-2.0 */
/* What the token stream needs of the tokenizer beyond its public face. Internal to model/text. */
#ifndef TN_MODEL_TEXT_TOKENIZER_IMPL_H
#define TN_MODEL_TEXT_TOKENIZER_IMPL_H

#include "model/text/tokenizer.h"

/**
 * One step of tn_tokenizer_decode: append what `id` adds to the text so far. *begun says that the
 * text has begun (a dummy prefix is only dropped before); the caller starts with false and hands
 * the same variable to every step.
 */
tn_status tn_tokenizer_decode_step(const tn_tokenizer *t, int32_t id, bool special, bool *begun,
                                   tn_strbuf *out, tn_error *err) TN_MUST_USE;

#endif
