/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/plain_vocab.h"

#include "model/text/hf/plain.h"
#include "model/text/spm_file.h"
#include "model/text/tokenizer.h"

#include <string.h>

/* Score of a row without a token: that of llama.cpp's converter. */
#define UNUSED_SCORE (-10000.0f)

static tn_text copy_text(tn_arena *arena, tn_text text)
{
    char *bytes = tn_arena_copy(arena, text.data, text.n);
    return (tn_text){ bytes, bytes ? text.n : 0 };
}

/* A row without a token needs a text that no other has. */
static tn_text unused_text(tn_arena *arena, int32_t id)
{
    const char *text = tn_arena_printf(arena, "[PAD%d]", (int)id);
    return (tn_text){ text, text ? strlen(text) : 0 };
}

/* The tokens and types of a tokenizer, which dies before the arena. */
static tn_status copy_tokens(const tn_vocab *v, tn_arena *arena, tn_vocab *out, tn_error *err)
{
    const size_t n = (size_t)v->n_tokens;
    tn_text *token = tn_arena_alloc(arena, n * sizeof *token);
    float *score = v->score ? tn_arena_alloc(arena, n * sizeof *score) : NULL;
    int32_t *type = tn_arena_copy(arena, v->type, n * sizeof *type);
    if (!token || !type || (v->score && !score))
        return tn_fail_memory(err, "the vocabulary");
    for (size_t i = 0; i < n; i++) {
        const bool is_unused = type[i] == TN_TOKEN_UNUSED && v->token[i].n == 0;
        token[i] = is_unused ? unused_text(arena, (int32_t)i) : copy_text(arena, v->token[i]);
        if (!token[i].data)
            return tn_fail_memory(err, "the vocabulary");
        if (score)
            score[i] = is_unused ? UNUSED_SCORE : v->score[i];
    }
    out->token = token;
    out->score = score;
    out->type = type;
    return TN_OK;
}

static bool holds(const tn_ids *ids, int32_t id)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->id[i] == id)
            return true;
    return false;
}

/* Stop ids that only the source states: one goes where there is room, eos or eot. */
static tn_status keep_stops(const tn_tokenizer *source, tn_vocab *out, uint32_t *losses,
                            tn_error *err)
{
    tn_tokenizer *t = NULL;
    const tn_ids *stops = tn_tokenizer_stop_ids(source);
    out->eot = -1;
    TN_TRY(tn_tokenizer_create(out, &t, err));
    for (size_t i = 0; i < stops->n; i++) {
        if (holds(tn_tokenizer_stop_ids(t), stops->id[i]))
            continue;
        if (out->eos < 0)
            out->eos = stops->id[i];
        else if (out->eot < 0)
            out->eot = stops->id[i];
        else
            *losses |= TN_PLAIN_LOST_STOPS;
    }
    tn_tokenizer_destroy(t);
    return TN_OK;
}

static tn_status make_plain(const tn_vocab *from, const tn_tokenizer *t, tn_arena *arena,
                            tn_vocab *out, uint32_t *losses, tn_error *err)
{
    *out = *tn_tokenizer_vocab(t);
    TN_TRY(copy_tokens(tn_tokenizer_vocab(t), arena, out, err));
    if (from->kind == TN_VOCAB_HF_JSON)
        TN_TRY(tn_hf_plain(from, arena, out, losses, err));
    else
        TN_TRY(tn_spm_file_check_plain(from, err));
    for (int32_t i = 0; i < from->n_added && from->kind == TN_VOCAB_SPM_MODEL; i++)
        if (!from->added[i].special)
            *losses |= TN_PLAIN_LOST_ADDED;
    out->source = (tn_text){ 0 };
    out->stop = NULL;
    out->added = NULL;
    out->n_stops = out->n_added = 0;
    return keep_stops(t, out, losses, err);
}

static tn_status read(const tn_vocab *from, tn_arena *arena, tn_vocab *out, uint32_t *losses,
                      tn_error *err)
{
    tn_tokenizer *t = NULL;
    *losses = 0;
    TN_TRY(tn_tokenizer_create(from, &t, err));
    const tn_status st = make_plain(from, t, arena, out, losses, err);
    tn_tokenizer_destroy(t);
    return st;
}

tn_status tn_plain_vocab(const tn_vocab *from, tn_arena *arena, tn_vocab *out, uint32_t *out_losses,
                         tn_error *err)
{
    tn_status st = read(from, arena, out, out_losses, err);
    if (st != TN_UNSUPPORTED || from->kind != TN_VOCAB_HF_JSON || from->model.n == 0)
        return st;
    tn_vocab model = *from;
    model.kind = TN_VOCAB_SPM_MODEL;
    model.source = from->model;
    st = read(&model, arena, out, out_losses, err);
    *out_losses |= TN_PLAIN_OF_MODEL;
    return st;
}
