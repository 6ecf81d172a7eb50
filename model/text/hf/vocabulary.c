/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/vocabulary.h"

#include "core/base/alloc.h"
#include "model/formats/printable.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_TEXT_BYTES (512u << 20)
enum { MAX_TOKENS = 1 << 23, MAX_MERGES = 1 << 23, MAX_TOKEN_BYTES = 1 << 14 };
/* Ids may have holes, but a small file cannot ask for a big table. */
enum { MAX_HOLES = 1 << 16 };

#define MODEL "tokenizer.json: model"

/* ---- switches ---- */

static void refuse_text(tn_json_reader *r, const char *key)
{
    const char *text = NULL;
    tn_json_string(r, key, &text);
    if (text && *text)
        tn_json_fail(r, TN_UNSUPPORTED, "%s does not run; supported: BPE without it", key);
}

static void check_type(tn_json_reader *r)
{
    const char *type = NULL;
    tn_json_string(r, "type", &type);
    if (!type && !r->status && !tn_json_get(r, "merges"))
        tn_json_fail(r, TN_INVALID, "neither a type nor merges");
    if (type && strcmp(type, "BPE") != 0)
        tn_hf_fail_type(r, type, "BPE (a Unigram vocabulary runs from its tokenizer.model)");
}

static void read_switches(tn_hf_vocabulary *v, tn_json_reader *r)
{
    check_type(r);
    const json_t *dropout = tn_json_get(r, "dropout");
    if (dropout && json_number_value(dropout) != 0)
        tn_json_fail(r, TN_UNSUPPORTED,
                     "dropout makes ids random and does not run; supported: null or 0");
    refuse_text(r, "continuing_subword_prefix");
    refuse_text(r, "end_of_word_suffix");
    tn_json_bool(r, "fuse_unk", &v->fuse_unk);
    tn_json_bool(r, "byte_fallback", &v->byte_fallback);
    tn_json_bool(r, "ignore_merges", &v->ignore_merges);
}

/* ---- tokens ---- */

static TN_PRINTF(4, 5) tn_status
    fail_token(const char *text, size_t n, tn_error *err, const char *format, ...)
{
    char what[128];
    tn_strbuf shown = TN_STRBUF(1 << 20);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    tn_put_printable(&shown, text, n < 40 ? n : 40);
    tn_status st = tn_fail(err, TN_INVALID, MODEL ": token '%s' %s", tn_strbuf_text(&shown), what);
    tn_strbuf_deinit(&shown);
    return st;
}

static tn_status count_tokens(const json_t *tokens, const tn_hf_added_token *added, size_t n_added,
                              const tn_vocab *source, int32_t *out, tn_error *err)
{
    const size_t n = json_object_size(tokens) + n_added;
    const char *key;
    const json_t *value;
    int64_t end = 0;
    if (n < 1 || n > MAX_TOKENS)
        return tn_fail(err, TN_INVALID, MODEL ": vocabulary has %zu tokens, 1 to %d are allowed", n,
                       MAX_TOKENS);
    json_object_foreach((json_t *)(uintptr_t)tokens, key, value)
    {
        const int64_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= (int64_t)n + MAX_HOLES)
            return fail_token(key, strlen(key), err,
                              "needs an id, an integer from 0 to %zu (the number of tokens, and "
                              "some more)",
                              n + MAX_HOLES - 1);
        end = id >= end ? id + 1 : end;
    }
    for (size_t i = 0; i < n_added; i++) {
        if (added[i].id >= (int64_t)n + MAX_HOLES)
            return fail_token(added[i].text.data, added[i].text.n, err,
                              "is added with the id %d, far beyond the vocabulary; 0 to %zu are "
                              "allowed",
                              (int)added[i].id, n + MAX_HOLES - 1);
        end = added[i].id >= end ? added[i].id + 1 : end;
    }
    if (source->n_tokens < 0 || source->n_tokens > MAX_TOKENS)
        return tn_fail(err, TN_INVALID, "model has %d rows of logits, 0 to %d are allowed",
                       source->n_tokens, MAX_TOKENS);
    *out = end > source->n_tokens ? (int32_t)end : source->n_tokens;
    return TN_OK;
}

