/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/safetensors_writer.h"

#include "core/base/alloc.h"
#include "core/base/strbuf.h"
#include "model/formats/little_endian.h"
#include "model/formats/safetensors.h"
#include "model/formats/write_file.h"

#include <inttypes.h>
#include <string.h>

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

struct tn_safetensors_writer {
    tn_strbuf header; /* JSON, without its end */
    uint64_t data_bytes, written;
    int32_t n_tensors;
    tn_status status; /* the first error of a declaration */
    tn_error error;
    tn_file_writer *file;
};

tn_status tn_safetensors_writer_create(tn_safetensors_writer **out, tn_error *err)
{
    *out = tn_alloc_array(1, sizeof(**out));
    if (!*out)
        return tn_fail_memory(err, "a safetensors writer");
    (*out)->header = TN_STRBUF(TN_ST_MAX_HEADER_BYTES - ALIGNMENT);
    /* What PyTorch's loaders ask for. */
    tn_strbuf_puts(&(*out)->header, "{\"__metadata__\":{\"format\":\"pt\"}");
    return TN_OK;
}

static uint64_t element_bytes(const char *type)
{
    if (strcmp(type, "F32") == 0 || strcmp(type, "I32") == 0)
        return 4;
    if (strcmp(type, "U8") == 0)
        return 1;
    return strcmp(type, "F16") == 0 || strcmp(type, "BF16") == 0 ? 2 : 0;
}

static tn_status check(const tn_safetensors_writer *w, const char *name, const char *type,
                       int32_t n_dims, const int64_t *dim, uint64_t *bytes, tn_error *err)
{
    size_t n = (size_t)element_bytes(type);
    bool is_fine = n > 0 && (n_dims == 1 || n_dims == 2);
    for (int32_t i = 0; i < n_dims && is_fine; i++)
        is_fine = dim[i] >= 1 && tn_size_mul(n, (size_t)dim[i], &n);
    for (const char *c = name; *c && is_fine; c++)
        is_fine = *c > 0x20 && *c < 0x7f && *c != '"' && *c != '\\';
    *bytes = n;
    if (!is_fine || !*name || strlen(name) > TN_ST_MAX_NAME_BYTES)
        return tn_fail(err, TN_INTERNAL, "tensor %s of type %s in %d dimensions cannot be written",
                       name, type, (int)n_dims);
    if (w->n_tensors == TN_ST_MAX_TENSORS)
        return tn_fail(err, TN_INVALID, "more than %d tensors in one file", TN_ST_MAX_TENSORS);
    return TN_OK;
}

void tn_safetensors_declare(tn_safetensors_writer *w, const char *name, const char *type,
                            int32_t n_dims, const int64_t *dim)
{
    uint64_t bytes = 0;
    if (!w->status)
        w->status = check(w, name, type, n_dims, dim, &bytes, &w->error);
    if (w->status)
        return;
    tn_strbuf_printf(&w->header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%" PRId64, name, type,
                     dim[0]);
    if (n_dims == 2)
        tn_strbuf_printf(&w->header, ",%" PRId64, dim[1]);
    tn_strbuf_printf(&w->header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", w->data_bytes,
                     w->data_bytes + bytes);
    w->data_bytes += bytes;
    w->n_tensors++;
}

/* With the closing brace, and blanks up to a multiple of 8. */
static uint64_t header_bytes(const tn_safetensors_writer *w)
{
    return (w->header.len + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

uint64_t tn_safetensors_writer_bytes(const tn_safetensors_writer *w)
{
    return LENGTH_BYTES + header_bytes(w) + w->data_bytes;
}

tn_status tn_safetensors_writer_begin(tn_safetensors_writer *w, const char *path, tn_error *err)
{
    uint8_t length[LENGTH_BYTES];
    const uint64_t n = header_bytes(w);
    if (w->status)
        return tn_fail(err, w->status, "%s: %s", path, w->error.text);
    tn_store_u64(length, n);
    tn_strbuf_puts(&w->header, "}");
    while (!w->header.failed && w->header.len < n)
        tn_strbuf_puts(&w->header, " ");
    TN_TRY(tn_strbuf_status(&w->header, "the header of a safetensors file", err));
    TN_TRY(tn_file_writer_open(path, 0666, &w->file, err));
    TN_TRY(tn_file_writer_put(w->file, length, sizeof(length), err));
    return tn_file_writer_put(w->file, w->header.data, w->header.len, err);
}

tn_status tn_safetensors_writer_put(tn_safetensors_writer *w, const void *bytes, size_t n,
                                    tn_error *err)
{
    if (n > w->data_bytes - w->written)
        return tn_fail(err, TN_INTERNAL, "more bytes of tensors than were declared");
    w->written += n;
    return tn_file_writer_put(w->file, bytes, n, err);
}

tn_status tn_safetensors_writer_end(tn_safetensors_writer *w, tn_error *err)
{
    if (w->written != w->data_bytes)
        return tn_fail(err, TN_INTERNAL, "fewer bytes of tensors than were declared");
    return tn_file_writer_commit(w->file, err);
}

void tn_safetensors_writer_destroy(tn_safetensors_writer *w)
{
    if (!w)
        return;
    tn_file_writer_abort(w->file);
    tn_strbuf_deinit(&w->header);
    tn_free(w);
}
