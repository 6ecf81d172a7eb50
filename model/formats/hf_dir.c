/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/hf_dir.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "model/formats/hf_vocab.h"
#include "model/formats/hf_weights.h"
#include "model/formats/model_file_impl.h"

#include <string.h>

/* A value is shown up to this many bytes. */
enum { SHOWN_BYTES = 512 };

typedef struct hf_dir {
    tn_hf_files files;
    tn_hf_shards shards;
    tn_hf_weights weights;
} hf_dir;

static void close_all(void *self)
{
    hf_dir *d = self;
    tn_hf_shards_deinit(&d->shards);
    tn_hf_files_deinit(&d->files);
    tn_free(d);
}

/* Texts of the files may be part of a message, which goes to terminals. */
static void make_printable(tn_error *err)
{
    for (char *c = err ? err->text : NULL; c && *c; c++)
        if ((uint8_t)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

/* ---- facts ---- */

/* The value as JSON in ASCII; of a string, without its quotes when `bare`. */
static const char *show(tn_arena *arena, const char *prefix, const json_t *value, bool bare)
{
    tn_strbuf text = TN_STRBUF(4 * SHOWN_BYTES);
    const char *shown = NULL;
    tn_json_show(value, SHOWN_BYTES, &text);
    if (bare && text.len > 1)
        shown =
            tn_arena_printf(arena, "%s%.*s", prefix, (int)text.len - 2, tn_strbuf_text(&text) + 1);
    else if (!text.failed)
        shown = tn_arena_copy(arena, tn_strbuf_text(&text), text.len + 1);
    tn_strbuf_deinit(&text);
    return shown;
}

static tn_status add_facts(tn_model_file *file, const char *prefix, json_t *object, tn_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        tn_model_fact *fact = &file->fact[file->n_facts++];
        json_t *name = json_string(key);
        fact->key = show(&file->arena, prefix, name, true);
        fact->value = show(&file->arena, "", value, false);
        json_decref(name);
        if (!fact->key || !fact->value)
            return tn_fail_memory(err, "the list of settings");
    }
    return TN_OK;
}

static tn_status list_facts(tn_model_file *file, tn_hf_files *files, json_t *config, tn_error *err)
{
    json_t *generation = NULL;
    TN_TRY(tn_hf_files_json(files, "generation_config.json", &generation, err));
    const size_t n = json_object_size(config) + json_object_size(generation);
    file->fact = tn_arena_alloc(&file->arena, n * sizeof(*file->fact));
    tn_status st = file->fact ? add_facts(file, "config.", config, err)
                              : tn_fail_memory(err, "the list of settings");
    if (!st)
        st = add_facts(file, "generation_config.", generation, err);
    json_decref(generation);
    return st;
}

/* ---- tensors ---- */

/* As the core has them, or, when the model cannot run, as the files have them. */
static tn_weight_info raw_info(const tn_st_tensor *t)
{
    const uint64_t cols = t->n_dims ? t->dim[t->n_dims - 1] : 1;
    const tn_weight_format *f =
        t->type <= TN_ST_BF16 ? tn_weight_format_of_name(t->type_name) : NULL;
    uint64_t rows = 1;
    for (int32_t i = 0; i + 1 < t->n_dims; i++)
        rows *= t->dim[i];
    return (tn_weight_info){ .name = t->name,
                             .wfmt = f ? f->wfmt : t->type_name,
                             .values = 1,
                             .rows = (int64_t)rows,
                             .cols = (int64_t)cols,
                             .file_bytes = t->bytes,
                             .handle = -1 };
}

static tn_status list_tensors(tn_model_file *file, const hf_dir *d, tn_error *err)
{
    const bool is_raw = file->desc_status != TN_OK;
    const size_t n = is_raw ? d->shards.n_tensors : d->weights.n_weights;
    file->tensor = tn_arena_alloc(&file->arena, n * sizeof(*file->tensor));
    file->shard = tn_arena_alloc(&file->arena, (size_t)d->shards.n_shards * sizeof(*file->shard));
    if (!file->tensor || !file->shard)
        return tn_fail_memory(err, "the list of tensors");
    for (size_t i = 0; i < n; i++)
        file->tensor[i] = is_raw ? raw_info(d->shards.tensor[i].tensor) : d->weights.weight[i].info;
    file->n_tensors = (int32_t)n;
    file->n_shards = d->shards.n_shards;
    for (int32_t i = 0; i < d->shards.n_shards; i++) {
        file->shard[i] = d->shards.shard[i].file->path;
        file->bytes += d->shards.shard[i].file->size;
    }
    return TN_OK;
}

/* ---- open ---- */

static const char *format_name(tn_arena *arena, const tn_hf_quant *q)
{
    if (q->method == TN_HF_NOT_QUANTISED)
        return "Hugging Face";
    const char *method = q->method == TN_HF_AWQ ? "AWQ" : "GPTQ";
    if (q->group < 0)
        return tn_arena_printf(arena, "Hugging Face, %s in whole columns", method);
    return tn_arena_printf(arena, "Hugging Face, %s in groups of %d", method, (int)q->group);
}

/* The description, and the weights by it. What cannot run is kept for `inspect` to tell. */
static tn_status read_model(tn_model_file *file, hf_dir *d, const json_t *root, uint64_t id,
                            tn_error *err)
{
    tn_hf_config config;
    tn_hf_quant quant;
    tn_error *why = &file->desc_error;
    tn_status st = tn_hf_config_read(&config, root, &file->arena, why);
    tn_hf_quant_read(&quant, &config.json);
    if (!st && config.json.status)
        st = tn_fail(why, config.json.status, "%s", config.json.error.text);
    file->format = format_name(&file->arena, &quant);
    file->desc = config.desc;
    file->desc.source_id = id;
    if (!file->format)
        return tn_fail_memory(err, "a model file");
    if (!st)
        st = tn_hf_weights_map(&d->weights, &d->shards, &config, &quant, &file->arena, why);
    if (st)
        d->weights.n_weights = 0;
    if (st == TN_NO_MEMORY)
        return tn_fail(err, st, "%s", why->text);
    make_printable(why);
    file->desc_status = st;
    file->source = tn_hf_weights_source(&d->weights, id);
    return TN_OK;
}

static tn_status read_all(tn_model_file *file, hf_dir *d, json_t *root, tn_error *err)
{
    const tn_hf_file *config = NULL;
    TN_TRY(tn_hf_files_open(&d->files, "config.json", &config, err));
    TN_TRY(tn_hf_shards_open(&d->shards, &d->files, err));
    const uint64_t id = tn_hash64(config->data, config->size, tn_hf_shards_id(&d->shards));
    TN_TRY(read_model(file, d, root, id, err));
    tn_status st =
        tn_hf_vocab_read(&file->vocab, &d->files, root, file->desc.vocab, &file->arena, err);
    if (!st)
        st = list_facts(file, &d->files, root, err);
    return st ? st : list_tensors(file, d, err);
}

static tn_status read_dir(tn_model_file *file, const tn_hf_bytes *memory, size_t n, tn_error *err)
{
    json_t *root = NULL;
    hf_dir *d = tn_alloc_array(1, sizeof(*d));
    if (!d)
        return tn_fail_memory(err, "a model file");
    file->self = d;
    file->close = close_all;
    d->files = (tn_hf_files){ .dir = file->path, .memory = memory, .n_memory = n };
    tn_status st = tn_hf_files_json(&d->files, "config.json", &root, err);
    if (!st && !root)
        st = tn_fail(err, TN_INVALID,
                     "%s: there is no config.json; a model directory has one, and *.safetensors",
                     file->path);
    if (!st)
        st = read_all(file, d, root, err);
    json_decref(root);
    const tn_status lost = tn_hf_files_check(&d->files, err); /* it explains any other error */
    st = lost ? lost : st;
    make_printable(st ? err : NULL);
    return st;
}

tn_status tn_hf_dir_read(tn_model_file *file, tn_error *err)
{
    return read_dir(file, NULL, 0, err);
}

tn_status tn_hf_open_memory(const tn_hf_bytes *files, size_t n_files, tn_model_file **out,
                            tn_error *err)
{
    tn_model_file *file = NULL;
    *out = NULL;
    TN_TRY(tn_model_file_create("(memory)", &file, err));
    tn_status st = read_dir(file, files, n_files, err);
    if (st) {
        tn_model_file_close(file);
        return st;
    }
    *out = file;
    return TN_OK;
}