/* Copies a text; the pointers are set when all are in. */
static tn_status put_token(tn_hf_vocabulary *v, int32_t id, const char *text, size_t n,
                           int32_t type, size_t *offset, tn_error *err)
{
    if (n > MAX_TOKEN_BYTES)
        return fail_token(text, n, err, "has %zu bytes; at most %d are allowed", n,
                          MAX_TOKEN_BYTES);
    if (v->type[id] != TN_TOKEN_UNUSED)
        return fail_token(text, n, err, "has the id of another token, %d", (int)id);
    offset[id] = v->bytes.len;
    tn_strbuf_append(&v->bytes, text, n);
    v->token[id].n = n;
    v->type[id] = type;
    return TN_OK;
}

static tn_status put_vocab(tn_hf_vocabulary *v, const json_t *tokens, size_t *offset, tn_error *err)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)tokens, key, value)
    {
        const size_t n = strlen(key);
        int32_t type = v->byte_fallback && tn_byte_token_value((tn_text){ key, n }) >= 0
                           ? TN_TOKEN_BYTE
                           : TN_TOKEN_NORMAL;
        const int32_t id = (int32_t)json_integer_value(value);
        TN_TRY(put_token(v, id, key, n, type, offset, err));
        v->in_model[id] = 1;
    }
    return TN_OK;
}

/* Hugging Face numbers them itself: by the vocabulary where it has the text, else on from its end.
 * In a sound file that is the id it states. */
static tn_status put_added(tn_hf_vocabulary *v, const json_t *tokens,
                           const tn_hf_added_token *added, size_t n_added, size_t *offset,
                           tn_error *err)
{
    for (size_t i = 0; i < n_added; i++) {
        const tn_hf_added_token *token = &added[i];
        const int32_t type = token->special ? TN_TOKEN_CONTROL : TN_TOKEN_USER_DEFINED;
        const json_t *known = json_object_getn(tokens, token->text.data, token->text.n);
        if (known && json_integer_value(known) != token->id)
            return fail_token(token->text.data, token->text.n, err,
                              "is added with the id %d, but the vocabulary gives it %d",
                              (int)token->id, (int)json_integer_value(known));
        if (known)
            v->type[token->id] = type;
        else
            TN_TRY(put_token(v, token->id, token->text.data, token->text.n, type, offset, err));
    }
    return TN_OK;
}

static tn_status put_tokens(tn_hf_vocabulary *v, const json_t *tokens,
                            const tn_hf_added_token *added, size_t n_added, tn_error *err)
{
    const size_t n = (size_t)v->vocab.n_tokens;
    size_t *offset = tn_alloc_array(n, sizeof(*offset));
    v->token = tn_alloc_array(n, sizeof(*v->token));
    v->type = tn_alloc_array(n, sizeof(*v->type));
    v->in_model = tn_alloc_array(n, sizeof(*v->in_model));
    if (!offset || !v->token || !v->type || !v->in_model) {
        tn_free(offset);
        return tn_fail_memory(err, "the vocabulary");
    }
    for (size_t i = 0; i < n; i++)
        v->type[i] = TN_TOKEN_UNUSED;
    tn_status st = put_vocab(v, tokens, offset, err);
    if (!st)
        st = put_added(v, tokens, added, n_added, offset, err);
    if (!st && v->bytes.failed)
        st = tn_fail_memory(err, "the vocabulary");
    for (size_t i = 0; i < n; i++)
        v->token[i].data = tn_strbuf_text(&v->bytes) + offset[i];
    tn_free(offset);
    return st;
}

/* ---- special ids ---- */

