/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/words.h"

#include "model/text/byte_alphabet.h"
#include "model/text/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* A word on its way to symbols. */
typedef struct symbols {
    const tn_hf_vocabulary *v;
    tn_bpe_word *word;
    bool unknown; /* an unknown token is due: it comes when the next known character does */
} symbols;

static tn_status flush_unknown(symbols *s, tn_error *err)
{
    bool due = s->unknown;
    s->unknown = false;
    return due ? tn_bpe_word_add(s->word, s->v->unk, err) : TN_OK;
}

static bool all_bytes_known(const tn_hf_vocabulary *v, const char *text, size_t n)
{
    size_t i = 0;
    while (v->byte_fallback && i < n && v->byte_id[(uint8_t)text[i]] >= 0)
        i++;
    return i == n;
}

/* A character without a token. The order of an unknown token and the bytes after it is that of
 * BPE::merge_word (Hugging Face tokenizers, src/models/bpe/model.rs). */
static tn_status add_unknown(symbols *s, const char *text, size_t n, tn_error *err)
{
    if (all_bytes_known(s->v, text, n)) {
        for (size_t i = 0; i < n; i++)
            TN_TRY(tn_bpe_word_add(s->word, s->v->byte_id[(uint8_t)text[i]], err));
        return TN_OK;
    }
    if (s->v->unk < 0)
        return TN_OK; /* left out */
    if (!s->v->fuse_unk)
        TN_TRY(flush_unknown(s, err));
    s->unknown = true;
    return TN_OK;
}

tn_status tn_hf_word_encode(const tn_hf_vocabulary *v, const tn_vocab_index *index,
                            const char *text, size_t n, tn_bpe_word *word, tn_ids *ids,
                            tn_error *err)
{
    symbols s = { .v = v, .word = word };
    int32_t whole = v->ignore_merges ? tn_hf_find_token(v, index, text, n) : -1;
    if (whole >= 0)
        return tn_ids_append(ids, whole, err);
    for (size_t at = 0; at < n;) {
        tn_utf8_unit unit = tn_utf8_next(text + at, n - at);
        int32_t id = tn_hf_find_token(v, index, text + at, unit.n);
        if (id >= 0)
            TN_TRY(flush_unknown(&s, err));
        if (id >= 0)
            TN_TRY(tn_bpe_word_add(word, id, err));
        else
            TN_TRY(add_unknown(&s, text + at, unit.n, err));
        at += unit.n;
    }
    TN_TRY(flush_unknown(&s, err));
    return tn_bpe_word_finish(word, &v->merges, ids, err);
}

/* Every byte that the vocabulary has a letter for; a byte without one is left out. */
static tn_status encode_letters(const tn_hf_vocabulary *v, const tn_vocab_index *index,
                                const char *bytes, size_t n, tn_bpe_word *word, tn_ids *ids,
                                tn_error *err)
{
    for (size_t i = 0; i < n; i++) {
        char letter[2];
        size_t n_letter = tn_byte_alphabet_letter((unsigned char)bytes[i], letter);
        int32_t id = tn_hf_find_token(v, index, letter, n_letter);
        id = id >= 0 ? id : v->unk;
        if (id >= 0)
            TN_TRY(tn_bpe_word_add(word, id, err));
    }
    return tn_bpe_word_finish(word, &v->merges, ids, err);
}

tn_status tn_hf_bytes_encode(const tn_hf_vocabulary *v, const tn_vocab_index *index,
                             bool spells_bytes, const char *bytes, size_t n, tn_bpe_word *word,
                             tn_ids *ids, tn_error *err)
{
    if (spells_bytes)
        return encode_letters(v, index, bytes, n, word, ids, err);
    for (size_t at = 0; at < n;) {
        size_t n_part = tn_utf8_next(bytes + at, n - at).n;
        if (all_bytes_known(v, bytes + at, n_part)) {
            for (size_t i = 0; i < n_part; i++)
                TN_TRY(tn_ids_append(ids, v->byte_id[(uint8_t)bytes[at + i]], err));
        } else {
            TN_TRY(tn_hf_word_encode(v, index, REPLACEMENT, 3, word, ids, err));
        }
        at += n_part;
    }
    return TN_OK;
}
