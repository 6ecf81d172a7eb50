/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear, linear_add, linear_glu: one body. Up to 4 rows go to the GEMV; more than 32 to cuBLAS,
 * where it is there and there is no bias; the others to the own GEMM.
 *
 * Blob: rows of part 0, of part 1, ... (weights.h), which are the rows of one matrix; then f32
 * biases of all columns, zeros for parts without, if any part has one.
 */
#include "plugins/cuda-fp16/parts.h"
#include "plugins/cuda-fp16/weights.h"

enum { OWN_GEMM_ROWS = 32 };

typedef struct linear_blob {
    fp16_parts parts;
    fp16_weights w;
    uint64_t bias, bytes; /* byte offset; of all */
} linear_blob;

static tn_status describe(const tn_node *node, linear_blob *blob, tn_error *err)
{
    const tn_linear *linear = node->param;
    *blob = (linear_blob){ 0 };
    TN_PLUGIN_TRY(fp16_parts_init(node, &blob->parts, err));
    const tn_part *part = linear->part[0];
    TN_PLUGIN_TRY(fp16_weights_init(part->wfmt, part->group, part->values, linear->in,
                                    node->act_dtype, &blob->w, err));
    int fits = fp16_weights_add_bytes(&blob->w, blob->parts.rows, &blob->bytes);
    blob->bias = blob->bytes; /* rows are multiples of 16 bytes */
    if (fits && blob->parts.has_bias)
        fits = tn_plugin_add_product(&blob->bytes, (uint64_t)blob->parts.rows, sizeof(float));
    if (!fits)
        return tn_plugin_fail(err, TN_UNSUPPORTED, "the packed weights are too large");
    return TN_OK;
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    linear_blob blob;
    (void)self;
    TN_PLUGIN_TRY(tn_op_check_param(node, 1, why));
    TN_PLUGIN_TRY(describe(node, &blob, why));
    return fp16_parts_check(node, &blob.parts, why);
}

/* cuBLAS's own, and gates and ups side by side. */
static int add_workspace(const fp16_plugin *plugin, const tn_node *node, const linear_blob *blob,
                         uint64_t *bytes)
{
    *bytes = fp16_cublas_workspace(plugin->cublas);
    return !blob->parts.is_glu ||
           tn_plugin_add_product(bytes, (uint64_t)fp16_parts_max_rows(node),
                                 2 * fp16_gated_stride(blob->parts.first[1]));
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    const fp16_plugin *plugin = self;
    linear_blob blob;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    *out = (tn_plan){ .size = sizeof *out,
                      .pack_rows = 1,
                      .weight_bytes = blob.bytes,
                      .layout = fp16_weights_layout(blob.w.dtype, blob.parts.has_bias) };
    if (plugin->cublas && !blob.parts.has_bias && fp16_parts_max_rows(node) > OWN_GEMM_ROWS &&
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
    TN_PLUGIN_TRY(fp16_parts_pack(node, &blob.parts, rows, (uint8_t *)out + blob.bias, err));
    return fp16_weights_pack(
        &blob.w, rows, (uint16_t *)out + (int64_t)blob.parts.first[rows->part] * blob.w.padded,
        err);
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *weights, float *values, tn_error *err)
{
    linear_blob blob;
    (void)self;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    TN_PLUGIN_TRY(fp16_parts_row(node, &blob.parts, part, row, &row, err));
    fp16_weights_row(&blob.w, weights, row, values);
    return TN_OK;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    fp16_plugin *plugin = self;
    linear_blob blob;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    fp16_linear_args args = fp16_parts_args(node, &blob.parts, launch, launch->weight + blob.bias);
    args.weight = fp16_pointer(launch->weight);
    args.padded = blob.w.padded;
    if (args.rows > OWN_GEMM_ROWS && fp16_cublas_takes(plugin->cublas, &args))
        return fp16_multiply(plugin->cublas, node, &args, launch->workspace,
                             launch->workspace + fp16_cublas_workspace(plugin->cublas),
                             launch->stream, err);
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
