/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear, linear_add, linear_glu on weights of 4 bits: one body. Up to 16 rows go to the GEMV; more
 * than 256 to cuBLAS, where it is there and there is no bias, a slice of columns after the other,
 * expanded to f16; the others to the own GEMM.
 *
 * Blob: weights.h; then f32 biases of all columns, zeros for parts without, if any part has one.
 * Workspace: partial sums of a split product; or cuBLAS's own, a slice of weights, and with a gate
 * the two products of a slice.
 */
#include "plugins/cuda-fp16/parts.h"
#include "plugins/cuda-w4a16/w4a16.h"
#include "plugins/cuda-w4a16/weights.h"

enum { OWN_GEMM_ROWS = 256, SLICE_BYTES = 16 << 20 /* of L2's 40 MB on an A100 */ };

typedef struct linear_blob {
    fp16_parts parts;
    w4_weights w;
    uint64_t bias, bytes; /* byte offset; of all */
} linear_blob;

static tn_status describe(const tn_node *node, linear_blob *blob, tn_error *err)
{
    const tn_linear *linear = node->param;
    *blob = (linear_blob){ 0 };
    TN_PLUGIN_TRY(fp16_parts_init(node, &blob->parts, err));
    TN_PLUGIN_TRY(w4_weights_init(linear->part[0], linear->in, blob->parts.rows, blob->parts.is_glu,
                                  blob->parts.has_bias, &blob->w, err));
    blob->bias = blob->bytes = blob->w.bytes;
    if (blob->parts.has_bias &&
        !tn_plugin_add_product(&blob->bytes, (uint64_t)blob->parts.rows, sizeof(float)))
        return tn_plugin_fail(err, TN_UNSUPPORTED, "the packed weights are too large");
    return TN_OK;
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    linear_blob blob;
    (void)self;
    TN_PLUGIN_TRY(tn_op_check_param(node, 1, why));
    if (node->act_dtype != TN_F16)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "activations of dtype %d: f16 is taken, in which codes are expanded "
                              "(1024 + z is not exact in bf16)",
                              node->act_dtype);
    TN_PLUGIN_TRY(describe(node, &blob, why));
    return fp16_parts_check(node, &blob.parts, why);
}

/* ---- the workspace ---- */

static int32_t y_columns(const linear_blob *blob)
{
    return blob->parts.is_glu ? blob->parts.rows / 2 : blob->parts.rows;
}

/* Columns of y that are expanded at once: whole strips. */
static int32_t slice_columns(const linear_blob *blob)
{
    const int32_t matrices = blob->parts.is_glu ? 2 : 1, strip = W4_STRIP / matrices;
    const int32_t strips = SLICE_BYTES / (W4_STRIP * 2) / blob->w.cols;
    const int64_t most = (int64_t)(strips > 1 ? strips : 1) * strip, all = y_columns(blob);
    return (int32_t)(most < all ? most : all);
}

typedef struct slice_space {
    uint64_t weights, products, bytes; /* offsets in the workspace, behind cuBLAS's; of all */
} slice_space;

/* 0: too large. */
static int space_for_slices(const fp16_plugin *plugin, const tn_node *node, const linear_blob *blob,
                            slice_space *space)
{
    const int32_t columns = slice_columns(blob);
    space->weights = fp16_cublas_workspace(plugin->cublas);
    space->products = space->weights;
    if (!tn_plugin_add_product(&space->products, (uint64_t)columns * (blob->parts.is_glu ? 2 : 1),
                               (uint64_t)blob->w.cols * 2))
        return 0;
    space->products = (space->products + 15) / 16 * 16;
    space->bytes = space->products;
    return !blob->parts.is_glu ||
           tn_plugin_add_product(&space->bytes, (uint64_t)fp16_parts_max_rows(node),
                                 2 * fp16_gated_stride(columns));
}

static int uses_slices(const fp16_plugin *plugin, const tn_node *node, const linear_blob *blob)
{
    return plugin->cublas && !blob->parts.has_bias && fp16_parts_max_rows(node) > OWN_GEMM_ROWS;
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    const fp16_plugin *plugin = self;
    const uint64_t tiles = (uint64_t)w4_max_split_tiles(plugin->device.n_sms);
    linear_blob blob;
    slice_space space = { 0 };
    TN_PLUGIN_TRY(describe(node, &blob, err));
    *out = (tn_plan){ .size = sizeof *out,
                      .pack_rows = 1,
                      .weight_bytes = blob.bytes,
                      .workspace_bytes = tiles * W4_SPLIT_TILE * W4_SPLIT_TILE * sizeof(float),
                      .zeroed_bytes = tiles * sizeof(uint32_t),
                      .layout = blob.w.layout };
    if (uses_slices(plugin, node, &blob) && !space_for_slices(plugin, node, &blob, &space))
        return tn_plugin_fail(err, TN_INVALID, "%s: the workspace is too large", node->path);
    if (space.bytes > out->workspace_bytes)
        out->workspace_bytes = space.bytes;
    return TN_OK;
}

