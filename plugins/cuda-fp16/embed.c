/* SPDX-License-Identifier: Apache-2.0 */
/* embed: scale * row of the table, which has the layout of a linear's weights, so that a tied head
 * shares the blob. */
#include "plugins/cuda-fp16/weights.h"

static tn_status table_of(const tn_node *node, fp16_weights *w, tn_error *err)
{
    const tn_embed *embed = node->param;
    return fp16_weights_init(embed->wfmt, embed->group, embed->values, embed->dim, node->act_dtype,
                             w, err);
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    fp16_weights w;
    uint64_t bytes = 0;
    (void)self;
    TN_PLUGIN_TRY(fp16_check_node(node, "", "r", why));
    TN_PLUGIN_TRY(table_of(node, &w, why));
    const tn_embed *embed = node->param;
    if (embed->vocab < 1 || !fp16_weights_add_bytes(&w, embed->vocab, &bytes))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a table of %d x %d cannot be packed",
                              embed->vocab, embed->dim);
    return TN_OK;
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    fp16_weights w;
    (void)self;
    TN_PLUGIN_TRY(table_of(node, &w, err));
    *out =
        (tn_plan){ .size = sizeof *out, .pack_rows = 1, .layout = fp16_weights_layout(w.dtype, 0) };
    if (!fp16_weights_add_bytes(&w, ((const tn_embed *)node->param)->vocab, &out->weight_bytes))
        return tn_plugin_fail(err, TN_INVALID, "%s: the table is too large", node->path);
    return TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                      tn_error *err)
{
    fp16_weights w;
    (void)self;
    TN_PLUGIN_TRY(table_of(node, &w, err));
    if (rows->part != 0 || rows->row0 + rows->rows > ((const tn_embed *)node->param)->vocab)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d, rows up to %lld are not in the table",
                              node->path, rows->part, (long long)(rows->row0 + rows->rows));
    return fp16_weights_pack(&w, rows, blob, err);
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *blob, float *values, tn_error *err)
{
    fp16_weights w;
    (void)self;
    TN_PLUGIN_TRY(table_of(node, &w, err));
    if (part != 0 || row < 0 || row >= ((const tn_embed *)node->param)->vocab)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    fp16_weights_row(&w, blob, row, values);
    return TN_OK;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const tn_embed *embed = node->param;
    fp16_weights w;
    (void)self;
    TN_PLUGIN_TRY(table_of(node, &w, err));
    const fp16_embed_args args = { .table = fp16_pointer(launch->weight),
                                   .tokens = fp16_pointer(launch->batch->tokens),
                                   .out = fp16_pointer(launch->out[0].addr),
                                   .table_stride = w.padded,
                                   .out_stride = launch->out[0].stride[0],
                                   .rows = (int32_t)launch->out[0].dim[0],
                                   .dim = embed->dim,
                                   .vocab = embed->vocab,
                                   .dtype = w.dtype,
                                   .scale = tn_op_scale(embed->scale) };
    return fp16_launched(node, fp16_embed(&args, launch->stream), err);
}

const tn_kernel fp16_embed_kernel = { .size = sizeof(tn_kernel),
                                      .flags = FP16_ROW_FLAGS,
                                      .op = "embed",
                                      .name = "cuda-fp16.embed",
                                      .tolerance = "f16acc",
                                      .supports = supports,
                                      .plan = plan,
                                      .pack = pack,
                                      .unpack = unpack,
                                      .run = run };
