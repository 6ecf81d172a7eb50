/* SPDX-License-Identifier: Apache-2.0 */
/* The safetensors files of a directory: one, or shards of a limited size and their index, as
 * transformers' save_pretrained writes them. */
#include "apps/convert/hf_tensors.h"
#include "model/formats/hf_shards.h"
#include "model/formats/safetensors_writer.h"

#include <stdio.h>
#include <string.h>

/* What save_pretrained takes. */
static const uint64_t default_shard_bytes = 5000000000;

/* ---- entries of a file ---- */

typedef struct entry {
    char name[TN_ST_MAX_NAME_BYTES + 1];
    const char *type;
    int32_t n_dims;
    int64_t dim[2];
} entry;

/* Entry `index` of a tensor; false behind the last. */
static bool entry_of(const tn_convert_hf_tensor *t, int32_t index, entry *out)
{
    if (index >= (t->is_awq ? TN_AWQ_TENSORS : 1))
        return false;
    const tn_awq_tensor *packed = &t->awq.tensor[index];
    if (t->is_awq)
        *out =
            (entry){ .type = packed->type, .n_dims = 2, .dim = { packed->dim[0], packed->dim[1] } };
    else
        *out = (entry){ .type = t->part[0].format->name,
                        .n_dims = t->part[0].is_vector ? 1 : 2,
                        .dim = { t->rows, t->cols } };
    (void)snprintf(out->name, sizeof out->name, "%s.%s", t->module,
                   t->is_awq ? packed->kind : t->kind);
    return true;
}

static uint64_t bytes_of(const tn_convert_hf_tensor *t)
{
    uint64_t bytes = 0;
    if (!t->is_awq)
        return (uint64_t)t->rows * (uint64_t)t->cols * t->part[0].format->block_bytes;
    for (int32_t i = 0; i < TN_AWQ_TENSORS; i++)
        bytes += t->awq.tensor[i].bytes;
    return bytes;
}

/* ---- shards ---- */

/* Ends a shard before each tensor that would make it too large. */
static int32_t cut(const tn_convert_hf_tensors *all, uint64_t limit, tn_convert_shard *shard)
{
    uint64_t bytes = 0;
    int32_t n = 0;
    for (int32_t i = 0; i < all->n; i++) {
        const uint64_t more = bytes_of(&all->tensor[i]);
        if (n == 0 || bytes > limit || more > limit - bytes) {
            shard[n++].begin = i;
            bytes = 0;
        }
        shard[n - 1].end = i + 1;
        bytes += more;
    }
    return n;
}

tn_status tn_convert_hf_cut(const tn_convert_args *args, tn_convert_hf_tensors *all,
                            tn_arena *arena, tn_error *err)
{
    const uint64_t limit = args->max_shard_bytes ? args->max_shard_bytes : default_shard_bytes;
    all->shard = tn_arena_alloc(arena, (size_t)all->n * sizeof *all->shard);
    if (!all->shard)
        return tn_fail_memory(err, "the table of files");
    all->n_shards = cut(all, limit, all->shard);
    for (int32_t i = 0; i < all->n; i++)
        all->bytes += bytes_of(&all->tensor[i]);
    if (all->n_shards > TN_HF_MAX_SHARDS)
        return tn_fail(err, TN_INVALID,
                       "--max-shard-size is too small: %d files; at most %d are allowed",
                       (int)all->n_shards, TN_HF_MAX_SHARDS);
    for (int32_t i = 0; i < all->n_shards; i++) {
        all->shard[i].name = all->n_shards == 1
                                 ? "model.safetensors"
                                 : tn_arena_printf(arena, "model-%05d-of-%05d.safetensors",
                                                   (int)i + 1, (int)all->n_shards);
        if (!all->shard[i].name)
            return tn_fail_memory(err, "a file's name");
    }
    return TN_OK;
}

json_t *tn_convert_hf_index(const tn_convert_hf_tensors *all)
{
    json_t *map = json_object();
    for (int32_t s = 0; s < all->n_shards; s++)
        for (int32_t i = all->shard[s].begin; i < all->shard[s].end; i++) {
            entry e;
            for (int32_t k = 0; entry_of(&all->tensor[i], k, &e); k++)
                (void)json_object_set_new(map, e.name, json_string(all->shard[s].name));
        }
    return json_pack("{s{sI}so}", "metadata", "total_size", (json_int_t)all->bytes, "weight_map",
                     map);
}

/* ---- one file ---- */

typedef struct job {
    const tn_convert_hf_tensors *all;
    tn_convert_stream stream;
    tn_safetensors_writer *w;
} job;

/* Tensor `i` of the order in a file with n from `begin` on, or NULL: those whose bytes are no
 * multiple of 4 go last (safetensors_writer.h). */
