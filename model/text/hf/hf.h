/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer.json of Hugging Face tokenizers. Internal to model/text. Thread: immutable after
 * create. */
#ifndef TN_MODEL_TEXT_HF_HF_H
#define TN_MODEL_TEXT_HF_HF_H

#include "model/text/hf/decoder.h"
#include "model/text/hf/post.h"
#include "model/text/tokenizer.h"
#include "model/text/vocab_index.h"

typedef struct tn_hf tn_hf;

/** The JSON of a source of kind HF_JSON. *out: json_decref. */
tn_status tn_hf_parse(const tn_vocab *source, json_t **out, tn_error *err) TN_MUST_USE;

/** source: kind HF_JSON, needed during the call only, but for chat_template and stop. *index is
 * filled, with the vocabulary that was read; the caller deinits it. */
tn_status tn_hf_create(const tn_vocab *source, tn_vocab_index *index, tn_hf **out,
                       tn_error *err) TN_MUST_USE;
void tn_hf_destroy(tn_hf *hf);

/** What the post-processor puts around a text, after add_bos and add_eos of the source. */
const tn_hf_post *tn_hf_around(const tn_hf *hf);
/** Append the ids of text[0, n), any bytes. special: special tokens in the text are found. */
tn_status tn_hf_encode(const tn_hf *hf, const tn_vocab_index *index, const char *text, size_t n,
                       bool special, tn_ids *ids, tn_error *err) TN_MUST_USE;
/** Append what token `id`, within the vocabulary, adds to a decode. */
tn_status tn_hf_decode_step(const tn_hf *hf, const tn_vocab_index *index, int32_t id, bool special,
                            tn_hf_decode_state *state, tn_strbuf *out, tn_error *err) TN_MUST_USE;

#endif
