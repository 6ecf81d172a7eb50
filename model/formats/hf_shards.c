/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/hf_shards.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "model/formats/json_read.h"

#include <stdlib.h>
#include <string.h>

static const char whole_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

static tn_status open_shard(tn_hf_shards *s, tn_hf_files *files, const char *name, tn_error *err)
{
    tn_hf_shard *shard = &s->shard[s->n_shards];
    TN_TRY(tn_hf_files_open(files, name, &shard->file, err));
    if (!shard->file)
        return tn_fail(err, TN_INVALID,
                       "%s: %s names the shard %.64s, which is not there: fetch it", files->dir,
                       index_name, name);
    tn_status st = tn_safetensors_parse(&shard->table, shard->file->data, shard->file->size, err);
    if (st)
        return tn_error_wrap(err, st, "%s", shard->file->path);
    s->n_shards++;
    return TN_OK;
}

/* ---- the index ---- */

static bool is_open(const tn_hf_shards *s, const char *name)
{
    for (int32_t i = 0; i < s->n_shards; i++)
        if (strcmp(s->shard[i].file->name, name) == 0)
            return true;
    return false;
}

static tn_status open_indexed(tn_hf_shards *s, tn_hf_files *files, json_t *map, tn_error *err)
{
    const char *tensor = NULL;
    json_t *value = NULL;
    json_object_foreach(map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!name)
            return tn_fail(err, TN_INVALID, "%s/%s: weight_map: %.64s has no file name", files->dir,
                           index_name, tensor);
        if (is_open(s, name))
            continue;
        if (s->n_shards == TN_HF_MAX_SHARDS)
            return tn_fail(err, TN_INVALID, "%s/%s names more than %d shards", files->dir,
                           index_name, TN_HF_MAX_SHARDS);
        TN_TRY(open_shard(s, files, name, err));
    }
    return TN_OK;
}

/* Every tensor of the index is in the shards, and in the one that the index says. */
static tn_status check_index(const tn_hf_shards *s, const char *dir, json_t *map, tn_error *err)
{
    const char *tensor = NULL;
    json_t *value = NULL;
    json_object_foreach(map, tensor, value)
    {
        const tn_hf_source_tensor *found = tn_hf_shards_find(s, tensor);
        const char *name = json_string_value(value);
        if (!found || strcmp(found->shard->file->name, name) != 0)
            return tn_fail(err, TN_INVALID,
                           "%s/%s: tensor %.64s should be in %.64s, which does not have it: fetch "
                           "that shard again",
                           dir, index_name, tensor, name);
    }
    if (json_object_size(map) == s->n_tensors)
        return TN_OK;
    for (size_t i = 0; i < s->n_tensors; i++)
        if (!json_object_get(map, s->tensor[i].tensor->name))
            return tn_fail(err, TN_INVALID, "%s holds a tensor %.64s, which %s does not list",
                           s->tensor[i].shard->file->path, s->tensor[i].tensor->name, index_name);
    return TN_OK;
}

/* ---- tensors of all shards ---- */

static int by_name(const void *a, const void *b)
{
    const tn_hf_source_tensor *x = a, *y = b;
    return strcmp(x->tensor->name, y->tensor->name);
}

static tn_status join(tn_hf_shards *s, tn_error *err)
{
    size_t n = 0;
    for (int32_t i = 0; i < s->n_shards; i++)
        n += s->shard[i].table.n_tensors;
    if (n > TN_HF_MAX_TENSORS)
        return tn_fail(err, TN_INVALID, "the %d shards hold %zu tensors; at most %d are allowed",
                       (int)s->n_shards, n, TN_HF_MAX_TENSORS);
    s->tensor = tn_alloc_array(n, sizeof(*s->tensor));
    if (!s->tensor)
        return tn_fail_memory(err, "the table of all tensors");
    for (int32_t i = 0; i < s->n_shards; i++)
        for (size_t k = 0; k < s->shard[i].table.n_tensors; k++)
            s->tensor[s->n_tensors++] =
                (tn_hf_source_tensor){ .tensor = &s->shard[i].table.tensor[k],
                                       .shard = &s->shard[i] };
    qsort(s->tensor, s->n_tensors, sizeof(*s->tensor), by_name);
    for (size_t i = 1; i < s->n_tensors; i++)
        if (by_name(&s->tensor[i - 1], &s->tensor[i]) == 0)
            return tn_fail(err, TN_INVALID,
                           "%s and %s both hold a tensor %s: they are not of one model",
                           s->tensor[i - 1].shard->file->path, s->tensor[i].shard->file->name,
                           s->tensor[i].tensor->name);
    return TN_OK;
}

