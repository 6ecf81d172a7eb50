/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/bpe_merge.h"

#include "core/base/alloc.h"

#define NO_RANK   UINT32_MAX
#define NO_SYMBOL (-1)

typedef struct tn_bpe_merge {
    uint64_t key;  /* left id << 32 | right id */
    uint32_t rank; /* NO_RANK: a free slot */
    int32_t id;    /* the merged token */
} merge;

/* A token of the word at hand, in a doubly linked list. */
typedef struct tn_bpe_symbol {
    int32_t id, previous, next;
    uint32_t
        rank; /* of the merge with the next symbol; NO_RANK: none, or this symbol was merged away */
} symbol;

/* ---- the table ---- */

/* Slot of a pair. The mix is SplitMix64's (Steele, Lea, Flood 2014): two neighbouring ids must not
 * land side by side. */
static merge *find(const tn_bpe_merges *merges, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9u;
    size_t mask = merges->n_slots - 1, at = (size_t)(h ^ h >> 31) & mask;
    while (merges->slot[at].rank != NO_RANK && merges->slot[at].key != key)
        at = (at + 1) & mask;
    return &merges->slot[at];
}

tn_status tn_bpe_merges_init(tn_bpe_merges *merges, size_t n, tn_error *err)
{
    *merges = (tn_bpe_merges){ .n_slots = 2 };
    while (merges->n_slots / 2 < n)
        merges->n_slots *= 2;
    merges->slot = tn_alloc_array(merges->n_slots, sizeof(*merges->slot));
    if (!merges->slot)
        return tn_fail_memory(err, "the merge table");
    for (size_t i = 0; i < merges->n_slots; i++)
        merges->slot[i].rank = NO_RANK;
    return TN_OK;
}

void tn_bpe_merges_put(tn_bpe_merges *merges, int32_t left, int32_t right, uint32_t rank,
                       int32_t merged)
{
    merge *m = find(merges, left, right);
    if (m->rank == NO_RANK)
        *m = (merge){ (uint64_t)(uint32_t)left << 32 | (uint32_t)right, rank, merged };
}

void tn_bpe_merges_deinit(tn_bpe_merges *merges)
{
    tn_free(merges->slot);
    *merges = (tn_bpe_merges){ 0 };
}

/* ---- one word ---- */

tn_status tn_bpe_word_add(tn_bpe_word *word, int32_t id, tn_error *err)
{
    if (word->n == word->max_symbols) {
        size_t n = word->max_symbols < 32 ? 32 : 2 * word->max_symbols;
        symbol *grown = tn_realloc_array(word->symbol, n, sizeof(*grown));
        if (!grown)
            return tn_fail_memory(err, "the symbols of a word");
        word->symbol = grown;
        word->max_symbols = n;
    }
    int32_t at = (int32_t)word->n++;
    word->symbol[at] = (symbol){ id, at - 1, at + 1, NO_RANK };
    return TN_OK;
}

void tn_bpe_word_deinit(tn_bpe_word *word)
{
    tn_free(word->symbol);
    tn_free(word->heap);
    *word = (tn_bpe_word){ 0 };
}

/* The heap's usual two moves; a[0] is the least. */
static void heap_up(uint64_t *a, size_t at)
{
    uint64_t x = a[at];
    for (; at > 0 && x < a[(at - 1) / 2]; at = (at - 1) / 2)
        a[at] = a[(at - 1) / 2];
    a[at] = x;
}

static void heap_down(uint64_t *a, size_t n, size_t at)
{
    uint64_t x = a[at];
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && a[child + 1] < a[child])
            child++;
        if (x <= a[child])
            break;
        a[at] = a[child];
        at = child;
    }
    a[at] = x;
}

/* n - 1 pairs at the start; a merge takes its own entry out and puts at most two in, and there are
 * at most n - 1 merges. */
static tn_status reserve_heap(tn_bpe_word *word, tn_error *err)
{
    if (2 * word->n <= word->max_heap)
        return TN_OK;
    uint64_t *heap = tn_realloc_array(word->heap, 2 * word->n, sizeof(*heap));
    if (!heap)
        return tn_fail_memory(err, "the merge queue of a word");
    word->heap = heap;
    word->max_heap = 2 * word->n;
    return TN_OK;
}

/* Look up the merge of symbol `at` with the next one; true when there is one. */
static bool rank_pair(tn_bpe_word *word, const tn_bpe_merges *merges, int32_t at)
{
    symbol *s = &word->symbol[at];
    s->rank = s->next == NO_SYMBOL ? NO_RANK : find(merges, s->id, word->symbol[s->next].id)->rank;
    return s->rank != NO_RANK;
}

static void push_pair(tn_bpe_word *word, const tn_bpe_merges *merges, int32_t at)
{
    if (at == NO_SYMBOL || !rank_pair(word, merges, at))
        return;
    word->heap[word->n_heap] = (uint64_t)word->symbol[at].rank << 32 | (uint32_t)at;
    heap_up(word->heap, word->n_heap++);
}

/* The symbol takes the next one's bytes; the next one leaves the list. */
static void merge_with_next(tn_bpe_word *word, const tn_bpe_merges *merges, int32_t at)
{
    symbol *left = &word->symbol[at], *right = &word->symbol[left->next];
    left->id = find(merges, left->id, right->id)->id;
    left->next = right->next;
    right->rank = NO_RANK;
    if (left->next != NO_SYMBOL)
        word->symbol[left->next].previous = at;
    push_pair(word, merges, left->previous);
    push_pair(word, merges, at);
}

/* Least rank first, then leftmost, one merge at a time: as Hugging Face's Word::merge_all does
 * it. */
static void merge_symbols(tn_bpe_word *word, const tn_bpe_merges *merges)
{
    word->n_heap = 0;
    for (size_t i = 0; i < word->n; i++) {
        if (rank_pair(word, merges, (int32_t)i))
            word->heap[word->n_heap++] = (uint64_t)word->symbol[i].rank << 32 | i;
    }
    for (size_t i = word->n_heap / 2; i-- > 0;)
        heap_down(word->heap, word->n_heap, i);
    while (word->n_heap > 0) {
        uint64_t top = word->heap[0];
        word->heap[0] = word->heap[--word->n_heap];
        heap_down(word->heap, word->n_heap, 0);
        int32_t at = (int32_t)(uint32_t)top;
        /* An entry is stale when its pair has changed since; a pair of the same rank is the same
         * pair. */
        if (word->symbol[at].rank == top >> 32)
            merge_with_next(word, merges, at);
    }
}

tn_status tn_bpe_word_finish(tn_bpe_word *word, const tn_bpe_merges *merges, tn_ids *ids,
                             tn_error *err)
{
    if (word->n == 0)
        return TN_OK;
    word->symbol[word->n - 1].next = NO_SYMBOL;
    TN_TRY(reserve_heap(word, err));
    merge_symbols(word, merges);
    word->n = 0;
    for (int32_t at = 0; at != NO_SYMBOL; at = word->symbol[at].next)
        TN_TRY(tn_ids_append(ids, word->symbol[at].id, err));
    return TN_OK;
}
