/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of special tokens, found in a text from left to right, the longest at each position.
 * Thread: immutable after init. */
#ifndef TN_MODEL_TEXT_SPECIAL_H
#define TN_MODEL_TEXT_SPECIAL_H

#include "model/text/vocab_index.h"

typedef struct tn_special {
    int32_t *id; /* [n] sorted by token text */
    size_t n;
    size_t first[257]; /* ids of texts beginning with byte b: [first[b], first[b + 1]) */
    const tn_vocab *vocab;
} tn_special;

typedef struct tn_special_match {
    size_t at, n; /* bytes [at, at + n) of the text; at = length of the text and n = 0 when nothing
                     was found */
    int32_t id;
} tn_special_match;

/** types: bit 1 << TN_TOKEN_* for each type to find. Empty texts never match; a text over 1024
 * bytes is TN_INVALID. */
tn_status tn_special_init(tn_special *set, const tn_vocab_index *index, unsigned types,
                          tn_error *err) TN_MUST_USE;
void tn_special_deinit(tn_special *set);
/** The first match at or after `from`. Time is linear in the text, times the longest text's length
 * at worst. */
tn_special_match tn_special_find(const tn_special *set, const char *text, size_t n, size_t from);

#endif
