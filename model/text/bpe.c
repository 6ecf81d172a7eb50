/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/bpe.h"

#include "core/base/alloc.h"
#include "model/text/pretokenizer.h"
#include "model/text/utf8.h"

#include <string.h>

/*
 * The byte alphabet of GPT-2 (encoder.py, bytes_to_unicode): the printable bytes of Latin-1 stand
 * for themselves, the other 68 for U+0100 and on, in order.
 */
#define N_ALPHABET (256 + 68)
#define NO_RANK    UINT32_MAX
#define NO_SYMBOL  (-1)

typedef struct merge {
    uint64_t key;  /* left id << 32 | right id */
    uint32_t rank; /* NO_RANK: a free slot */
    int32_t id;    /* the merged token */
} merge;

struct tn_bpe {
    const tn_vocab_index *index;
    tn_pretokenizer *pretokenizer;
    bool ignore_merges;
    uint16_t code_point[256];    /* of a byte in the alphabet */
    int16_t byte_of[N_ALPHABET]; /* the inverse; -1: not in the alphabet */
    int32_t byte_id[256];        /* -1: the vocabulary has no token for the byte */
    merge *merges;               /* [n_slots] open addressing */
    size_t n_slots;              /* a power of two */
};

/* A token of the piece at hand, in a doubly linked list. */
typedef struct symbol {
    int32_t id, previous, next;
    uint32_t
        rank; /* of the merge with the next symbol; NO_RANK: none, or this symbol was merged away */
} symbol;

/* Memory of one encode call, grown to its longest piece. */
typedef struct work {
    const tn_bpe *bpe;
    tn_ids *ids;
    symbol *symbols;
    size_t max_symbols;
    uint64_t *heap; /* rank << 32 | index of the left symbol: least rank first, then leftmost */
    size_t n_heap, max_heap;
} work;

static bool is_printable_byte(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
           (byte >= 0xAE && byte <= 0xFF);
}

static void fill_alphabet(tn_bpe *bpe)
{
    uint16_t next = 0x100;
    memset(bpe->byte_of, 0xFF, sizeof(bpe->byte_of));
    for (uint32_t byte = 0; byte < 256; byte++) {
        bpe->code_point[byte] = is_printable_byte(byte) ? (uint16_t)byte : next++;
        bpe->byte_of[bpe->code_point[byte]] = (int16_t)byte;
    }
}

/* The alphabet has no character above U+07FF: two bytes of UTF-8 at most. */
static size_t put_code_point(uint16_t code_point, char out[2])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    out[0] = (char)(0xC0 | code_point >> 6);
    out[1] = (char)(0x80 | (code_point & 0x3F));
    return 2;
}

/* The byte of the character at text[0, n), n >= 1, and its length; -1 when it is none of the
 * alphabet's. */
static int32_t next_byte(const tn_bpe *bpe, const char *text, size_t n, size_t *out_n)
{
    tn_utf8_unit unit = tn_utf8_next(text, n);
    *out_n = unit.n;
    return unit.kind == TN_UTF8_CHAR && unit.code_point < N_ALPHABET ? bpe->byte_of[unit.code_point]
                                                                     : -1;
}

static bool is_in_alphabet(const tn_bpe *bpe, tn_text token)
{
    size_t at, n;
    for (at = 0; at < token.n; at += n) {
        if (next_byte(bpe, token.data + at, token.n - at, &n) < 0)
            return false;
    }
    return true;
}

void tn_bpe_piece(const tn_bpe *bpe, tn_text token, tn_strbuf *out)
{
    if (!is_in_alphabet(bpe, token)) {
        tn_strbuf_append(out, token.data, token.n);
        return;
    }
    for (size_t at = 0, n; at < token.n; at += n) {
        char byte = (char)next_byte(bpe, token.data + at, token.n - at, &n);
        tn_strbuf_append(out, &byte, 1);
    }
}

/* Slot of a pair. The mix is SplitMix64's (Steele, Lea, Flood 2014): two neighbouring ids must not
 * land side by side. */
static size_t merge_slot(const tn_bpe *bpe, uint64_t key)
{
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9u;
    size_t mask = bpe->n_slots - 1, at = (size_t)(h ^ h >> 31) & mask;
    while (bpe->merges[at].rank != NO_RANK && bpe->merges[at].key != key)
        at = (at + 1) & mask;
    return at;
}

static uint64_t pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* "left right" -> the ids of left, right and leftright. A blank at the very beginning belongs to
 * left. */
