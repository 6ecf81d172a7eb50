/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed weights: rows of f16 or bf16 (the type of activations), one after another, each padded
 * with zeros to a multiple of 8 columns so that it begins at a multiple of 16 bytes. Every format
 * is dequantised to that: (q - z) * s, q * s + z or (q - 128) * s in f32, rounded once.
 */
#ifndef TN_PLUGINS_CUDA_FP16_WEIGHTS_H
#define TN_PLUGINS_CUDA_FP16_WEIGHTS_H

#include "plugins/cuda-fp16/fp16.h"

enum { FP16_W_PLAIN = 0, FP16_W_U4Z, FP16_W_U4B, FP16_W_Q8 };

typedef struct fp16_weights {
    int32_t kind, cols, padded, group; /* kind: FP16_W_*, of the rows as they arrive */
    int32_t dtype;                     /* of the packed values: TN_F16 or TN_BF16 */
} fp16_weights;

/** A format of the catalogue by name, or any name when values is 1. why: what is allowed. */
tn_status fp16_weights_init(const char *wfmt, int32_t group, int32_t values, int32_t cols,
                            int32_t dtype, fp16_weights *out, tn_error *why);
/** Id of the packed layout; embed and a linear without bias share it. */
const char *fp16_weights_layout(int32_t dtype, int has_bias);
/** Adds the bytes of `rows` rows to *total; 0 on overflow. */
int fp16_weights_add_bytes(const fp16_weights *w, int32_t rows, uint64_t *total);
/** Rows [row0, row0 + rows) into a part. TN_INVALID where a value is beyond f16. */
tn_status fp16_weights_pack(const fp16_weights *w, const tn_weight_rows *rows, void *part,
                            tn_error *err);
/** One row of a part as f32. */
void fp16_weights_row(const fp16_weights *w, const void *part, int64_t row, float *out);

#endif
