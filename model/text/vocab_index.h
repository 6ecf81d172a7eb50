/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary with its token texts hashed and its token types settled. Thread: immutable after
 * init. */
#ifndef TN_MODEL_TEXT_VOCAB_INDEX_H
#define TN_MODEL_TEXT_VOCAB_INDEX_H

#include "core/base/status.h"
#include "model/formats/vocab.h"

typedef struct tn_vocab_index {
    const tn_vocab *vocab; /* borrowed */
    int32_t *slot;         /* [n_slots] open addressing: id or -1 */
    size_t n_slots;        /* a power of two */
    uint8_t *type;         /* [n_tokens] TN_TOKEN_* */
} tn_vocab_index;

/**
 * Checks counts and arrays. Of tokens with one text the first is found. A vocabulary without types
 * gets them from its special ids (bos, eos, eot, pad: control; unk: unknown) and, when it is
 * SentencePiece, from the texts <0x00>..<0xFF> (byte).
 */
tn_status tn_vocab_index_init(tn_vocab_index *index, const tn_vocab *vocab,
                              tn_error *err) TN_MUST_USE;
void tn_vocab_index_deinit(tn_vocab_index *index);

/** Id of an exact token text, or -1. */
int32_t tn_vocab_index_find(const tn_vocab_index *index, const char *text, size_t n);
/** The byte that a text "<0x0A>" names, or -1. */
int32_t tn_byte_token_value(tn_text text);

#endif
