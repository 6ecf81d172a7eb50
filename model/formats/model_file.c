/* SPDX-License-Identifier: Apache-2.0 */
/* A GGUF file, or the shards of one, as a model file. Everything but the weights is read when it is
 * opened, so all of it is immutable afterwards. */
#include "model/formats/model_file.h"

#include "core/base/alloc.h"
#include "core/base/file_map.h"
#include "model/formats/gguf.h"
#include "model/formats/gguf_split.h"
#include "model/formats/map_guard.h"

#include <string.h>

typedef struct shard {
    const char *path;
    tn_file_map map; /* empty for a file in memory */
    tn_map_guard *guard;
    tn_gguf_bytes bytes;
} shard;

struct tn_model_file {
    const char *path, *format;
    shard *shard;
    int32_t n_shards;
    tn_gguf gguf;   /* metadata of the first shard, tensors of all */
    tn_arena arena; /* what was made from the metadata */
    tn_vocab vocab;
    tn_model_fact *fact;
    tn_model_desc desc;
    tn_status desc_status;
    tn_error desc_error;
    tn_weight_source source;
};

/* ---- weight source ---- */

static tn_weight_info info_of(const tn_gguf_tensor *t)
{
    return (tn_weight_info){
        .name = t->name,
        .wfmt = t->format->wfmt,
        .group = t->format->group,
        .values = t->format->values,
        .rows = (int64_t)(t->bytes / t->row_bytes),
        .cols = (int64_t)t->dim[0],
        .file_bytes = t->bytes,
        .handle = t->index,
    };
}

static tn_status source_find(void *self, const char *name, tn_weight_info *info)
{
    const tn_model_file *file = self;
    const tn_gguf_tensor *t = tn_gguf_find_tensor(&file->gguf, name);
    if (!t)
        return TN_UNSUPPORTED;
    *info = info_of(t);
    return TN_OK;
}

static tn_status source_rows(void *self, const tn_weight_info *info, int64_t row0, int32_t n,
                             const tn_row_buffer *buffer, tn_weight_rows *out, tn_error *err)
{
    const tn_model_file *file = self;
    if (info->handle < 0 || (uint64_t)info->handle >= file->gguf.n_tensors)
        return tn_fail(err, TN_INVALID, "%s: no tensor of this file", info->name);
    const tn_gguf_tensor *t = &file->gguf.tensor[info->handle];
    int64_t n_rows = (int64_t)(t->bytes / t->row_bytes);
    if (row0 < 0 || n < 0 || row0 > n_rows - n)
        return tn_fail(err, TN_INVALID, "%s: rows %lld to %lld of %lld were asked for", t->name,
                       (long long)row0, (long long)row0 + n, (long long)n_rows);
    const uint8_t *bytes = t->data + (size_t)row0 * (size_t)t->row_bytes;
    t->format->decode(bytes, (size_t)n * (size_t)(t->dim[0] / t->format->block_elements), buffer);
    *out = (tn_weight_rows){ .size = sizeof(*out),
                             .rows = n,
                             .cols = (int32_t)t->dim[0],
                             .group = t->format->group,
                             .row0 = row0,
                             .values = buffer->values,
                             .codes = buffer->codes,
                             .scale = buffer->scale,
                             .zero = buffer->zero };
    const shard *s = &file->shard[t->shard];
    return tn_map_guard_check(s->guard, s->path, err);
}

static void source_done(void *self, const tn_weight_info *info)
{
    const tn_model_file *file = self;
    if (info->handle < 0 || (uint64_t)info->handle >= file->gguf.n_tensors)
        return;
    const tn_gguf_tensor *t = &file->gguf.tensor[info->handle];
    const tn_file_map *map = &file->shard[t->shard].map;
    if (map->data)
        tn_file_map_drop(map, (size_t)t->offset, (size_t)t->bytes);
}

/* ---- open ---- */

/* Parse every shard and join them in part[0]. */
static tn_status parse_shards(const tn_model_file *file, tn_gguf *part, tn_error *err)
{
    tn_gguf_split first = { .n_tensors = -1 };
    for (int32_t i = 0; i < file->n_shards; i++) {
        const tn_gguf_bytes *bytes = &file->shard[i].bytes;
        tn_status st = tn_gguf_parse(&part[i], bytes->data, bytes->size, err);
        if (!st)
            st = tn_gguf_split_check(&part[i], i, file->n_shards, first.n_tensors, err);
        if (!st && i == 0)
            st = tn_gguf_split_read(&part[0], &first, err);
        if (st)
            return tn_error_wrap(err, st, "%s", file->shard[i].path);
    }
    tn_status st = tn_gguf_join(&part[0], part + 1, (size_t)file->n_shards - 1, err);
    if (!st && first.n_tensors >= 0 && (uint64_t)first.n_tensors != part[0].n_tensors)
        st = tn_fail(err, TN_INVALID,
                     "the %d shards hold %zu tensors, but split.tensors.count says %lld: fetch all "
                     "shards again",
                     (int)file->n_shards, part[0].n_tensors, (long long)first.n_tensors);
    return st ? tn_error_wrap(err, st, "%s", file->shard[0].path) : TN_OK;
}

