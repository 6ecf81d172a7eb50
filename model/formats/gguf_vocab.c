/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.ggml.* keys; defaults as in llama.cpp's llama-vocab.cpp. */
#include "model/formats/gguf.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_TOKENS = 1 << 24, MAX_MERGES = 1 << 26 };

/* Byte-level BPE models that begin with BOS unless the file says otherwise (llama-vocab.cpp: what
 * is loaded as LLAMA3, TEKKEN and CHAMELEON). */
static const char *const pre_with_bos[] = { "llama3",       "llama-v3", "llama-bpe", "falcon3",
                                            "falcon-h1",    "pixtral",  "midm-2.0",  "lfm2",
                                            "jina-v5-nano", "tekken",   "chameleon", NULL };

/* An id that is no token of the vocabulary is none: real files state 2^32 - 1. */
static tn_status read_id(const tn_gguf *g, const char *key, int32_t n_tokens, int32_t *out,
                         tn_error *err)
{
    int64_t id = *out;
    TN_TRY(tn_gguf_int(g, key, INT64_MIN, INT64_MAX, &id, err));
    *out = id >= 0 && id < n_tokens ? (int32_t)id : -1;
    return TN_OK;
}

static tn_status read_ids(const tn_gguf *g, tn_vocab *v, tn_error *err)
{
    bool is_spm = v->kind == TN_VOCAB_SPM;
    v->bos = is_spm ? 1 : -1;
    v->eos = is_spm ? 2 : -1;
    v->unk = is_spm ? 0 : -1;
    v->eot = -1;
    v->pad = -1;
    TN_TRY(read_id(g, "tokenizer.ggml.bos_token_id", v->n_tokens, &v->bos, err));
    TN_TRY(read_id(g, "tokenizer.ggml.eos_token_id", v->n_tokens, &v->eos, err));
    TN_TRY(read_id(g, "tokenizer.ggml.eot_token_id", v->n_tokens, &v->eot, err));
    TN_TRY(read_id(g, "tokenizer.ggml.unknown_token_id", v->n_tokens, &v->unk, err));
    return read_id(g, "tokenizer.ggml.padding_token_id", v->n_tokens, &v->pad, err);
}

static tn_status read_switches(const tn_gguf *g, tn_vocab *v, tn_error *err)
{
    v->add_bos = v->add_space_prefix = v->kind == TN_VOCAB_SPM;
    for (int i = 0; pre_with_bos[i] && v->kind == TN_VOCAB_BPE; i++)
        if (strcmp(v->pre, pre_with_bos[i]) == 0)
            v->add_bos = 1;
    TN_TRY(tn_gguf_bool(g, "tokenizer.ggml.add_bos_token", &v->add_bos, err));
    TN_TRY(tn_gguf_bool(g, "tokenizer.ggml.add_eos_token", &v->add_eos, err));
    return tn_gguf_bool(g, "tokenizer.ggml.add_space_prefix", &v->add_space_prefix, err);
}

/* An optional array beside the tokens has as many elements as there are tokens. */
static tn_status check_length(const char *key, const tn_gguf_array *array, int32_t n_tokens,
                              tn_error *err)
{
    if (array->data && array->n != (size_t)n_tokens)
        return tn_fail(err, TN_INVALID, "%s has %zu elements; tokenizer.ggml.tokens has %d", key,
                       array->n, n_tokens);
    return TN_OK;
}

static tn_status read_scores(const tn_gguf *g, tn_arena *arena, tn_vocab *v, tn_error *err)
{
    static const char key[] = "tokenizer.ggml.scores";
    tn_gguf_array scores;
    TN_TRY(tn_gguf_numbers(g, key, TN_GGUF_F32, arena, &scores, err));
    if (!scores.data && v->kind == TN_VOCAB_SPM)
        return tn_fail(err, TN_INVALID, "the vocabulary \"llama\" needs %s, which is not there",
                       key);
    v->score = scores.data;
    return check_length(key, &scores, v->n_tokens, err);
}

static tn_status read_types(const tn_gguf *g, tn_arena *arena, tn_vocab *v, tn_error *err)
{
    static const char key[] = "tokenizer.ggml.token_type";
    tn_gguf_array types;
    TN_TRY(tn_gguf_numbers(g, key, TN_GGUF_I32, arena, &types, err));
    TN_TRY(check_length(key, &types, v->n_tokens, err));
    int32_t *type = types.data;
    for (size_t i = 0; i < types.n; i++)
        if (type[i] < TN_TOKEN_NORMAL || type[i] > TN_TOKEN_BYTE)
            type[i] = TN_TOKEN_NORMAL; /* 0 is "undefined" in some files */
    v->type = type;
    return TN_OK;
}

static tn_status read_tokens(const tn_gguf *g, tn_arena *arena, tn_vocab *v, tn_error *err)
{
    size_t n = 0;
    TN_TRY(tn_gguf_strings(g, "tokenizer.ggml.tokens", arena, &v->token, &n, err));
    if (n < 1 || n > MAX_TOKENS)
        return tn_fail(err, TN_INVALID, "tokenizer.ggml.tokens has %zu tokens; 1 to %d are allowed",
                       n, MAX_TOKENS);
    v->n_tokens = (int32_t)n;
    TN_TRY(tn_gguf_strings(g, "tokenizer.ggml.merges", arena, &v->merge, &n, err));
    if (n > MAX_MERGES)
        return tn_fail(err, TN_INVALID,
                       "tokenizer.ggml.merges has %zu merges; at most %d are allowed", n,
                       MAX_MERGES);
    v->n_merges = (int32_t)n;
    TN_TRY(read_scores(g, arena, v, err));
    return read_types(g, arena, v, err);
}

tn_status tn_gguf_vocab(const tn_gguf *g, tn_arena *arena, tn_vocab *out, tn_error *err)
{
    const char *model = NULL;
    *out = (tn_vocab){ .bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1 };
    TN_TRY(tn_gguf_string(g, "tokenizer.ggml.model", arena, &model, err));
    TN_TRY(tn_gguf_string(g, "tokenizer.chat_template", arena, &out->chat_template, err));
    if (!model || strcmp(model, "none") == 0) /* what llama.cpp calls it */
        return TN_OK;
    out->pre = model;
    if (strcmp(model, "gpt2") != 0 && strcmp(model, "llama") != 0)
        return TN_OK;
    out->kind = strcmp(model, "gpt2") == 0 ? TN_VOCAB_BPE : TN_VOCAB_SPM;
    out->pre = "default";
    TN_TRY(tn_gguf_string(g, "tokenizer.ggml.pre", arena, &out->pre, err));
    TN_TRY(read_tokens(g, arena, out, err));
    TN_TRY(read_ids(g, out, err));
    return read_switches(g, out, err);
}
