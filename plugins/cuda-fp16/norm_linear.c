/* SPDX-License-Identifier: Apache-2.0 */
/*
 * norm_linear, norm_linear_glu: the norm's kernel into the workspace, then the linear of linear.c.
 * Two launches of one op: a GEMV that norms by itself would read x and the norm's weights as f32 in
 * every block, four times the bytes from L2, to save a launch of some 2 us.
 *
 * Blob: the linear's, then the norm's weights. Workspace: the normed rows, then the linear's.
 */
#include "plugins/cuda-fp16/weights.h"

#include <string.h>

enum { BLOB_ALIGN = 16, ROWS_ALIGN = 256 };

static const tn_kernel *linear_of(const tn_node *node)
{
    return strcmp(node->op, "norm_linear_glu") == 0 ? &fp16_linear_glu_kernel : &fp16_linear_kernel;
}

/* The node as its linear sees it. */
static tn_node inner_node(const tn_node *node)
{
    tn_node inner = *node;
    inner.op = linear_of(node)->op;
    inner.in_dtype[0] = node->act_dtype;
    return inner;
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    TN_PLUGIN_TRY(fp16_check_node(node, "r", "x", why));
    const tn_linear *linear = node->param;
    if (linear->in < 1 || linear->in > FP16_MAX_NORM)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a norm over %d elements, 1 to %d are taken",
                              linear->in, FP16_MAX_NORM);
    const tn_node inner = inner_node(node);
    return linear_of(node)->supports(self, &inner, why);
}

/* Elements from one normed row to the next: rows begin at multiples of 16 bytes. */
static int64_t normed_stride(const tn_node *node)
{
    return ((int64_t)((const tn_linear *)node->param)->in + 7) / 8 * 8;
}

static uint64_t align_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static tn_status normed_bytes(const tn_node *node, uint64_t *out, tn_error *err)
{
    const int64_t rows = node->max_tokens > node->max_rows ? node->max_tokens : node->max_rows;
    *out = ROWS_ALIGN - 1;
    if (!tn_plugin_add_product(out, (uint64_t)rows, 2 * (uint64_t)normed_stride(node)))
        return tn_plugin_fail(err, TN_INVALID, "%s: the workspace is too large", node->path);
    *out = *out / ROWS_ALIGN * ROWS_ALIGN;
    return TN_OK;
}

/* The linear's plan; *norm: byte offset of the norm's weights in the blob. */
static tn_status plan_linear(void *self, const tn_node *node, tn_plan *out, uint64_t *norm,
                             tn_error *err)
{
    const tn_node inner = inner_node(node);
    TN_PLUGIN_TRY(linear_of(node)->plan(self, &inner, out, err));
    *norm = align_up(out->weight_bytes, BLOB_ALIGN);
    return TN_OK;
}

/* Its version goes up with that of the linear's layout. */
static const char *layout(const tn_node *node)
{
    static const char *const ids[2][2] = {
        { "cuda-fp16/f16.k8+norm/1", "cuda-fp16/f16.k8+bias+norm/1" },
        { "cuda-fp16/bf16.k8+norm/1", "cuda-fp16/bf16.k8+bias+norm/1" },
    };
    const tn_linear *linear = node->param;
    int has_bias = 0;
    for (int32_t i = 0; i < linear->n_parts; i++)
        has_bias |= linear->part[i]->bias != 0;
    return ids[node->act_dtype == TN_BF16][has_bias];
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    uint64_t norm, normed;
    TN_PLUGIN_TRY(plan_linear(self, node, out, &norm, err));
    TN_PLUGIN_TRY(normed_bytes(node, &normed, err));
    out->weight_bytes = norm;
    if (!tn_plugin_add_product(&out->weight_bytes, (uint64_t)((const tn_linear *)node->param)->in,
                               sizeof(float)) ||
        !tn_plugin_add_product(&out->workspace_bytes, normed, 1))
        return tn_plugin_fail(err, TN_INVALID, "%s: weights or workspace are too large",
                              node->path);
    out->layout = layout(node);
    return TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                      tn_error *err)
{
    const tn_linear *linear = node->param;
    const tn_node inner = inner_node(node);
    tn_plan ignored;
    uint64_t norm;
    if (rows->part != linear->n_parts)
        return linear_of(node)->pack(self, &inner, rows, blob, err);
    TN_PLUGIN_TRY(plan_linear(self, node, &ignored, &norm, err));
    return tn_op_pack_vector(rows, linear->in, (float *)(void *)((uint8_t *)blob + norm), err);
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *blob, float *values, tn_error *err)
{
    const tn_linear *linear = node->param;
    const tn_node inner = inner_node(node);
    tn_plan ignored;
    uint64_t norm;
    if (part != linear->n_parts)
        return linear_of(node)->unpack(self, &inner, part, row, blob, values, err);
    if (row != 0)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    TN_PLUGIN_TRY(plan_linear(self, node, &ignored, &norm, err));
    memcpy(values, (const uint8_t *)blob + norm, (size_t)linear->in * sizeof *values);
    return TN_OK;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const tn_linear *linear = node->param;
    const tn_node inner = inner_node(node);
    tn_plan ignored;
    uint64_t norm, normed;
    TN_PLUGIN_TRY(plan_linear(self, node, &ignored, &norm, err));
    TN_PLUGIN_TRY(normed_bytes(node, &normed, err));
    const fp16_norm_args args = { .x = fp16_pointer(launch->in[0].addr),
                                  .weight = fp16_pointer(launch->weight + norm),
                                  .out = fp16_pointer(launch->workspace),
                                  .x_stride = launch->in[0].stride[0],
                                  .out_stride = normed_stride(node),
                                  .rows = (int32_t)launch->in[0].dim[0],
                                  .dim = linear->in,
                                  .dtype = node->act_dtype,
                                  .eps = linear->eps,
                                  .offset = linear->offset };
    TN_PLUGIN_TRY(fp16_launched(node, fp16_rmsnorm(&args, launch->stream), err));
    tn_tensor x = launch->in[0];
    x.addr = launch->workspace;
    x.dtype = node->act_dtype;
    x.stride[0] = args.out_stride;
    tn_launch of_linear = *launch;
    of_linear.in = &x;
    of_linear.workspace += normed;
    of_linear.workspace_bytes -= normed;
    return linear_of(node)->run(self, &inner, &of_linear, err);
}

#define NORM_LINEAR_KERNEL(op_name)                                                                \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = FP16_FLAGS, .op = op_name,                             \
        .name = "cuda-fp16." op_name, .tolerance = "f16acc", .supports = supports, .plan = plan,   \
        .pack = pack, .unpack = unpack, .run = run                                                 \
    }

const tn_kernel fp16_norm_linear_kernel = NORM_LINEAR_KERNEL("norm_linear");
const tn_kernel fp16_norm_linear_glu_kernel = NORM_LINEAR_KERNEL("norm_linear_glu");