/* The file's gguf, from the bytes of all shards of a split model. */
static tn_status read_split(tn_model_file *file, tn_error *err)
{
    tn_gguf *part = tn_alloc_array((size_t)file->n_shards, sizeof(*part));
    if (!part)
        return tn_fail_memory(err, "the shards");
    tn_status st = parse_shards(file, part, err);
    for (int32_t i = st ? 0 : 1; i < file->n_shards; i++)
        tn_gguf_deinit(&part[i]);
    if (!st)
        file->gguf = part[0];
    tn_free(part);
    return st;
}

/* What is made from the metadata, once all tensors are known. */
static tn_status read_metadata(tn_model_file *file, tn_error *err)
{
    file->format = file->gguf.version == 2 ? "GGUF v2" : "GGUF v3";
    TN_TRY(tn_gguf_vocab(&file->gguf, &file->arena, &file->vocab, err));
    TN_TRY(tn_gguf_facts(&file->gguf, &file->arena, &file->fact, err));
    file->desc_status = tn_gguf_desc(&file->gguf, &file->arena, &file->desc, &file->desc_error);
    file->source = (tn_weight_source){ .self = file,
                                       .id = file->desc.source_id,
                                       .find = source_find,
                                       .rows = source_rows,
                                       .done = source_done };
    return TN_OK;
}

static tn_status create(const char *path, int32_t n_shards, tn_model_file **out, tn_error *err)
{
    tn_model_file *file = tn_alloc_array(1, sizeof(*file));
    if (!file)
        return tn_fail_memory(err, "a model file");
    file->path = tn_arena_strdup(&file->arena, path);
    file->shard = tn_alloc_array((size_t)n_shards, sizeof(*file->shard));
    if (!file->path || !file->shard) {
        tn_model_file_close(file);
        return tn_fail_memory(err, "a model file");
    }
    file->n_shards = n_shards;
    for (int32_t i = 0; i < n_shards; i++)
        file->shard[i].path = file->path;
    *out = file;
    return TN_OK;
}

tn_status tn_gguf_open_memory(const tn_gguf_bytes *bytes, int32_t n_shards, tn_model_file **out,
                              tn_error *err)
{
    tn_model_file *file = NULL;
    *out = NULL;
    if (n_shards < 1 || n_shards > TN_GGUF_MAX_SHARDS)
        return tn_fail(err, TN_INVALID, "a model of %d shards; 1 to %d are allowed", n_shards,
                       TN_GGUF_MAX_SHARDS);
    TN_TRY(create("(memory)", n_shards, &file, err));
    for (int32_t i = 0; i < n_shards; i++)
        file->shard[i].bytes = bytes[i];
    tn_status st = n_shards > 1 ? read_split(file, err)
                                : tn_gguf_parse(&file->gguf, bytes->data, bytes->size, err);
    if (!st)
        st = read_metadata(file, err);
    if (st) {
        tn_model_file_close(file);
        return st;
    }
    *out = file;
    return TN_OK;
}

static tn_status map_shard(shard *s, const char *path, tn_error *err)
{
    s->path = path;
    TN_TRY(tn_file_map_open(&s->map, path, err));
    s->bytes = (tn_gguf_bytes){ s->map.data, s->map.size };
    return tn_map_guard_add(&s->map, &s->guard, err);
}

/* shard[0] is the file that was opened, shard `split->no` of the model: map the others. */
static tn_status map_others(tn_model_file *file, const tn_gguf_split *split, tn_error *err)
{
    shard *all = tn_realloc_array(file->shard, (size_t)split->count, sizeof(*all));
    if (!all)
        return tn_fail_memory(err, "the shards");
    shard opened = all[0];
    memset(all, 0, (size_t)split->count * sizeof(*all));
    all[split->no] = opened;
    file->shard = all;
    file->n_shards = split->count;
    for (int32_t i = 0; i < split->count; i++) {
        const char *path = NULL;
        tn_status st = tn_gguf_split_path(file->path, split, i, &file->arena, &path, err);
        if (st)
            return tn_error_wrap(err, st, "%s", file->path);
        if (i == split->no)
            continue;
        st = map_shard(&all[i], path, err);
        if (st)
            return tn_error_wrap(err, st,
                                 "shard %d of %d is needed beside the others, fetch it: %s", i + 1,
                                 split->count, path);
    }
    return TN_OK;
}

