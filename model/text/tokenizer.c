/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/tokenizer.h"

#include "core/base/alloc.h"
#include "model/text/bpe.h"
#include "model/text/hf/hf.h"
#include "model/text/special.h"
#include "model/text/spm.h"
#include "model/text/spm_file.h"
#include "model/text/tokenizer_impl.h"
#include "model/text/vocab_index.h"

#include <string.h>

#define MAX_ENCODE_BYTES (16u << 20)

/* "end of sentence" between fullwidth bars, U+FF5C, with U+2581 for the blanks. */
static const char deepseek_end[] =
    "<\xEF\xBD\x9C\x65nd\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>";

struct tn_tokenizer {
    tn_vocab_index index;
    tn_bpe *bpe; /* one of the three, by the vocabulary's kind */
    tn_spm *spm;
    tn_spm_file *spm_file; /* the vocabulary of a tokenizer.model */
    tn_hf *hf;             /* finds special tokens itself */
    tn_special parsed;     /* with TN_ENCODE_SPECIAL */
    tn_special always;     /* without */
    tn_ids stop;
};

void tn_ids_deinit(tn_ids *ids)
{
    tn_free(ids->id);
    *ids = (tn_ids){ 0 };
}

tn_status tn_ids_append(tn_ids *ids, int32_t id, tn_error *err)
{
    if (ids->n == ids->capacity) {
        size_t capacity = ids->capacity < 32 ? 32 : ids->capacity * 2;
        int32_t *grown = tn_realloc_array(ids->id, capacity, sizeof(*grown));
        if (!grown)
            return tn_fail_memory(err, "token ids");
        ids->id = grown;
        ids->capacity = capacity;
    }
    ids->id[ids->n++] = id;
    return TN_OK;
}

static bool is_type(const tn_tokenizer *t, int32_t id, int32_t type)
{
    return id >= 0 && id < t->index.vocab->n_tokens && t->index.type[id] == type;
}

static tn_status add_stop(tn_tokenizer *t, int32_t id, tn_error *err)
{
    for (size_t i = 0; i < t->stop.n; i++) {
        if (t->stop.id[i] == id)
            return TN_OK;
    }
    return id < 0 ? TN_OK : tn_ids_append(&t->stop, id, err);
}

/* The texts by which llama.cpp (src/llama-vocab.cpp, "maintain a list of tokens that cause
 * end-of-generation") knows the end. */
static tn_status find_stops(tn_tokenizer *t, tn_error *err)
{
    const char *const texts[] = { "<|im_end|>",         "<|eot_id|>",      "<|endoftext|>",
                                  "<|end_of_text|>",    "<end_of_turn>",   "<|end|>",
                                  "<|eom_id|>",         "<EOT>",           "_<EOT>",
                                  "<|return|>",         "<|end_of_turn|>", "<|eot|>",
                                  "<end_of_utterance>", deepseek_end };
    TN_TRY(add_stop(t, t->index.vocab->eos, err));
    TN_TRY(add_stop(t, t->index.vocab->eot, err));
    for (int32_t i = 0; i < t->index.vocab->n_stops; i++) {
        if (t->index.vocab->stop[i] < t->index.vocab->n_tokens)
            TN_TRY(add_stop(t, t->index.vocab->stop[i], err));
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int32_t id = tn_tokenizer_find(t, texts[i], strlen(texts[i]));
        if (is_type(t, id, TN_TOKEN_CONTROL))
            TN_TRY(add_stop(t, id, err));
    }
    return TN_OK;
}

static tn_status create_model(tn_tokenizer *t, const tn_vocab *vocab, tn_error *err)
{
    if (vocab->kind == TN_VOCAB_HF_JSON)
        return tn_hf_create(vocab, &t->index, &t->hf, err);
    if (vocab->kind == TN_VOCAB_SPM_MODEL) {
        TN_TRY(tn_spm_file_create(vocab, &t->spm_file, err));
        vocab = tn_spm_file_vocab(t->spm_file);
    }
    if (vocab->kind != TN_VOCAB_BPE && vocab->kind != TN_VOCAB_SPM)
        return tn_fail(err, TN_UNSUPPORTED,
                       "vocabulary kind %d is not known, known are: byte-level BPE, SentencePiece "
                       "BPE, tokenizer.json, tokenizer.model",
                       vocab->kind);
    TN_TRY(tn_vocab_index_init(&t->index, vocab, err));
    return vocab->kind == TN_VOCAB_BPE ? tn_bpe_create(&t->index, &t->bpe, err)
                                       : tn_spm_create(&t->index, &t->spm, err);
}

