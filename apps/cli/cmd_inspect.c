/* SPDX-License-Identifier: Apache-2.0 */
/* tenon inspect: what a model file is. Reads metadata only, and also tells what this program cannot
 * run. */
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "core/bind/bind.h"
#include "model/arch/arch.h"
#include "model/formats/model_file.h"

#include <stdio.h>
#include <string.h>

enum { MAX_FORMATS = 32, BLOCK_TOKENS = 64 };

/* Tensors of one format. */
typedef struct format_use {
    const char *wfmt;
    int32_t tensors;
    uint64_t weights, bytes;
} format_use;

typedef struct inspection {
    tn_model_file *file;
    tn_model_desc desc;
    bool has_desc;
    tn_error desc_error;
    format_use use[MAX_FORMATS];
    int32_t n_uses;
    uint64_t parameters;
} inspection;

static tn_status count_formats(inspection *in, tn_error *err)
{
    for (int32_t i = 0; i < tn_model_file_n_tensors(in->file); i++) {
        tn_weight_info info;
        TN_TRY(tn_model_file_tensor(in->file, i, &info, err));
        int32_t k = 0;
        while (k < in->n_uses && strcmp(in->use[k].wfmt, info.wfmt) != 0)
            k++;
        if (k == MAX_FORMATS)
            continue;
        if (k == in->n_uses)
            in->use[in->n_uses++] = (format_use){ .wfmt = info.wfmt };
        in->use[k].tensors++;
        in->use[k].weights += (uint64_t)(info.rows * info.cols);
        in->use[k].bytes += info.file_bytes;
        in->parameters += (uint64_t)(info.rows * info.cols);
    }
    return TN_OK;
}

static const char *const kv_formats[] = { "f32", "f16", "i8", "i8-static" };
enum { N_KV_FORMATS = sizeof kv_formats / sizeof kv_formats[0] };

static uint64_t kv_token_bytes(const tn_model_desc *d, const char *format)
{
    return tn_kv_block_bytes(format, d->kv_heads, d->head_dim, BLOCK_TOKENS) / BLOCK_TOKENS *
           (uint64_t)d->n_layers;
}

static const char *vocab_name(int32_t kind)
{
    return kind == TN_VOCAB_BPE   ? "byte-level BPE"
           : kind == TN_VOCAB_SPM ? "SentencePiece"
                                  : "none that is known";
}

/* ---- text ---- */

static void print_desc(const inspection *in)
{
    const tn_model_desc *d = &in->desc;
    if (!in->has_desc) {
        printf("cannot run      %s\n", in->desc_error.text);
        return;
    }
    printf("architecture    %s%s\n", d->arch, tn_arch_find(d->arch) ? "" : " (not supported)");
    printf("shape           %d layers, hidden %d, feed-forward %d, heads %d query / %d kv of %d\n",
           (int)d->n_layers, (int)d->dim, (int)d->ffn, (int)d->heads, (int)d->kv_heads,
           (int)d->head_dim);
    printf("context         %d tokens, rope base %g, rotary %d of %d\n", (int)d->max_length,
           (double)d->rope.base, (int)d->rope.rotary_dim, (int)d->head_dim);
    printf("kv per token   ");
    for (int i = 0; i < N_KV_FORMATS; i++)
        printf("%s %s %llu B", i ? "," : "", kv_formats[i],
               (unsigned long long)kv_token_bytes(d, kv_formats[i]));
    printf("\n");
}

