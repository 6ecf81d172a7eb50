/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece BPE vocabularies through libsentencepiece. */
#ifndef TN_MODEL_TEXT_SPM_H
#define TN_MODEL_TEXT_SPM_H

#include "model/text/tokenizer.h"
#include "model/text/vocab_index.h"

typedef struct tn_spm tn_spm; /* immutable; encode and piece from any thread */

/** index is borrowed until destroy. */
tn_status tn_spm_create(const tn_vocab_index *index, tn_spm **out, tn_error *err) TN_MUST_USE;
void tn_spm_destroy(tn_spm *spm);
/**
 * Append the ids of text without control tokens, with the dummy prefix before it when the
 * vocabulary asks for one. Bytes that are no UTF-8 become byte tokens. TN_INVALID for what the
 * vocabulary can neither spell nor call unknown.
 */
tn_status tn_spm_encode(const tn_spm *spm, const char *text, size_t n, tn_ids *ids,
                        tn_error *err) TN_MUST_USE;
/** Append the text of token id: U+2581 as a blank, a byte token as its byte, an unknown token as
 * SentencePiece's " U+2047 ". */
void tn_spm_piece(const tn_spm *spm, int32_t id, tn_strbuf *out);
/** Append the vocabulary as a tokenizer.model, which SentencePiece reads. */
tn_status tn_spm_put_model(const tn_vocab *vocab, tn_strbuf *out, tn_error *err) TN_MUST_USE;

#endif
