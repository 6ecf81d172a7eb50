/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/sweep.h"

/* One row an op of the catalogue; a test holds the two against each other. */
static const tn_check_sweep sweeps[] = {
    { "embed", TN_EMBED_CASES, tn_check_make_embed },
    { "rmsnorm", TN_ROWS_CASES, tn_check_make_rows },
    { "linear", TN_LINEAR_CASES, tn_check_make_linear },
    { "add", TN_ROWS_CASES, tn_check_make_rows },
    { "glu", TN_ROWS_CASES, tn_check_make_rows },
    { "qk_norm", TN_KV_CASES, tn_check_make_kv },
    { "rope", TN_KV_CASES, tn_check_make_kv },
    { "kv_write", TN_KV_CASES, tn_check_make_kv },
    { "attention", TN_KV_CASES, tn_check_make_kv },
    { "gather_rows", TN_ROWS_CASES, tn_check_make_rows },
    { "argmax", TN_ROWS_CASES, tn_check_make_rows },
    { "norm_linear_glu", TN_LINEAR_CASES, tn_check_make_linear },
    { "norm_linear", TN_LINEAR_CASES, tn_check_make_linear },
    { "linear_glu", TN_LINEAR_CASES, tn_check_make_linear },
    { "linear_add", TN_LINEAR_CASES, tn_check_make_linear },
    { "rope_kv_write", TN_KV_CASES, tn_check_make_kv },
    { NULL, 0, NULL },
};

const tn_check_sweep *tn_check_sweep_table(void)
{
    return sweeps;
}

uint64_t tn_check_sweep_count(void)
{
    return sizeof sweeps / sizeof sweeps[0] - 1;
}

tn_status tn_check_sweep_make(const tn_check_sweep *sweep, int32_t index, uint64_t seed,
                              int32_t resid, int32_t act, tn_check_made *out, tn_error *err)
{
    *out = (tn_check_made){ .format = "", .resid = resid, .act = act };
    out->state = seed * 0x9e3779b97f4a7c15u + (uint64_t)index;
    tn_status status = sweep->make(out, sweep->op, index, err);
    if (!status && !out->c.name)
        status = tn_fail_memory(err, "a case");
    if (status) {
        tn_check_made_deinit(out);
        return status;
    }
    /* Both sides get what the candidate's edges can hold. The arena's memory is ours to change. */
    for (int32_t i = 0; i < out->c.node.n_in; i++)
        tn_check_round_values((float *)(uintptr_t)out->c.in[i].values,
                              (size_t)out->c.in[i].rows * (size_t)out->c.in[i].width,
                              out->c.node.in_dtype[i]);
    if (!out->c.batch)
        out->c.batch = &out->batch;
    return TN_OK;
}