static tn_status create_specials(tn_tokenizer *t, tn_error *err)
{
    const unsigned control = 1u << TN_TOKEN_CONTROL | 1u << TN_TOKEN_UNKNOWN,
                   user = 1u << TN_TOKEN_USER_DEFINED;
    if (t->hf)
        return TN_OK;
    /* libsentencepiece finds the user-defined pieces of its model by itself. */
    const bool finds_user = t->bpe || t->index.vocab->n_added > 0;
    TN_TRY(tn_special_init(&t->parsed, &t->index, finds_user ? control | user : control, err));
    return tn_special_init(&t->always, &t->index, finds_user ? user : 0, err);
}

tn_status tn_tokenizer_create(const tn_vocab *vocab, tn_tokenizer **out, tn_error *err)
{
    *out = NULL;
    if (vocab->kind == TN_VOCAB_NONE)
        return tn_fail(err, TN_UNSUPPORTED, "model has no vocabulary: it takes token ids only");
    tn_tokenizer *t = tn_alloc_array(1, sizeof(*t));
    if (!t)
        return tn_fail_memory(err, "the tokenizer");
    tn_status st = create_model(t, vocab, err);
    if (!st)
        st = create_specials(t, err);
    if (!st)
        st = find_stops(t, err);
    if (st)
        tn_tokenizer_destroy(t);
    else
        *out = t;
    return st;
}

void tn_tokenizer_destroy(tn_tokenizer *t)
{
    if (!t)
        return;
    tn_ids_deinit(&t->stop);
    tn_special_deinit(&t->always);
    tn_special_deinit(&t->parsed);
    tn_hf_destroy(t->hf);
    tn_spm_destroy(t->spm);
    tn_bpe_destroy(t->bpe);
    tn_vocab_index_deinit(&t->index);
    tn_spm_file_destroy(t->spm_file);
    tn_free(t);
}

static tn_status encode_plain(const tn_tokenizer *t, const char *text, size_t n, tn_ids *ids,
                              tn_error *err)
{
    if (n == 0)
        return TN_OK;
    return t->bpe ? tn_bpe_encode(t->bpe, text, n, ids, err)
                  : tn_spm_encode(t->spm, text, n, ids, err);
}

static tn_status encode_text(const tn_tokenizer *t, const char *text, size_t n, unsigned flags,
                             tn_ids *ids, tn_error *err)
{
    if (t->hf)
        return tn_hf_encode(t->hf, &t->index, text, n, (flags & TN_ENCODE_SPECIAL) != 0, ids, err);
    const tn_special *set = flags & TN_ENCODE_SPECIAL ? &t->parsed : &t->always;
    for (size_t at = 0; at < n;) {
        tn_special_match match = tn_special_find(set, text, n, at);
        TN_TRY(encode_plain(t, text + at, match.at - at, ids, err));
        if (match.n > 0)
            TN_TRY(tn_ids_append(ids, match.id, err));
        at = match.at + match.n;
    }
    return TN_OK;
}

static tn_status append_list(const int32_t *id, int32_t n, tn_ids *ids, tn_error *err)
{
    for (int32_t i = 0; i < n; i++)
        TN_TRY(tn_ids_append(ids, id[i], err));
    return TN_OK;
}

static tn_status append_before(const tn_tokenizer *t, tn_ids *ids, tn_error *err)
{
    const tn_vocab *v = t->index.vocab;
    if (t->hf)
        return append_list(tn_hf_around(t->hf)->before, tn_hf_around(t->hf)->n_before, ids, err);
    return append_list(&v->bos, v->add_bos && v->bos >= 0, ids, err);
}

static tn_status append_after(const tn_tokenizer *t, tn_ids *ids, tn_error *err)
{
    const tn_vocab *v = t->index.vocab;
    if (t->hf)
        return append_list(tn_hf_around(t->hf)->after, tn_hf_around(t->hf)->n_after, ids, err);
    return append_list(&v->eos, v->add_eos && v->eos >= 0, ids, err);
}

tn_status tn_tokenizer_encode(const tn_tokenizer *t, const char *text, size_t n, unsigned flags,
                              tn_ids *ids, tn_error *err)
{
    const size_t n_before = ids->n;
    tn_status st = TN_OK;

    if (n > MAX_ENCODE_BYTES)
        return tn_fail(err, TN_INVALID, "text has %zu bytes, at most %u are allowed", n,
                       MAX_ENCODE_BYTES);
    if (flags & TN_ENCODE_BOS)
        st = append_before(t, ids, err);
    if (!st)
        st = encode_text(t, text, n, flags, ids, err);
    if (!st && (flags & TN_ENCODE_BOS))
        st = append_after(t, ids, err);
    if (st)
        ids->n = n_before;
    return st;
}