static int32_t find_text(const tn_hf_vocabulary *v, const char *text)
{
    const size_t n = text ? strlen(text) : 0;
    for (int32_t id = 0; n > 0 && id < v->vocab.n_tokens; id++) {
        if (v->token[id].n == n && memcmp(v->token[id].data, text, n) == 0)
            return id;
    }
    return -1;
}

static void set_special(tn_hf_vocabulary *v, int32_t stated, const char *text, int32_t *out)
{
    *out = stated >= 0 && stated < v->vocab.n_tokens ? stated : find_text(v, text);
}

static tn_status set_specials(tn_hf_vocabulary *v, tn_json_reader *r, const tn_vocab *source,
                              tn_error *err)
{
    const char *unk = NULL;
    tn_json_string(r, "unk_token", &unk);
    v->unk = find_text(v, unk);
    if (!r->status && unk && (v->unk < 0 || !v->in_model[v->unk]))
        tn_json_fail(r, TN_INVALID, "unk_token is no token of the vocabulary");
    if (r->status && err)
        *err = r->error;
    if (r->status)
        return r->status;
    if (v->unk >= 0 && v->type[v->unk] == TN_TOKEN_NORMAL)
        v->type[v->unk] = TN_TOKEN_UNKNOWN;
    set_special(v, source->bos, source->bos_text, &v->vocab.bos);
    set_special(v, source->eos, source->eos_text, &v->vocab.eos);
    set_special(v, source->eot, NULL, &v->vocab.eot);
    set_special(v, source->unk, source->unk_text, &v->vocab.unk);
    set_special(v, source->pad, source->pad_text, &v->vocab.pad);
    if (v->vocab.unk < 0)
        v->vocab.unk = v->unk;
    return TN_OK;
}

static void find_bytes(tn_hf_vocabulary *v)
{
    memset(v->byte_id, 0xFF, sizeof(v->byte_id));
    for (int32_t id = 0; v->byte_fallback && id < v->vocab.n_tokens; id++) {
        int32_t byte = tn_byte_token_value(v->token[id]);
        if (byte >= 0 && v->in_model[id])
            v->byte_id[byte] = id;
    }
}

static tn_status read_model(tn_hf_vocabulary *v, tn_json_reader *r, const tn_hf_added_token *added,
                            size_t n_added, const tn_vocab *source, tn_error *err)
{
    const json_t *tokens = tn_json_get(r, "vocab");
    TN_TRY(count_tokens(tokens, added, n_added, source, &v->vocab.n_tokens, err));
    TN_TRY(put_tokens(v, tokens, added, n_added, err));
    v->vocab.n_merges = 0;
    v->vocab.merge = NULL;
    v->vocab.score = NULL;
    v->vocab.token = v->token;
    v->vocab.type = v->type;
    find_bytes(v);
    return set_specials(v, r, source, err);
}

tn_status tn_hf_vocabulary_init(tn_hf_vocabulary *v, const json_t *root,
                                const tn_hf_added_token *added, size_t n_added,
                                const tn_vocab *source, tn_error *err)
{
    *v = (tn_hf_vocabulary){ .vocab = *source, .bytes = TN_STRBUF(MAX_TEXT_BYTES) };
    tn_json_reader all = { .object = root, .file = "tokenizer.json" };
    tn_json_need(&all, "model");
    tn_json_reader r = tn_json_object(&all, "model", MODEL);
    if (!all.status)
        read_switches(v, &r);
    tn_json_need(&r, "vocab");
    if (!r.status && !json_is_object(tn_json_get(&r, "vocab")))
        tn_json_fail(&r, TN_INVALID, "vocab is no object of token texts and ids");
    tn_json_merge(&all, &r);
    if (all.status && err)
        *err = all.error;
    return all.status ? all.status : read_model(v, &r, added, n_added, source, err);
}

