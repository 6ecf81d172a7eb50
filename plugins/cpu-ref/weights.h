/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed weights: blocks of 8 rows, interleaved by row, so that the 8 f64 sums of a block run side
 * by side, each in k order.
 *
 * A block is a list of groups (a plain format is one group of all columns), a group of g columns is
 *   f32 scale[8] (u4z u4b q8), f32 zero[8] (u4z u4b), codes [g][8]: f32, u16, biased u8, or for u4
 * 4 bytes a column, whose byte j has row j in its low and row j + 4 in its high half. Weights are
 * evaluated in f64: u4z (q - z) * s, u4b q * s + b, q8 q * s. Source: docs/numerics.md, "Weights".
 */
#ifndef TN_PLUGINS_CPU_REF_WEIGHTS_H
#define TN_PLUGINS_CPU_REF_WEIGHTS_H

#include "plugins/cpu-ref/ref.h"

enum {
    REF_LANES = 8,
    REF_CHUNK = 256
}; /* rows of a block; columns expanded at once: 16 KiB of f64 */
enum { REF_W_F32 = 0, REF_W_F16, REF_W_BF16, REF_W_U4Z, REF_W_U4B, REF_W_Q8, REF_N_WEIGHT_FORMATS };

typedef struct ref_wfmt {
    int32_t kind;  /* REF_W_* */
    int32_t cols;  /* K */
    int32_t group; /* columns a group; K for plain formats */
} ref_wfmt;

/** A format that cpu-ref packs: by name, or any name when values is 1. why: what is allowed. K must
 * be a multiple of the group. */
tn_status ref_wfmt_parse(const char *wfmt, int32_t group, int32_t values, int32_t cols,
                         ref_wfmt *out, tn_error *why);
/** Bytes of one block of 8 rows; at most 2^31 * 33, so uint64_t never overflows. */
uint64_t ref_wfmt_block_bytes(const ref_wfmt *format);
/** Adds the bytes of `rows` rows, padded to whole blocks, to *total; 0 on overflow. */
int ref_wfmt_add_bytes(const ref_wfmt *format, int32_t rows, uint64_t *total);
/** Packs rows [row0, row0 + rows) into the part's blocks; row0 is a multiple of 8. Bias is not
 * looked at. */
tn_status ref_wfmt_pack(const ref_wfmt *format, const tn_weight_rows *rows, uint8_t *part,
                        tn_error *err);

/** Weights of columns [k0, k0 + n) of a block, n <= REF_CHUNK: w[n][8]. */
void ref_wfmt_expand(const ref_wfmt *format, const uint8_t *block, int32_t k0, int32_t n,
                     double (*w)[REF_LANES]);
/** f32(scale * w) of one row of a part. */
void ref_wfmt_row(const ref_wfmt *format, const uint8_t *part, int64_t row, double scale,
                  float *out);

/** sum[i][r] = sum over k ascending of w[r][k] * x[i][k], one f64 a sum. x rows are stride apart.
 */
void ref_wfmt_dot(const ref_wfmt *format, const uint8_t *block, const float *x, int64_t stride,
                  int32_t n_x, double (*sum)[REF_LANES]);

#endif
