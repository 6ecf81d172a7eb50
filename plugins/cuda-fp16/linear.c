/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear, linear_add, linear_glu: one body. Up to 4 rows go to the GEMV; more than 32 to cuBLAS,
 * where it is there and there is no bias; the others to the own GEMM.
 *
 * Blob: rows of part 0, of part 1, ... (weights.h), which are the rows of one matrix; then f32
 * biases of all columns, zeros for parts without, if any part has one.
 */
#include "plugins/cuda-fp16/weights.h"

#include <string.h>

enum { MAX_PARTS = 8, OWN_GEMM_ROWS = 32 };

typedef struct linear_blob {
    fp16_weights w;
    int is_glu, is_add, has_bias;
    int32_t rows;             /* of all parts together */
    int32_t first[MAX_PARTS]; /* first row of a part */
    uint64_t bias, bytes;     /* byte offset; of all */
} linear_blob;

static int same_format(const tn_part *a, const tn_part *b)
{
    return a->wfmt && b->wfmt && strcmp(a->wfmt, b->wfmt) == 0 && a->group == b->group &&
           a->values == b->values;
}

static tn_status check_parts(const tn_linear *linear, tn_error *err)
{
    int64_t rows = 0;
    if (linear->n_parts < 1 || linear->n_parts > MAX_PARTS)
        return tn_plugin_fail(err, TN_UNSUPPORTED, "%d parts, 1 to %d are taken", linear->n_parts,
                              MAX_PARTS);
    for (int32_t i = 0; i < linear->n_parts; i++) {
        if (linear->part[i]->out < 1)
            return tn_plugin_fail(err, TN_UNSUPPORTED, "part %d has %d rows, at least 1 is needed",
                                  i, linear->part[i]->out);
        if (i && !same_format(linear->part[0], linear->part[i]))
            return tn_plugin_fail(err, TN_UNSUPPORTED, "parts 0 and %d have unlike weight formats",
                                  i);
        rows += linear->part[i]->out;
    }
    if (rows > INT32_MAX)
        return tn_plugin_fail(err, TN_UNSUPPORTED, "%lld rows are too many", (long long)rows);
    return TN_OK;
}

static tn_status describe(const tn_node *node, linear_blob *blob, tn_error *err)
{
    const tn_linear *linear = node->param;
    *blob = (linear_blob){ .is_glu = strcmp(node->op, "linear_glu") == 0,
                           .is_add = strcmp(node->op, "linear_add") == 0 };
    TN_PLUGIN_TRY(check_parts(linear, err));
    const tn_part *part = linear->part[0];
    TN_PLUGIN_TRY(fp16_weights_init(part->wfmt, part->group, part->values, linear->in,
                                    node->act_dtype, &blob->w, err));
    for (int32_t i = 0; i < linear->n_parts; i++) {
        blob->first[i] = blob->rows;
        blob->rows += linear->part[i]->out;
        blob->has_bias |= linear->part[i]->bias != 0;
    }
    int fits = fp16_weights_add_bytes(&blob->w, blob->rows, &blob->bytes);
    blob->bias = blob->bytes; /* rows are multiples of 16 bytes */
    if (fits && blob->has_bias)
        fits = tn_plugin_add_product(&blob->bytes, (uint64_t)blob->rows, sizeof(float));
    if (!fits)
        return tn_plugin_fail(err, TN_UNSUPPORTED, "the packed weights are too large");
    return TN_OK;
}

/* Elements from row to row of gates and ups in the workspace; rows are multiples of 16 bytes. */
static uint64_t glu_stride(const linear_blob *blob)
{
    return ((uint64_t)blob->rows + 7) / 8 * 8;
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    linear_blob blob;
    (void)self;
    int is_add = strcmp(node->op, "linear_add") == 0, is_glu = strcmp(node->op, "linear_glu") == 0;
    TN_PLUGIN_TRY(fp16_check_node(node, is_add ? "ar" : "a",
                                  is_add   ? "r"
                                  : is_glu ? "a"
                                           : "x",
                                  why));
    TN_PLUGIN_TRY(describe(node, &blob, why));
    const tn_linear *linear = node->param;
    if (!is_glu)
        return TN_OK;
    if (linear->n_parts != 2 || linear->part[0]->out != linear->part[1]->out)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a gated linear needs two parts of equal width");
    return tn_op_check_act(linear->act, why);
}

static int64_t max_rows(const tn_node *node)
{
    return node->max_tokens > node->max_rows ? node->max_tokens : node->max_rows;
}