static int print_text(const inspection *in, bool verbose)
{
    char text[32];
    const tn_vocab *v = tn_model_file_vocab(in->file);
    printf("file            %s, %s, %s\n", tn_model_file_path(in->file),
           tn_model_file_format(in->file), tn_cli_bytes(tn_model_file_bytes(in->file), text));
    if (in->has_desc && in->desc.name && in->desc.name[0])
        printf("name            %s\n", in->desc.name);
    printf("parameters      %.1f M in %d tensors\n", (double)in->parameters * 1e-6,
           (int)tn_model_file_n_tensors(in->file));
    print_desc(in);
    for (int32_t i = 0; i < in->n_uses; i++)
        printf("%-15s %-8s %4d tensors, %10.1f M weights, %s\n", i ? "" : "formats",
               in->use[i].wfmt, (int)in->use[i].tensors, (double)in->use[i].weights * 1e-6,
               tn_cli_bytes(in->use[i].bytes, text));
    printf("tokenizer       %s%s%s, %d tokens; bos %d, eos %d, eot %d, pad %d\n",
           vocab_name(v->kind), v->pre ? ", pre-tokenizer " : "", v->pre ? v->pre : "",
           (int)v->n_tokens, (int)v->bos, (int)v->eos, (int)v->eot, (int)v->pad);
    printf("chat template   %s\n", v->chat_template ? "yes" : "no");
    for (int32_t i = 0; verbose && i < tn_model_file_n_facts(in->file); i++) {
        const tn_model_fact fact = tn_model_file_fact(in->file, i);
        printf("%s = %s\n", fact.key, fact.value);
    }
    return tn_cli_flush();
}

/* ---- JSON ---- */

static json_t *desc_json(const inspection *in)
{
    const tn_model_desc *d = &in->desc;
    json_t *kv = json_object();
    for (int i = 0; i < N_KV_FORMATS; i++)
        json_object_set_new(kv, kv_formats[i],
                            json_integer((json_int_t)kv_token_bytes(d, kv_formats[i])));
    return json_pack("{s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:o}", "architecture",
                     d->arch, "supported", tn_arch_find(d->arch) != NULL, "layers",
                     (int)d->n_layers, "hidden", (int)d->dim, "feed_forward", (int)d->ffn, "heads",
                     (int)d->heads, "kv_heads", (int)d->kv_heads, "head_dim", (int)d->head_dim,
                     "vocabulary", (int)d->vocab, "context", (int)d->max_length, "rope_base",
                     (double)d->rope.base, "kv_bytes_per_token", kv);
}

static json_t *vocab_json(const tn_vocab *v)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:b}", "kind", vocab_name(v->kind), "pre",
                     v->pre ? v->pre : "", "tokens", (int)v->n_tokens, "bos", (int)v->bos, "eos",
                     (int)v->eos, "eot", (int)v->eot, "pad", (int)v->pad, "chat_template",
                     v->chat_template != NULL);
}

static int print_json(const inspection *in)
{
    json_t *formats = json_array(), *metadata = json_object();
    for (int32_t i = 0; i < in->n_uses; i++)
        json_array_append_new(formats, json_pack("{s:s, s:i, s:I, s:I}", "format", in->use[i].wfmt,
                                                 "tensors", (int)in->use[i].tensors, "weights",
                                                 (json_int_t)in->use[i].weights, "bytes",
                                                 (json_int_t)in->use[i].bytes));
    /* Strings of a file need not be UTF-8; jansson refuses those, and they are shown as such. */
    for (int32_t i = 0; i < tn_model_file_n_facts(in->file); i++) {
        const tn_model_fact fact = tn_model_file_fact(in->file, i);
        json_t *value = json_string(fact.value);
        json_object_set_new(metadata, fact.key, value ? value : json_string("(not UTF-8)"));
    }
    json_t *object = json_pack(
        "{s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "path", tn_model_file_path(in->file), "format",
        tn_model_file_format(in->file), "bytes", (json_int_t)tn_model_file_bytes(in->file),
        "parameters", (json_int_t)in->parameters, "formats", formats, "tokenizer",
        vocab_json(tn_model_file_vocab(in->file)), "metadata", metadata);
    if (object && in->has_desc)
        json_object_set_new(object, "model", desc_json(in));
    else if (object)
        json_object_set_new(object, "cannot_run", json_string(in->desc_error.text));
    return tn_cli_print_json(object);
}

int tn_cmd_inspect(const tn_cli_options *o)
{
    tn_error err = { 0 };
    inspection in = { 0 };
    tn_status status = tn_model_file_open(o->word.item[0], &in.file, &err);
    if (!status) {
        in.has_desc = tn_model_file_desc(in.file, &in.desc, &in.desc_error) == TN_OK;
        status = count_formats(&in, &err);
    }
    const int exit_status = status    ? tn_cli_error(status, &err)
                            : o->json ? print_json(&in)
                                      : print_text(&in, o->verbose);
    tn_model_file_close(in.file);
    return exit_status;
}
