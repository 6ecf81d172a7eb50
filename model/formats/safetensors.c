/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/safetensors.h"

#include "core/base/alloc.h"
#include "model/formats/json_read.h"
#include "model/formats/little_endian.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A tensor's object has 8 values with two dimensions; `__metadata__` has some more. */
static const tn_json_limits header_limits = { .max_values = 8 * TN_ST_MAX_TENSORS,
                                              .max_text_bytes = 16 << 20 };
enum { LENGTH_BYTES = 8, SHOWN_BYTES = 64 };

/* Enum Dtype of the Rust library's tensor.rs. */
static const struct {
    const char *name;
    int32_t type, bytes;
} types[] = { { "F64", TN_ST_F64, 8 },       { "F32", TN_ST_F32, 4 },
              { "F16", TN_ST_F16, 2 },       { "BF16", TN_ST_BF16, 2 },
              { "I64", TN_ST_I64, 8 },       { "I32", TN_ST_I32, 4 },
              { "U8", TN_ST_U8, 1 },         { "U64", TN_ST_OTHER, 8 },
              { "U32", TN_ST_OTHER, 4 },     { "I16", TN_ST_OTHER, 2 },
              { "U16", TN_ST_OTHER, 2 },     { "I8", TN_ST_OTHER, 1 },
              { "BOOL", TN_ST_OTHER, 1 },    { "F8_E5M2", TN_ST_OTHER, 1 },
              { "F8_E4M3", TN_ST_OTHER, 1 }, { "F8_E8M0", TN_ST_OTHER, 1 } };
enum { N_TYPES = (int)(sizeof(types) / sizeof(types[0])) };

/* The file while it is parsed. */
typedef struct source {
    const uint8_t *data; /* of the tensors */
    uint64_t start;      /* its offset in the file */
    uint64_t bytes;
} source;

/* ---- one tensor ---- */

static tn_status check_name(const char *name, tn_error *err)
{
    size_t n = strlen(name);
    if (n == 0 || n > TN_ST_MAX_NAME_BYTES)
        return tn_fail(err, TN_INVALID, "a tensor's name has %zu bytes; 1 to %d are allowed", n,
                       TN_ST_MAX_NAME_BYTES);
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)name[i] < 0x20 || name[i] == 0x7f)
            return tn_fail(err, TN_INVALID, "a tensor's name holds the control character 0x%02x",
                           (uint8_t)name[i]);
    return TN_OK;
}

static tn_status read_type(const json_t *object, tn_st_tensor *t, uint64_t *element_bytes,
                           tn_error *err)
{
    const char *name = json_string_value(json_object_get(object, "dtype"));
    for (int i = 0; name && i < N_TYPES; i++) {
        if (strcmp(name, types[i].name) != 0)
            continue;
        t->type = types[i].type;
        t->type_name = types[i].name;
        *element_bytes = (uint64_t)types[i].bytes;
        return TN_OK;
    }
    if (!name)
        return tn_fail(err, TN_INVALID, "tensor %s has no dtype", t->name);
    return tn_fail(err, TN_UNSUPPORTED,
                   "tensor %s has the dtype \"%.*s\", which is not known; weights are read as F64, "
                   "F32, F16 and BF16",
                   t->name, SHOWN_BYTES, name);
}

/* Dimensions, and how many elements they make. */
static tn_status read_shape(const json_t *object, tn_st_tensor *t, size_t *elements, tn_error *err)
{
    const json_t *shape = json_object_get(object, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > TN_ST_MAX_DIMS)
        return tn_fail(err, TN_INVALID, "tensor %s: shape must be an array of at most %d integers",
                       t->name, TN_ST_MAX_DIMS);
    *elements = 1;
    t->n_dims = (int32_t)json_array_size(shape);
    for (int32_t i = 0; i < t->n_dims; i++) {
        const json_t *value = json_array_get(shape, (size_t)i);
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return tn_fail(err, TN_INVALID, "tensor %s: shape[%d] is no integer from 0 on", t->name,
                           (int)i);
        t->dim[i] = (uint64_t)json_integer_value(value);
        if (!tn_size_mul(*elements, (size_t)t->dim[i], elements))
            return tn_fail(err, TN_INVALID, "tensor %s: the product of its dimensions overflows",
                           t->name);
    }
    return TN_OK;
}

static tn_status read_place(const json_t *object, const source *from, tn_st_tensor *t,
                            tn_error *err)
{
    const json_t *offsets = json_object_get(object, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(end))
        return tn_fail(err, TN_INVALID, "tensor %s: data_offsets must be two integers", t->name);
    const int64_t begin = json_integer_value(first), stop = json_integer_value(end);
    if (begin < 0 || stop < begin || (uint64_t)stop > from->bytes)
        return tn_fail(err, TN_INVALID,
                       "tensor %s: data_offsets are %" PRId64 " to %" PRId64
                       "; the file has %" PRIu64 " bytes of tensors: it is cut off or broken",
                       t->name, begin, stop, from->bytes);
    t->offset = from->start + (uint64_t)begin;
    t->bytes = (uint64_t)(stop - begin);
    t->data = from->data + begin;
    return TN_OK;
}

