/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/gguf_writer.h"

#include "core/base/alloc.h"
#include "core/base/strbuf.h"
#include "model/formats/gguf.h"
#include "model/formats/little_endian.h"
#include "model/formats/write_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 32, VERSION = 3 };
/* Bytes of zeros that padding is taken from. */
static const uint8_t zeros[ALIGNMENT];

struct tn_gguf_writer {
    tn_strbuf pairs, table, data; /* metadata entries, tensor entries, bytes of tensors put */
    tn_strbuf sizes;              /* uint64_t of each tensor, without padding */
    uint64_t n_pairs, n_tensors, data_bytes; /* data_bytes: with padding */
    tn_file_writer *file;                    /* while streaming */
    uint64_t tensor_index, tensor_done;      /* what comes next */
    tn_status status;
    tn_error error;
};

static void put_number(tn_strbuf *b, uint64_t value, size_t n_bytes)
{
    uint8_t bytes[8];
    tn_store_u64(bytes, value);
    tn_strbuf_append(b, bytes, n_bytes);
}

static void put_text(tn_strbuf *b, const char *text, size_t n)
{
    put_number(b, n, 8);
    tn_strbuf_append(b, text, n);
}

static size_t padding_of(uint64_t n_bytes)
{
    return (size_t)((ALIGNMENT - n_bytes % ALIGNMENT) % ALIGNMENT);
}

static void put_padding(tn_strbuf *b)
{
    tn_strbuf_append(b, zeros, padding_of(b->len));
}

static void put_key(tn_gguf_writer *w, const char *key, uint32_t type)
{
    put_text(&w->pairs, key, strlen(key));
    put_number(&w->pairs, type, 4);
    w->n_pairs++;
}

static void put_array(tn_gguf_writer *w, const char *key, uint32_t element, size_t n)
{
    put_key(w, key, TN_GGUF_ARRAY);
    put_number(&w->pairs, element, 4);
    put_number(&w->pairs, n, 8);
}

tn_status tn_gguf_writer_create(tn_gguf_writer **out, tn_error *err)
{
    *out = tn_alloc_array(1, sizeof(**out));
    if (!*out)
        return tn_fail_memory(err, "a GGUF writer");
    (*out)->pairs = (*out)->table = (*out)->data = (*out)->sizes = TN_STRBUF(SIZE_MAX / 2);
    return TN_OK;
}

void tn_gguf_put_u16(tn_gguf_writer *w, const char *key, uint16_t value)
{
    put_key(w, key, TN_GGUF_U16);
    put_number(&w->pairs, value, 2);
}

void tn_gguf_put_u32(tn_gguf_writer *w, const char *key, uint32_t value)
{
    put_key(w, key, TN_GGUF_U32);
    put_number(&w->pairs, value, 4);
}

void tn_gguf_put_i32(tn_gguf_writer *w, const char *key, int32_t value)
{
    put_key(w, key, TN_GGUF_I32);
    put_number(&w->pairs, (uint32_t)value, 4);
}

void tn_gguf_put_f32(tn_gguf_writer *w, const char *key, float value)
{
    put_key(w, key, TN_GGUF_F32);
    put_number(&w->pairs, tn_f32_bits(value), 4);
}

void tn_gguf_put_bool(tn_gguf_writer *w, const char *key, int32_t value)
{
    put_key(w, key, TN_GGUF_BOOL);
    put_number(&w->pairs, value != 0, 1);
}

void tn_gguf_put_string(tn_gguf_writer *w, const char *key, const char *text, size_t n)
{
    put_key(w, key, TN_GGUF_STRING);
    put_text(&w->pairs, text, n);
}

