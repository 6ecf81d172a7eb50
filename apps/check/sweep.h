/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Made-up cases of every op: a sweep over formats and shapes, and the ones that break kernels:
 * tails that are a multiple of nothing, one row, borders of KV blocks, padding, shared and permuted
 * blocks, huge, tiny and one-signed values. Every op of the catalogue has a row in the table.
 * Thread: one.
 */
#ifndef TN_APPS_CHECK_SWEEP_H
#define TN_APPS_CHECK_SWEEP_H

#include "apps/check/make.h"

typedef struct tn_check_sweep {
    const char *op;
    int32_t n_cases;
    tn_status (*make)(tn_check_made *m, const char *op, int32_t index, tn_error *err);
} tn_check_sweep;

/** All sweeps, ending with a row whose op is NULL. */
const tn_check_sweep *tn_check_sweep_table(void);
uint64_t tn_check_sweep_count(void);
/** Case `index`; resid and act are the edge types of the candidate's domain. */
tn_status tn_check_sweep_make(const tn_check_sweep *sweep, int32_t index, uint64_t seed,
                              int32_t resid, int32_t act, tn_check_made *out,
                              tn_error *err) TN_MUST_USE;

/* ---- the sweeps ---- */
tn_status tn_check_make_linear(tn_check_made *m, const char *op, int32_t index, tn_error *err);
tn_status tn_check_make_embed(tn_check_made *m, const char *op, int32_t index, tn_error *err);
tn_status tn_check_make_rows(tn_check_made *m, const char *op, int32_t index, tn_error *err);
tn_status tn_check_make_kv(tn_check_made *m, const char *op, int32_t index, tn_error *err);
enum { TN_LINEAR_CASES = 38, TN_ROWS_CASES = 9, TN_EMBED_CASES = 21, TN_KV_CASES = 28 };

#endif
