/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that work row by row: rmsnorm, add, glu, gather_rows, argmax. */
#include "plugins/cuda-fp16/fp16.h"

#include <string.h>

static tn_status plan_nothing(void *self, const tn_node *node, tn_plan *plan, tn_error *err)
{
    (void)self;
    (void)node;
    (void)err;
    *plan = (tn_plan){ .size = sizeof *plan };
    return TN_OK;
}

static tn_status check_dim(const tn_node *node, tn_error *why)
{
    const tn_rows_op *op = node->param;
    if (op->dim < 1)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a row of %d elements, at least 1 is needed",
                              op->dim);
    return TN_OK;
}

/* ---- rmsnorm ---- */

static tn_status rmsnorm_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(fp16_check_node(node, "r", "a", why));
    const tn_norm *norm = node->param;
    if (norm->dim < 1 || norm->dim > FP16_MAX_NORM)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a norm over %d elements, 1 to %d are taken",
                              norm->dim, FP16_MAX_NORM);
    return TN_OK;
}

static tn_status rmsnorm_plan(void *self, const tn_node *node, tn_plan *plan, tn_error *err)
{
    (void)self;
    (void)err;
    *plan =
        (tn_plan){ .size = sizeof *plan,
                   .pack_rows = 1,
                   .weight_bytes = (uint64_t)((const tn_norm *)node->param)->dim * sizeof(float),
                   .layout = "cuda-fp16/vector/1" };
    return TN_OK;
}

static tn_status rmsnorm_pack(void *self, const tn_node *node, const tn_weight_rows *rows,
                              void *blob, tn_error *err)
{
    (void)self;
    return tn_op_pack_vector(rows, ((const tn_norm *)node->param)->dim, blob, err);
}

static tn_status rmsnorm_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                                const void *blob, float *values, tn_error *err)
{
    (void)self;
    if (part != 0 || row != 0)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    memcpy(values, blob, (size_t)((const tn_norm *)node->param)->dim * sizeof *values);
    return TN_OK;
}

static tn_status rmsnorm_run(void *self, const tn_node *node, const tn_launch *launch,
                             tn_error *err)
{
    const tn_norm *norm = node->param;
    (void)self;
    const fp16_norm_args args = { .x = fp16_pointer(launch->in[0].addr),
                                  .weight = fp16_pointer(launch->weight),
                                  .out = fp16_pointer(launch->out[0].addr),
                                  .x_stride = launch->in[0].stride[0],
                                  .out_stride = launch->out[0].stride[0],
                                  .rows = (int32_t)launch->in[0].dim[0],
                                  .dim = norm->dim,
                                  .dtype = launch->out[0].dtype,
                                  .eps = norm->eps,
                                  .offset = norm->offset };
    return fp16_launched(node, fp16_rmsnorm(&args, launch->stream), err);
}

const tn_kernel fp16_rmsnorm_kernel = { .size = sizeof(tn_kernel),
                                        .flags = FP16_ROW_FLAGS,
                                        .op = "rmsnorm",
                                        .name = "cuda-fp16.rmsnorm",
                                        .tolerance = "f16acc",
                                        .supports = rmsnorm_supports,
                                        .plan = rmsnorm_plan,
                                        .pack = rmsnorm_pack,
                                        .unpack = rmsnorm_unpack,
                                        .run = rmsnorm_run };

/* ---- add, glu, gather_rows ---- */

static tn_status add_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(fp16_check_node(node, "xr", "r", why));
    return check_dim(node, why);
}

static tn_status glu_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(fp16_check_node(node, "aa", "a", why));
    TN_PLUGIN_TRY(check_dim(node, why));
    return tn_op_check_act(((const tn_rows_op *)node->param)->act, why);
}

static tn_status gather_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(fp16_check_node(node, "r", "r", why));
    return check_dim(node, why);
}

static fp16_rows_args rows_args(const tn_node *node, const tn_launch *launch)
{
    const tn_rows_op *op = node->param;
    fp16_rows_args args = { .a = fp16_pointer(launch->in[0].addr),
                            .out = fp16_pointer(launch->out[0].addr),
                            .a_stride = launch->in[0].stride[0],
                            .out_stride = launch->out[0].stride[0],
                            .rows = (int32_t)launch->out[0].dim[0],
                            .dim = op->dim,
                            .dtype = launch->in[0].dtype,
                            .act = op->act,
                            .scale = tn_op_scale(op->scale) };
    if (node->n_in > 1) {
        args.b = fp16_pointer(launch->in[1].addr);
        args.b_stride = launch->in[1].stride[0];
    }
    return args;
}

static tn_status add_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const fp16_rows_args args = rows_args(node, launch);
    (void)self;
    return fp16_launched(node, fp16_add(&args, launch->stream), err);
}

static tn_status glu_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const fp16_rows_args args = rows_args(node, launch);
    (void)self;
    return fp16_launched(node, fp16_glu(&args, launch->stream), err);
}

static tn_status gather_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    fp16_rows_args args = rows_args(node, launch);
    (void)self;
    args.index = fp16_pointer(launch->batch->rows);
    return fp16_launched(node, fp16_gather_rows(&args, launch->stream), err);
}

/* ---- argmax ---- */

static tn_status argmax_supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(fp16_check_node(node, "r", "i", why));
    return check_dim(node, why);
}

static tn_status argmax_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    (void)self;
    return fp16_launched(node,
                         fp16_argmax(fp16_pointer(launch->in[0].addr), launch->in[0].stride[0],
                                     fp16_pointer(launch->out[0].addr), launch->out[0].stride[0],
                                     (int32_t)launch->in[0].dim[0],
                                     ((const tn_rows_op *)node->param)->dim, launch->stream),
                         err);
}

#define ROWS_KERNEL(op_name, class_name, extra_flags, supports_fn, run_fn)                         \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = FP16_ROW_FLAGS | (extra_flags), .op = op_name,         \
        .name = "cuda-fp16." op_name, .tolerance = class_name, .supports = supports_fn,            \
        .plan = plan_nothing, .run = run_fn                                                        \
    }

const tn_kernel fp16_add_kernel =
    ROWS_KERNEL("add", "f16acc", TN_K_IN_PLACE, add_supports, add_run);
const tn_kernel fp16_glu_kernel =
    ROWS_KERNEL("glu", "f16acc", TN_K_IN_PLACE, glu_supports, glu_run);
const tn_kernel fp16_gather_rows_kernel =
    ROWS_KERNEL("gather_rows", "exact", 0, gather_supports, gather_run);
const tn_kernel fp16_argmax_kernel = ROWS_KERNEL("argmax", "exact", 0, argmax_supports, argmax_run);