static tn_status parse_merge(const tn_bpe *bpe, int32_t rank, tn_strbuf *scratch, merge *out,
                             tn_error *err)
{
    tn_text text = bpe->index->vocab->merge[rank];
    const char *blank = text.n > 2 ? memchr(text.data + 1, ' ', text.n - 2) : NULL;
    if (!blank)
        return tn_fail(err, TN_INVALID, "merge %d is not two texts with a blank between", rank);
    size_t n_left = (size_t)(blank - text.data), n_right = text.n - n_left - 1;
    tn_strbuf_clear(scratch);
    tn_strbuf_append(scratch, text.data, n_left);
    tn_strbuf_append(scratch, blank + 1, n_right);
    if (scratch->failed)
        return tn_fail_memory(err, "a merge");
    int32_t left = tn_vocab_index_find(bpe->index, text.data, n_left);
    int32_t right = tn_vocab_index_find(bpe->index, blank + 1, n_right);
    int32_t merged = tn_vocab_index_find(bpe->index, scratch->data, scratch->len);
    if (left < 0 || right < 0 || merged < 0)
        return tn_fail(err, TN_INVALID, "merge %d ('%.*s'): %s is not a token of the vocabulary",
                       rank, (int)(text.n < 80 ? text.n : 80), text.data,
                       left < 0    ? "the left part"
                       : right < 0 ? "the right part"
                                   : "the result");
    *out = (merge){ pair_key(left, right), (uint32_t)rank, merged };
    return TN_OK;
}

static tn_status build_merges(tn_bpe *bpe, tn_error *err)
{
    const tn_vocab *v = bpe->index->vocab;
    tn_strbuf scratch = TN_STRBUF(1u << 20);
    tn_status st = TN_OK;

    for (bpe->n_slots = 2; bpe->n_slots < 2 * (size_t)v->n_merges;)
        bpe->n_slots *= 2;
    bpe->merges = tn_alloc_array(bpe->n_slots, sizeof(*bpe->merges));
    if (!bpe->merges)
        return tn_fail_memory(err, "the merge table");
    for (size_t i = 0; i < bpe->n_slots; i++)
        bpe->merges[i].rank = NO_RANK;
    for (int32_t rank = 0; rank < v->n_merges; rank++) {
        merge m = { 0 };
        st = parse_merge(bpe, rank, &scratch, &m, err);
        if (st)
            break;
        size_t at = merge_slot(bpe, m.key);
        if (bpe->merges[at].rank == NO_RANK) /* of equal merges the first, the lowest, counts */
            bpe->merges[at] = m;
    }
    tn_strbuf_deinit(&scratch);
    return st;
}

tn_status tn_bpe_create(const tn_vocab_index *index, tn_bpe **out, tn_error *err)
{
    tn_pretokenizer_spec spec;

    *out = NULL;
    TN_TRY(tn_pretokenizer_lookup(index->vocab->pre, &spec, err));
    tn_bpe *bpe = tn_alloc_array(1, sizeof(*bpe));
    if (!bpe)
        return tn_fail_memory(err, "the tokenizer");
    bpe->index = index;
    bpe->ignore_merges = spec.ignore_merges;
    fill_alphabet(bpe);
    for (size_t byte = 0; byte < 256; byte++) {
        char text[2];
        size_t n = put_code_point(bpe->code_point[byte], text);
        bpe->byte_id[byte] = tn_vocab_index_find(index, text, n);
    }
    tn_status st = tn_pretokenizer_create(spec.pattern, 0, &bpe->pretokenizer, err);
    if (!st)
        st = build_merges(bpe, err);
    if (st)
        tn_bpe_destroy(bpe);
    else
        *out = bpe;
    return st;
}

