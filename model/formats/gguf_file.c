/* SPDX-License-Identifier: Apache-2.0 */
/* A GGUF file, or the shards of one, as a model file. */
#include "core/base/alloc.h"
#include "model/formats/file_map.h"
#include "model/formats/gguf.h"
#include "model/formats/gguf_split.h"
#include "model/formats/map_guard.h"
#include "model/formats/model_file_impl.h"

#include <string.h>

typedef struct shard {
    const char *path;
    tn_file_map map; /* empty for a file in memory */
    tn_map_guard *guard;
    tn_gguf_bytes bytes;
} shard;

typedef struct gguf_file {
    tn_model_file *file;
    shard *shard;
    int32_t n_shards;
    tn_gguf gguf; /* metadata of the first shard, tensors of all */
} gguf_file;

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
    const gguf_file *f = self;
    const tn_gguf_tensor *t = tn_gguf_find_tensor(&f->gguf, name);
    if (!t)
        return TN_UNSUPPORTED;
    *info = info_of(t);
    return TN_OK;
}

static tn_status source_rows(void *self, const tn_weight_info *info, int64_t row0, int32_t n,
                             const tn_row_buffer *buffer, tn_weight_rows *out, tn_error *err)
{
    const gguf_file *f = self;
    if (info->handle < 0 || (uint64_t)info->handle >= f->gguf.n_tensors)
        return tn_fail(err, TN_INVALID, "%s: no tensor of this file", info->name);
    const tn_gguf_tensor *t = &f->gguf.tensor[info->handle];
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
    const shard *s = &f->shard[t->shard];
    return tn_map_guard_check(s->guard, s->path, err);
}

static void source_done(void *self, const tn_weight_info *info)
{
    const gguf_file *f = self;
    if (info->handle < 0 || (uint64_t)info->handle >= f->gguf.n_tensors)
        return;
    const tn_gguf_tensor *t = &f->gguf.tensor[info->handle];
    const tn_file_map *map = &f->shard[t->shard].map;
    if (map->data)
        tn_file_map_drop(map, (size_t)t->offset, (size_t)t->bytes);
}

/* ---- open ---- */

/* Parse every shard and join them in part[0]. */
static tn_status parse_shards(const gguf_file *f, tn_gguf *part, tn_error *err)
{
    tn_gguf_split first = { .n_tensors = -1 };
    for (int32_t i = 0; i < f->n_shards; i++) {
        const tn_gguf_bytes *bytes = &f->shard[i].bytes;
        tn_status st = tn_gguf_parse(&part[i], bytes->data, bytes->size, err);
        if (!st)
            st = tn_gguf_split_check(&part[i], i, f->n_shards, first.n_tensors, err);
        if (!st && i == 0)
            st = tn_gguf_split_read(&part[0], &first, err);
        if (st)
            return tn_error_wrap(err, st, "%s", f->shard[i].path);
    }
    tn_status st = tn_gguf_join(&part[0], part + 1, (size_t)f->n_shards - 1, err);
    if (!st && first.n_tensors >= 0 && (uint64_t)first.n_tensors != part[0].n_tensors)
        st = tn_fail(err, TN_INVALID,
                     "the %d shards hold %zu tensors, but split.tensors.count says %lld: fetch all "
                     "shards again",
                     (int)f->n_shards, part[0].n_tensors, (long long)first.n_tensors);
    return st ? tn_error_wrap(err, st, "%s", f->shard[0].path) : TN_OK;
}

/* The file's gguf, from the bytes of all shards of a split model. */
static tn_status read_split(gguf_file *f, tn_error *err)
{
    tn_gguf *part = tn_alloc_array((size_t)f->n_shards, sizeof(*part));
    if (!part)
        return tn_fail_memory(err, "the shards");
    tn_status st = parse_shards(f, part, err);
    for (int32_t i = st ? 0 : 1; i < f->n_shards; i++)
        tn_gguf_deinit(&part[i]);
    if (!st)
        f->gguf = part[0];
    tn_free(part);
    return st;
}

/* Tensors and shards as every model file lists them. */
static tn_status list_all(const gguf_file *f, tn_error *err)
{
    tn_model_file *file = f->file;
    file->shard = tn_arena_alloc(&file->arena, (size_t)f->n_shards * sizeof(*file->shard));
    file->tensor = tn_arena_alloc(&file->arena, f->gguf.n_tensors * sizeof(*file->tensor));
    if (!file->shard || !file->tensor)
        return tn_fail_memory(err, "the list of tensors");
    for (int32_t i = 0; i < f->n_shards; i++) {
        file->shard[i] = f->shard[i].path;
        file->bytes += f->shard[i].bytes.size;
    }
    for (size_t i = 0; i < f->gguf.n_tensors; i++)
        file->tensor[i] = info_of(&f->gguf.tensor[i]);
    file->n_shards = f->n_shards;
    file->n_tensors = (int32_t)f->gguf.n_tensors;
    file->n_facts = (int32_t)f->gguf.n_pairs;
    return TN_OK;
}

