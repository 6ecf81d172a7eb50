/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of weight formats: one row a format, with its block, its canonical rows and its
 * encoder. Adding a format that files may hold is adding its row (and a decode function). Formats
 * that are only known by name have no decode function; a file that uses one is refused with that
 * name. Thread: immutable.
 */
#ifndef TN_MODEL_FORMATS_WEIGHT_FORMAT_H
#define TN_MODEL_FORMATS_WEIGHT_FORMAT_H

#include "core/base/strbuf.h"
#include "core/graph/weight_source.h"

typedef struct tn_weight_format {
    const char *name;        /* as GGUF tools write it: "Q4_1" */
    uint32_t ggml_type;      /* the id in a GGUF file */
    uint32_t block_elements; /* a row is a whole number of blocks */
    uint32_t block_bytes;
    const char *wfmt; /* canonical format id */
    int32_t group;    /* columns that share a scale; 0: plain */
    int32_t values;   /* 1: decodes to f32 values, else to codes, scale and zero */
    /** n_blocks consecutive blocks to the start of the arrays of `out` (see tn_row_buffer); NULL:
     * not read. */
    void (*decode)(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out);
    /** The reverse, n_blocks * block_elements finite values; NULL: not written. */
    void (*encode)(const float *values, size_t n_blocks, uint8_t *bytes);
} tn_weight_format;

/** The row of a GGUF tensor type or of a name, or NULL. Rows are static. */
const tn_weight_format *tn_weight_format_of_type(uint32_t ggml_type);
const tn_weight_format *tn_weight_format_of_name(const char *name);
/** The first row whose canonical rows have that format id, or NULL. */
const tn_weight_format *tn_weight_format_of_wfmt(const char *wfmt);
/** Append "F32, F16, ..." : the formats that can be read. */
void tn_weight_format_list(tn_strbuf *out);

/* Encoders of the table, in weight_encode.c: rounding as in ggml's reference quantisers
 * (ggml-quants.c, quantize_row_*_ref). */
void tn_encode_f32(const float *values, size_t n_blocks, uint8_t *bytes);
void tn_encode_f16(const float *values, size_t n_blocks, uint8_t *bytes);
void tn_encode_bf16(const float *values, size_t n_blocks, uint8_t *bytes);
void tn_encode_q4_0(const float *values, size_t n_blocks, uint8_t *bytes);
void tn_encode_q4_1(const float *values, size_t n_blocks, uint8_t *bytes);
void tn_encode_q5_0(const float *values, size_t n_blocks, uint8_t *bytes);
void tn_encode_q5_1(const float *values, size_t n_blocks, uint8_t *bytes);
void tn_encode_q8_0(const float *values, size_t n_blocks, uint8_t *bytes);

/** One block of 32 codes that are there already: (q - 8) * d, and q * d + m. d and m are rounded to
 * f16. */
void tn_pack_q4_0(const uint8_t *codes, float d, uint8_t *block);
void tn_pack_q4_1(const uint8_t *codes, float d, float m, uint8_t *block);

#endif