static void put_piece(const tn_tokenizer *t, int32_t id, bool special, tn_strbuf *out)
{
    const tn_text *text = &t->index.vocab->token[id];
    int32_t type = t->index.type[id];
    bool hidden = type == TN_TOKEN_CONTROL || (type == TN_TOKEN_UNKNOWN && t->bpe);

    /* A user-defined token was found in the text as it stands, so it is not in the byte alphabet.
     */
    bool literal = (special && (hidden || type == TN_TOKEN_UNKNOWN)) ||
                   (t->bpe && type == TN_TOKEN_USER_DEFINED);
    if (literal)
        tn_strbuf_append(out, text->data, text->n);
    else if (!hidden && t->spm)
        tn_spm_piece(t->spm, id, out);
    else if (!hidden)
        tn_bpe_piece(*text, out);
}

static tn_status check_id(const tn_tokenizer *t, int32_t id, tn_error *err)
{
    if (id < 0 || id >= t->index.vocab->n_tokens)
        return tn_fail(err, TN_INVALID,
                       "token id %d is outside the vocabulary, 0 to %d are allowed", id,
                       t->index.vocab->n_tokens - 1);
    return TN_OK;
}

tn_status tn_tokenizer_piece(const tn_tokenizer *t, int32_t id, bool special, tn_strbuf *out,
                             tn_error *err)
{
    TN_TRY(check_id(t, id, err));
    tn_hf_decode_state inner = { .begun = true, .text_begun = true };
    if (t->hf)
        TN_TRY(tn_hf_decode_step(t->hf, &t->index, id, special, &inner, out, err));
    else
        put_piece(t, id, special, out);
    return out->failed ? tn_fail_memory(err, "the text of tokens") : TN_OK;
}

static tn_status decode_hf_step(const tn_tokenizer *t, int32_t id, bool special,
                                tn_decode_state *state, tn_strbuf *out, tn_error *err)
{
    TN_TRY(check_id(t, id, err));
    TN_TRY(tn_hf_decode_step(t->hf, &t->index, id, special, &state->hf, out, err));
    return out->failed ? tn_fail_memory(err, "the text of tokens") : TN_OK;
}

tn_status tn_tokenizer_decode_step(const tn_tokenizer *t, int32_t id, bool special,
                                   tn_decode_state *state, tn_strbuf *out, tn_error *err)
{
    size_t at = out->len;
    if (t->hf)
        return decode_hf_step(t, id, special, state, out, err);
    TN_TRY(tn_tokenizer_piece(t, id, special, out, err));
    if (out->len == at)
        return TN_OK;
    /* As SentencePieceProcessor::Decode: the blank that begins the first visible piece is the dummy
     * prefix; a byte is text. */
    bool drop = t->spm && !state->begun && t->index.vocab->add_space_prefix &&
                out->data[at] == ' ' &&
                (is_type(t, id, TN_TOKEN_NORMAL) || is_type(t, id, TN_TOKEN_USER_DEFINED) ||
                 is_type(t, id, TN_TOKEN_UNUSED));
    state->begun = true;
    if (drop) {
        memmove(out->data + at, out->data + at + 1, out->len - at); /* with the NUL */
        out->len--;
    }
    return TN_OK;
}

tn_status tn_tokenizer_decode(const tn_tokenizer *t, const int32_t *ids, size_t n, bool special,
                              tn_strbuf *out, tn_error *err)
{
    tn_decode_state state = { 0 };
    for (size_t i = 0; i < n; i++)
        TN_TRY(tn_tokenizer_decode_step(t, ids[i], special, &state, out, err));
    return TN_OK;
}

int32_t tn_tokenizer_n_tokens(const tn_tokenizer *t)
{
    return t->index.vocab->n_tokens;
}

const tn_vocab *tn_tokenizer_vocab(const tn_tokenizer *t)
{
    return t->index.vocab;
}

int32_t tn_tokenizer_bos(const tn_tokenizer *t)
{
    return t->index.vocab->bos;
}

const tn_ids *tn_tokenizer_stop_ids(const tn_tokenizer *t)
{
    return &t->stop;
}

bool tn_tokenizer_is_control(const tn_tokenizer *t, int32_t id)
{
    return is_type(t, id, TN_TOKEN_CONTROL);
}

int32_t tn_tokenizer_find(const tn_tokenizer *t, const char *text, size_t n)
{
    return tn_vocab_index_find(&t->index, text, n);
}
