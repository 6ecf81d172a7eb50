/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/inspection.h"

#include "apps/cli/output.h"
#include "core/bind/bind.h"
#include "model/formats/weight_format.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_TOKENS = 64 };

static const char *const kv_formats[TN_INSPECT_KV_FORMATS] = { "f32", "f16", "i8", "i8-static" };

const char *tn_inspection_kv_format(int32_t index)
{
    return kv_formats[index];
}

uint64_t tn_inspection_kv_bytes(const tn_inspection *in, int32_t index)
{
    const tn_model_desc *d = &in->desc;
    return tn_kv_block_bytes(kv_formats[index], d->kv_heads, d->head_dim, BLOCK_TOKENS) /
           BLOCK_TOKENS * (uint64_t)d->n_layers;
}

const char *tn_inspection_type(const tn_inspection *in, const char *wfmt)
{
    /* Codes in groups have names of GGUF's only there: AWQ is u4z as well, and no Q4_0. */
    if (strchr(wfmt, '.') && strncmp(tn_model_file_format(in->file), "GGUF", 4) != 0)
        return wfmt;
    const tn_weight_format *f = tn_weight_format_of_wfmt(wfmt);
    return f ? f->name : wfmt;
}

/* In the order in which they are shown. */
static const char *const classes[] = { "embedding", "attention", "feed-forward",
                                       "norm",      "head",      "other" };
enum { EMBEDDING, ATTENTION, FEED_FORWARD, NORM, HEAD, OTHER };

/* By what stands in its name, in GGUF's and Hugging Face's terms; the first row that fits counts.
 */
static int32_t class_of(const char *name)
{
    static const struct {
        const char *part;
        int32_t cls;
    } rows[] = {
        { "norm", NORM },          { "token_embd", EMBEDDING }, { "embed_tokens", EMBEDDING },
        { "attn", ATTENTION },     { "ffn", FEED_FORWARD },     { "mlp", FEED_FORWARD },
        { "output.weight", HEAD }, { "lm_head", HEAD },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strstr(name, rows[i].part))
            return rows[i].cls;
    return OTHER;
}

const char *tn_inspection_class(const tn_tensor_use *use)
{
    return classes[use->cls];
}

static void count_tensor(tn_inspection *in, const tn_weight_info *info)
{
    const int32_t cls = class_of(info->name);
    int32_t k = 0;
    while (k < in->n_uses && (in->use[k].cls != cls || strcmp(in->use[k].wfmt, info->wfmt) != 0))
        k++;
    in->parameters += (uint64_t)(info->rows * info->cols);
    in->is_tied = in->is_tied && cls != HEAD;
    if (k == TN_INSPECT_MAX_USES)
        return;
    if (k == in->n_uses)
        in->use[in->n_uses++] = (tn_tensor_use){ .cls = cls, .wfmt = info->wfmt };
    in->use[k].tensors++;
    in->use[k].weights += (uint64_t)(info->rows * info->cols);
    in->use[k].bytes += info->file_bytes;
}

/* The most weights first within a class. */
static int by_class(const void *a, const void *b)
{
    const tn_tensor_use *x = a, *y = b;
    if (x->cls != y->cls)
        return x->cls - y->cls;
    return (x->weights < y->weights) - (x->weights > y->weights);
}

static tn_status count_tensors(tn_inspection *in, tn_error *err)
{
    in->is_tied = true;
    for (int32_t i = 0; i < tn_model_file_n_tensors(in->file); i++) {
        tn_weight_info info;
        TN_TRY(tn_model_file_tensor(in->file, i, &info, err));
        count_tensor(in, &info);
    }
    qsort(in->use, (size_t)in->n_uses, sizeof in->use[0], by_class);
    return TN_OK;
}

/* longrope with one set for short and long sequences is how a directory can state what rope_freqs
 * is in GGUF (docs/convert.md). */
const char *tn_inspection_factors(const tn_rope_desc *rope)
{
    const size_t n = (size_t)rope->rotary_dim / 2;
    if (!rope->freq_factors)
        return "none";
    for (size_t i = 0; rope->long_factors && i < n; i++)
        if (rope->long_factors[i] < rope->freq_factors[i] ||
            rope->long_factors[i] > rope->freq_factors[i])
            return "by length";
    return "for every length";
}

static void count_textless(tn_inspection *in)
{
    const tn_vocab *v = in->vocab;
    for (int32_t id = 0; v->token && id < v->n_tokens; id++)
        in->n_textless += v->token[id].n == 0;
}

static void list_specials(tn_inspection *in)
{
    const tn_vocab *v = in->vocab;
    const tn_special_id all[TN_INSPECT_SPECIALS] = { { "bos", v->bos, v->bos_text },
                                                     { "eos", v->eos, v->eos_text },
                                                     { "eot", v->eot, NULL },
                                                     { "unk", v->unk, v->unk_text },
                                                     { "pad", v->pad, v->pad_text } };
    memcpy(in->special, all, sizeof all);
}

/* A setup binds, but packs and allocates nothing. */
static tn_status open_profile(tn_inspection *in, const tn_cli_options *o, tn_error *err)
{
    const char *sets[TN_CLI_MAX_SETS];
    char thread_set[32];
    tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    if (o->word.n)
        args.model = o->word.item[0];
    TN_TRY(tn_setup_open(&in->setup, &args, err));
    TN_TRY(tn_setup_memory_need(&in->setup, &in->need, err));
    in->has_need = true;
    return TN_OK;
}

static tn_status open_all(tn_inspection *in, const tn_cli_options *o, tn_error *err)
{
    const char *path = o->word.n ? o->word.item[0] : o->model;
    if (o->word.n && o->model)
        return tn_fail(err, TN_INVALID, "two models, %s and %s: give PATH or --model", path,
                       o->model);
    if (!path && !o->profile)
        return tn_fail(err, TN_INVALID,
                       "usage: tenon inspect PATH; or give --model PATH or --profile FILE");
    if (o->profile || o->set.n)
        TN_TRY(open_profile(in, o, err));
    TN_TRY(tn_model_file_open(path ? path : in->setup.profile->model, &in->file, err));
    in->vocab = tn_model_file_vocab(in->file);
    in->vocab_kind = in->vocab->kind;
    in->has_desc = tn_model_file_desc(in->file, &in->desc, &in->desc_error) == TN_OK;
    if (tn_tokenizer_create(in->vocab, &in->tokenizer, &in->tokenizer_error) == TN_NO_MEMORY)
        return tn_fail(err, TN_NO_MEMORY, "%s", in->tokenizer_error.text);
    if (in->tokenizer)
        in->vocab = tn_tokenizer_vocab(in->tokenizer);
    count_textless(in);
    list_specials(in);
    return count_tensors(in, err);
}

tn_status tn_inspection_open(tn_inspection *in, const tn_cli_options *o, tn_error *err)
{
    *in = (tn_inspection){ 0 };
    tn_status status = open_all(in, o, err);
    if (status)
        tn_inspection_close(in);
    return status;
}

void tn_inspection_close(tn_inspection *in)
{
    tn_tokenizer_destroy(in->tokenizer);
    tn_model_file_close(in->file);
    tn_setup_close(&in->setup);
    *in = (tn_inspection){ 0 };
}
