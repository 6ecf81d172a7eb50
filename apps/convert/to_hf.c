/* SPDX-License-Identifier: Apache-2.0 */
/* A Hugging Face directory of a model file. */
#include "apps/convert/convert_impl.h"
#include "apps/convert/hf_tensors.h"
#include "core/base/alloc.h"
#include "model/formats/json_memory.h"
#include "model/formats/write_file.h"
#include "model/text/spm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N_TEXTS = 5, MAX_TEXT_BYTES = 1 << 30 };

typedef struct job {
    const tn_convert_args *args;
    tn_convert_report *report;
    tn_model_file *file;
    const char *target;
    tn_arena arena;
    tn_convert_hf_tensors tensors;
    tn_strbuf text[N_TEXTS];
    const char *name[N_TEXTS]; /* or NULL; config.json last: without it a directory is no model */
    char *temporary;
} job;

static int append(const char *bytes, size_t n, void *ctx)
{
    tn_strbuf_append(ctx, bytes, n);
    return 0;
}

/* Takes the object. */
static tn_status dump(json_t *object, const char *name, tn_strbuf *out, tn_error *err)
{
    *out = TN_STRBUF(MAX_TEXT_BYTES);
    const int failed = object ? json_dump_callback(object, append, out, JSON_INDENT(1)) : -1;
    json_decref(object);
    return failed || out->failed ? tn_fail_memory(err, name) : TN_OK;
}

/* In GGUF Mistral is a llama with a window. */
static tn_status find_family(const tn_model_desc *d, const tn_hf_family **out, tn_error *err)
{
    const bool is_mistral = strcmp(d->arch, "llama") == 0 && d->window > 0;
    *out = tn_hf_family_find(is_mistral ? "mistral" : d->arch);
    if (*out)
        return TN_OK;
    return tn_fail(err, TN_UNSUPPORTED,
                   "architecture \"%s\" cannot be converted; llama, internlm2, qwen2 and qwen3 can",
                   d->arch);
}

static tn_status plan_vocab(job *j, const tn_vocab *vocab, tn_error *err)
{
    json_t *tokenizer = NULL;
    j->name[0] = vocab->kind == TN_VOCAB_SPM ? "tokenizer.model" : "tokenizer.json";
    j->text[0] = TN_STRBUF(MAX_TEXT_BYTES);
    if (vocab->kind == TN_VOCAB_SPM)
        return tn_spm_put_model(vocab, &j->text[0], err);
    TN_TRY(tn_convert_tokenizer(vocab, &tokenizer, err));
    return dump(tokenizer, j->name[0], &j->text[0], err);
}

static tn_status plan_tokenizer_config(job *j, const tn_vocab *vocab, tn_error *err)
{
    json_t *config = NULL;
    const tn_status st = tn_convert_tokenizer_config(vocab, &config, err);
    if (!st)
        return dump(config, j->name[1], &j->text[1], err);
    json_decref(config);
    return st;
}

/* Takes the object, when its reader finds the biases in it that the file has. */
static tn_status dump_config(job *j, json_t *config, uint32_t biases, int text, tn_error *err)
{
    tn_hf_config read = { 0 };
    tn_status st = config ? tn_hf_config_read(&read, config, &j->arena, err)
                          : tn_fail_memory(err, j->name[text]);
    if (!st && read.biases != biases)
        st = tn_fail(err, TN_UNSUPPORTED,
                     "a directory of the type %s cannot have these biases and no others: %s%s%s",
                     read.family->model_type, biases & TN_HF_BIAS_QKV ? "q, k, v " : "",
                     biases & TN_HF_BIAS_OUT ? "o " : "",
                     biases & TN_HF_BIAS_MLP ? "gate, up, down" : "");
    if (!st)
        return dump(config, j->name[text], &j->text[text], err);
    json_decref(config);
    return st;
}