void tn_hf_vocabulary_deinit(tn_hf_vocabulary *v)
{
    tn_bpe_merges_deinit(&v->merges);
    tn_strbuf_deinit(&v->bytes);
    tn_free(v->in_model);
    tn_free(v->type);
    tn_free(v->token);
    *v = (tn_hf_vocabulary){ 0 };
}

int32_t tn_hf_find_token(const tn_hf_vocabulary *v, const tn_vocab_index *index, const char *text,
                         size_t n)
{
    int32_t id = tn_vocab_index_find(index, text, n);
    return id >= 0 && v->in_model[id] ? id : -1;
}

/* ---- merges ---- */

bool tn_hf_merge_texts(const json_t *value, tn_text *left, tn_text *right)
{
    if (json_is_array(value) && json_array_size(value) == 2) {
        const json_t *a = json_array_get(value, 0), *b = json_array_get(value, 1);
        *left = (tn_text){ json_string_value(a), json_string_length(a) };
        *right = (tn_text){ json_string_value(b), json_string_length(b) };
        return left->data && right->data;
    }
    const char *text = json_string_value(value), *blank = text ? strchr(text, ' ') : NULL;
    if (!blank || strchr(blank + 1, ' '))
        return false;
    *left = (tn_text){ text, (size_t)(blank - text) };
    *right = (tn_text){ blank + 1, strlen(blank + 1) };
    return true;
}

static tn_status put_merge(tn_hf_vocabulary *v, const json_t *value, size_t rank,
                           const tn_vocab_index *index, tn_error *err)
{
    char both[2 * MAX_TOKEN_BYTES];
    tn_text left, right;
    if (!tn_hf_merge_texts(value, &left, &right))
        return tn_fail(err, TN_INVALID,
                       MODEL ": merges[%zu] must be two texts, \"a b\" or [\"a\", \"b\"]", rank);
    if (left.n > MAX_TOKEN_BYTES || right.n > MAX_TOKEN_BYTES)
        return tn_fail(err, TN_INVALID, MODEL ": merges[%zu]: a text has at most %d bytes", rank,
                       MAX_TOKEN_BYTES);
    memcpy(both, left.data, left.n);
    memcpy(both + left.n, right.data, right.n);
    int32_t a = tn_hf_find_token(v, index, left.data, left.n);
    int32_t b = tn_hf_find_token(v, index, right.data, right.n);
    int32_t merged = tn_hf_find_token(v, index, both, left.n + right.n);
    if (a < 0 || b < 0 || merged < 0 || left.n == 0 || right.n == 0)
        return tn_fail(err, TN_INVALID, MODEL ": merges[%zu]: %s is no token of the vocabulary",
                       rank,
                       a < 0 || left.n == 0    ? "the left part"
                       : b < 0 || right.n == 0 ? "the right part"
                                               : "the result");
    tn_bpe_merges_put(&v->merges, a, b, (uint32_t)rank, merged);
    return TN_OK;
}

tn_status tn_hf_vocabulary_read_merges(tn_hf_vocabulary *v, const json_t *root,
                                       const tn_vocab_index *index, tn_error *err)
{
    const json_t *list = json_object_get(json_object_get(root, "model"), "merges");
    if (!json_is_array(list))
        return tn_fail(err, TN_INVALID, MODEL ": merges must be a list of two texts each");
    size_t n = json_array_size(list);
    if (n > MAX_MERGES)
        return tn_fail(err, TN_INVALID, MODEL ": %zu merges, at most %d are allowed", n,
                       MAX_MERGES);
    TN_TRY(tn_bpe_merges_init(&v->merges, n, err));
    v->vocab.n_merges = (int32_t)n;
    /* Of equal merges the last counts, as in Hugging Face's table, so it is put first. */
    for (size_t rank = n; rank-- > 0;)
        TN_TRY(put_merge(v, json_array_get(list, rank), rank, index, err));
    return TN_OK;
}
