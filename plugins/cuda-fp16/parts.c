/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cuda-fp16/parts.h"

#include <string.h>

static int same_format(const tn_part *a, const tn_part *b)
{
    return a->wfmt && b->wfmt && strcmp(a->wfmt, b->wfmt) == 0 && a->group == b->group &&
           a->values == b->values;
}

static tn_status check_formats(const tn_linear *linear, tn_error *err)
{
    int64_t rows = 0;
    if (linear->n_parts < 1 || linear->n_parts > FP16_MAX_PARTS)
        return tn_plugin_fail(err, TN_UNSUPPORTED, "%d parts, 1 to %d are taken", linear->n_parts,
                              FP16_MAX_PARTS);
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

tn_status fp16_parts_init(const tn_node *node, fp16_parts *out, tn_error *err)
{
    const tn_linear *linear = node->param;
    *out = (fp16_parts){ .is_glu = strcmp(node->op, "linear_glu") == 0,
                         .is_add = strcmp(node->op, "linear_add") == 0 };
    TN_PLUGIN_TRY(check_formats(linear, err));
    for (int32_t i = 0; i < linear->n_parts; i++) {
        out->first[i] = out->rows;
        out->rows += linear->part[i]->out;
        out->has_bias |= linear->part[i]->bias != 0;
    }
    return TN_OK;
}

tn_status fp16_parts_check(const tn_node *node, const fp16_parts *parts, tn_error *why)
{
    const tn_linear *linear = node->param;
    TN_PLUGIN_TRY(fp16_check_node(node, parts->is_add ? "ar" : "a",
                                  parts->is_add   ? "r"
                                  : parts->is_glu ? "a"
                                                  : "x",
                                  why));
    if (!parts->is_glu)
        return TN_OK;
    if (linear->n_parts != 2 || linear->part[0]->out != linear->part[1]->out)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a gated linear needs two parts of equal width");
    return tn_op_check_act(linear->act, why);
}

int64_t fp16_parts_max_rows(const tn_node *node)
{
    return node->max_tokens > node->max_rows ? node->max_tokens : node->max_rows;
}

tn_status fp16_parts_pack(const tn_node *node, const fp16_parts *parts, const tn_weight_rows *rows,
                          void *bias, tn_error *err)
{
    const tn_linear *linear = node->param;
    int32_t i = rows->part;
    if (i < 0 || i >= linear->n_parts || rows->row0 < 0 ||
        rows->row0 + rows->rows > linear->part[i]->out)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no rows %lld to %lld", node->path,
                              i, (long long)rows->row0, (long long)(rows->row0 + rows->rows));
    if (!linear->part[i]->bias)
        return TN_OK;
    if (!rows->bias)
        return tn_plugin_fail(err, TN_INVALID, "%s: the bias of part %d is missing", node->path, i);
    memcpy((float *)bias + parts->first[i] + rows->row0, rows->bias,
           (size_t)rows->rows * sizeof(float));
    return TN_OK;
}

tn_status fp16_parts_row(const tn_node *node, const fp16_parts *parts, int32_t part, int64_t row,
                         int64_t *out, tn_error *err)
{
    const tn_linear *linear = node->param;
    if (part < 0 || part >= linear->n_parts || row < 0 || row >= linear->part[part]->out)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    *out = parts->first[part] + row;
    return TN_OK;
}

fp16_linear_args fp16_parts_args(const tn_node *node, const fp16_parts *parts,
                                 const tn_launch *launch, uint64_t bias)
{
    const tn_linear *linear = node->param;
    fp16_linear_args args = { .x = fp16_pointer(launch->in[0].addr),
                              .bias = parts->has_bias ? fp16_pointer(bias) : NULL,
                              .y = fp16_pointer(launch->out[0].addr),
                              .x_stride = launch->in[0].stride[0],
                              .y_stride = launch->out[0].stride[0],
                              .rows = (int32_t)launch->in[0].dim[0],
                              .in = linear->in,
                              .out = parts->is_glu ? linear->part[0]->out : parts->rows,
                              .dtype = node->act_dtype,
                              .y_dtype = launch->out[0].dtype,
                              .act = parts->is_glu ? linear->act : 0,
                              .out_scale = tn_op_scale(linear->out_scale) };
    if (parts->is_add) {
        args.residual = fp16_pointer(launch->in[1].addr);
        args.residual_stride = launch->in[1].stride[0];
    }
    return args;
}

uint64_t fp16_gated_stride(int32_t columns)
{
    return (2 * (uint64_t)columns + 7) / 8 * 8; /* rows are multiples of 16 bytes */
}

tn_status fp16_multiply(fp16_cublas *cublas, const tn_node *node, const fp16_linear_args *args,
                        uint64_t workspace, uint64_t products, void *stream, tn_error *err)
{
    if (!args->act)
        return fp16_cublas_gemm(cublas, args, fp16_pointer(workspace), stream, err);
    fp16_linear_args both = *args;
    both.act = 0;
    both.out_scale = 1.0f;
    both.out = 2 * args->out;
    both.y = fp16_pointer(products);
    both.y_stride = (int64_t)fp16_gated_stride(args->out);
    TN_PLUGIN_TRY(fp16_cublas_gemm(cublas, &both, fp16_pointer(workspace), stream, err));
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
    return fp16_launched(node, fp16_glu(&glu, stream), err);
}