/* ---- public ---- */

static tn_status open_index(tn_hf_shards *s, tn_hf_files *files, json_t *index, tn_error *err)
{
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0)
        return tn_fail(err, TN_INVALID, "%s/%s has no weight_map", files->dir, index_name);
    TN_TRY(open_indexed(s, files, map, err));
    TN_TRY(join(s, err));
    return check_index(s, files->dir, map, err);
}

static tn_status fail_no_weights(tn_hf_files *files, tn_error *err)
{
    static const char *const others[] = { "pytorch_model.bin", "pytorch_model.bin.index.json",
                                          "tf_model.h5", "flax_model.msgpack" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const tn_hf_file *f = NULL;
        TN_TRY(tn_hf_files_open(files, others[i], &f, err));
        if (f)
            return tn_fail(err, TN_UNSUPPORTED,
                           "%s: weights in %s are not read; save the model as safetensors "
                           "(transformers: save_pretrained)",
                           files->dir, others[i]);
    }
    return tn_fail(err, TN_INVALID, "%s: neither %s nor %s is there", files->dir, whole_name,
                   index_name);
}

tn_status tn_hf_shards_open(tn_hf_shards *s, tn_hf_files *files, tn_error *err)
{
    const tn_hf_file *whole = NULL;
    json_t *index = NULL;
    *s = (tn_hf_shards){ .shard = tn_alloc_array(TN_HF_MAX_SHARDS, sizeof(*s->shard)) };
    if (!s->shard)
        return tn_fail_memory(err, "the shards");
    TN_TRY(tn_hf_files_open(files, whole_name, &whole, err));
    if (whole) {
        TN_TRY(open_shard(s, files, whole_name, err));
        return join(s, err);
    }
    TN_TRY(tn_hf_files_json(files, index_name, &index, err));
    if (!index)
        return fail_no_weights(files, err);
    tn_status st = open_index(s, files, index, err);
    json_decref(index);
    return st;
}

void tn_hf_shards_deinit(tn_hf_shards *s)
{
    for (int32_t i = 0; i < s->n_shards; i++)
        tn_safetensors_deinit(&s->shard[i].table);
    tn_free(s->shard);
    tn_free(s->tensor);
    *s = (tn_hf_shards){ 0 };
}

tn_hf_source_tensor *tn_hf_shards_find(const tn_hf_shards *s, const char *name)
{
    const tn_st_tensor tensor = { .name = name };
    const tn_hf_source_tensor wanted = { .tensor = &tensor };
    if (s->n_tensors == 0)
        return NULL;
    return bsearch(&wanted, s->tensor, s->n_tensors, sizeof(*s->tensor), by_name);
}

uint64_t tn_hf_shards_id(const tn_hf_shards *s)
{
    /* As for GGUF: fine-tunes differ in weights alone, so some of them are looked at. */
    enum { SAMPLES = 64, SAMPLE_BYTES = 256 };
    uint64_t id = s->n_tensors;
    for (int32_t i = 0; i < s->n_shards; i++)
        id = tn_hash64(s->shard[i].file->data, s->shard[i].table.header_bytes, id);
    size_t step = s->n_tensors / SAMPLES + 1;
    for (size_t i = 0; i < s->n_tensors; i += step) {
        const tn_st_tensor *t = s->tensor[i].tensor;
        id = tn_hash64(t->data, t->bytes < SAMPLE_BYTES ? (size_t)t->bytes : SAMPLE_BYTES, id);
    }
    return id;
}
