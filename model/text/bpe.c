/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/bpe.h"

#include "core/base/alloc.h"
#include "model/text/bpe_merge.h"
#include "model/text/byte_alphabet.h"
#include "model/text/pretokenizer.h"

#include <string.h>

struct tn_bpe {
    const tn_vocab_index *index;
    tn_pretokenizer *pretokenizer;
    bool ignore_merges;
    int32_t byte_id[256]; /* -1: the vocabulary has no token for the byte */
    tn_bpe_merges merges;
};

/* One encode call. */
typedef struct work {
    const tn_bpe *bpe;
    tn_ids *ids;
    tn_bpe_word word;
} work;

void tn_bpe_piece(tn_text token, tn_strbuf *out)
{
    if (!tn_byte_alphabet_get(token.data, token.n, out))
        tn_strbuf_append(out, token.data, token.n);
}

/* "left right" -> the ids of left, right and leftright. A blank at the very beginning belongs to
 * left. */
static tn_status put_merge(tn_bpe *bpe, int32_t rank, tn_strbuf *scratch, tn_error *err)
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
    tn_bpe_merges_put(&bpe->merges, left, right, (uint32_t)rank, merged);
    return TN_OK;
}

static tn_status build_merges(tn_bpe *bpe, tn_error *err)
{
    const tn_vocab *v = bpe->index->vocab;
    tn_strbuf scratch = TN_STRBUF(1u << 20);
    tn_status st = TN_OK;

    TN_TRY(tn_bpe_merges_init(&bpe->merges, (size_t)v->n_merges, err));
    for (int32_t rank = 0; !st && rank < v->n_merges; rank++)
        st = put_merge(bpe, rank, &scratch, err);
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
    for (size_t byte = 0; byte < 256; byte++) {
        char text[2];
        size_t n = tn_byte_alphabet_letter((unsigned char)byte, text);
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
    tn_bpe_merges_deinit(&bpe->merges);
    tn_free(bpe);
}

/* The token that a whole piece is, or -1. */
static int32_t whole_piece(const tn_bpe *bpe, const char *piece, size_t n)
{
    char text[512];
    size_t len = 0;
    if (2 * n > sizeof(text))
        return -1;
    for (size_t i = 0; i < n; i++)
        len += tn_byte_alphabet_letter((unsigned char)piece[i], text + len);
    return tn_vocab_index_find(bpe->index, text, len);
}

static tn_status encode_piece(void *ctx, const char *piece, size_t n, tn_error *err)
{
    work *w = ctx;
    int32_t whole = w->bpe->ignore_merges ? whole_piece(w->bpe, piece, n) : -1;
    if (whole >= 0)
        return tn_ids_append(w->ids, whole, err);
    for (size_t i = 0; i < n; i++) {
        int32_t id = w->bpe->byte_id[(uint8_t)piece[i]];
        if (id >= 0)
            TN_TRY(tn_bpe_word_add(&w->word, id, err));
    }
    return tn_bpe_word_finish(&w->word, &w->bpe->merges, w->ids, err);
}

tn_status tn_bpe_encode(const tn_bpe *bpe, const char *text, size_t n, tn_ids *ids, tn_error *err)
{
    work w = { .bpe = bpe, .ids = ids };
    tn_status st = tn_pretokenizer_split(bpe->pretokenizer, text, n, encode_piece, &w, err);
    tn_bpe_word_deinit(&w.word);
    return st;
}
