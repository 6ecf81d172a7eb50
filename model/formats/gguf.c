/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/gguf.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "model/formats/little_endian.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fewest bytes a metadata pair (key of one byte, value of one) and a tensor entry (name of one
 * byte, one dimension) take. */
enum { MIN_PAIR_BYTES = 8 + 1 + 4 + 1, MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8 };
/* Names from the file are cut to this in messages. */
enum { SHOWN_BYTES = 64 };
enum { DEFAULT_ALIGNMENT = 32 };

/* bytes: of a value; of a string and an array the fewest, those of their heads. */
static const struct {
    const char *name;
    uint8_t bytes;
} types[TN_GGUF_N_TYPES] = {
    [TN_GGUF_U8] = { "u8", 1 },         [TN_GGUF_I8] = { "i8", 1 },
    [TN_GGUF_U16] = { "u16", 2 },       [TN_GGUF_I16] = { "i16", 2 },
    [TN_GGUF_U32] = { "u32", 4 },       [TN_GGUF_I32] = { "i32", 4 },
    [TN_GGUF_F32] = { "f32", 4 },       [TN_GGUF_BOOL] = { "bool", 1 },
    [TN_GGUF_STRING] = { "string", 8 }, [TN_GGUF_U64] = { "u64", 8 },
    [TN_GGUF_ARRAY] = { "array", 12 },  [TN_GGUF_I64] = { "i64", 8 },
    [TN_GGUF_F64] = { "f64", 8 },
};

typedef struct cursor {
    const uint8_t *data;
    size_t size, pos;
} cursor;

static size_t left(const cursor *c)
{
    return c->size - c->pos;
}

static int shown(tn_text text)
{
    return text.n < SHOWN_BYTES ? (int)text.n : SHOWN_BYTES;
}

static tn_status take(cursor *c, size_t n, const char *what, const uint8_t **out, tn_error *err)
{
    *out = c->data + c->pos;
    if (n > left(c))
        return tn_fail(err, TN_INVALID,
                       "the file ends inside %s (at byte %zu, %zu bytes needed, %zu left): it is "
                       "cut off or broken",
                       what, c->pos, n, left(c));
    c->pos += n;
    return TN_OK;
}

static tn_status take_u32(cursor *c, const char *what, uint32_t *out, tn_error *err)
{
    const uint8_t *p = NULL;
    TN_TRY(take(c, 4, what, &p, err));
    *out = tn_load_u32(p);
    return TN_OK;
}

static tn_status take_u64(cursor *c, const char *what, uint64_t *out, tn_error *err)
{
    const uint8_t *p = NULL;
    TN_TRY(take(c, 8, what, &p, err));
    *out = tn_load_u64(p);
    return TN_OK;
}

static tn_status take_string(cursor *c, const char *what, uint64_t max, tn_text *out, tn_error *err)
{
    uint64_t n = 0;
    size_t at = c->pos;
    TN_TRY(take_u64(c, what, &n, err));
    if (n > max || n > left(c))
        return tn_fail(err, TN_INVALID,
                       "%s at byte %zu has a length of %" PRIu64 "; at most %" PRIu64
                       " is allowed and %zu bytes are left",
                       what, at, n, max, left(c));
    *out = (tn_text){ .data = (const char *)c->data + c->pos, .n = (size_t)n };
    c->pos += (size_t)n;
    return TN_OK;
}

/* Keys and names go into messages and terminals: no control characters, not empty. */
static tn_status take_name(cursor *c, const char *what, uint64_t max, tn_text *out, tn_error *err)
{
    size_t at = c->pos;
    TN_TRY(take_string(c, what, max, out, err));
    if (out->n == 0)
        return tn_fail(err, TN_INVALID, "%s at byte %zu is empty", what, at);
    for (size_t i = 0; i < out->n; i++)
        if ((uint8_t)out->data[i] < 0x20 || out->data[i] == 0x7f)
            return tn_fail(err, TN_INVALID, "%s at byte %zu holds the control character 0x%02x",
                           what, at, (uint8_t)out->data[i]);
    return TN_OK;
}