static tn_status plan(job *j, tn_error *err)
{
    const tn_vocab *vocab = tn_model_file_vocab(j->file);
    const tn_hf_family *family = NULL;
    tn_model_desc desc;
    tn_weight_info info;
    TN_TRY(tn_model_file_desc(j->file, &desc, err));
    TN_TRY(find_family(&desc, &family, err));
    const uint32_t biases = tn_convert_biases(j->file, family);
    const tn_weight_source *s = tn_model_file_weights(j->file);
    const bool is_tied = s->find(s->self, "output.weight", &info) != TN_OK;
    TN_TRY(tn_convert_hf_list(j->args, j->file, family, biases, &j->arena, &j->tensors, err));
    TN_TRY(plan_vocab(j, vocab, err));
    j->name[1] = "tokenizer_config.json";
    j->name[2] = "generation_config.json";
    j->name[3] = j->tensors.n_shards > 1 ? "model.safetensors.index.json" : NULL;
    j->name[4] = "config.json";
    TN_TRY(plan_tokenizer_config(j, vocab, err));
    TN_TRY(dump(tn_convert_generation_config(vocab), j->name[2], &j->text[2], err));
    if (j->name[3])
        TN_TRY(dump(tn_convert_hf_index(&j->tensors), j->name[3], &j->text[3], err));
    json_t *config = tn_convert_config(&desc, vocab, family, biases, is_tied);
    if (tn_convert_is_awq(j->args))
        tn_convert_config_awq(config, family);
    return dump_config(j, config, biases, 4, err);
}

static tn_status check_space(job *j, tn_error *err)
{
    uint64_t bytes = 0;
    TN_TRY(tn_convert_hf_bytes(&j->tensors, &bytes, err));
    for (int i = 0; i < N_TEXTS; i++)
        bytes += j->text[i].len;
    j->report->bytes = bytes;
    return tn_convert_check_space(j->target, bytes, err);
}

static tn_status write_all(job *j, tn_error *err)
{
    tn_strbuf path = TN_STRBUF(1 << 16);
    tn_status st = tn_convert_hf_write(j->args, j->file, &j->tensors, j->temporary, j->report, err);
    for (int i = 0; i < N_TEXTS && !st; i++) {
        if (!j->name[i])
            continue;
        const tn_file_part part = { tn_strbuf_text(&j->text[i]), j->text[i].len };
        const tn_write_args args = { .part = &part, .n_parts = 1, .mode = 0666 };
        tn_strbuf_clear(&path);
        tn_strbuf_printf(&path, "%s/%s", j->temporary, j->name[i]);
        st = path.failed ? tn_fail_memory(err, j->target) : tn_write_file(path.data, &args, err);
        if (st == TN_INVALID) /* in a directory of our own: the disk */
            st = TN_INTERNAL;
    }
    tn_strbuf_deinit(&path);
    return st;
}

/* Under another name first. */
static tn_status write_directory(job *j, tn_error *err)
{
    tn_strbuf name = TN_STRBUF(1 << 16);
    tn_strbuf_printf(&name, "%s.%ld.tmp", j->target, (long)getpid());
    j->temporary = tn_strbuf_take(&name);
    tn_strbuf_deinit(&name);
    if (!j->temporary)
        return tn_fail_memory(err, j->target);
    if (mkdir(j->temporary, 0777) != 0)
        return tn_fail(err, TN_INVALID, "cannot write %s: %s", j->target, strerror(errno));
    tn_status st = write_all(j, err);
    if (!st && rename(j->temporary, j->target) != 0)
        st = tn_fail(err, TN_INTERNAL, "cannot write %s: %s", j->target, strerror(errno));
    if (st)
        tn_convert_remove(j->temporary);
    else
        tn_sync_directory_of(j->target);
    return st;
}

tn_status tn_convert_to_hf(const tn_convert_args *args, tn_model_file *file, const char *target,
                           tn_convert_report *report, tn_error *err)
{
    job j = { .args = args, .report = report, .file = file, .target = target };
    const uint32_t failures = tn_json_failures();
    tn_status st = plan(&j, err);
    if (tn_json_failures() != failures) /* what was built may lack something */
        st = tn_fail_memory(err, "the settings of the directory");
    if (!st)
        st = check_space(&j, err);
    if (!st)
        st = write_directory(&j, err);
    for (int i = 0; i < N_TEXTS; i++)
        tn_strbuf_deinit(&j.text[i]);
    tn_arena_deinit(&j.arena);
    tn_free(j.temporary);
    return st;
}
