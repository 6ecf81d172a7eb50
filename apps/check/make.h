/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What made-up cases are built from: values with a pattern, weights of every format, ragged batches
 * over permuted KV blocks. All memory is the case's. Thread: one.
 */
#ifndef TN_APPS_CHECK_MAKE_H
#define TN_APPS_CHECK_MAKE_H

#include "apps/check/schedule.h"

/* A case with all its memory. fill: a kv_write that brings the pool of an attention case into its
 * state; it is for the reference. */
typedef struct tn_check_made {
    tn_check_case c, fill;
    bool has_fill;
    const char *format; /* of weights or pages: "u4b.g32", "i8"; "" */
    tn_check_part part[TN_MAX_PARTS];
    tn_check_batch batch, fill_batch;
    tn_arena arena;
    int32_t resid, act; /* types of the edge classes */
    uint64_t state;     /* of the random numbers */
} tn_check_made;

void tn_check_made_deinit(tn_check_made *m);

enum {
    TN_FILL_NORMAL,   /* -2 .. 2 */
    TN_FILL_SMALL,    /* as small as the eps of norms */
    TN_FILL_ONE_SIGN, /* 0 .. 1 */
    TN_FILL_OUTLIER,  /* one in a row 500 times the others */
    TN_FILL_HUGE,
    TN_FILL_TINY, /* denormal */
    TN_FILL_ZERO,
    TN_N_FILLS
};
/** n values in rows of `width`, in the arena; NULL without memory. huge: what is huge. */
float *tn_check_fill(tn_check_made *m, int32_t pattern, int32_t rows, int32_t width, float huge);
/** A node of n_in and n_out edges; dtypes are set by the caller. */
void tn_check_made_node(tn_check_made *m, const char *op, const void *param, const void *param2,
                        int32_t max_rows);
/** Set input or output i. */
void tn_check_made_in(tn_check_made *m, int32_t i, int32_t dtype, tn_check_tensor t);
void tn_check_made_out(tn_check_made *m, int32_t i, int32_t dtype, tn_check_tensor t);
tn_check_tensor tn_check_dense(const char *name, int32_t rows, int32_t width, int32_t heads,
                               const float *values);
/* Weights: any; one value in each group; all of a group at least 0, or at most. */
enum { TN_CODES_ANY, TN_CODES_CONSTANT, TN_CODES_ONE_SIGN };
/** Random canonical rows; wfmt "f32" "f16" "bf16", "u4z" "u4b" "q8" with a group, or one that comes
 * as values ("q4_k"). part may be NULL. */
tn_status tn_check_made_weight(tn_check_made *m, int32_t index, const char *wfmt, int32_t rows,
                               int32_t cols, int32_t group, bool bias, int32_t codes, tn_part *part,
                               tn_error *err) TN_MUST_USE;

/* New tokens of a sequence: n after past. pad: tokens of padding. shares: its first block is that
 * of this sequence (1: the first one; 0: none). */
typedef struct tn_check_seq {
    int32_t past, n;
    bool pad;
    int32_t shares;
} tn_check_seq;
/** A ragged batch over a pool of permuted blocks; *out_blocks: of the pool. fill: the batch that
 * writes everything up to the same state, or NULL. */
tn_status tn_check_made_batch(tn_check_made *m, const tn_check_seq *seq, int32_t n_seqs,
                              int32_t block_tokens, int32_t half_rotary, int32_t *out_blocks,
                              tn_check_batch *out, tn_check_batch *fill, tn_error *err) TN_MUST_USE;

#endif
