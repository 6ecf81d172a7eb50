/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SentencePiece merges the two neighbours whose joint text is the token of the highest score
 * (google/sentencepiece, src/bpe_model.cc), a tokenizer.json those whose merge has the lowest rank.
 * The two are the same when each pair that makes a token is a merge, and the merges of one token
 * follow each other: so files that were made of a tokenizer.model are
 * (transformers/convert_slow_tokenizer.py, SentencePieceExtractor). There tokens of equal scores,
 * in practice Llama 2's runs of blanks, have their merges mixed, those with longer parts first;
 * of equal scores SentencePiece takes the leftmost, so both make runs grow from the left.
 */
#include "core/base/alloc.h"
#include "model/text/hf/plain.h"
#include "model/text/hf/vocabulary.h"
#include "model/text/utf8.h"
#include "model/text/vocab_index.h"

#include <string.h>

typedef struct merge {
    int32_t id; /* that it makes; -1: one that is found before anything merges */
    uint32_t n_left, n_right;
} merge;

typedef struct scorer {
    const tn_vocab *vocab;
    tn_vocab_index index;
    merge *merge;
    size_t n_merges;
    int32_t *count; /* [n_tokens] merges that make the token */
    size_t *last;   /* [n_tokens] the last of them */
    float *score;
} scorer;

static bool is_char(const char *text, size_t n)
{
    return tn_utf8_next(text, n).n == n;
}

/* What SentencePiece may have as a neighbour: a token that merges, or any character. */
static bool is_symbol(const scorer *s, const char *text, size_t n)
{
    const int32_t id = tn_vocab_index_find(&s->index, text, n);
    return is_char(text, n) || (id >= 0 && s->index.type[id] == TN_TOKEN_NORMAL);
}

static int32_t count_splits(const scorer *s, tn_text token)
{
    int32_t n = 0;
    for (size_t at = tn_utf8_next(token.data, token.n).n; at < token.n;
         at += tn_utf8_next(token.data + at, token.n - at).n)
        n += is_symbol(s, token.data, at) && is_symbol(s, token.data + at, token.n - at);
    return n;
}

static tn_status fail_merges(tn_error *err)
{
    return tn_fail(err, TN_UNSUPPORTED,
                   "tokenizer.json: model: the merges are not those of a SentencePiece model (two "
                   "tokens make a third and are no merge, or the order differs), and a GGUF file "
                   "has no merges for this kind; put the tokenizer.model beside it");
}

static tn_status read_merges(scorer *s, const json_t *list, tn_error *err)
{
    tn_strbuf both = TN_STRBUF(1 << 20);
    tn_status st = TN_OK;
    for (size_t rank = 0; rank < s->n_merges && !st; rank++) {
        tn_text left = { 0 }, right = { 0 };
        tn_strbuf_clear(&both);
        (void)tn_hf_merge_texts(json_array_get(list, rank), &left, &right);
        tn_strbuf_append(&both, left.data, left.n);
        tn_strbuf_append(&both, right.data, right.n);
        const int32_t id = tn_vocab_index_find(&s->index, tn_strbuf_text(&both), both.len);
        if (both.failed || id < 0) {
            st = both.failed ? tn_fail_memory(err, "a merge") : fail_merges(err);
        } else {
            const bool merges = s->index.type[id] == TN_TOKEN_NORMAL;
            s->merge[rank] = (merge){ merges ? id : -1, (uint32_t)left.n, (uint32_t)right.n };
            s->count[id] += merges;
            s->last[id] = rank;
        }
    }
    tn_strbuf_deinit(&both);
    return st;
}

/* One character, again and again. */
static bool is_run(tn_text text)
{
    const size_t n = tn_utf8_next(text.data, text.n).n;
    return text.n % n == 0 && memcmp(text.data, text.data + n, text.n - n) == 0;
}

static bool is_descending(const merge *a, const merge *b)
{
    return a->n_left > b->n_left || (a->n_left == b->n_left && a->n_right >= b->n_right);
}

/* The merges of one token, or of tokens whose merges are mixed, from `rank` on: one score. */
static tn_status score_group(scorer *s, size_t *rank, tn_error *err)
{
    const size_t first = *rank;
    size_t end = first + 1;
    bool is_one = true, is_runs = true;
    for (size_t i = first; i < end; i++) {
        const merge *m = &s->merge[i], *before = i > first ? &s->merge[i - 1] : m;
        if (m->id < 0)
            continue;
        is_one = is_one && m->id == s->merge[first].id;
        is_runs = is_runs && is_run(s->vocab->token[m->id]) && is_descending(before, m);
        end = s->last[m->id] >= end ? s->last[m->id] + 1 : end;
        s->score[m->id] = -(float)first;
    }
    *rank = end;
    return is_one || is_runs ? TN_OK : fail_merges(err);
}

static tn_status check_splits(const scorer *s, tn_error *err)
{
    for (int32_t id = 0; id < s->vocab->n_tokens; id++)
        if (s->index.type[id] == TN_TOKEN_NORMAL &&
            count_splits(s, s->vocab->token[id]) != s->count[id])
            return fail_merges(err);
    return TN_OK;
}

static tn_status score(scorer *s, const json_t *list, tn_error *err)
{
    TN_TRY(tn_vocab_index_init(&s->index, s->vocab, err));
    TN_TRY(read_merges(s, list, err));
    for (size_t rank = 0; rank < s->n_merges;)
        TN_TRY(score_group(s, &rank, err));
    return check_splits(s, err);
}

tn_status tn_hf_plain_scores(const json_t *root, tn_arena *arena, tn_vocab *out, tn_error *err)
{
    const json_t *list = json_object_get(json_object_get(root, "model"), "merges");
    const size_t n = (size_t)out->n_tokens;
    scorer s = { .vocab = out, .n_merges = json_array_size(list) };
    s.score = tn_arena_alloc(arena, n * sizeof *s.score);
    s.count = tn_alloc_array(n, sizeof *s.count);
    s.last = tn_alloc_array(n, sizeof *s.last);
    s.merge = tn_alloc_array(s.n_merges, sizeof *s.merge);
    const tn_status st = s.score && s.count && s.last && s.merge
                             ? score(&s, list, err)
                             : tn_fail_memory(err, "the scores");
    out->score = s.score;
    tn_vocab_index_deinit(&s.index);
    tn_free(s.merge);
    tn_free(s.last);
    tn_free(s.count);
    return st;
}
