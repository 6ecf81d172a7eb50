/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/hf.h"

#include "core/base/alloc.h"
#include "model/text/hf/pretokenizer.h"
#include "model/text/hf/words.h"
#include "model/text/utf8.h"

/* The largest files in use have 35 MB and 2 million values. */
#define MAX_JSON_BYTES       (64u << 20)
#define MAX_NORMALISED_BYTES (64u << 20)
/* The densest there is in a vocabulary are the merges ["a","b"], : three values in ten bytes. */
enum { BYTES_PER_VALUE = 3, SPARE_VALUES = 1024 };

struct tn_hf {
    tn_hf_vocabulary vocabulary;
    tn_hf_normalizer normalizer;
    tn_hf_pretokenizer pretokenizer;
    tn_hf_post post;
    tn_hf_decoder decoder;
    tn_hf_added_set raw;        /* added tokens that are looked for in the text as it stands */
    tn_hf_added_set normalized; /* and those in the normalised text */
};

/* ---- create ---- */

/* add_bos and add_eos of tokenizer_config.json count more than the template. */
static void apply_settings(tn_hf *hf, const tn_vocab *source)
{
    tn_vocab *v = &hf->vocabulary.vocab;
    tn_hf_post *post = &hf->post;
    if (source->add_bos >= 0) {
        post->before[0] = v->bos;
        post->n_before = source->add_bos && v->bos >= 0;
    }
    if (source->add_eos >= 0) {
        post->after[0] = v->eos;
        post->n_after = source->add_eos && v->eos >= 0;
    }
    v->add_bos = post->n_before > 0;
    v->add_eos = post->n_after > 0;
}

static tn_status read_pipeline(tn_hf *hf, const json_t *root, const tn_hf_added_token *added,
                               size_t n_added, tn_error *err)
{
    TN_TRY(tn_hf_normalizer_init(&hf->normalizer, root, err));
    TN_TRY(tn_hf_pretokenizer_init(&hf->pretokenizer, root, err));
    TN_TRY(tn_hf_post_init(&hf->post, root, hf->vocabulary.vocab.n_tokens, err));
    TN_TRY(tn_hf_decoder_init(&hf->decoder, root, err));
    TN_TRY(tn_hf_added_set_init(&hf->raw, added, n_added, &hf->normalizer, false, err));
    return tn_hf_added_set_init(&hf->normalized, added, n_added, &hf->normalizer, true, err);
}

static tn_status read_all(tn_hf *hf, const json_t *root, const tn_vocab *source,
                          tn_vocab_index *index, tn_error *err)
{
    tn_hf_added_token *added = NULL;
    size_t n_added = 0;
    TN_TRY(tn_hf_read_added(root, &added, &n_added, err));
    tn_status st = tn_hf_vocabulary_init(&hf->vocabulary, root, added, n_added, source, err);
    if (!st)
        st = tn_vocab_index_init(index, &hf->vocabulary.vocab, err);
    if (!st)
        st = tn_hf_vocabulary_read_merges(&hf->vocabulary, root, index, err);
    if (!st)
        st = read_pipeline(hf, root, added, n_added, err);
    if (!st)
        apply_settings(hf, source);
    for (size_t i = 0; i < hf->raw.n; i++)
        hf->raw.token[i].text = (tn_text){ 0 }; /* the root's, which goes now */
    for (size_t i = 0; i < hf->normalized.n; i++)
        hf->normalized.token[i].text = (tn_text){ 0 };
    tn_free(added);
    return st;
}

tn_status tn_hf_parse(const tn_vocab *source, json_t **out, tn_error *err)
{
    *out = NULL;
    if (source->source.n > MAX_JSON_BYTES)
        return tn_fail(err, TN_INVALID, "tokenizer.json has %zu bytes, at most %u are allowed",
                       source->source.n, MAX_JSON_BYTES);
    const size_t n = source->source.n;
    const tn_json_limits limits = { .max_values = SPARE_VALUES + n / BYTES_PER_VALUE,
                                    .max_text_bytes = n };
    const tn_status st = tn_json_parse(source->source.data, n, &limits, false, out, err);
    return st ? tn_error_wrap(err, st, "tokenizer.json") : TN_OK;
}

tn_status tn_hf_create(const tn_vocab *source, tn_vocab_index *index, tn_hf **out, tn_error *err)
{
    json_t *root = NULL;
    *out = NULL;
    TN_TRY(tn_hf_parse(source, &root, err));
    tn_hf *hf = tn_alloc_array(1, sizeof(*hf));
    tn_status st =
        hf ? read_all(hf, root, source, index, err) : tn_fail_memory(err, "the tokenizer");
    json_decref(root);
    if (st)
        tn_hf_destroy(hf);
    else
        *out = hf;
    return st;
}