void tn_gguf_put_strings(tn_gguf_writer *w, const char *key, const tn_text *texts, size_t n)
{
    put_array(w, key, TN_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_text(&w->pairs, texts[i].data, texts[i].n);
}

void tn_gguf_put_f32s(tn_gguf_writer *w, const char *key, const float *values, size_t n)
{
    put_array(w, key, TN_GGUF_F32, n);
    for (size_t i = 0; i < n; i++)
        put_number(&w->pairs, tn_f32_bits(values[i]), 4);
}

void tn_gguf_put_i32s(tn_gguf_writer *w, const char *key, const int32_t *values, size_t n)
{
    put_array(w, key, TN_GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        put_number(&w->pairs, (uint32_t)values[i], 4);
}

static tn_status check_tensor(const char *name, const char *type, int64_t rows, int64_t cols,
                              const tn_weight_format **out_format, tn_error *err)
{
    const tn_weight_format *f = tn_weight_format_of_name(type);
    *out_format = f;
    if (!f || !f->decode)
        return tn_fail(err, TN_UNSUPPORTED, "tensor %s: type %s cannot be written", name, type);
    if (strlen(name) < 1 || strlen(name) > TN_GGUF_MAX_NAME_BYTES)
        return tn_fail(err, TN_INVALID, "tensor name \"%.64s\": 1 to %d bytes are allowed", name,
                       TN_GGUF_MAX_NAME_BYTES);
    if (rows < 0 || rows > INT32_MAX || cols < 1 || cols > INT32_MAX || cols % f->block_elements)
        return tn_fail(err, TN_INVALID,
                       "tensor %s: %" PRId64 " rows of %" PRId64
                       " columns; %s needs a multiple of %" PRIu32 " columns",
                       name, rows, cols, type, f->block_elements);
    return TN_OK;
}

static size_t blocks_of(const tn_weight_format *f, int64_t rows, int64_t cols)
{
    return (size_t)(cols / f->block_elements) * (size_t)(rows ? rows : 1);
}

void tn_gguf_declare(tn_gguf_writer *w, const char *name, const char *type, int64_t rows,
                     int64_t cols)
{
    const tn_weight_format *f = NULL;
    if (!w->status)
        w->status = check_tensor(name, type, rows, cols, &f, &w->error);
    if (w->status)
        return;
    const uint64_t bytes = (uint64_t)blocks_of(f, rows, cols) * f->block_bytes;
    put_text(&w->table, name, strlen(name));
    put_number(&w->table, rows ? 2 : 1, 4);
    put_number(&w->table, (uint64_t)cols, 8);
    if (rows)
        put_number(&w->table, (uint64_t)rows, 8);
    put_number(&w->table, f->ggml_type, 4);
    put_number(&w->table, w->data_bytes, 8);
    tn_strbuf_append(&w->sizes, &bytes, sizeof(bytes));
    w->data_bytes += bytes + padding_of(bytes);
    w->n_tensors++;
}

void tn_gguf_put_blocks(tn_gguf_writer *w, const char *name, const char *type, int64_t rows,
                        int64_t cols, const uint8_t *blocks)
{
    tn_gguf_declare(w, name, type, rows, cols);
    if (w->status)
        return;
    const tn_weight_format *f = tn_weight_format_of_name(type);
    tn_strbuf_append(&w->data, blocks, blocks_of(f, rows, cols) * f->block_bytes);
    put_padding(&w->data);
}

void tn_gguf_put_tensor(tn_gguf_writer *w, const char *name, const char *type, int64_t rows,
                        int64_t cols, const float *values)
{
    const tn_weight_format *f = NULL;
    if (!w->status)
        w->status = check_tensor(name, type, rows, cols, &f, &w->error);
    if (!w->status && !f->encode)
        w->status = tn_fail(&w->error, TN_UNSUPPORTED,
                            "tensor %s: values cannot be encoded as %s, only blocks be written",
                            name, type);
    if (w->status)
        return;
    uint8_t *encoded = tn_alloc_array(blocks_of(f, rows, cols), f->block_bytes);
    if (!encoded) {
        w->status = tn_fail_memory(&w->error, "an encoded tensor");
        return;
    }
    f->encode(values, blocks_of(f, rows, cols), encoded);
    tn_gguf_put_blocks(w, name, type, rows, cols, encoded);
    tn_free(encoded);
}

/* ---- files ---- */

static void put_head(const tn_gguf_writer *w, tn_strbuf *head)
{
    tn_strbuf_append(head, "GGUF", 4);
    put_number(head, VERSION, 4);
    put_number(head, w->n_tensors, 8);
    put_number(head, w->n_pairs, 8);
    tn_strbuf_append(head, w->pairs.data, w->pairs.len);
    tn_strbuf_append(head, w->table.data, w->table.len);
    put_padding(head);
}

uint64_t tn_gguf_writer_bytes(const tn_gguf_writer *w)
{
    const uint64_t head = 4 + 4 + 8 + 8 + w->pairs.len + w->table.len;
    return head + padding_of(head) + w->data_bytes;
}

/* The first error of what was declared and put. */
static tn_status check_writer(const tn_gguf_writer *w, const char *path, tn_error *err)
{
    if (w->status)
        return tn_fail(err, w->status, "%s: %s", path, w->error.text);
    if (w->pairs.failed || w->table.failed || w->data.failed || w->sizes.failed)
        return tn_fail_memory(err, "a GGUF file");
    return TN_OK;
}

tn_status tn_gguf_writer_begin(tn_gguf_writer *w, const char *path, tn_error *err)
{
    TN_TRY(check_writer(w, path, err));
    tn_strbuf head = TN_STRBUF(SIZE_MAX / 2);
    put_head(w, &head);
    tn_status st = head.failed ? tn_fail_memory(err, "a GGUF file")
                               : tn_file_writer_open(path, 0666, &w->file, err);
    if (!st)
        st = tn_file_writer_put(w->file, head.data, head.len, err);
    tn_strbuf_deinit(&head);
    return st;
}

static uint64_t size_of(const tn_gguf_writer *w, uint64_t index)
{
    uint64_t size = 0;
    memcpy(&size, w->sizes.data + index * sizeof(size), sizeof(size));
    return size;
}

tn_status tn_gguf_writer_stream(tn_gguf_writer *w, const void *bytes, size_t n, tn_error *err)
{
    const uint8_t *at = bytes;
    while (n > 0) {
        if (w->tensor_index == w->n_tensors)
            return tn_fail(err, TN_INTERNAL, "more bytes of tensors than were declared");
        const uint64_t size = size_of(w, w->tensor_index), left = size - w->tensor_done;
        const size_t now = n < left ? n : (size_t)left;
        TN_TRY(tn_file_writer_put(w->file, at, now, err));
        at += now;
        n -= now;
        w->tensor_done += now;
        if (w->tensor_done < size)
            return TN_OK;
        TN_TRY(tn_file_writer_put(w->file, zeros, padding_of(size), err));
        w->tensor_index++;
        w->tensor_done = 0;
    }
    return TN_OK;
}

tn_status tn_gguf_writer_end(tn_gguf_writer *w, tn_error *err)
{
    if (w->tensor_index != w->n_tensors)
        return tn_fail(err, TN_INTERNAL, "fewer bytes of tensors than were declared");
    return tn_file_writer_commit(w->file, err);
}

tn_status tn_gguf_writer_finish(tn_gguf_writer *w, const char *path, tn_error *err)
{
    TN_TRY(check_writer(w, path, err));
    tn_strbuf head = TN_STRBUF(SIZE_MAX / 2);
    put_head(w, &head);
    const tn_file_part parts[] = { { tn_strbuf_text(&head), head.len },
                                   { tn_strbuf_text(&w->data), w->data.len } };
    const tn_write_args args = { .part = parts, .n_parts = 2, .mode = 0666 };
    tn_status st =
        head.failed ? tn_fail_memory(err, "a GGUF file") : tn_write_file(path, &args, err);
    tn_strbuf_deinit(&head);
    return st;
}

void tn_gguf_writer_destroy(tn_gguf_writer *w)
{
    if (!w)
        return;
    tn_file_writer_abort(w->file);
    tn_strbuf_deinit(&w->pairs);
    tn_strbuf_deinit(&w->table);
    tn_strbuf_deinit(&w->data);
    tn_strbuf_deinit(&w->sizes);
    tn_free(w);
}
