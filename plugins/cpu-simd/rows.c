/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that work row by row: rmsnorm, add, glu, gather_rows, argmax. */
#include "plugins/cpu-simd/ops.h"
#include "plugins/cpu-simd/simd.h"

typedef struct row_job {
    const simd_isa *isa;
    const tn_node *node;
    const tn_launch *launch;
} row_job;

static tn_status run_rows(void *self, const tn_node *node, const tn_launch *launch, int64_t n,
                          simd_range_fn fn)
{
    row_job job = { .isa = simd_isa_of(self), .node = node, .launch = launch };
    if (n == 1)
        fn(&job, 0, 1, 0);
    else
        simd_for(self, n, fn, &job);
    return TN_OK;
}

static tn_status check_rows_op(const tn_node *node, int32_t n_in, int32_t out_dtype, tn_error *why)
{
    TN_PLUGIN_TRY(tn_op_check_edges(node, n_in, 1, out_dtype, why));
    TN_PLUGIN_TRY(tn_op_check_param(node, 1, why));
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
    TN_PLUGIN_TRY(tn_op_check_edges(node, 1, 1, 0, why));
    TN_PLUGIN_TRY(tn_op_check_param(node, 1, why));
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
                       .layout = "cpu-simd/vector/1" };
    return TN_OK;
}

static tn_status rmsnorm_pack(void *self, const tn_node *node, const tn_weight_rows *rows,
                              void *blob, tn_error *err)
{
    (void)self;
    const tn_norm *norm = node->param;
    return tn_op_pack_vector(rows, norm->dim, blob, err);
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
        job->isa->norm(tn_op_row(&l->in[0], i), tn_op_floats(l->weight), norm->dim, norm->eps,
                       norm->offset, tn_op_row(&l->out[0], i));
}

static tn_status rmsnorm_run(void *self, const tn_node *node, const tn_launch *launch,
                             tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, launch->in[0].dim[0], rmsnorm_range);
}

const tn_kernel simd_rmsnorm = { .size = sizeof simd_rmsnorm,
                                 .flags = SIMD_FLAGS,
                                 .op = "rmsnorm",
                                 .name = "cpu-simd.rmsnorm",
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
    for (int64_t i = i0; i < i1; i++)
        job->isa->add(tn_op_row(&l->in[0], i), tn_op_row(&l->in[1], i), op->dim,
                      tn_op_row(&l->out[0], i));
}

static tn_status add_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, launch->in[0].dim[0], add_range);
}

const tn_kernel simd_add = { .size = sizeof simd_add,
                             .flags = SIMD_FLAGS | TN_K_IN_PLACE,
                             .op = "add",
                             .name = "cpu-simd.add",
                             .tolerance = "exact",
                             .supports = add_supports,
                             .plan = plan_nothing,
                             .run = add_run };

/* ---- glu ---- */

static tn_status glu_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(check_rows_op(node, 2, 0, why));
    return tn_op_check_act(((const tn_rows_op *)node->param)->act, why);
}

static void glu_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    const tn_rows_op *op = job->node->param;
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        job->isa->glu(tn_op_row(&l->in[0], i), tn_op_row(&l->in[1], i), op->dim, op->act,
                      tn_op_scale(op->scale), tn_op_row(&l->out[0], i));
}

static tn_status glu_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, launch->in[0].dim[0], glu_range);
}

const tn_kernel simd_glu = { .size = sizeof simd_glu,
                             .flags = SIMD_FLAGS | TN_K_IN_PLACE,
                             .op = "glu",
                             .name = "cpu-simd.glu",
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
    const int32_t *rows = tn_op_ints(l->batch->rows);
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        memcpy(tn_op_row(&l->out[0], i), tn_op_row(&l->in[0], rows[i]),
               (size_t)op->dim * sizeof(float));
}

static tn_status gather_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const int32_t *rows = tn_op_ints(launch->batch->rows);
    int64_t n = launch->out[0].dim[0];
    for (int64_t i = 0; i < n; i++)
        if (rows[i] < 0 || rows[i] >= launch->in[0].dim[0])
            return tn_plugin_fail(err, TN_INVALID, "%s: wanted row %lld is token %d of %lld",
                                  node->path, (long long)i, rows[i],
                                  (long long)launch->in[0].dim[0]);
    return run_rows(self, node, launch, n, gather_range);
}

const tn_kernel simd_gather_rows = { .size = sizeof simd_gather_rows,
                                     .flags = SIMD_FLAGS,
                                     .op = "gather_rows",
                                     .name = "cpu-simd.gather_rows",
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

static void argmax_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const row_job *job = arg;
    const tn_launch *l = job->launch;
    const tn_rows_op *op = job->node->param;
    int32_t *ids = (int32_t *)(uintptr_t)l->out[0].addr;
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        ids[i * l->out[0].stride[0]] = job->isa->argmax(tn_op_row(&l->in[0], i), op->dim);
}

static tn_status argmax_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)err;
    return run_rows(self, node, launch, launch->in[0].dim[0], argmax_range);
}

const tn_kernel simd_argmax = { .size = sizeof simd_argmax,
                                .flags = SIMD_FLAGS,
                                .op = "argmax",
                                .name = "cpu-simd.argmax",
                                .tolerance = "exact",
                                .supports = argmax_supports,
                                .plan = plan_nothing,
                                .run = argmax_run };
