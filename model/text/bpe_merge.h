/* SPDX-License-Identifier: Apache-2.0 */
/* The merges of a BPE vocabulary and the loop that applies them to one word. Internal to
 * model/text. */
#ifndef TN_MODEL_TEXT_BPE_MERGE_H
#define TN_MODEL_TEXT_BPE_MERGE_H

#include "model/text/tokenizer.h"

/* Pairs of ids to merge. Thread: immutable once filled. */
typedef struct tn_bpe_merges {
    struct tn_bpe_merge *slot; /* [n_slots] open addressing */
    size_t n_slots;            /* a power of two */
} tn_bpe_merges;

/** Room for n merges. */
tn_status tn_bpe_merges_init(tn_bpe_merges *merges, size_t n, tn_error *err) TN_MUST_USE;
/** Rank: the least merges first. Of equal pairs the first that was put counts. At most n. */
void tn_bpe_merges_put(tn_bpe_merges *merges, int32_t left, int32_t right, uint32_t rank,
                       int32_t merged);
void tn_bpe_merges_deinit(tn_bpe_merges *merges);

/* The tokens of a word, and the memory of merging them, which stays for the next word. {0} is an
 * empty word. Thread: one. */
typedef struct tn_bpe_word {
    struct tn_bpe_symbol *symbol;
    size_t n, max_symbols;
    uint64_t *heap; /* rank << 32 | index of the left symbol: least rank first, then leftmost */
    size_t n_heap, max_heap;
} tn_bpe_word;

tn_status tn_bpe_word_add(tn_bpe_word *word, int32_t id, tn_error *err) TN_MUST_USE;
/** Merge, append what is left to *ids, and empty the word. O(n log n). */
tn_status tn_bpe_word_finish(tn_bpe_word *word, const tn_bpe_merges *merges, tn_ids *ids,
                             tn_error *err) TN_MUST_USE;
void tn_bpe_word_deinit(tn_bpe_word *word);

#endif
