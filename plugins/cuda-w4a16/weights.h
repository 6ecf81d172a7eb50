/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed weights of 4 bits, one layout for every kernel: what a lane of a warp needs for one
 * mma.m16n8k16 after the other lies together.
 *
 * Columns (of the result: rows of the matrix) come in strips of 64, k in chunks of 64. A strip and
 * a chunk are 2 KB: 4 tiles of 16 columns, each 32 lanes x 16 bytes. Lane 4 g + t of tile j has
 * columns 16 j + g and 16 j + g + 8, and of each of the two halves of the chunk 8 values of k from
 * 8 t on: word 2 h + s has k = 32 h + 8 t + 4 s + {0, 1, 2, 3}. With u the first column's codes
 * there and v the second's, its bytes are {u0 | u2 << 4, v0 | v2 << 4, u1 | u3 << 4, v1 | v3 << 4},
 * so that 4 bits at a time are taken out of both halves of a word at once (kernels/w4.cuh). Which k
 * stands at which place of an mma does not matter as long as x has the same order; this one lets a
 * lane read 8 neighbouring values of x.
 *
 * Codes: [strips][chunks][4 tiles][32 lanes][4 words]. Then the parameters, two f16 a column and
 * group: {s, 1024 + z} for u4z, {s, b} for u4b: [strips][groups][4 tiles][8 g][2 columns]. The last
 * strip and chunk, and groups of 32 to a pair, are padded with zeros. With is_glu, columns of the
 * two matrices take turns: 32 gates and the 32 columns that they gate are a strip.
 */
#ifndef TN_PLUGINS_CUDA_W4A16_WEIGHTS_H
#define TN_PLUGINS_CUDA_W4A16_WEIGHTS_H

#include "plugins/cuda-w4a16/launch.h"

#include <tenon/plugin.h>

typedef struct w4_weights {
    int32_t rows, cols, group; /* as they arrive, of all parts */
    int32_t groups;            /* of a column, padded */
    int32_t is_glu;            /* rows are those of two equal parts */
    uint64_t params, bytes;    /* byte offset, codes begin at 0; of both, a multiple of 16 */
    w4_matrix matrix;          /* but for the addresses */
    const char *layout;        /* id of the packed layout */
} w4_weights;

/** TN_UNSUPPORTED unless the part is u4z or u4b with a group of 32, 64, 128 or whole rows. rows: of
 * all parts. */
tn_status w4_weights_init(const tn_part *part, int32_t cols, int32_t rows, int32_t is_glu,
                          int32_t has_bias, w4_weights *out, tn_error *why);
/** Rows to their places; row0: of the part's first row among those of all parts. TN_INVALID where a
 * weight is beyond f16. */
tn_status w4_weights_pack(const w4_weights *w, const tn_weight_rows *rows, int64_t row0, void *blob,
                          tn_error *err);
/** A row among those of all parts, as the kernels multiply it. */
void w4_weights_row(const w4_weights *w, const void *blob, int64_t row, float *out);

#endif
