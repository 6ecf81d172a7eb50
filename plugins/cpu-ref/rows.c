/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that work row by row: rmsnorm, add, glu, gather_rows, argmax. */
#include "plugins/cpu-ref/math_rows.h"
#include "plugins/cpu-ref/ops.h"
#include "plugins/cpu-ref/ref.h"

#include <math.h>
#include <string.h>

/* ---- formulas ---- */

void ref_rmsnorm_row(const float *x, const float *w, int32_t n, float eps, float offset, float *out)
{
    double sum = 0.0;
    for (int32_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    double root = sqrt(sum / n + (double)eps);
    for (int32_t i = 0; i < n; i++)
        out[i] = (float)((double)x[i] / root * ((double)w[i] + (double)offset));
}

float ref_linear_value(double sum, float bias, double out_scale)
{
    return (float)(out_scale * (sum + (double)bias));
}

float ref_add_value(float y, float x)
{
    return (float)((double)x + (double)y);
}

static double activate(int32_t act, double g)
{
    const double sqrt_half = 0.70710678118654752440, sqrt_2_over_pi = 0.79788456080286535588;
    if (act == TN_ACT_GELU) /* Hendrycks and Gimpel 2016 */
        return 0.5 * g * (1.0 + erf(g * sqrt_half));
    if (act == TN_ACT_GELU_TANH)
        return 0.5 * g * (1.0 + tanh(sqrt_2_over_pi * (g + 0.044715 * g * g * g)));
    return g / (1.0 + exp(-g)); /* silu */
}

float ref_glu_value(int32_t act, float gate, float up, double scale)
{
    return (float)(activate(act, (double)gate) * (double)up * scale);
}

/* ---- what the ops share ---- */

typedef struct row_job {
    const tn_node *node;
    const tn_launch *launch;
} row_job;

static tn_status run_rows(void *self, const tn_node *node, const tn_launch *launch, int64_t n,
                          ref_range_fn fn)
{
    row_job job = { .node = node, .launch = launch };
    ref_for(self, n, fn, &job);
    return TN_OK;
}

static tn_status check_rows_op(const tn_node *node, int32_t n_in, int32_t out_dtype, tn_error *why)
{
    TN_PLUGIN_TRY(ref_check_edges(node, n_in, 1, out_dtype, why));
    TN_PLUGIN_TRY(ref_check_param(node, 1, why));
    const tn_rows_op *op = node->param;
    if (op->dim < 1)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a row of %d elements, at least 1 is needed",
                              op->dim);
    return TN_OK;
}

static tn_status plan_nothing(void *self, const tn_node *node, tn_plan *plan, tn_error *err)
{
    (void)self;
    (void)node;
    (void)err;
    *plan = (tn_plan){ .size = sizeof *plan };
    return TN_OK;
}

/* ---- rmsnorm ---- */

static tn_status rmsnorm_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(ref_check_edges(node, 1, 1, 0, why));
    TN_PLUGIN_TRY(ref_check_param(node, 1, why));
    const tn_norm *norm = node->param;
    if (norm->dim < 1)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a norm over %d elements, at least 1 is needed",
                              norm->dim);
    return TN_OK;
}

static tn_status rmsnorm_plan(void *self, const tn_node *node, tn_plan *plan, tn_error *err)
{
    (void)self;
    (void)err;
    const tn_norm *norm = node->param;
    *plan = (tn_plan){ .size = sizeof *plan,
                       .pack_rows = 1,
                       .weight_bytes = (uint64_t)norm->dim * sizeof(float),
                       .layout = "cpu-ref/vector/1" };
    return TN_OK;
}

static tn_status rmsnorm_pack(void *self, const tn_node *node, const tn_weight_rows *rows,
                              void *blob, tn_error *err)
{
    (void)self;
    const tn_norm *norm = node->param;
    return ref_pack_vector(rows, norm->dim, blob, err);
}

static tn_status rmsnorm_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                                const void *blob, float *values, tn_error *err)
{
    (void)self;
    const tn_norm *norm = node->param;
    if (part != 0 || row != 0)
        return tn_plugin_fail(err, TN_INVALID, "a norm has part 0 with row 0 only");
    memcpy(values, blob, (size_t)norm->dim * sizeof(float));
    return TN_OK;
}

static void rmsnorm_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    const tn_norm *norm = job->node->param;
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        ref_rmsnorm_row(ref_row(&l->in[0], i), ref_floats(l->weight), norm->dim, norm->eps,
                        norm->offset, ref_row(&l->out[0], i));
}

static tn_status rmsnorm_run(void *self, const tn_node *node, const tn_launch *launch,
                             tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, launch->in[0].dim[0], rmsnorm_range);
}

const tn_kernel ref_rmsnorm = { .size = sizeof ref_rmsnorm,
                                .flags = REF_FLAGS,
                                .op = "rmsnorm",
                                .name = "cpu-ref.rmsnorm",
                                .tolerance = "f32acc",
                                .supports = rmsnorm_supports,
                                .plan = rmsnorm_plan,
                                .pack = rmsnorm_pack,
                                .unpack = rmsnorm_unpack,
                                .run = rmsnorm_run };

