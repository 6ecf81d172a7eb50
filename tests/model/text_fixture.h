/* SPDX-License-Identifier: Apache-2.0 */
/* Small vocabularies for the tests of model/text, made by hand. */
#ifndef TN_TESTS_MODEL_TEXT_FIXTURE_H
#define TN_TESTS_MODEL_TEXT_FIXTURE_H

#include "model/formats/vocab.h"
#include "model/text/tokenizer.h"

enum { FIXTURE_MAX_TOKENS = 1024, FIXTURE_MAX_TEXT = 64 << 10 };

typedef struct text_fixture {
    tn_vocab vocab; /* its arrays are those below */
    tn_text token[FIXTURE_MAX_TOKENS], merge[FIXTURE_MAX_TOKENS];
    float score[FIXTURE_MAX_TOKENS];
    int32_t type[FIXTURE_MAX_TOKENS];
    char text[FIXTURE_MAX_TEXT]; /* the bytes of tokens and merges */
    size_t n_text;
} text_fixture;

/** Byte-level BPE: ids 0..255 are the bytes 0..255. */
void fixture_bpe(text_fixture *f, const char *pre);
/** SentencePiece: <unk> 0, <s> 1, </s> 2, byte tokens 3..258; a dummy prefix. */
void fixture_spm(text_fixture *f);
/** The next id. */
int32_t fixture_add(text_fixture *f, const char *text, int32_t type, float score);
/** The next merge, "left right"; adds its result when that is no token yet. Returns the result's
 * id. */
int32_t fixture_merge(text_fixture *f, const char *left, const char *right);
int32_t fixture_find(const text_fixture *f, const char *text, size_t n);

/** xorshift64* (Vigna 2016); *state must not be 0. */
uint32_t fixture_random(uint64_t *state);

#endif
