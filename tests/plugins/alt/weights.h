/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed weights: a part is its rows one after another, each a record of 4-byte aligned
 *   plain   values [cols]: f32, or f16 and bf16 bits
 *   coded   f32 scale [groups], f32 zero [groups] (not q8), codes: q8 biased bytes; u4 half = (cols
 * + 1) / 2 bytes, byte j has column j in its low and column j + half in its high half
 */
#ifndef TN_TESTS_ALT_WEIGHTS_H
#define TN_TESTS_ALT_WEIGHTS_H

#include "tests/plugins/alt/alt.h"

enum { ALT_W_F32 = 0, ALT_W_F16, ALT_W_BF16, ALT_W_U4Z, ALT_W_U4B, ALT_W_Q8, ALT_N_KINDS };

typedef struct alt_weights {
    int32_t kind, cols, group, n_groups; /* group: cols for plain kinds */
    int32_t fault;
    uint64_t codes, row_bytes; /* where codes begin in a record; its bytes */
} alt_weights;

static inline int alt_is_coded(const alt_weights *w)
{
    return w->kind >= ALT_W_U4Z;
}

/** By name; values 1: any name, kept as f32 where it is not f16 or bf16. */
tn_status alt_weights_init(const void *self, const char *wfmt, int32_t group, int32_t values,
                           int32_t cols, alt_weights *out, tn_error *why);
tn_status alt_weights_pack(const alt_weights *w, const tn_weight_rows *rows, uint8_t *part,
                           tn_error *err);
/** The f32 values of a row. */
void alt_weights_row(const alt_weights *w, const uint8_t *part, int64_t row, float *out);

#endif