void tn_bpe_destroy(tn_bpe *bpe)
{
    if (!bpe)
        return;
    tn_pretokenizer_destroy(bpe->pretokenizer);
    tn_free(bpe->merges);
    tn_free(bpe);
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

static tn_status reserve(work *w, size_t n, tn_error *err)
{
    if (n > w->max_symbols) {
        symbol *symbols = tn_realloc_array(w->symbols, n, sizeof(*symbols));
        if (!symbols)
            return tn_fail_memory(err, "the symbols of a piece");
        w->symbols = symbols;
        w->max_symbols = n;
    }
    /* n - 1 pairs at the start; a merge takes its own entry out and puts at most two in, and there
     * are at most n - 1 merges. */
    if (2 * n > w->max_heap) {
        uint64_t *heap = tn_realloc_array(w->heap, 2 * n, sizeof(*heap));
        if (!heap)
            return tn_fail_memory(err, "the merge queue of a piece");
        w->heap = heap;
        w->max_heap = 2 * n;
    }
    return TN_OK;
}

/* Look up the merge of symbol `at` with the next one; true when there is one. */
static bool rank_pair(work *w, int32_t at)
{
    symbol *s = &w->symbols[at];
    s->rank = NO_RANK;
    if (s->next != NO_SYMBOL)
        s->rank = w->bpe->merges[merge_slot(w->bpe, pair_key(s->id, w->symbols[s->next].id))].rank;
    return s->rank != NO_RANK;
}

static void push_pair(work *w, int32_t at)
{
    if (at == NO_SYMBOL || !rank_pair(w, at))
        return;
    w->heap[w->n_heap] = (uint64_t)w->symbols[at].rank << 32 | (uint32_t)at;
    heap_up(w->heap, w->n_heap++);
}

/* The symbol takes the next one's bytes; the next one leaves the list. */
static void merge_with_next(work *w, int32_t at)
{
    symbol *left = &w->symbols[at], *right = &w->symbols[left->next];
    left->id = w->bpe->merges[merge_slot(w->bpe, pair_key(left->id, right->id))].id;
    left->next = right->next;
    right->rank = NO_RANK;
    if (left->next != NO_SYMBOL)
        w->symbols[left->next].previous = at;
    push_pair(w, left->previous);
    push_pair(w, at);
}

/* Least rank first, then leftmost, one merge at a time: as Hugging Face's Word::merge_all does it.
 * O(n log n). */
static void merge_symbols(work *w, size_t n)
{
    w->n_heap = 0;
    for (size_t i = 0; i < n; i++) {
        if (rank_pair(w, (int32_t)i))
            w->heap[w->n_heap++] = (uint64_t)w->symbols[i].rank << 32 | i;
    }
    for (size_t i = w->n_heap / 2; i-- > 0;)
        heap_down(w->heap, w->n_heap, i);
    while (w->n_heap > 0) {
        uint64_t top = w->heap[0];
        w->heap[0] = w->heap[--w->n_heap];
        heap_down(w->heap, w->n_heap, 0);
        int32_t at = (int32_t)(uint32_t)top;
        /* An entry is stale when its pair has changed since; a pair of the same rank is the same
         * pair. */
        if (w->symbols[at].rank == top >> 32)
            merge_with_next(w, at);
    }
}

/* The token that a whole piece is, or -1. */
static int32_t whole_piece(const tn_bpe *bpe, const char *piece, size_t n)
{
    char text[512];
    size_t len = 0;
    if (2 * n > sizeof(text))
        return -1;
    for (size_t i = 0; i < n; i++)
        len += put_code_point(bpe->code_point[(uint8_t)piece[i]], text + len);
    return tn_vocab_index_find(bpe->index, text, len);
}

static tn_status encode_piece(void *ctx, const char *piece, size_t n, tn_error *err)
{
    work *w = ctx;
    int32_t whole = w->bpe->ignore_merges ? whole_piece(w->bpe, piece, n) : -1;
    if (whole >= 0)
        return tn_ids_append(w->ids, whole, err);
    TN_TRY(reserve(w, n, err));
    int32_t n_symbols = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t id = w->bpe->byte_id[(uint8_t)piece[i]];
        if (id < 0)
            continue;
        w->symbols[n_symbols] = (symbol){ id, n_symbols - 1, n_symbols + 1, NO_RANK };
        n_symbols++;
    }
    if (n_symbols == 0)
        return TN_OK;
    w->symbols[n_symbols - 1].next = NO_SYMBOL;
    merge_symbols(w, (size_t)n_symbols);
    tn_status st = TN_OK;
    for (int32_t at = 0; !st && at != NO_SYMBOL; at = w->symbols[at].next)
        st = tn_ids_append(w->ids, w->symbols[at].id, err);
    return st;
}

tn_status tn_bpe_encode(const tn_bpe *bpe, const char *text, size_t n, tn_ids *ids, tn_error *err)
{
    work w = { .bpe = bpe, .ids = ids };
    tn_status st = tn_pretokenizer_split(bpe->pretokenizer, text, n, encode_piece, &w, err);
    tn_free(w.symbols);
    tn_free(w.heap);
    return st;
}
