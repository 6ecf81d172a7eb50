/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GGUF v2 and v3, little endian (ggml's docs/gguf.md): metadata and tensor table as views into the
 * file's bytes. A model cut into several files (gguf_split.h) is parsed file by file and joined.
 * tn_gguf_parse checks everything it keeps, so that what reads a tn_gguf need not
 * check bounds again. Memory taken is at most a small multiple of the file's size. Thread:
 * immutable after parse.
 */
#ifndef TN_MODEL_FORMATS_GGUF_H
#define TN_MODEL_FORMATS_GGUF_H

#include "core/base/arena.h"
#include "core/graph/model_desc.h"
#include "model/formats/model_file.h"
#include "model/formats/weight_format.h"

#include <stdbool.h>

/* Limits; all counts are also held against the bytes that are left in the file. */
enum {
    TN_GGUF_MAX_PAIRS = 1 << 16,
    TN_GGUF_MAX_TENSORS = 1 << 16,
    TN_GGUF_MAX_KEY_BYTES = 65535, /* the specification's */
    TN_GGUF_MAX_NAME_BYTES = 255,  /* the specification says 64 */
    TN_GGUF_MAX_STRING_BYTES = 1 << 26,
    TN_GGUF_MAX_ARRAY_DEPTH = 8, /* arrays in arrays */
    TN_GGUF_MAX_ALIGNMENT = 1 << 20,
    TN_GGUF_MAX_DIMS = 4,
};

enum {
    TN_GGUF_U8 = 0,
    TN_GGUF_I8,
    TN_GGUF_U16,
    TN_GGUF_I16,
    TN_GGUF_U32,
    TN_GGUF_I32,
    TN_GGUF_F32,
    TN_GGUF_BOOL,
    TN_GGUF_STRING,
    TN_GGUF_ARRAY,
    TN_GGUF_U64,
    TN_GGUF_I64,
    TN_GGUF_F64,
    TN_GGUF_N_TYPES
};

typedef struct tn_gguf_pair {
    tn_text key;
    uint32_t type, element; /* element: of an array; arrays of arrays are stepped over, not read */
    uint64_t n;             /* bytes of a string, elements of an array, 1 */
    const uint8_t *data;    /* the scalar, the string's bytes, the first element */
    size_t data_bytes;
} tn_gguf_pair;

typedef struct tn_gguf_array {
    void *data; /* float or int32_t */
    size_t n;
} tn_gguf_array;

typedef struct tn_gguf_tensor {
    const char *name;
    const tn_weight_format *format;
    int32_t n_dims, index;             /* index: place in the table of all files */
    int32_t shard;                     /* the file that holds it */
    uint64_t dim[TN_GGUF_MAX_DIMS];    /* dim[0] = columns; absent ones are 1 */
    uint64_t offset, bytes, row_bytes; /* offset from the start of its file */
    const uint8_t *data;               /* at that offset */
} tn_gguf_tensor;

typedef struct tn_gguf {
    const uint8_t *data; /* borrowed */
    size_t size;
    uint32_t version, alignment;
    size_t n_pairs, n_tensors;
    tn_gguf_pair *pair; /* in file order */
    tn_gguf_tensor *tensor;
    const tn_gguf_pair **pair_by_key;
    const tn_gguf_tensor **tensor_by_name;
    size_t data_start;
    uint64_t joined_id; /* hash of the tables of the files that were joined to this one */
    tn_arena arena;
} tn_gguf;

/** data is borrowed until deinit. On failure *g holds nothing. */
tn_status tn_gguf_parse(tn_gguf *g, const uint8_t *data, size_t size, tn_error *err) TN_MUST_USE;
void tn_gguf_deinit(tn_gguf *g);
/** Give g, shard 0, the tensors of shards 1 .. n_parts; their metadata is left out. The parts may
 * be deinitialised afterwards, their data not. A tensor that is in two shards is TN_INVALID. */
tn_status tn_gguf_join(tn_gguf *g, const tn_gguf *part, size_t n_parts, tn_error *err) TN_MUST_USE;

const tn_gguf_pair *tn_gguf_find(const tn_gguf *g, const char *key);
const tn_gguf_tensor *tn_gguf_find_tensor(const tn_gguf *g, const char *name);
/** "string", "u32" ...; "array" elements by tn_gguf_type_name(pair->element). */
const char *tn_gguf_type_name(uint32_t type);

/*
 * Typed reading of metadata. An absent key leaves *out as it is and is no error; a value of another
 * type, or out of [min, max], is TN_INVALID with key and value. An array whose elements are all
 * equal reads as one scalar.
 */
tn_status tn_gguf_int(const tn_gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                      tn_error *err) TN_MUST_USE;
tn_status tn_gguf_float(const tn_gguf *g, const char *key, float *out, tn_error *err) TN_MUST_USE;
tn_status tn_gguf_bool(const tn_gguf *g, const char *key, int32_t *out, tn_error *err) TN_MUST_USE;
/** A NUL-terminated copy in `arena`; a string that holds a NUL byte is TN_INVALID. */
tn_status tn_gguf_string(const tn_gguf *g, const char *key, tn_arena *arena, const char **out,
                         tn_error *err) TN_MUST_USE;
/** Copies (in `arena`) of a string array; *out_n = 0 when absent. */
tn_status tn_gguf_strings(const tn_gguf *g, const char *key, tn_arena *arena, const tn_text **out,
                          size_t *out_n, tn_error *err) TN_MUST_USE;
/** Copies (in `arena`) of a numeric array of 4-byte elements: TN_GGUF_F32, or TN_GGUF_I32 (u32 is
 * taken too); data NULL when absent. */
tn_status tn_gguf_numbers(const tn_gguf *g, const char *key, uint32_t element, tn_arena *arena,
                          tn_gguf_array *out, tn_error *err) TN_MUST_USE;
/** The next element of an array of strings; *offset starts at 0 and moves on. */
tn_text tn_gguf_next_string(const tn_gguf_pair *pair, size_t *offset);
/** Element i of an integer or bool pair (a scalar has element 0); false when the type is another or
 * the value is past int64. */
bool tn_gguf_int_at(const tn_gguf_pair *pair, uint64_t i, int64_t *out);

/** The model's description; strings and freq_factors in `arena`. *out is filled as far as it could
 * be, also on failure. */
tn_status tn_gguf_desc(const tn_gguf *g, tn_arena *arena, tn_model_desc *out,
                       tn_error *err) TN_MUST_USE;
/** Hash of the metadata, the tensor table, the size and samples of the tensors: of the content, not
 * of the place on disk. */
uint64_t tn_gguf_source_id(const tn_gguf *g);
/** TN_VOCAB_NONE, with the file's own name of the model in `pre`, for a vocabulary that is not
 * known; all zero without one. */
tn_status tn_gguf_vocab(const tn_gguf *g, tn_arena *arena, tn_vocab *out,
                        tn_error *err) TN_MUST_USE;
/** One fact a pair, in file order, printable: control characters and bytes that are no UTF-8 are
 * escaped. */
tn_status tn_gguf_facts(const tn_gguf *g, tn_arena *arena, tn_model_fact **out,
                        tn_error *err) TN_MUST_USE;

/** The bytes of one file. */
typedef struct tn_gguf_bytes {
    const uint8_t *data;
    size_t size;
} tn_gguf_bytes;

/** A model file over bytes in memory, borrowed until close: for tests and fuzzing. A split model is
 * given by its shards in order. */
tn_status tn_gguf_open_memory(const tn_gguf_bytes *bytes, int32_t n_shards, tn_model_file **out,
                              tn_error *err) TN_MUST_USE;

#endif
