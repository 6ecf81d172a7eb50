/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vocabulary of a tokenizer.json or tokenizer.model as one of kind BPE or SPM, which states
 * tokens, merges and scores itself: what a GGUF file can hold. Thread: pure.
 */
#ifndef TN_MODEL_TEXT_PLAIN_VOCAB_H
#define TN_MODEL_TEXT_PLAIN_VOCAB_H

#include "core/base/arena.h"
#include "core/base/status.h"
#include "model/formats/vocab.h"

/* What the source has and the plain vocabulary lacks; all else gives the same ids. */
enum {
    TN_PLAIN_LOST_NFC = 1,   /* text is put into Unicode's form C first */
    TN_PLAIN_LOST_STOPS = 2, /* more ids end a generation than eos, eot and those known by text */
    TN_PLAIN_LOST_ADDED = 4, /* tokens that are added to a tokenizer.model and not special: a blank
                                may stand before them, and none after */
    TN_PLAIN_OF_MODEL = 8,   /* taken from the tokenizer.model beside a tokenizer.json that is of
                                another kind */
};

/**
 * from: kind HF_JSON or SPM_MODEL. *out is in `arena`, but for chat_template; rows of the model
 * without a token are "[PAD7]", unused. TN_UNSUPPORTED, with the reason, for what such a vocabulary
 * cannot say: *out would give other ids.
 */
tn_status tn_plain_vocab(const tn_vocab *from, tn_arena *arena, tn_vocab *out, uint32_t *out_losses,
                         tn_error *err) TN_MUST_USE;

#endif