static const tn_convert_hf_tensor *in_turn(const tn_convert_hf_tensors *all,
                                           const tn_convert_shard *shard, int32_t i)
{
    const int32_t n = shard->end - shard->begin;
    const tn_convert_hf_tensor *t = &all->tensor[shard->begin + i % n];
    return (bytes_of(t) % 4 != 0) == (i >= n) ? t : NULL;
}

static tn_status declare(const tn_convert_hf_tensors *all, const tn_convert_shard *shard,
                         tn_safetensors_writer **w, tn_error *err)
{
    TN_TRY(tn_safetensors_writer_create(w, err));
    for (int32_t i = 0; i < 2 * (shard->end - shard->begin); i++) {
        const tn_convert_hf_tensor *t = in_turn(all, shard, i);
        entry e;
        for (int32_t k = 0; t && entry_of(t, k, &e); k++)
            tn_safetensors_declare(*w, e.name, e.type, e.n_dims, e.dim);
    }
    return TN_OK;
}

tn_status tn_convert_hf_bytes(const tn_convert_hf_tensors *all, uint64_t *out, tn_error *err)
{
    *out = 0;
    for (int32_t i = 0; i < all->n_shards; i++) {
        tn_safetensors_writer *w = NULL;
        TN_TRY(declare(all, &all->shard[i], &w, err));
        *out += tn_safetensors_writer_bytes(w);
        tn_safetensors_writer_destroy(w);
    }
    return TN_OK;
}

static tn_status put(void *sink, const void *bytes, size_t n, tn_error *err)
{
    return tn_safetensors_writer_put(sink, bytes, n, err);
}

/* Rows into the stream's sink; those of several parts kv head by kv head. */
static tn_status stream_parts(job *j, const tn_convert_hf_tensor *t, tn_error *err)
{
    const tn_convert_hf_tensors *all = j->all;
    if (t->n_parts == 1)
        return tn_convert_stream_tensor(&j->stream, &t->part[0], err);
    for (int32_t head = 0; head < all->kv_heads; head++)
        for (int32_t i = 0; i < t->n_parts; i++) {
            const int64_t n = (int64_t)(i == 0 ? all->group : 1) * all->head_dim;
            TN_TRY(tn_convert_stream_rows(&j->stream, &t->part[i], head * n, n, err));
        }
    for (int32_t i = 0; i < t->n_parts; i++)
        tn_convert_stream_done(&j->stream, &t->part[i]);
    return TN_OK;
}

/* A linear of codes is put together in memory first: in the file its rows lie across. */
static tn_status write_awq(job *j, const tn_convert_hf_tensor *t, tn_error *err)
{
    tn_convert_awq_sink sink = { .awq = t->awq };
    TN_TRY(tn_awq_begin(&sink.awq, err));
    j->stream.sink = &sink;
    j->stream.put = tn_convert_awq_put;
    tn_status st = stream_parts(j, t, err);
    if (!st)
        st = tn_convert_awq_exact(&sink, err);
    for (int32_t i = 0; i < TN_AWQ_TENSORS && !st; i++)
        st = put(j->w, sink.awq.data[i], sink.awq.tensor[i].bytes, err);
    tn_awq_end(&sink.awq);
    return st;
}

static tn_status write_tensor(job *j, const tn_convert_hf_tensor *t, tn_error *err)
{
    if (t->is_awq) {
        TN_TRY(write_awq(j, t, err));
    } else {
        j->stream.sink = j->w;
        j->stream.put = put;
        TN_TRY(stream_parts(j, t, err));
    }
    tn_convert_count(j->stream.report, t->part[0].format->name, bytes_of(t));
    return TN_OK;
}

static tn_status write_shard(job *j, const tn_convert_shard *shard, const char *directory,
                             tn_error *err)
{
    tn_strbuf path = TN_STRBUF(1 << 16);
    tn_strbuf_printf(&path, "%s/%s", directory, shard->name);
    tn_status st =
        path.failed ? tn_fail_memory(err, directory) : declare(j->all, shard, &j->w, err);
    if (!st)
        st = tn_safetensors_writer_begin(j->w, path.data, err);
    for (int32_t i = 0; i < 2 * (shard->end - shard->begin) && !st; i++) {
        const tn_convert_hf_tensor *t = in_turn(j->all, shard, i);
        if (t)
            st = write_tensor(j, t, err);
    }
    if (!st)
        st = tn_safetensors_writer_end(j->w, err);
    tn_safetensors_writer_destroy(j->w);
    j->w = NULL;
    tn_strbuf_deinit(&path);
    return st;
}

tn_status tn_convert_hf_write(const tn_convert_args *args, tn_model_file *file,
                              const tn_convert_hf_tensors *all, const char *directory,
                              tn_convert_report *report, tn_error *err)
{
    job j = { .all = all };
    TN_TRY(tn_convert_stream_init(&j.stream, args, file, err));
    j.stream.report = report;
    j.stream.total = all->elements;
    for (int32_t i = 0; i < all->n_shards; i++)
        TN_TRY(write_shard(&j, &all->shard[i], directory, err));
    return TN_OK;
}
