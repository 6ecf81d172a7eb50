/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that work row by row: rmsnorm, add, glu, gather_rows, argmax. */
#include "tests/plugins/alt/alt.h"

typedef struct row_job {
    void *self;
    const tn_node *node;
    const tn_launch *launch;
} row_job;

static tn_status run_rows(void *self, const tn_node *node, const tn_launch *launch, alt_range_fn fn)
{
    row_job job = { .self = self, .node = node, .launch = launch };
    alt_for(self, launch->out[0].dim[0], fn, &job);
    return TN_OK;
}

static tn_status check_rows(void *self, const tn_node *node, int32_t n_in, int32_t out_dtype,
                            tn_error *why)
{
    TN_PLUGIN_TRY(alt_check(self, node, n_in, out_dtype, why));
    if (((const tn_rows_op *)node->param)->dim < 1)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "rows of no elements");
    return TN_OK;
}

/* ---- rmsnorm ---- */

tn_status alt_rmsnorm_supports(void *self, const tn_node *node, tn_error *why)
{
    TN_PLUGIN_TRY(alt_check(self, node, 1, 0, why));
    if (((const tn_norm *)node->param)->dim < 1)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "rows of no elements");
    return TN_OK;
}

tn_status alt_rmsnorm_plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    (void)err;
    *out = (tn_plan){ .size = sizeof *out,
                      .weight_bytes = (uint64_t)((const tn_norm *)node->param)->dim * sizeof(float),
                      .layout = ((const alt_plugin *)self)->layout[ALT_VECTOR] };
    return TN_OK;
}

tn_status alt_rmsnorm_pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                           tn_error *err)
{
    (void)self;
    return tn_op_pack_vector(rows, ((const tn_norm *)node->param)->dim, blob, err);
}

tn_status alt_rmsnorm_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                             const void *blob, float *values, tn_error *err)
{
    (void)self;
    if (part != 0 || row != 0)
        return tn_plugin_fail(err, TN_INVALID, "a norm has part 0 with row 0 only");
    memcpy(values, blob, (size_t)((const tn_norm *)node->param)->dim * sizeof(float));
    return TN_OK;
}

static void rmsnorm_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_norm *param = job->node->param;
    alt_norm norm = { tn_op_floats(job->launch->weight), param->dim, param->eps, param->offset };
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        alt_norm_row(job->self, &norm, i, tn_op_row(&job->launch->in[0], i),
                     tn_op_row(&job->launch->out[0], i));
}

tn_status alt_rmsnorm_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, rmsnorm_range);
}

/* ---- add ---- */

tn_status alt_add_supports(void *self, const tn_node *node, tn_error *why)
{
    return check_rows(self, node, 2, 0, why);
}

static void add_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *y = tn_op_row(&l->in[0], i), *x = tn_op_row(&l->in[1], i);
        float *out = tn_op_row(&l->out[0], i);
        for (int32_t k = 0; k < ((const tn_rows_op *)job->node->param)->dim; k++)
            out[k] = x[k] + y[k];
    }
}

tn_status alt_add_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, add_range);
}

/* ---- glu ---- */

tn_status alt_glu_supports(void *self, const tn_node *node, tn_error *why)
{
    TN_PLUGIN_TRY(check_rows(self, node, 2, 0, why));
    return tn_op_check_act(((const tn_rows_op *)node->param)->act, why);
}

static void glu_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    const tn_rows_op *op = job->node->param;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *gate = tn_op_row(&l->in[0], i), *up = tn_op_row(&l->in[1], i);
        float *out = tn_op_row(&l->out[0], i);
        for (int32_t k = 0; k < op->dim; k++)
            out[k] = alt_glu(op->act, alt_act(job->self, gate[k]), alt_act(job->self, up[k]),
                             tn_op_scale(op->scale));
    }
}

tn_status alt_glu_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, glu_range);
}

/* ---- gather_rows ---- */

tn_status alt_gather_rows_supports(void *self, const tn_node *node, tn_error *why)
{
    return check_rows(self, node, 1, 0, why);
}

static void gather_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    size_t n_bytes = (size_t)((const tn_rows_op *)job->node->param)->dim * sizeof(float);
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        memcpy(tn_op_row(&l->out[0], i), tn_op_row(&l->in[0], tn_op_ints(l->batch->rows)[i]),
               n_bytes);
}

tn_status alt_gather_rows_run(void *self, const tn_node *node, const tn_launch *launch,
                              tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, gather_range);
}

/* ---- argmax ---- */

tn_status alt_argmax_supports(void *self, const tn_node *node, tn_error *why)
{
    return check_rows(self, node, 1, TN_I32, why);
}

static void argmax_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    int32_t *ids = (int32_t *)(uintptr_t)l->out[0].addr,
            n = ((const tn_rows_op *)job->node->param)->dim;
    int last_wins = alt_has(job->self, ALT_FAULT_TIE);
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *x = tn_op_row(&l->in[0], i);
        int32_t best = -1;
        for (int32_t k = 0; k < n; k++) {
            int is_number = x[k] == x[k];
            if (is_number && (best < 0 || x[k] > x[best] || (last_wins && x[k] >= x[best])))
                best = k;
        }
        ids[i * l->out[0].stride[0]] = best < 0 ? 0 : best;
    }
}

tn_status alt_argmax_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, argmax_range);
}