void tn_hf_destroy(tn_hf *hf)
{
    if (!hf)
        return;
    tn_hf_added_set_deinit(&hf->normalized);
    tn_hf_added_set_deinit(&hf->raw);
    tn_hf_decoder_deinit(&hf->decoder);
    tn_hf_pretokenizer_deinit(&hf->pretokenizer);
    tn_hf_normalizer_deinit(&hf->normalizer);
    tn_hf_vocabulary_deinit(&hf->vocabulary);
    tn_free(hf);
}

const tn_hf_post *tn_hf_around(const tn_hf *hf)
{
    return &hf->post;
}

/* ---- encode ---- */

/* One encode call. */
typedef struct job {
    const tn_hf *hf;
    const tn_vocab_index *index;
    bool special;
    tn_ids *ids;
    tn_hf_pretokenizer_work work;
    tn_bpe_word word;
    const char *text;     /* the whole */
    tn_strbuf normalised; /* the stretch at hand */
    int32_t place;        /* of that stretch */
} job;

static tn_status take_word(void *ctx, const char *word, size_t n, tn_error *err)
{
    job *j = ctx;
    return tn_hf_word_encode(&j->hf->vocabulary, j->index, word, n, &j->word, j->ids, err);
}

static tn_status take_normalised(void *ctx, int32_t id, size_t from, size_t to, tn_error *err)
{
    job *j = ctx;
    if (id >= 0)
        return tn_ids_append(j->ids, id, err);
    return tn_hf_pretokenizer_run(&j->hf->pretokenizer, &j->work, j->normalised.data + from,
                                  to - from, from == 0 ? j->place : TN_PLACE_INNER, take_word, j,
                                  err);
}

static tn_status encode_valid(job *j, const char *text, size_t n, int32_t place, tn_error *err)
{
    bool first = place == TN_PLACE_FIRST;
    tn_strbuf_clear(&j->normalised);
    TN_TRY(tn_hf_normalizer_run(&j->hf->normalizer, j->work.scratch, text, n,
                                place == TN_PLACE_CONTINUES, &first, &j->normalised, err));
    j->place = place == TN_PLACE_FIRST && !first ? TN_PLACE_INNER : place;
    return tn_hf_added_find(&j->hf->normalized, tn_strbuf_text(&j->normalised), j->normalised.len,
                            j->special, take_normalised, j, err);
}

/* Bytes that are no UTF-8 are no text: neither normalised nor cut. */
static tn_status take_raw(void *ctx, int32_t id, size_t from, size_t to, tn_error *err)
{
    job *j = ctx;
    if (id >= 0)
        return tn_ids_append(j->ids, id, err);
    int32_t place = from == 0 ? TN_PLACE_FIRST : TN_PLACE_INNER;
    for (size_t at = from; at < to; place = TN_PLACE_CONTINUES) {
        size_t n = tn_utf8_valid_prefix(j->text + at, to - at);
        if (n > 0)
            TN_TRY(encode_valid(j, j->text + at, n, place, err));
        at += n;
        n = tn_utf8_invalid_prefix(j->text + at, to - at);
        TN_TRY(tn_hf_bytes_encode(&j->hf->vocabulary, j->index, j->hf->pretokenizer.spells_bytes,
                                  j->text + at, n, &j->word, j->ids, err));
        at += n;
    }
    return TN_OK;
}

tn_status tn_hf_encode(const tn_hf *hf, const tn_vocab_index *index, const char *text, size_t n,
                       bool special, tn_ids *ids, tn_error *err)
{
    job j = { .hf = hf,
              .index = index,
              .special = special,
              .ids = ids,
              .text = text,
              .normalised = TN_STRBUF(MAX_NORMALISED_BYTES) };
    j.work.scratch = tn_pattern_scratch_create(n);
    tn_status st = j.work.scratch ? tn_hf_added_find(&hf->raw, text, n, special, take_raw, &j, err)
                                  : tn_fail_memory(err, "a pattern match");
    tn_pattern_scratch_destroy(j.work.scratch);
    tn_hf_pretokenizer_work_deinit(&j.work);
    tn_bpe_word_deinit(&j.word);
    tn_strbuf_deinit(&j.normalised);
    return st == TN_INVALID ? tn_error_wrap(err, st, "tokenizer.json") : st;
}

/* ---- decode ---- */

tn_status tn_hf_decode_step(const tn_hf *hf, const tn_vocab_index *index, int32_t id, bool special,
                            tn_hf_decode_state *state, tn_strbuf *out, tn_error *err)
{
    const int32_t type = index->type[id];
    if (type == TN_TOKEN_CONTROL && !special)
        return TN_OK;
    if (type == TN_TOKEN_UNUSED) /* an id without a text */
        return TN_OK;
    return tn_hf_decoder_step(&hf->decoder, index->vocab->token[id], state, out, err);
}
