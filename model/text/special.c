/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/special.h"

#include "core/base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SPECIAL_BYTES 1024

typedef struct entry {
    tn_text text;
    int32_t id;
} entry;

/* By bytes, a prefix before what it begins: all texts with one prefix stand together, the prefix
 * itself first. */
static int compare_entries(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;
    int order = memcmp(a->text.data, b->text.data, n);
    if (order == 0 && a->text.n != b->text.n)
        order = a->text.n < b->text.n ? -1 : 1;
    if (order == 0)
        order = a->id < b->id ? -1 : a->id > b->id;
    return order;
}

static bool wanted(const tn_vocab_index *index, int32_t id, unsigned types)
{
    return (types >> index->type[id] & 1u) && index->vocab->token[id].n > 0;
}

static size_t count_wanted(const tn_vocab_index *index, unsigned types)
{
    size_t n = 0;
    for (int32_t id = 0; id < index->vocab->n_tokens; id++)
        n += wanted(index, id, types);
    return n;
}

static tn_status collect(entry *entries, const tn_vocab_index *index, unsigned types, tn_error *err)
{
    size_t n = 0;
    for (int32_t id = 0; id < index->vocab->n_tokens; id++) {
        if (!wanted(index, id, types))
            continue;
        tn_text text = index->vocab->token[id];
        if (text.n > MAX_SPECIAL_BYTES)
            return tn_fail(err, TN_INVALID,
                           "text of special token %d has %zu bytes, at most %d are allowed", id,
                           text.n, MAX_SPECIAL_BYTES);
        entries[n++] = (entry){ text, id };
    }
    qsort(entries, n, sizeof(*entries), compare_entries);
    return TN_OK;
}

/* Keeps the first id of each text, and the borders of the first bytes. */
static void fill(tn_special *set, const entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && entries[i].text.n == entries[i - 1].text.n &&
            memcmp(entries[i].text.data, entries[i - 1].text.data, entries[i].text.n) == 0)
            continue;
        set->id[set->n++] = entries[i].id;
        set->first[(uint8_t)entries[i].text.data[0] + 1] = set->n;
    }
    for (size_t b = 1; b < 257; b++) {
        if (set->first[b] < set->first[b - 1])
            set->first[b] = set->first[b - 1];
    }
}

tn_status tn_special_init(tn_special *set, const tn_vocab_index *index, unsigned types,
                          tn_error *err)
{
    *set = (tn_special){ .vocab = index->vocab };
    size_t n = count_wanted(index, types);
    entry *entries = tn_alloc_array(n, sizeof(*entries));
    set->id = tn_alloc_array(n, sizeof(*set->id));
    if (!entries || !set->id) {
        tn_free(entries);
        tn_special_deinit(set);
        return tn_fail_memory(err, "the special tokens");
    }
    tn_status st = collect(entries, index, types, err);
    if (st)
        tn_special_deinit(set);
    else
        fill(set, entries, n);
    tn_free(entries);
    return st;
}

void tn_special_deinit(tn_special *set)
{
    tn_free(set->id);
    *set = (tn_special){ 0 };
}

/* First index in [low, high) whose text's byte at `depth` is not below `byte`; all those texts are
 * longer than depth. */
static size_t lower_bound(const tn_special *set, size_t low, size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((uint8_t)set->vocab->token[set->id[middle]].data[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest text that stands at the beginning of text[0, n): the range of candidates shrinks byte
 * by byte. */
static tn_special_match longest_at(const tn_special *set, const char *text, size_t n)
{
    tn_special_match best = { .id = -1 };
    size_t low = set->first[(uint8_t)text[0]], high = set->first[(uint8_t)text[0] + 1];
    for (size_t depth = 1; low < high; depth++) {
        if (set->vocab->token[set->id[low]].n == depth)
            best = (tn_special_match){ .n = depth, .id = set->id[low++] };
        if (depth == n)
            break;
        int byte = (uint8_t)text[depth];
        low = lower_bound(set, low, high, depth, byte);
        high = lower_bound(set, low, high, depth, byte + 1);
    }
    return best;
}

tn_special_match tn_special_find(const tn_special *set, const char *text, size_t n, size_t from)
{
    for (size_t at = from; set->n > 0 && at < n; at++) {
        if (set->first[(uint8_t)text[at]] == set->first[(uint8_t)text[at] + 1])
            continue;
        tn_special_match match = longest_at(set, text + at, n - at);
        match.at = at;
        if (match.n > 0)
            return match;
    }
    return (tn_special_match){ .at = n, .id = -1 };
}
