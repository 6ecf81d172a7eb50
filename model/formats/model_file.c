/* SPDX-License-Identifier: Apache-2.0 */
/* A GGUF file as a model file. Everything but the weights is read when it is opened, so all of it
 * is immutable afterwards. */
#include "model/formats/model_file.h"

#include "core/base/alloc.h"
#include "core/base/file_map.h"
#include "model/formats/gguf.h"

#include <string.h>

struct tn_model_file {
    const char *path, *format;
    tn_file_map map; /* empty for a file in memory */
    tn_gguf gguf;
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
    const uint8_t *bytes = file->gguf.data + t->offset + (size_t)row0 * (size_t)t->row_bytes;
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
    return TN_OK;
}

static void source_done(void *self, const tn_weight_info *info)
{
    const tn_model_file *file = self;
    if (!file->map.data || info->handle < 0 || (uint64_t)info->handle >= file->gguf.n_tensors)
        return;
    const tn_gguf_tensor *t = &file->gguf.tensor[info->handle];
    tn_file_map_drop(&file->map, (size_t)t->offset, (size_t)t->bytes);
}

/* ---- open ---- */

static tn_status read_all(tn_model_file *file, const uint8_t *data, size_t size, tn_error *err)
{
    TN_TRY(tn_gguf_parse(&file->gguf, data, size, err));
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

static tn_status create(const char *path, tn_model_file **out, tn_error *err)
{
    tn_model_file *file = tn_alloc_array(1, sizeof(*file));
    if (!file)
        return tn_fail_memory(err, "a model file");
    file->path = tn_arena_strdup(&file->arena, path);
    if (!file->path) {
        tn_model_file_close(file);
        return tn_fail_memory(err, "a model file");
    }
    *out = file;
    return TN_OK;
}

tn_status tn_gguf_open_memory(const uint8_t *data, size_t size, tn_model_file **out, tn_error *err)
{
    tn_model_file *file = NULL;
    *out = NULL;
    TN_TRY(create("(memory)", &file, err));
    tn_status st = read_all(file, data, size, err);
    if (st) {
        tn_model_file_close(file);
        return st;
    }
    *out = file;
    return TN_OK;
}

tn_status tn_model_file_open(const char *path, tn_model_file **out, tn_error *err)
{
    tn_model_file *file = NULL;
    *out = NULL;
    TN_TRY(create(path, &file, err));
    tn_status st = tn_file_map_open(&file->map, path, err);
    if (!st) {
        st = read_all(file, file->map.data, file->map.size, err);
        if (st)
            (void)tn_error_wrap(err, st, "%s", path);
    }
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
    tn_file_map_close(&file->map);
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
    return file->gguf.size;
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
