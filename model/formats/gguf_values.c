/* SPDX-License-Identifier: Apache-2.0 */
/* Typed reading of GGUF metadata. Bounds were checked by tn_gguf_parse; lengths that stand in the
 * file are held against them again, as another program may write to it meanwhile. */
#include "model/formats/gguf.h"
#include "model/formats/little_endian.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static tn_status wrong_type(const char *key, const tn_gguf_pair *pair, const char *wanted,
                            tn_error *err)
{
    if (pair->type == TN_GGUF_ARRAY)
        return tn_fail(err, TN_INVALID, "%s is an array of %s; %s is needed", key,
                       tn_gguf_type_name(pair->element), wanted);
    return tn_fail(err, TN_INVALID, "%s is of type %s; %s is needed", key,
                   tn_gguf_type_name(pair->type), wanted);
}

bool tn_gguf_int_at(const tn_gguf_pair *pair, uint64_t i, int64_t *out)
{
    const uint8_t *p = pair->data;
    switch (pair->type == TN_GGUF_ARRAY ? pair->element : pair->type) {
    case TN_GGUF_U8:
    case TN_GGUF_BOOL:
        *out = p[i];
        return true;
    case TN_GGUF_I8:
        *out = (int8_t)p[i];
        return true;
    case TN_GGUF_U16:
        *out = tn_load_u16(p + 2 * i);
        return true;
    case TN_GGUF_I16:
        *out = (int16_t)tn_load_u16(p + 2 * i);
        return true;
    case TN_GGUF_U32:
        *out = tn_load_u32(p + 4 * i);
        return true;
    case TN_GGUF_I32:
        *out = (int32_t)tn_load_u32(p + 4 * i);
        return true;
    case TN_GGUF_U64:
    case TN_GGUF_I64:
        *out = (int64_t)tn_load_u64(p + 8 * i);
        return *out >= 0 || pair->type == TN_GGUF_I64 || pair->element == TN_GGUF_I64;
    default:
        return false;
    }
}

tn_status tn_gguf_int(const tn_gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                      tn_error *err)
{
    const tn_gguf_pair *pair = tn_gguf_find(g, key);
    if (!pair)
        return TN_OK;
    uint32_t type = pair->type == TN_GGUF_ARRAY ? pair->element : pair->type;
    int64_t value = 0;
    if (type == TN_GGUF_F32 || type == TN_GGUF_F64 || type == TN_GGUF_STRING ||
        type == TN_GGUF_ARRAY)
        return wrong_type(key, pair, "an integer", err);
    if (pair->n < 1)
        return tn_fail(err, TN_INVALID, "%s is an empty array; an integer is needed", key);
    bool is_read = tn_gguf_int_at(pair, 0, &value);
    for (uint64_t i = 1; pair->type == TN_GGUF_ARRAY && i < pair->n && is_read; i++) {
        int64_t other = 0;
        is_read = tn_gguf_int_at(pair, i, &other);
        if (is_read && other != value)
            return tn_fail(err, TN_UNSUPPORTED,
                           "%s differs by layer (%" PRId64 ", %" PRId64
                           "), which is not supported; one value for all layers is",
                           key, value, other);
    }
    if (!is_read || value < min || value > max)
        return tn_fail(err, TN_INVALID, "%s is %" PRId64 "; %" PRId64 " to %" PRId64 " is allowed",
                       key, is_read ? value : INT64_MAX, min, max);
    *out = value;
    return TN_OK;
}

tn_status tn_gguf_float(const tn_gguf *g, const char *key, float *out, tn_error *err)
{
    const tn_gguf_pair *pair = tn_gguf_find(g, key);
    if (!pair)
        return TN_OK;
    if (pair->type != TN_GGUF_F32 && pair->type != TN_GGUF_F64)
        return wrong_type(key, pair, "a float", err);
    float value =
        pair->type == TN_GGUF_F32 ? tn_load_f32(pair->data) : (float)tn_load_f64(pair->data);
    if (!isfinite(value))
        return tn_fail(err, TN_INVALID, "%s is %g; a finite number is needed", key, (double)value);
    *out = value;
    return TN_OK;
}

