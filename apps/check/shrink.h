/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Less of a case: what a repro file of a model's node needs of its weights and rows. Whether the
 * rest still fails is for the caller to find out. Thread: one.
 */
#ifndef TN_APPS_CHECK_SHRINK_H
#define TN_APPS_CHECK_SHRINK_H

#include "apps/check/case.h"

/* One row of the inputs; a few columns of the outputs (rows of the weights); both. */
enum { TN_SHRINK_ROWS = 1, TN_SHRINK_COLUMNS = 2, TN_SHRINK_BOTH = 3 };

typedef struct tn_check_shrunk {
    tn_check_case c; /* its memory is here and in the case it was made of */
    tn_check_part part[TN_MAX_PARTS];
    tn_linear linear;
    tn_part linear_part[2];
    const tn_part *linear_list[2];
    tn_embed embed;
    tn_check_batch batch;
    tn_arena arena;
} tn_check_shrunk;

/** *out_done false: this op cannot be shrunk so. row, col: an element of output 0 that is wrong. */
tn_status tn_check_shrink(const tn_check_case *c, int32_t how, int64_t row, int64_t col,
                          tn_check_shrunk *out, bool *out_done, tn_error *err) TN_MUST_USE;
void tn_check_shrunk_deinit(tn_check_shrunk *s);

#endif