/* ---- header ---- */

static tn_status parse_version(uint32_t version, tn_error *err)
{
    if (version == 2 || version == 3)
        return TN_OK;
    if (version == 1)
        return tn_fail(err, TN_UNSUPPORTED,
                       "GGUF version 1 (of August 2023, with 32-bit counts) is not read; versions "
                       "2 and 3 are: "
                       "convert the file with llama.cpp's tools");
    if ((version & 0xffff) == 0)
        return tn_fail(err, TN_UNSUPPORTED,
                       "this is a big-endian GGUF file; only little-endian ones are read: convert "
                       "it with gguf-convert-endian");
    return tn_fail(err, TN_UNSUPPORTED,
                   "GGUF version %" PRIu32 " is not read; versions 2 and 3 are", version);
}

static tn_status parse_count(cursor *c, const char *what, uint64_t max, size_t min_bytes,
                             size_t *out, tn_error *err)
{
    uint64_t n = 0;
    TN_TRY(take_u64(c, "the header", &n, err));
    if (n > max || n > c->size / min_bytes)
        return tn_fail(err, TN_INVALID,
                       "the header says %" PRIu64
                       " %s; a file of %zu bytes has room for %zu, and at most %" PRIu64
                       " are allowed",
                       n, what, c->size, c->size / min_bytes, max);
    *out = (size_t)n;
    return TN_OK;
}

static tn_status parse_header(tn_gguf *g, cursor *c, tn_error *err)
{
    if (c->size < 4 || memcmp(c->data, "GGUF", 4) != 0)
        return tn_fail(err, TN_INVALID, "this is no GGUF file: %s",
                       c->size == 0
                           ? "it is empty"
                           : "it does not begin with \"GGUF\"; of a Hugging Face model give the "
                             "directory");
    c->pos = 4;
    TN_TRY(take_u32(c, "the header", &g->version, err));
    TN_TRY(parse_version(g->version, err));
    TN_TRY(parse_count(c, "tensors", TN_GGUF_MAX_TENSORS, MIN_TENSOR_BYTES, &g->n_tensors, err));
    return parse_count(c, "metadata entries", TN_GGUF_MAX_PAIRS, MIN_PAIR_BYTES, &g->n_pairs, err);
}

/* ---- metadata ---- */

/* Element type and length of an array, which must be possible with the bytes that are left. */
static tn_status take_array_head(cursor *c, tn_text key, uint32_t *element, uint64_t *n,
                                 tn_error *err)
{
    TN_TRY(take_u32(c, "an array", element, err));
    TN_TRY(take_u64(c, "an array", n, err));
    if (*element >= TN_GGUF_N_TYPES)
        return tn_fail(err, TN_INVALID,
                       "%.*s is an array of type %" PRIu32 "; types 0 to %d are known", shown(key),
                       key.data, *element, TN_GGUF_N_TYPES - 1);
    if (*n > left(c) / types[*element].bytes)
        return tn_fail(err, TN_INVALID,
                       "%.*s is an array of %" PRIu64 " elements, but only %zu bytes are left",
                       shown(key), key.data, *n, left(c));
    return TN_OK;
}

/* Step over n elements that are no arrays. */
static tn_status skip_elements(cursor *c, uint32_t element, uint64_t n, tn_error *err)
{
    if (element != TN_GGUF_STRING) {
        c->pos += (size_t)n * types[element].bytes;
        return TN_OK;
    }
    for (uint64_t i = 0; i < n; i++) {
        tn_text ignored = { 0 };
        TN_TRY(take_string(c, "a string of an array", TN_GGUF_MAX_STRING_BYTES, &ignored, err));
    }
    return TN_OK;
}

