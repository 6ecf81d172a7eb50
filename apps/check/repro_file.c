/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/repro_io.h"
#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "model/formats/file_map.h"
#include "model/formats/json_read.h"
#include "model/formats/safetensors_writer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 29, MAX_JSON_BYTES = 1 << 16 };
static const tn_json_limits json_limits = { .max_values = 1024, .max_text_bytes = MAX_JSON_BYTES };

static const char json_name[] = "repro.json", hash_name[] = "repro.sha256";

/* ---- write ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tn_repro_array *)a)->name, ((const tn_repro_array *)b)->name);
}

/* Of every array, by ascending name: its name with NUL, then its bytes. */
static void hash_array(tn_sha256 *h, const char *name, const void *data, size_t bytes)
{
    tn_sha256_update(h, name, strlen(name) + 1);
    tn_sha256_update(h, data, bytes);
}

static void declare(tn_safetensors_writer *w, const tn_repro_io *io, bool bytes)
{
    for (int32_t i = 0; i < io->n_arrays; i++) {
        const int64_t n = (int64_t)io->array[i].n;
        if ((io->array[i].type[0] == 'U') == bytes)
            tn_safetensors_declare(w, io->array[i].name, io->array[i].type, 1, &n);
    }
}

static tn_status put(tn_safetensors_writer *w, const tn_repro_io *io, bool bytes, tn_error *err)
{
    for (int32_t i = 0; i < io->n_arrays; i++)
        if ((io->array[i].type[0] == 'U') == bytes)
            TN_TRY(tn_safetensors_writer_put(w, io->array[i].data, io->array[i].bytes, err));
    return TN_OK;
}

/* Arrays of bytes last, so that the others begin at multiples of their elements. */
static tn_status write_arrays(const tn_repro_io *io, const char *path, tn_error *err)
{
    tn_safetensors_writer *w;
    TN_TRY(tn_safetensors_writer_create(&w, err));
    declare(w, io, false);
    declare(w, io, true);
    tn_status status = tn_safetensors_writer_begin(w, path, err);
    if (!status)
        status = put(w, io, false, err);
    if (!status)
        status = put(w, io, true, err);
    if (!status)
        status = tn_safetensors_writer_end(w, err);
    tn_safetensors_writer_destroy(w);
    return status;
}

static tn_status write_all(tn_repro_io *io, json_t *root, const char *path, tn_error *err)
{
    char digest[65];
    tn_sha256 h;
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (!text)
        return tn_fail_memory(err, "a repro file");
    const void *data = text;
    tn_repro_array_of(io, json_name, "U8", strlen(text), true, &data);
    qsort(io->array, (size_t)io->n_arrays, sizeof io->array[0], by_name);
    tn_sha256_init(&h);
    for (int32_t i = 0; i < io->n_arrays; i++)
        hash_array(&h, io->array[i].name, io->array[i].data, io->array[i].bytes);
    tn_sha256_hex(&h, digest);
    data = digest;
    tn_repro_array_of(io, hash_name, "U8", 64, true, &data);
    const tn_status status =
        io->status ? tn_fail(err, io->status, "%s", io->error.text) : write_arrays(io, path, err);
    tn_free(text);
    return status;
}

tn_status tn_check_repro_write(const tn_check_repro *r, const char *path, tn_error *err)
{
    tn_check_repro copy = *r;
    json_t *root = json_object();
    tn_repro_io *io = tn_alloc_array(1, sizeof *io);
    tn_status status;
    if (!io || !root) {
        status = tn_fail_memory(err, "a repro file");
    } else {
        int32_t version = TN_REPRO_VERSION;
        io->object[0] = root;
        tn_repro_int(io, "version", 0, INT32_MAX, &version);
        for (int32_t i = 0; i < copy.c.n_parts; i++)
            copy.weight[i] = r->c.part[i];
        copy.batch = *r->c.batch;
        tn_repro_visit(io, &copy);
        status = write_all(io, root, path, err);
    }
    json_decref(root);
    tn_free(io);
    return status;
}

/* ---- read ---- */

static const tn_st_tensor *array_of(const tn_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (strcmp(file->tensor[i].name, name) == 0 && file->tensor[i].type == TN_ST_U8)
            return &file->tensor[i];
    return NULL;
}

