/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where weights come from: a file reader, or memory in tests (tests/support/memory_source.h). It yields canonical rows (design: tn_weight_rows of plugin.h)
 * of tensors under the core's names, which are those of GGUF: token_embd.weight, output_norm.weight, output.weight (absent when
 * tied), and for layer N blk.N.{attn_norm,attn_q,attn_k,attn_v,attn_output,ffn_norm,ffn_gate,ffn_up,ffn_down}.weight, .bias.
 *
 * Thread: find and rows may be called from several threads at once.
 */
#ifndef TN_CORE_GRAPH_WEIGHT_SOURCE_H
#define TN_CORE_GRAPH_WEIGHT_SOURCE_H

#include "core/base/status.h"

typedef struct tn_weight_info {
    const char *name;     /* borrowed from the source */
    const char *wfmt;     /* canonical format id: "f32" "f16" "bf16" "u4z.g32" "u4b.g32" "q8.g32" "q4_k" ... static */
    int32_t group;        /* columns of one group; 0 for plain formats */
    int32_t values;       /* 1: rows arrive as f32 values whatever wfmt says */
    int64_t rows, cols;   /* out x in; a vector is 1 row */
    uint64_t file_bytes;  /* bytes it takes in the file */
    int64_t handle;       /* the source's own index */
} tn_weight_info;

/* Room for the canonical rows of one call, made by tn_row_buffer_init for a tensor and a number of rows. */
typedef struct tn_row_buffer {
    float *values, *scale, *zero;
    uint8_t *codes;
} tn_row_buffer;

typedef struct tn_weight_source {
    void *self;
    uint64_t id; /* hash of the file's identity: equal id and name, equal bytes */
    /** 0 and *info, or TN_UNSUPPORTED when there is no such tensor (err untouched: absence is often legal). */
    tn_status (*find)(void *self, const char *name, tn_weight_info *info);
    /**
     * Canonical rows [row0, row0 + n) of the tensor: fills `buffer` (room for n rows) and points *out at it; out->part and
     * out->bias are left 0 for the caller. values is set for plain formats and `values` tensors, codes/scale/zero for the
     * others (zero NULL for q8).
     */
    tn_status (*rows)(void *self, const tn_weight_info *info, int64_t row0, int32_t n, const tn_row_buffer *buffer,
                      tn_weight_rows *out, tn_error *err);
    /** The tensor has been packed: mapped pages may be dropped. May be NULL. */
    void (*done)(void *self, const tn_weight_info *info);
} tn_weight_source;

tn_status tn_row_buffer_init(tn_row_buffer *buffer, const tn_weight_info *info, int32_t n_rows, tn_error *err) TN_MUST_USE;
void tn_row_buffer_deinit(tn_row_buffer *buffer);

/** All values of a tensor as f32 in a new array [rows * cols] (tn_free); for vectors and tests. */
tn_status tn_weight_values(const tn_weight_source *source, const tn_weight_info *info, float **out_values, tn_error *err) TN_MUST_USE;

/** f32 values of canonical rows, by their format's formula (see docs/numerics.md): values[rows][cols]. Bias is not added. */
tn_status tn_weight_rows_values(const char *wfmt, const tn_weight_rows *rows, float *values, tn_error *err) TN_MUST_USE;

#endif