/* Step over n arrays, which may hold arrays: pending[d] of them are still to come at depth d. */
static tn_status skip_arrays(cursor *c, tn_text key, uint64_t n, tn_error *err)
{
    uint64_t pending[TN_GGUF_MAX_ARRAY_DEPTH] = { n };
    int depth = 0;
    while (depth >= 0) {
        uint32_t element = 0;
        if (pending[depth] == 0) {
            depth--;
            continue;
        }
        pending[depth]--;
        TN_TRY(take_array_head(c, key, &element, &n, err));
        if (element != TN_GGUF_ARRAY) {
            TN_TRY(skip_elements(c, element, n, err));
            continue;
        }
        if (++depth == TN_GGUF_MAX_ARRAY_DEPTH)
            return tn_fail(err, TN_INVALID,
                           "%.*s nests arrays more than %d deep, which is not read", shown(key),
                           key.data, TN_GGUF_MAX_ARRAY_DEPTH);
        pending[depth] = n;
    }
    return TN_OK;
}

static tn_status parse_array(cursor *c, tn_gguf_pair *pair, tn_error *err)
{
    TN_TRY(take_array_head(c, pair->key, &pair->element, &pair->n, err));
    pair->data = c->data + c->pos;
    if (pair->element == TN_GGUF_ARRAY)
        return skip_arrays(c, pair->key, pair->n, err);
    return skip_elements(c, pair->element, pair->n, err);
}

static tn_status parse_value(cursor *c, tn_gguf_pair *pair, tn_error *err)
{
    pair->n = 1;
    pair->data = c->data + c->pos;
    if (pair->type == TN_GGUF_ARRAY)
        return parse_array(c, pair, err);
    if (pair->type == TN_GGUF_STRING) {
        tn_text text = { 0 };
        TN_TRY(take_string(c, "a string", TN_GGUF_MAX_STRING_BYTES, &text, err));
        pair->data = c->data + (c->pos - text.n);
        pair->n = text.n;
        return TN_OK;
    }
    if (pair->type >= TN_GGUF_N_TYPES)
        return tn_fail(err, TN_INVALID, "%.*s has type %" PRIu32 "; types 0 to %d are known",
                       shown(pair->key), pair->key.data, pair->type, TN_GGUF_N_TYPES - 1);
    TN_TRY(take(c, types[pair->type].bytes, "a metadata value", &pair->data, err));
    if (pair->type == TN_GGUF_BOOL && pair->data[0] > 1)
        return tn_fail(err, TN_INVALID, "%.*s is a bool with the value %d; 0 and 1 are allowed",
                       shown(pair->key), pair->key.data, pair->data[0]);
    return TN_OK;
}

static tn_status parse_pair(cursor *c, tn_gguf_pair *pair, tn_error *err)
{
    TN_TRY(take_name(c, "a metadata key", TN_GGUF_MAX_KEY_BYTES, &pair->key, err));
    TN_TRY(take_u32(c, "a metadata entry", &pair->type, err));
    tn_status st = parse_value(c, pair, err);
    pair->data_bytes = (size_t)(c->data + c->pos - pair->data);
    return st;
}