/* ---- add ---- */

static tn_status add_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(check_rows_op(node, 2, 0, why));
    const tn_rows_op *op = node->param;
    if (op->scale != 0.0f && op->scale != 1.0f)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "add has no scale, %g was given",
                              (double)op->scale);
    return TN_OK;
}

static void add_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    const tn_rows_op *op = job->node->param;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *y = ref_row(&l->in[0], i), *x = ref_row(&l->in[1], i);
        float *out = ref_row(&l->out[0], i);
        for (int32_t j = 0; j < op->dim; j++)
            out[j] = ref_add_value(y[j], x[j]);
    }
}

static tn_status add_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, launch->in[0].dim[0], add_range);
}

const tn_kernel ref_add = { .size = sizeof ref_add,
                            .flags = REF_FLAGS | TN_K_IN_PLACE,
                            .op = "add",
                            .name = "cpu-ref.add",
                            .tolerance = "f32acc",
                            .supports = add_supports,
                            .plan = plan_nothing,
                            .run = add_run };

/* ---- glu ---- */

static tn_status glu_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(check_rows_op(node, 2, 0, why));
    return ref_check_act(((const tn_rows_op *)node->param)->act, why);
}

tn_status ref_check_act(int32_t act, tn_error *why)
{
    if (act == TN_ACT_SILU || act == TN_ACT_GELU || act == TN_ACT_GELU_TANH)
        return TN_OK;
    return tn_plugin_fail(why, TN_UNSUPPORTED,
                          "activation %d: cpu-ref has silu (1), gelu (2), gelu_tanh (3)", act);
}

static void glu_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    const tn_rows_op *op = job->node->param;
    double scale = ref_scale(op->scale);
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *gate = ref_row(&l->in[0], i), *up = ref_row(&l->in[1], i);
        float *out = ref_row(&l->out[0], i);
        for (int32_t j = 0; j < op->dim; j++)
            out[j] = ref_glu_value(op->act, gate[j], up[j], scale);
    }
}

static tn_status glu_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, launch->in[0].dim[0], glu_range);
}

const tn_kernel ref_glu = { .size = sizeof ref_glu,
                            .flags = REF_FLAGS | TN_K_IN_PLACE,
                            .op = "glu",
                            .name = "cpu-ref.glu",
                            .tolerance = "f32acc",
                            .supports = glu_supports,
                            .plan = plan_nothing,
                            .run = glu_run };

/* ---- gather_rows ---- */

static tn_status gather_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    return check_rows_op(node, 1, 0, why);
}

static void gather_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    const tn_rows_op *op = job->node->param;
    const int32_t *rows = ref_ints(l->batch->rows);
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        memcpy(ref_row(&l->out[0], i), ref_row(&l->in[0], rows[i]),
               (size_t)op->dim * sizeof(float));
}

static tn_status gather_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const int32_t *rows = ref_ints(launch->batch->rows);
    int64_t n = launch->out[0].dim[0];
    for (int64_t i = 0; i < n; i++)
        if (rows[i] < 0 || rows[i] >= launch->in[0].dim[0])
            return tn_plugin_fail(err, TN_INVALID, "%s: wanted row %lld is token %d of %lld",
                                  node->path, (long long)i, rows[i],
                                  (long long)launch->in[0].dim[0]);
    return run_rows(self, node, launch, n, gather_range);
}

const tn_kernel ref_gather_rows = { .size = sizeof ref_gather_rows,
                                    .flags = REF_FLAGS,
                                    .op = "gather_rows",
                                    .name = "cpu-ref.gather_rows",
                                    .tolerance = "exact",
                                    .supports = gather_supports,
                                    .plan = plan_nothing,
                                    .run = gather_run };

/* ---- argmax ---- */

static tn_status argmax_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    return check_rows_op(node, 1, TN_I32, why);
}

/* The lowest id of the largest value; a NaN never wins, and a row of NaN alone gives 0. */
static int32_t argmax_row(const float *x, int32_t n)
{
    int32_t best = -1;
    for (int32_t i = 0; i < n; i++)
        if (!isnan(x[i]) && (best < 0 || x[i] > x[best]))
            best = i;
    return best < 0 ? 0 : best;
}

static void argmax_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    const tn_rows_op *op = job->node->param;
    int32_t *ids = (int32_t *)(uintptr_t)l->out[0].addr;
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        ids[i * l->out[0].stride[0]] = argmax_row(ref_row(&l->in[0], i), op->dim);
}

static tn_status argmax_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, launch->in[0].dim[0], argmax_range);
}

const tn_kernel ref_argmax = { .size = sizeof ref_argmax,
                               .flags = REF_FLAGS,
                               .op = "argmax",
                               .name = "cpu-ref.argmax",
                               .tolerance = "exact",
                               .supports = argmax_supports,
                               .plan = plan_nothing,
                               .run = argmax_run };