/* What is made from the metadata, once all tensors are known. */
static tn_status read_metadata(gguf_file *f, tn_error *err)
{
    tn_model_file *file = f->file;
    file->format = f->gguf.version == 2 ? "GGUF v2" : "GGUF v3";
    TN_TRY(tn_gguf_vocab(&f->gguf, &file->arena, &file->vocab, err));
    TN_TRY(tn_gguf_facts(&f->gguf, &file->arena, &file->fact, err));
    TN_TRY(list_all(f, err));
    file->desc_status = tn_gguf_desc(&f->gguf, &file->arena, &file->desc, &file->desc_error);
    file->source = (tn_weight_source){ .self = f,
                                       .id = file->desc.source_id,
                                       .find = source_find,
                                       .rows = source_rows,
                                       .done = source_done };
    return TN_OK;
}

static void close_all(void *self)
{
    gguf_file *f = self;
    tn_gguf_deinit(&f->gguf);
    for (int32_t i = 0; i < f->n_shards; i++) {
        tn_map_guard_remove(f->shard[i].guard);
        tn_file_map_close(&f->shard[i].map);
    }
    tn_free(f->shard);
    tn_free(f);
}

/* Room for the shards, which closing the file frees; NULL without memory. */
static gguf_file *create(tn_model_file *file, int32_t n_shards, tn_error *err)
{
    gguf_file *f = tn_alloc_array(1, sizeof(*f));
    file->self = f;
    file->close = f ? close_all : NULL;
    if (f) {
        f->file = file;
        f->shard = tn_alloc_array((size_t)n_shards, sizeof(*f->shard));
    }
    if (!f || !f->shard) {
        (void)tn_fail_memory(err, "a model file");
        return NULL;
    }
    f->n_shards = n_shards;
    for (int32_t i = 0; i < n_shards; i++)
        f->shard[i].path = file->path;
    return f;
}

static tn_status read_memory(tn_model_file *file, const tn_gguf_bytes *bytes, int32_t n_shards,
                             tn_error *err)
{
    gguf_file *f = create(file, n_shards, err);
    if (!f)
        return TN_NO_MEMORY;
    for (int32_t i = 0; i < n_shards; i++)
        f->shard[i].bytes = bytes[i];
    if (n_shards > 1)
        TN_TRY(read_split(f, err));
    else
        TN_TRY(tn_gguf_parse(&f->gguf, bytes->data, bytes->size, err));
    return read_metadata(f, err);
}

tn_status tn_gguf_open_memory(const tn_gguf_bytes *bytes, int32_t n_shards, tn_model_file **out,
                              tn_error *err)
{
    tn_model_file *file = NULL;
    *out = NULL;
    if (n_shards < 1 || n_shards > TN_GGUF_MAX_SHARDS)
        return tn_fail(err, TN_INVALID, "a model of %d shards; 1 to %d are allowed", n_shards,
                       TN_GGUF_MAX_SHARDS);
    TN_TRY(tn_model_file_create("(memory)", &file, err));
    tn_status st = read_memory(file, bytes, n_shards, err);
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
static tn_status map_others(gguf_file *f, const tn_gguf_split *split, tn_error *err)
{
    shard *all = tn_realloc_array(f->shard, (size_t)split->count, sizeof(*all));
    if (!all)
        return tn_fail_memory(err, "the shards");
    shard opened = all[0];
    memset(all, 0, (size_t)split->count * sizeof(*all));
    all[split->no] = opened;
    f->shard = all;
    f->n_shards = split->count;
    for (int32_t i = 0; i < split->count; i++) {
        const char *path = NULL;
        tn_status st = tn_gguf_split_path(f->file->path, split, i, &f->file->arena, &path, err);
        if (st)
            return tn_error_wrap(err, st, "%s", f->file->path);
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

static tn_status open_shards(gguf_file *f, tn_error *err)
{
    tn_gguf_split split;
    TN_TRY(map_shard(&f->shard[0], f->file->path, err));
    const tn_gguf_bytes *bytes = &f->shard[0].bytes;
    tn_status st = tn_gguf_parse(&f->gguf, bytes->data, bytes->size, err);
    if (!st)
        st = tn_gguf_split_read(&f->gguf, &split, err);
    if (st)
        return tn_error_wrap(err, st, "%s", f->file->path);
    if (split.count > 1) {
        tn_gguf_deinit(&f->gguf); /* parsed again as one of all: only the first has metadata */
        TN_TRY(map_others(f, &split, err));
        TN_TRY(read_split(f, err));
    }
    st = read_metadata(f, err);
    return st ? tn_error_wrap(err, st, "%s", f->file->path) : TN_OK;
}

/* That nothing was read which is not in the files; it explains any other error. */
static tn_status check_guards(const gguf_file *f, tn_error *err)
{
    for (int32_t i = 0; i < f->n_shards; i++)
        TN_TRY(tn_map_guard_check(f->shard[i].guard, f->shard[i].path, err));
    return TN_OK;
}

tn_status tn_gguf_file_read(tn_model_file *file, tn_error *err)
{
    gguf_file *f = create(file, 1, err);
    if (!f)
        return TN_NO_MEMORY;
    const tn_status st = open_shards(f, err);
    const tn_status lost = check_guards(f, err);
    return lost ? lost : st;
}