static int compare_texts(tn_text a, tn_text b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

static int by_key(const void *a, const void *b)
{
    const tn_gguf_pair *const *x = a;
    const tn_gguf_pair *const *y = b;
    return compare_texts((*x)->key, (*y)->key);
}

static tn_status parse_metadata(tn_gguf *g, cursor *c, tn_error *err)
{
    g->pair = tn_alloc_array(g->n_pairs, sizeof(*g->pair));
    g->pair_by_key = tn_alloc_array(g->n_pairs, sizeof(*g->pair_by_key));
    if (!g->pair || !g->pair_by_key)
        return tn_fail_memory(err, "GGUF metadata");
    for (size_t i = 0; i < g->n_pairs; i++) {
        TN_TRY(parse_pair(c, &g->pair[i], err));
        g->pair_by_key[i] = &g->pair[i];
    }
    qsort(g->pair_by_key, g->n_pairs, sizeof(*g->pair_by_key), by_key);
    for (size_t i = 1; i < g->n_pairs; i++)
        if (compare_texts(g->pair_by_key[i - 1]->key, g->pair_by_key[i]->key) == 0)
            return tn_fail(err, TN_INVALID, "the metadata key %.*s occurs twice",
                           shown(g->pair_by_key[i]->key), g->pair_by_key[i]->key.data);
    int64_t alignment = DEFAULT_ALIGNMENT;
    TN_TRY(tn_gguf_int(g, "general.alignment", 8, TN_GGUF_MAX_ALIGNMENT, &alignment, err));
    if (alignment & (alignment - 1))
        return tn_fail(err, TN_INVALID,
                       "general.alignment is %" PRId64 "; it must be a power of two", alignment);
    g->alignment = (uint32_t)alignment;
    return TN_OK;
}

/* ---- tensors ---- */

static tn_status unread_type(const char *name, uint32_t type, tn_error *err)
{
    const tn_weight_format *known = tn_weight_format_of_type(type);
    char number[24];
    (void)snprintf(number, sizeof(number), "%" PRIu32, type);
    tn_strbuf readable = TN_STRBUF(1024);
    tn_weight_format_list(&readable);
    tn_status st = tn_fail(err, TN_UNSUPPORTED,
                           "tensor %s has type %s, which this version does not read; it reads %s",
                           name, known ? known->name : number, tn_strbuf_text(&readable));
    tn_strbuf_deinit(&readable);
    return st;
}

static tn_status parse_dims(cursor *c, tn_gguf_tensor *t, tn_error *err)
{
    uint32_t n_dims = 0;
    TN_TRY(take_u32(c, "the tensor table", &n_dims, err));
    if (n_dims < 1 || n_dims > TN_GGUF_MAX_DIMS)
        return tn_fail(err, TN_INVALID, "tensor %s has %" PRIu32 " dimensions; 1 to %d are allowed",
                       t->name, n_dims, TN_GGUF_MAX_DIMS);
    t->n_dims = (int32_t)n_dims;
    for (uint32_t i = 0; i < TN_GGUF_MAX_DIMS; i++)
        t->dim[i] = 1;
    for (uint32_t i = 0; i < n_dims; i++) {
        TN_TRY(take_u64(c, "the tensor table", &t->dim[i], err));
        if (t->dim[i] < 1 || t->dim[i] > INT32_MAX)
            return tn_fail(err, TN_INVALID,
                           "tensor %s: dimension %" PRIu32 " is %" PRIu64 "; 1 to %d is allowed",
                           t->name, i, t->dim[i], INT32_MAX);
    }
    return TN_OK;
}

/* Bytes of a row and of the whole tensor, from dimensions that are positive and below 2^31. */
static tn_status measure(tn_gguf_tensor *t, tn_error *err)
{
    const tn_weight_format *f = t->format;
    if (t->dim[0] % f->block_elements)
        return tn_fail(err, TN_INVALID,
                       "tensor %s has %" PRIu64 " columns, which is no multiple of the %" PRIu32
                       " of a %s block",
                       t->name, t->dim[0], f->block_elements, f->name);
    size_t rows = 0;
    size_t bytes = 0;
    t->row_bytes = t->dim[0] / f->block_elements * f->block_bytes;
    bool fits = tn_size_mul((size_t)t->dim[1], (size_t)t->dim[2], &rows) &&
                tn_size_mul(rows, (size_t)t->dim[3], &rows) &&
                tn_size_mul(rows, (size_t)t->row_bytes, &bytes) && rows <= INT64_MAX;
    if (!fits)
        return tn_fail(err, TN_INVALID,
                       "tensor %s: the product of its dimensions %" PRIu64 " x %" PRIu64
                       " x %" PRIu64 " x %" PRIu64 " overflows",
                       t->name, t->dim[0], t->dim[1], t->dim[2], t->dim[3]);
    t->bytes = bytes;
    return TN_OK;
}

static tn_status parse_tensor(tn_gguf *g, cursor *c, tn_gguf_tensor *t, tn_error *err)
{
    tn_text name = { 0 };
    uint32_t type = 0;
    TN_TRY(take_name(c, "a tensor name", TN_GGUF_MAX_NAME_BYTES, &name, err));
    char *copy = tn_arena_alloc(&g->arena, name.n + 1);
    if (!copy)
        return tn_fail_memory(err, "a tensor's name");
    memcpy(copy, name.data, name.n);
    t->name = copy;
    TN_TRY(parse_dims(c, t, err));
    TN_TRY(take_u32(c, "the tensor table", &type, err));
    t->format = tn_weight_format_of_type(type);
    if (!t->format || !t->format->decode)
        return unread_type(t->name, type, err);
    TN_TRY(measure(t, err));
    return take_u64(c, "the tensor table", &t->offset, err);
}

static int by_name(const void *a, const void *b)
{
    const tn_gguf_tensor *const *x = a;
    const tn_gguf_tensor *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_offset(const void *a, const void *b)
{
    const tn_gguf_tensor *const *x = a;
    const tn_gguf_tensor *const *y = b;
    return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

/* Offsets in the table count from data_start; afterwards from the start of the file. */
static tn_status place_tensors(tn_gguf *g, tn_error *err)
{
    size_t room = g->size > g->data_start ? g->size - g->data_start : 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        tn_gguf_tensor *t = &g->tensor[i];
        if (t->offset % g->alignment)
            return tn_fail(err, TN_INVALID,
                           "tensor %s is at offset %" PRIu64
                           ", which is no multiple of the alignment %" PRIu32,
                           t->name, t->offset, g->alignment);
        if (t->offset > room || t->bytes > room - t->offset)
            return tn_fail(
                err, TN_INVALID,
                "tensor %s (%" PRIu64 " bytes at offset %" PRIu64
                ") reaches past the %zu bytes of tensor data: the file is cut off or broken",
                t->name, t->bytes, t->offset, room);
        t->offset += g->data_start;
        t->data = g->data + t->offset;
        g->tensor_by_name[i] = t;
    }
    qsort(g->tensor_by_name, g->n_tensors, sizeof(*g->tensor_by_name), by_offset);
    for (size_t i = 1; i < g->n_tensors; i++) {
        const tn_gguf_tensor *a = g->tensor_by_name[i - 1];
        const tn_gguf_tensor *b = g->tensor_by_name[i];
        if (b->offset - a->offset < a->bytes)
            return tn_fail(err, TN_INVALID, "tensors %s and %s overlap", a->name, b->name);
    }
    return TN_OK;
}

/* tensor_by_name, filled in any order, is put in order; names must differ. */
static tn_status index_tensors(tn_gguf *g, tn_error *err)
{
    qsort(g->tensor_by_name, g->n_tensors, sizeof(*g->tensor_by_name), by_name);
    for (size_t i = 1; i < g->n_tensors; i++) {
        const tn_gguf_tensor *a = g->tensor_by_name[i - 1];
        const tn_gguf_tensor *b = g->tensor_by_name[i];
        if (strcmp(a->name, b->name) != 0)
            continue;
        if (a->shard == b->shard)
            return tn_fail(err, TN_INVALID, "two tensors have the name %s", a->name);
        return tn_fail(err, TN_INVALID,
                       "shards %d and %d both hold a tensor %s: they are not of one model, fetch "
                       "all shards again",
                       (a->shard < b->shard ? a : b)->shard + 1,
                       (a->shard < b->shard ? b : a)->shard + 1, a->name);
    }
    return TN_OK;
}

static tn_status parse_tensors(tn_gguf *g, cursor *c, tn_error *err)
{
    g->tensor = tn_alloc_array(g->n_tensors, sizeof(*g->tensor));
    g->tensor_by_name = tn_alloc_array(g->n_tensors, sizeof(*g->tensor_by_name));
    if (!g->tensor || !g->tensor_by_name)
        return tn_fail_memory(err, "the GGUF tensor table");
    for (size_t i = 0; i < g->n_tensors; i++) {
        g->tensor[i].index = (int32_t)i;
        TN_TRY(parse_tensor(g, c, &g->tensor[i], err));
    }
    size_t padding = (g->alignment - c->pos % g->alignment) % g->alignment;
    g->data_start = padding > left(c) ? c->size : c->pos + padding;
    TN_TRY(place_tensors(g, err));
    return index_tensors(g, err);
}

/* ---- several files ---- */

/* Append the tensors of shard `shard`; room for them has been made. */
static tn_status append_tensors(tn_gguf *g, const tn_gguf *part, int32_t shard, tn_error *err)
{
    g->joined_id = tn_hash64(part->data, part->data_start, g->joined_id);
    for (size_t i = 0; i < part->n_tensors; i++) {
        tn_gguf_tensor *t = &g->tensor[g->n_tensors];
        *t = part->tensor[i];
        t->name = tn_arena_strdup(&g->arena, t->name);
        if (!t->name)
            return tn_fail_memory(err, "a tensor's name");
        t->index = (int32_t)g->n_tensors++;
        t->shard = shard;
    }
    return TN_OK;
}

tn_status tn_gguf_join(tn_gguf *g, const tn_gguf *part, size_t n_parts, tn_error *err)
{
    size_t n = g->n_tensors;
    for (size_t i = 0; i < n_parts; i++)
        n += part[i].n_tensors; /* at most TN_GGUF_MAX_TENSORS each */
    if (n > TN_GGUF_MAX_TENSORS)
        return tn_fail(err, TN_INVALID, "the %zu shards hold %zu tensors; at most %d are allowed",
                       n_parts + 1, n, TN_GGUF_MAX_TENSORS);
    tn_gguf_tensor *tensor = tn_realloc_array(g->tensor, n, sizeof(*tensor));
    if (tensor)
        g->tensor = tensor;
    const tn_gguf_tensor **by = tn_realloc_array(g->tensor_by_name, n, sizeof(*by));
    if (by)
        g->tensor_by_name = by;
    if (!tensor || !by)
        return tn_fail_memory(err, "the table of all shards' tensors");
    for (size_t i = 0; i < n_parts; i++)
        TN_TRY(append_tensors(g, &part[i], (int32_t)i + 1, err));
    for (size_t i = 0; i < n; i++)
        g->tensor_by_name[i] = &g->tensor[i];
    return index_tensors(g, err);
}

/* ---- public ---- */

tn_status tn_gguf_parse(tn_gguf *g, const uint8_t *data, size_t size, tn_error *err)
{
    *g = (tn_gguf){ .data = data, .size = size };
    cursor c = { .data = data, .size = size };
    tn_status st = parse_header(g, &c, err);
    if (!st)
        st = parse_metadata(g, &c, err);
    if (!st)
        st = parse_tensors(g, &c, err);
    if (st)
        tn_gguf_deinit(g);
    return st;
}

void tn_gguf_deinit(tn_gguf *g)
{
    tn_free(g->pair);
    tn_free(g->pair_by_key);
    tn_free(g->tensor);
    tn_free(g->tensor_by_name);
    tn_arena_deinit(&g->arena);
    *g = (tn_gguf){ 0 };
}

const tn_gguf_pair *tn_gguf_find(const tn_gguf *g, const char *key)
{
    const tn_gguf_pair wanted = { .key = { .data = key, .n = strlen(key) } };
    const tn_gguf_pair *pointer = &wanted;
    if (g->n_pairs == 0)
        return NULL;
    const tn_gguf_pair *const *hit =
        bsearch(&pointer, g->pair_by_key, g->n_pairs, sizeof(*g->pair_by_key), by_key);
    return hit ? *hit : NULL;
}

const tn_gguf_tensor *tn_gguf_find_tensor(const tn_gguf *g, const char *name)
{
    const tn_gguf_tensor wanted = { .name = name };
    const tn_gguf_tensor *pointer = &wanted;
    if (g->n_tensors == 0)
        return NULL;
    const tn_gguf_tensor *const *hit =
        bsearch(&pointer, g->tensor_by_name, g->n_tensors, sizeof(*g->tensor_by_name), by_name);
    return hit ? *hit : NULL;
}

const char *tn_gguf_type_name(uint32_t type)
{
    return type < TN_GGUF_N_TYPES ? types[type].name : "unknown";
}