/* ---- weights ---- */

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *out,
                      tn_error *err)
{
    linear_blob blob;
    (void)self;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    TN_PLUGIN_TRY(fp16_parts_pack(node, &blob.parts, rows, (uint8_t *)out + blob.bias, err));
    return w4_weights_pack(&blob.w, rows, blob.parts.first[rows->part], out, err);
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *weights, float *values, tn_error *err)
{
    linear_blob blob;
    (void)self;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    TN_PLUGIN_TRY(fp16_parts_row(node, &blob.parts, part, row, &row, err));
    w4_weights_row(&blob.w, weights, row, values);
    return TN_OK;
}

/* ---- run ---- */

/* Columns [first, first + columns) of y. */
static tn_status run_slice(fp16_plugin *plugin, const tn_node *node, const w4_linear_args *args,
                           const slice_space *space, int32_t first, int32_t columns,
                           const tn_launch *launch, tn_error *err)
{
    fp16_linear_args slice = args->linear;
    const w4_dequantize_args dequantize = { .w = args->w,
                                            .out = fp16_pointer(launch->workspace + space->weights),
                                            .first = first,
                                            .columns = columns,
                                            .width = slice.in,
                                            .is_glu = slice.act != 0 };
    TN_PLUGIN_TRY(fp16_launched(node, w4_dequantize(&dequantize, launch->stream), err));
    const size_t size = slice.y_dtype == TN_F32 ? sizeof(float) : sizeof(uint16_t);
    slice.weight = dequantize.out;
    slice.padded = slice.in;
    slice.y = (uint8_t *)slice.y + (size_t)first * size;
    if (slice.residual)
        slice.residual += first;
    slice.out = columns;
    return fp16_multiply(plugin->cublas, node, &slice, launch->workspace,
                         launch->workspace + space->products, launch->stream, err);
}

static tn_status run_slices(fp16_plugin *plugin, const tn_node *node, const linear_blob *blob,
                            const w4_linear_args *args, const tn_launch *launch, tn_error *err)
{
    const int32_t step = slice_columns(blob), all = args->linear.out;
    slice_space space;
    if (!space_for_slices(plugin, node, blob, &space))
        return tn_plugin_fail(err, TN_INTERNAL, "%s: the workspace is too large", node->path);
    for (int32_t first = 0; first < all; first += step)
        TN_PLUGIN_TRY(run_slice(plugin, node, args, &space, first,
                                all - first < step ? all - first : step, launch, err));
    return TN_OK;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    fp16_plugin *plugin = self;
    linear_blob blob;
    TN_PLUGIN_TRY(describe(node, &blob, err));
    w4_linear_args args = {
        .linear = fp16_parts_args(node, &blob.parts, launch, launch->weight + blob.bias),
        .w = blob.w.matrix,
        .partial = fp16_pointer(launch->workspace),
        .done = fp16_pointer(launch->zeroed),
    };
    args.w.codes = fp16_pointer(launch->weight);
    args.w.params = fp16_pointer(launch->weight + blob.w.params);
    if (args.linear.rows > OWN_GEMM_ROWS && fp16_cublas_takes(plugin->cublas, &args.linear))
        return run_slices(plugin, node, &blob, &args, launch, err);
    int error = args.linear.rows <= W4_GEMV_ROWS
                    ? w4_gemv(&args, plugin->device.n_sms, launch->stream)
                    : w4_gemm(&args, plugin->device.n_sms, launch->stream);
    return fp16_launched(node, error, err);
}

#define LINEAR_KERNEL(op_name, extra_flags)                                                        \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = FP16_FLAGS | (extra_flags), .op = op_name,             \
        .name = TENON_PLUGIN_NAME "." op_name, .tolerance = "f16acc", .supports = supports,        \
        .plan = plan, .pack = pack, .unpack = unpack, .run = run                                   \
    }

const tn_kernel w4_linear_kernel = LINEAR_KERNEL("linear", 0);
const tn_kernel w4_linear_add_kernel = LINEAR_KERNEL("linear_add", TN_K_IN_PLACE);
const tn_kernel w4_linear_glu_kernel = LINEAR_KERNEL("linear_glu", 0);
