/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-level BPE (GPT-2): text to pieces to bytes to merged tokens. Internal to model/text. */
#ifndef TN_MODEL_TEXT_BPE_H
#define TN_MODEL_TEXT_BPE_H

#include "model/text/tokenizer.h"
#include "model/text/vocab_index.h"

typedef struct tn_bpe tn_bpe; /* immutable; encode and piece from any thread */

/** index is borrowed until destroy. TN_INVALID for a merge of texts that are no tokens. */
tn_status tn_bpe_create(const tn_vocab_index *index, tn_bpe **out, tn_error *err) TN_MUST_USE;
void tn_bpe_destroy(tn_bpe *bpe);
/** Append the ids of plain text (no special tokens in it). A byte for which the vocabulary has no
 * token is left out. */
tn_status tn_bpe_encode(const tn_bpe *bpe, const char *text, size_t n, tn_ids *ids,
                        tn_error *err) TN_MUST_USE;
/** Append the bytes that a token text stands for; a text with a character outside the byte alphabet
 * stands for itself. */
void tn_bpe_piece(tn_text token, tn_strbuf *out);

#endif
