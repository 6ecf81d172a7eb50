/* SPDX-License-Identifier: Apache-2.0 */
/* What the token stream needs of the tokenizer beyond its public face. Internal to model/text. */
#ifndef TN_MODEL_TEXT_TOKENIZER_IMPL_H
#define TN_MODEL_TEXT_TOKENIZER_IMPL_H

#include "model/text/hf/decoder.h"
#include "model/text/tokenizer.h"

/* Where a decode stands; {0} is its beginning. */
typedef struct tn_decode_state {
    bool begun; /* the text has begun: a dummy prefix is only dropped before */
    tn_hf_decode_state hf;
} tn_decode_state;

/** One step of tn_tokenizer_decode: append what `id` adds to the text so far. */
tn_status tn_tokenizer_decode_step(const tn_tokenizer *t, int32_t id, bool special,
                                   tn_decode_state *state, tn_strbuf *out,
                                   tn_error *err) TN_MUST_USE;

#endif
