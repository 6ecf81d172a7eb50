/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A linear of 4 bits as the three tensors of AWQ's layout "gemm" (hf_quant.h has the layout and its
 * source), put together in memory group by group, in any order. Thread: one thread's.
 */
#ifndef TN_MODEL_FORMATS_AWQ_PACK_H
#define TN_MODEL_FORMATS_AWQ_PACK_H

#include "core/base/status.h"

#include <stddef.h>

enum { TN_AWQ_OUTPUTS = 8, TN_AWQ_TENSORS = 3 }; /* outputs of an int32 */

typedef struct tn_awq_tensor {
    const char *kind, *type; /* "qweight", "I32" */
    int64_t dim[2];
    size_t bytes;
} tn_awq_tensor;

typedef struct tn_awq {
    int64_t rows, cols; /* outputs, inputs */
    int32_t group;
    tn_awq_tensor tensor[TN_AWQ_TENSORS]; /* qweight, qzeros, scales */
    uint8_t *data[TN_AWQ_TENSORS];        /* as in the file; NULL before begin */
} tn_awq;

/** The shapes. TN_UNSUPPORTED unless rows is a multiple of 8 and cols of group. */
tn_status tn_awq_shape(tn_awq *a, int64_t rows, int64_t cols, int32_t group,
                       tn_error *err) TN_MUST_USE;
/** Zeroed memory for the data. */
tn_status tn_awq_begin(tn_awq *a, tn_error *err) TN_MUST_USE;
/** Group `index` of a row, once: its codes, zero point (0..15) and scale (bits of an f16). */
void tn_awq_put(tn_awq *a, int64_t row, int64_t index, const uint8_t *codes, uint8_t zero,
                uint16_t scale);
void tn_awq_end(tn_awq *a);

#endif
