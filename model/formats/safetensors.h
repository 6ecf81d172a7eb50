/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors (github.com/huggingface/safetensors, README "Format"): u64 length of the header, the
 * header (JSON), the bytes of all tensors without holes. tn_safetensors_parse checks everything it
 * keeps: names differ, tensors lie inside the file, neither overlap nor leave bytes over, and are
 * as long as their shape says. Thread: immutable after parse.
 */
#ifndef TN_MODEL_FORMATS_SAFETENSORS_H
#define TN_MODEL_FORMATS_SAFETENSORS_H

#include "core/base/arena.h"
#include "core/base/status.h"

#include <stddef.h>

enum {
    TN_ST_MAX_HEADER_BYTES = 100000000, /* the specification's */
    TN_ST_MAX_TENSORS = 1 << 14,        /* of one file */
    TN_ST_MAX_NAME_BYTES = 255,
    TN_ST_MAX_DIMS = 8,
};

/* F64 to U8 are read as weights or codes; a tensor of another type can be in a file and is not
 * used. */
enum { TN_ST_F64, TN_ST_F32, TN_ST_F16, TN_ST_BF16, TN_ST_I64, TN_ST_I32, TN_ST_U8, TN_ST_OTHER };

typedef struct tn_st_tensor {
    const char *name;
    const char *type_name; /* "BF16" */
    int32_t type;          /* TN_ST_* */
    int32_t n_dims;
    uint64_t dim[TN_ST_MAX_DIMS]; /* as in the file: rows first */
    uint64_t offset, bytes;       /* offset from the start of the file */
    const uint8_t *data;
} tn_st_tensor;

typedef struct tn_safetensors {
    tn_st_tensor *tensor; /* by ascending name */
    size_t n_tensors;
    size_t header_bytes; /* with its length */
    tn_arena arena;
} tn_safetensors;

/** data is borrowed until deinit. On failure *s holds nothing. */
tn_status tn_safetensors_parse(tn_safetensors *s, const uint8_t *data, size_t size,
                               tn_error *err) TN_MUST_USE;
void tn_safetensors_deinit(tn_safetensors *s);

#endif