static tn_status check_version(const json_t *root, tn_error *err)
{
    const json_t *version = json_object_get(root, "version");
    if (!json_is_integer(version))
        return tn_fail(err, TN_INVALID, "no repro file: it has no version");
    if (json_integer_value(version) != TN_REPRO_VERSION)
        return tn_fail(err, TN_INVALID,
                       "a repro file of version %lld; this tenon reads version %d: check again to "
                       "write another",
                       (long long)json_integer_value(version), TN_REPRO_VERSION);
    return TN_OK;
}

static tn_status check_hash(const tn_safetensors *file, tn_error *err)
{
    const tn_st_tensor *hash = array_of(file, hash_name);
    char digest[65];
    tn_sha256 h;
    tn_sha256_init(&h);
    for (size_t i = 0; i < file->n_tensors; i++)
        if (&file->tensor[i] != hash)
            hash_array(&h, file->tensor[i].name, file->tensor[i].data,
                       (size_t)file->tensor[i].bytes);
    tn_sha256_hex(&h, digest);
    if (!hash || hash->bytes != 64 || memcmp(hash->data, digest, 64) != 0)
        return tn_fail(err, TN_INVALID, "corrupt: %s is not that of its arrays", hash_name);
    return TN_OK;
}

/* A plugin is looked up by it: no path, nothing that YAML reads otherwise. */
static bool is_plain_name(const char *name)
{
    for (const char *c = name; c && *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_' && (*c != '.' || c == name))
            return false;
    return name && *name;
}

static tn_status read_case(const tn_safetensors *file, json_t *root, tn_check_repro *out,
                           tn_error *err)
{
    tn_repro_io *io = tn_alloc_array(1, sizeof *io);
    if (!io)
        return tn_fail_memory(err, "a repro file");
    io->reading = true;
    io->object[0] = root;
    io->arena = &out->arena;
    io->file = file;
    tn_repro_visit(io, out);
    tn_status status = io->status ? tn_fail(err, io->status, "%s", io->error.text) : TN_OK;
    tn_free(io);
    if (!status && !is_plain_name(out->plugin))
        status = tn_fail(err, TN_INVALID, "its plugin has no plain name");
    if (!status && !(out->part && out->kernel && out->c.name && out->c.node.path))
        status = tn_fail(err, TN_INVALID, "part, kernel, case and path must be texts");
    return status ? status : tn_check_case_validate(&out->c, err);
}

static tn_status parse_arrays(const tn_safetensors *file, tn_check_repro *out, tn_error *err)
{
    const tn_st_tensor *text = array_of(file, json_name);
    json_t *root = NULL;
    if (!text || text->bytes > MAX_JSON_BYTES)
        return tn_fail(err, TN_INVALID, "a safetensors file, but no repro file: it has no %s",
                       json_name);
    tn_status status = tn_json_parse((const char *)text->data, (size_t)text->bytes, &json_limits,
                                     false, &root, err);
    if (status)
        return tn_error_wrap(err, status, "corrupt: %s", json_name);
    status = check_version(root, err);
    if (!status)
        status = check_hash(file, err);
    if (!status)
        status = read_case(file, root, out, err);
    json_decref(root);
    return status;
}

tn_status tn_check_repro_parse(const uint8_t *data, size_t n, tn_check_repro *out, tn_error *err)
{
    tn_safetensors file;
    *out = (tn_check_repro){ 0 };
    tn_status status = tn_safetensors_parse(&file, data, n, err);
    if (status)
        return tn_error_wrap(err, status, "no repro file, or a truncated one");
    status = parse_arrays(&file, out, err);
    tn_safetensors_deinit(&file);
    if (status)
        tn_check_repro_deinit(out);
    return status;
}

tn_status tn_check_repro_read(const char *path, tn_check_repro *out, tn_error *err)
{
    char *text;
    size_t n;
    *out = (tn_check_repro){ 0 };
    TN_TRY(tn_file_read(path, MAX_FILE_BYTES, &text, &n, err));
    const tn_status status = tn_check_repro_parse((const uint8_t *)text, n, out, err);
    tn_free(text);
    return status ? tn_error_wrap(err, status, "%s", path) : TN_OK;
}

void tn_check_repro_deinit(tn_check_repro *r)
{
    tn_arena_deinit(&r->arena);
    *r = (tn_check_repro){ 0 };
}