/* cuBLAS's own, and gates and ups side by side. */
static int add_workspace(const fp16_plugin *plugin, const tn_node *node, const linear_blob *blob,
                         uint64_t *bytes)
{
    *bytes = fp16_cublas_workspace(plugin->cublas);
    return !blob->is_glu ||
           tn_plugin_add_product(bytes, (uint64_t)max_rows(node), 2 * glu_stride(blob));
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    const fp16_plugin *plugin = self;
    linear_blob blob;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    *out = (tn_plan){ .size = sizeof *out,
                      .pack_rows = 1,
                      .weight_bytes = blob.bytes,
                      .layout = fp16_weights_layout(blob.w.dtype, blob.has_bias) };
    if (plugin->cublas && !blob.has_bias && max_rows(node) > OWN_GEMM_ROWS &&
        !add_workspace(plugin, node, &blob, &out->workspace_bytes))
        return tn_plugin_fail(err, TN_INVALID, "%s: the workspace is too large", node->path);
    return TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *out,
                      tn_error *err)
{
    linear_blob blob;
    (void)self;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    const tn_linear *linear = node->param;
    int32_t i = rows->part;
    if (i < 0 || i >= linear->n_parts || rows->row0 + rows->rows > linear->part[i]->out)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no rows %lld to %lld", node->path,
                              i, (long long)rows->row0, (long long)(rows->row0 + rows->rows));
    if (linear->part[i]->bias && !rows->bias)
        return tn_plugin_fail(err, TN_INVALID, "%s: the bias of part %d is missing", node->path, i);
    TN_PLUGIN_TRY(fp16_weights_pack(&blob.w, rows,
                                    (uint16_t *)out + (int64_t)blob.first[i] * blob.w.padded, err));
    if (linear->part[i]->bias)
        memcpy((uint8_t *)out + blob.bias + (uint64_t)(blob.first[i] + rows->row0) * sizeof(float),
               rows->bias, (size_t)rows->rows * sizeof(float));
    return TN_OK;
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *weights, float *values, tn_error *err)
{
    linear_blob blob;
    (void)self;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    const tn_linear *linear = node->param;
    if (part < 0 || part >= linear->n_parts || row < 0 || row >= linear->part[part]->out)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    fp16_weights_row(&blob.w, weights, blob.first[part] + row, values);
    return TN_OK;
}

/* linear_glu by cuBLAS: both products in the workspace, then the gate. */
static tn_status run_glu(fp16_plugin *plugin, const tn_node *node, const fp16_linear_args *args,
                         const linear_blob *blob, const tn_launch *launch, tn_error *err)
{
    fp16_linear_args both = *args;
    both.act = 0;
    both.out_scale = 1.0f;
    both.out = 2 * args->out;
    both.y = fp16_pointer(launch->workspace + fp16_cublas_workspace(plugin->cublas));
    both.y_stride = (int64_t)glu_stride(blob);
    TN_PLUGIN_TRY(fp16_cublas_gemm(plugin->cublas, &both, fp16_pointer(launch->workspace),
                                   launch->stream, err));
    const fp16_rows_args glu = { .a = both.y,
                                 .b = (const uint16_t *)both.y + args->out,
                                 .out = args->y,
                                 .a_stride = both.y_stride,
                                 .b_stride = both.y_stride,
                                 .out_stride = args->y_stride,
                                 .rows = args->rows,
                                 .dim = args->out,
                                 .dtype = args->dtype,
                                 .act = args->act,
                                 .scale = args->out_scale };
    return fp16_launched(node, fp16_glu(&glu, launch->stream), err);
}

static tn_status run_library(fp16_plugin *plugin, const tn_node *node, const fp16_linear_args *args,
                             const linear_blob *blob, const tn_launch *launch, tn_error *err)
{
    if (args->act)
        return run_glu(plugin, node, args, blob, launch, err);
    return fp16_cublas_gemm(plugin->cublas, args, fp16_pointer(launch->workspace), launch->stream,
                            err);
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const tn_linear *linear = node->param;
    fp16_plugin *plugin = self;
    linear_blob blob;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    fp16_linear_args args = { .x = fp16_pointer(launch->in[0].addr),
                              .weight = fp16_pointer(launch->weight),
                              .y = fp16_pointer(launch->out[0].addr),
                              .x_stride = launch->in[0].stride[0],
                              .y_stride = launch->out[0].stride[0],
                              .rows = (int32_t)launch->in[0].dim[0],
                              .in = linear->in,
                              .padded = blob.w.padded,
                              .out = blob.is_glu ? linear->part[0]->out : blob.rows,
                              .dtype = blob.w.dtype,
                              .y_dtype = launch->out[0].dtype,
                              .act = blob.is_glu ? linear->act : 0,
                              .out_scale = tn_op_scale(linear->out_scale) };
    if (blob.has_bias)
        args.bias = fp16_pointer(launch->weight + blob.bias);
    if (blob.is_add) {
        args.residual = fp16_pointer(launch->in[1].addr);
        args.residual_stride = launch->in[1].stride[0];
    }
    if (args.rows > OWN_GEMM_ROWS && fp16_cublas_takes(plugin->cublas, &args))
        return run_library(plugin, node, &args, &blob, launch, err);
    int error = args.rows <= FP16_GEMV_ROWS
                    ? fp16_gemv(&args, plugin->device.n_sms, launch->stream)
                    : fp16_gemm(&args, plugin->device.n_sms, launch->stream);
    return fp16_launched(node, error, err);
}

#define LINEAR_KERNEL(op_name, extra_flags)                                                        \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = FP16_FLAGS | (extra_flags), .op = op_name,             \
        .name = "cuda-fp16." op_name, .tolerance = "f16acc", .supports = supports, .plan = plan,   \
        .pack = pack, .unpack = unpack, .run = run                                                 \
    }

const tn_kernel fp16_linear_kernel = LINEAR_KERNEL("linear", 0);
const tn_kernel fp16_linear_add_kernel = LINEAR_KERNEL("linear_add", TN_K_IN_PLACE);
const tn_kernel fp16_linear_glu_kernel = LINEAR_KERNEL("linear_glu", 0);
