/* SPDX-License-Identifier: Apache-2.0 */
/* What linear, linear_add and linear_glu are, whatever their weights are packed as: parts that give
 * columns of one result, biases, and the arguments of a launch. */
#ifndef TN_PLUGINS_CUDA_FP16_PARTS_H
#define TN_PLUGINS_CUDA_FP16_PARTS_H

#include "plugins/cuda-fp16/fp16.h"

enum { FP16_MAX_PARTS = 8 };

typedef struct fp16_parts {
    int32_t is_glu, is_add, has_bias;
    int32_t rows;                  /* of all parts together */
    int32_t first[FP16_MAX_PARTS]; /* first row of a part */
} fp16_parts;

/** TN_UNSUPPORTED unless there are 1 to FP16_MAX_PARTS parts of one weight format. */
tn_status fp16_parts_init(const tn_node *node, fp16_parts *out, tn_error *err);
/** supports() but for the weights. */
tn_status fp16_parts_check(const tn_node *node, const fp16_parts *parts, tn_error *why);
/** The largest number of rows that run gets. */
int64_t fp16_parts_max_rows(const tn_node *node);
/** pack(): TN_INVALID unless the part has these rows; their biases go to bias, f32 of all rows. */
tn_status fp16_parts_pack(const tn_node *node, const fp16_parts *parts, const tn_weight_rows *rows,
                          void *bias, tn_error *err);
/** unpack(): the row among those of all parts; TN_INVALID unless the part has it. */
tn_status fp16_parts_row(const tn_node *node, const fp16_parts *parts, int32_t part, int64_t row,
                         int64_t *out, tn_error *err);
/** run(): all but the weights. bias: of the device, where there are any. */
fp16_linear_args fp16_parts_args(const tn_node *node, const fp16_parts *parts,
                                 const tn_launch *launch, uint64_t bias);

/* ---- by cuBLAS ---- */
/** Elements from row to row of the two products of `columns` gated columns side by side. */
uint64_t fp16_gated_stride(int32_t columns);
/**
 * As fp16_cublas_gemm, also with act: then both products lie in `products` (rows of
 * fp16_gated_stride, of x's type) before the gate.
 */
tn_status fp16_multiply(fp16_cublas *cublas, const tn_node *node, const fp16_linear_args *args,
                        uint64_t workspace, uint64_t products, void *stream, tn_error *err);

#endif