static tn_status read_tensor(tn_safetensors *s, const source *from, const char *name,
                             const json_t *object, tn_error *err)
{
    tn_st_tensor *t = &s->tensor[s->n_tensors];
    uint64_t element_bytes = 0;
    size_t elements = 0;
    size_t bytes = 0;
    TN_TRY(check_name(name, err));
    t->name = tn_arena_strdup(&s->arena, name);
    if (!t->name)
        return tn_fail_memory(err, "a tensor's name");
    if (!json_is_object(object))
        return tn_fail(err, TN_INVALID, "tensor %s: an object is needed", name);
    TN_TRY(read_type(object, t, &element_bytes, err));
    TN_TRY(read_shape(object, t, &elements, err));
    TN_TRY(read_place(object, from, t, err));
    if (!tn_size_mul(elements, (size_t)element_bytes, &bytes) || bytes != t->bytes)
        return tn_fail(err, TN_INVALID,
                       "tensor %s: data_offsets make it %" PRIu64
                       " bytes; its shape and dtype %s make it %zu",
                       name, t->bytes, t->type_name, bytes);
    s->n_tensors++;
    return TN_OK;
}

/* ---- all of them ---- */

static int by_name(const void *a, const void *b)
{
    const tn_st_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_offset(const void *a, const void *b)
{
    const tn_st_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* One after another from the first byte to the last. */
static tn_status check_places(tn_safetensors *s, const source *from, tn_error *err)
{
    uint64_t at = from->start;
    qsort(s->tensor, s->n_tensors, sizeof(*s->tensor), by_offset);
    for (size_t i = 0; i < s->n_tensors; i++) {
        const tn_st_tensor *t = &s->tensor[i];
        if (t->offset < at)
            return tn_fail(err, TN_INVALID, "tensors %s and %s overlap", s->tensor[i - 1].name,
                           t->name);
        if (t->offset > at)
            return tn_fail(err, TN_INVALID,
                           "%" PRIu64 " bytes before tensor %s belong to no tensor", t->offset - at,
                           t->name);
        at += t->bytes;
    }
    if (at != from->start + from->bytes)
        return tn_fail(err, TN_INVALID, "%" PRIu64 " bytes at the end belong to no tensor",
                       from->start + from->bytes - at);
    qsort(s->tensor, s->n_tensors, sizeof(*s->tensor), by_name);
    return TN_OK;
}

static tn_status read_tensors(tn_safetensors *s, const source *from, json_t *root, tn_error *err)
{
    const char *name = NULL;
    json_t *value = NULL;
    if (json_object_size(root) > TN_ST_MAX_TENSORS)
        return tn_fail(err, TN_INVALID, "the header lists %zu tensors; at most %d are allowed",
                       json_object_size(root), TN_ST_MAX_TENSORS);
    s->tensor = tn_alloc_array(json_object_size(root), sizeof(*s->tensor));
    if (!s->tensor)
        return tn_fail_memory(err, "the table of tensors");
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) /* text for people */
            continue;
        TN_TRY(read_tensor(s, from, name, value, err));
    }
    return check_places(s, from, err);
}

/* The header's JSON and what lies behind it. */
static tn_status split(const uint8_t *data, size_t size, size_t *header, source *from,
                       tn_error *err)
{
    if (size < LENGTH_BYTES)
        return tn_fail(err, TN_INVALID, "this is no safetensors file: it has %zu bytes", size);
    const uint64_t n = tn_load_u64(data);
    if (n > TN_ST_MAX_HEADER_BYTES)
        return tn_fail(err, TN_INVALID,
                       "the header's length is %" PRIu64
                       " bytes; at most %d are allowed: is this a safetensors file?",
                       n, TN_ST_MAX_HEADER_BYTES);
    if (n > size - LENGTH_BYTES)
        return tn_fail(err, TN_INVALID,
                       "the header's length is %" PRIu64
                       " bytes, but %zu are left: the file is cut off or broken",
                       n, size - LENGTH_BYTES);
    if (n == 0 || data[LENGTH_BYTES] != '{')
        return tn_fail(err, TN_INVALID, "the header does not begin with {");
    *header = (size_t)n;
    *from = (source){ .data = data + LENGTH_BYTES + n,
                      .start = LENGTH_BYTES + n,
                      .bytes = size - LENGTH_BYTES - n };
    return TN_OK;
}

static tn_status parse(tn_safetensors *s, const uint8_t *data, size_t size, tn_error *err)
{
    source from = { 0 };
    json_t *root = NULL;
    size_t n = 0;
    const char *text = (const char *)data + LENGTH_BYTES;
    TN_TRY(split(data, size, &n, &from, err));
    s->header_bytes = LENGTH_BYTES + n;
    while (n > 0 && text[n - 1] == ' ') /* padding, which the specification allows */
        n--;
    tn_status st = tn_json_parse(text, n, &header_limits, false, &root, err);
    if (st)
        return tn_error_wrap(err, st, "the header");
    st = read_tensors(s, &from, root, err);
    json_decref(root);
    return st;
}

tn_status tn_safetensors_parse(tn_safetensors *s, const uint8_t *data, size_t size, tn_error *err)
{
    *s = (tn_safetensors){ 0 };
    tn_status st = parse(s, data, size, err);
    if (st)
        tn_safetensors_deinit(s);
    return st;
}

void tn_safetensors_deinit(tn_safetensors *s)
{
    tn_free(s->tensor);
    tn_arena_deinit(&s->arena);
    *s = (tn_safetensors){ 0 };
}