static tn_status open_shards(tn_model_file *file, tn_error *err)
{
    tn_gguf_split split;
    TN_TRY(map_shard(&file->shard[0], file->path, err));
    const tn_gguf_bytes *bytes = &file->shard[0].bytes;
    tn_status st = tn_gguf_parse(&file->gguf, bytes->data, bytes->size, err);
    if (!st)
        st = tn_gguf_split_read(&file->gguf, &split, err);
    if (st)
        return tn_error_wrap(err, st, "%s", file->path);
    if (split.count > 1) {
        tn_gguf_deinit(&file->gguf); /* parsed again as one of all: only the first has metadata */
        TN_TRY(map_others(file, &split, err));
        TN_TRY(read_split(file, err));
    }
    st = read_metadata(file, err);
    return st ? tn_error_wrap(err, st, "%s", file->path) : TN_OK;
}

/* That nothing was read which is not in the files; it explains any other error. */
static tn_status check_guards(const tn_model_file *file, tn_error *err)
{
    for (int32_t i = 0; i < file->n_shards; i++)
        TN_TRY(tn_map_guard_check(file->shard[i].guard, file->shard[i].path, err));
    return TN_OK;
}

tn_status tn_model_file_open(const char *path, tn_model_file **out, tn_error *err)
{
    tn_model_file *file = NULL;
    *out = NULL;
    TN_TRY(create(path, 1, &file, err));
    tn_status st = open_shards(file, err);
    const tn_status lost = check_guards(file, err);
    st = lost ? lost : st;
    if (st) {
        tn_model_file_close(file);
        return st;
    }
    *out = file;
    return TN_OK;
}

void tn_model_file_close(tn_model_file *file)
{
    if (!file)
        return;
    tn_gguf_deinit(&file->gguf);
    for (int32_t i = 0; i < file->n_shards; i++) {
        tn_map_guard_remove(file->shard[i].guard);
        tn_file_map_close(&file->shard[i].map);
    }
    tn_free(file->shard);
    tn_arena_deinit(&file->arena);
    tn_free(file);
}

/* ---- what is in it ---- */

const char *tn_model_file_format(const tn_model_file *file)
{
    return file->format;
}

const char *tn_model_file_path(const tn_model_file *file)
{
    return file->path;
}

uint64_t tn_model_file_bytes(const tn_model_file *file)
{
    uint64_t n = 0;
    for (int32_t i = 0; i < file->n_shards; i++)
        n += file->shard[i].bytes.size;
    return n;
}

int32_t tn_model_file_n_shards(const tn_model_file *file)
{
    return file->n_shards;
}

const char *tn_model_file_shard(const tn_model_file *file, int32_t index)
{
    return index >= 0 && index < file->n_shards ? file->shard[index].path : "";
}

tn_status tn_model_file_desc(tn_model_file *file, tn_model_desc *out, tn_error *err)
{
    *out = file->desc;
    if (file->desc_status)
        return tn_fail(err, file->desc_status, "%s: %s", file->path, file->desc_error.text);
    return TN_OK;
}

const tn_weight_source *tn_model_file_weights(tn_model_file *file)
{
    return &file->source;
}

const tn_vocab *tn_model_file_vocab(const tn_model_file *file)
{
    return &file->vocab;
}

int32_t tn_model_file_n_tensors(const tn_model_file *file)
{
    return (int32_t)file->gguf.n_tensors;
}

tn_status tn_model_file_tensor(const tn_model_file *file, int32_t index, tn_weight_info *out,
                               tn_error *err)
{
    if (index < 0 || (size_t)index >= file->gguf.n_tensors)
        return tn_fail(err, TN_INVALID, "there is no tensor %d; the file has %zu", index,
                       file->gguf.n_tensors);
    *out = info_of(&file->gguf.tensor[index]);
    return TN_OK;
}

int32_t tn_model_file_n_facts(const tn_model_file *file)
{
    return (int32_t)file->gguf.n_pairs;
}

tn_model_fact tn_model_file_fact(const tn_model_file *file, int32_t index)
{
    if (index < 0 || (size_t)index >= file->gguf.n_pairs)
        return (tn_model_fact){ "", "" };
    return file->fact[index];
}