tn_status tn_gguf_bool(const tn_gguf *g, const char *key, int32_t *out, tn_error *err)
{
    const tn_gguf_pair *pair = tn_gguf_find(g, key);
    if (!pair)
        return TN_OK;
    if (pair->type != TN_GGUF_BOOL)
        return wrong_type(key, pair, "a bool", err);
    *out = pair->data[0];
    return TN_OK;
}

tn_status tn_gguf_string(const tn_gguf *g, const char *key, tn_arena *arena, const char **out,
                         tn_error *err)
{
    const tn_gguf_pair *pair = tn_gguf_find(g, key);
    if (!pair)
        return TN_OK;
    if (pair->type != TN_GGUF_STRING)
        return wrong_type(key, pair, "a string", err);
    if (pair->n && memchr(pair->data, 0, (size_t)pair->n))
        return tn_fail(err, TN_INVALID, "%s holds a NUL byte", key);
    char *copy = tn_arena_alloc(arena, (size_t)pair->n + 1);
    if (!copy)
        return tn_fail_memory(err, "a metadata string");
    memcpy(copy, pair->data, (size_t)pair->n);
    *out = copy;
    return TN_OK;
}

tn_text tn_gguf_next_string(const tn_gguf_pair *pair, size_t *offset)
{
    const uint8_t *p = pair->data + *offset;
    const size_t left = pair->data_bytes - *offset;
    if (left < 8)
        return (tn_text){ .data = "" };
    const uint64_t n = tn_load_u64(p);
    tn_text text = { .data = (const char *)p + 8, .n = n < left - 8 ? (size_t)n : left - 8 };
    *offset += 8 + text.n;
    return text;
}

tn_status tn_gguf_strings(const tn_gguf *g, const char *key, tn_arena *arena, const tn_text **out,
                          size_t *out_n, tn_error *err)
{
    *out = NULL;
    *out_n = 0;
    const tn_gguf_pair *pair = tn_gguf_find(g, key);
    if (!pair)
        return TN_OK;
    if (pair->type != TN_GGUF_ARRAY || pair->element != TN_GGUF_STRING)
        return wrong_type(key, pair, "an array of strings", err);
    /* Of a copy: they are used long after the file was read, when it may not be whole any more. */
    tn_gguf_pair copy = *pair;
    copy.data = tn_arena_copy(arena, pair->data, pair->data_bytes);
    tn_text *texts = tn_arena_alloc(arena, (size_t)pair->n * sizeof(*texts));
    if (!texts || !copy.data)
        return tn_fail_memory(err, "metadata strings");
    size_t offset = 0;
    for (uint64_t i = 0; i < pair->n; i++)
        texts[i] = tn_gguf_next_string(&copy, &offset);
    *out = texts;
    *out_n = (size_t)pair->n;
    return TN_OK;
}

tn_status tn_gguf_numbers(const tn_gguf *g, const char *key, uint32_t element, tn_arena *arena,
                          tn_gguf_array *out, tn_error *err)
{
    *out = (tn_gguf_array){ 0 };
    const tn_gguf_pair *pair = tn_gguf_find(g, key);
    if (!pair)
        return TN_OK;
    bool fits =
        pair->element == element || (element == TN_GGUF_I32 && pair->element == TN_GGUF_U32);
    if (pair->type != TN_GGUF_ARRAY || !fits)
        return wrong_type(key, pair, element == TN_GGUF_F32 ? "an array of f32" : "an array of i32",
                          err);
    uint32_t *bits = tn_arena_alloc(arena, (size_t)pair->n * sizeof(*bits));
    if (!bits)
        return tn_fail_memory(err, "metadata numbers");
    for (uint64_t i = 0; i < pair->n; i++)
        bits[i] = tn_load_u32(pair->data + 4 * i);
    *out = (tn_gguf_array){ .data = bits, .n = (size_t)pair->n };
    return TN_OK;
}
