/* SPDX-License-Identifier: Apache-2.0 */
/* The border between host code and kernels of cuda-w4a16, as plugins/cuda-fp16/launch.h: a launcher
 * enqueues and returns 0 or CUDA's error number. */
#ifndef TN_PLUGINS_CUDA_W4A16_LAUNCH_H
#define TN_PLUGINS_CUDA_W4A16_LAUNCH_H

#include "plugins/cuda-fp16/launch.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    W4_STRIP = 64, /* columns that lie together */
    W4_CHUNK = 64, /* values of k that do */
    W4_GEMV_ROWS = 16,
    W4_SPLIT_TILE = 64 /* rows and columns of the largest tile whose sums may be split over k */
};

/* Packed weights in device memory; weights.h draws their layout. */
typedef struct w4_matrix {
    const void *codes, *params;
    int32_t chunks, strips; /* of k and of columns, the last ones padded */
    int32_t group_shift;    /* columns of k that share parameters: 1 << group_shift; 31: all */
    int32_t has_offset;     /* 1: q * s + b, 0: (q - z) * s */
} w4_matrix;

typedef struct w4_linear_args {
    fp16_linear_args linear; /* all but weight and padded; x is f16, its width a multiple of 8 */
    w4_matrix w;
    float *partial; /* sums of w4_max_split_tiles tiles */
    uint32_t *done; /* one a tile, zero, left zero */
    int32_t splits; /* the launcher's own */
} w4_linear_args;

/* A launch splits sums over k until it has as many tiles as this: two blocks for every SM. */
static inline int32_t w4_max_split_tiles(int n_sms)
{
    return 2 * n_sms;
}
int w4_gemv(const w4_linear_args *args, int n_sms, void *stream);
int w4_gemm(const w4_linear_args *args, int n_sms, void *stream);

/* Rows of f16, width apart, of the columns of y [first, first + columns), first a multiple of
 * w4_strip_columns; with is_glu those of the second matrix follow. */
typedef struct w4_dequantize_args {
    w4_matrix w;
    void *out;
    int32_t first, columns, width, is_glu;
} w4_dequantize_args;
int w4_dequantize(const w4_dequantize_args *args, void *stream);

#ifdef __cplusplus
}
#endif

#endif
