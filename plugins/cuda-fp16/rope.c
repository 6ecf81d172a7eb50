/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qk_norm, rope, kv_write, and rope_kv_write, which is all three: one kernel, each op leaves parts
 * of it out. Packed weights: the q norm weight, then the k norm weight, head_dim f32 each, then the
 * parameters of i8-static.
 */
#include "plugins/common/rope_op.h"
#include "plugins/cuda-fp16/fp16.h"

#include <string.h>

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    int fused = strcmp(node->op, "rope_kv_write") == 0, writes = strcmp(node->op, "kv_write") == 0;
    TN_PLUGIN_TRY(fp16_check_node(node, fused ? "aaa" : "aa",
                                  fused    ? "a"
                                  : writes ? ""
                                           : "aa",
                                  why));
    TN_PLUGIN_TRY(tn_op_check_param(node, fused ? 2 : 1, why));
    tn_rope_steps steps = tn_rope_steps_of(node);
    if (steps.rope)
        TN_PLUGIN_TRY(tn_rope_check(&steps, FP16_MAX_HEAD_DIM, why));
    if (steps.rope && steps.rope->head_dim % 2)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "head size %d, even ones are taken",
                              steps.rope->head_dim);
    if (steps.write)
        TN_PLUGIN_TRY(fp16_check_kv(node, steps.attention, why));
    return fused ? tn_rope_check_agreement(&steps, why) : TN_OK;
}

/* The part that has the parameters of i8-static, and where they lie in the blob, in f32. */
static int32_t static_part(const tn_rope_steps *steps)
{
    return !steps->write || !steps->attention->kv_static ? -1 : steps->rope ? 2 : 0;
}
static int64_t static_place(const tn_rope_steps *steps)
{
    return steps->norm ? 2 * (int64_t)steps->rope->head_dim : 0;
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    (void)self;
    (void)err;
    tn_rope_steps steps = tn_rope_steps_of(node);
    *out = (tn_plan){ .size = sizeof *out, .pack_rows = 1, .layout = "cuda-fp16/qk_norm/1" };
    out->weight_bytes = (uint64_t)static_place(&steps) * sizeof(float);
    if (steps.write)
        out->weight_bytes += fp16_kv_static_bytes(steps.attention);
    return TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                      tn_error *err)
{
    (void)self;
    tn_rope_steps steps = tn_rope_steps_of(node);
    if (rows->part == static_part(&steps))
        return fp16_kv_static_pack(steps.attention, rows, (float *)blob + static_place(&steps),
                                   err);
    if (!steps.norm || rows->part < 0 || rows->part > 1)
        return tn_plugin_fail(err, TN_INVALID, "%s: %s has no weight part %d", node->path, node->op,
                              rows->part);
    return tn_op_pack_vector(rows, steps.rope->head_dim,
                             (float *)blob + (int64_t)rows->part * steps.rope->head_dim, err);
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *blob, float *values, tn_error *err)
{
    (void)self;
    tn_rope_steps steps = tn_rope_steps_of(node);
    if (part >= 0 && part == static_part(&steps) && row >= 0 &&
        row < steps.attention->n_kv_static) {
        memcpy(values, (const float *)blob + static_place(&steps) + row * 4, 4 * sizeof *values);
        return TN_OK;
    }
    if (!steps.norm || part < 0 || part > 1 || row != 0)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    memcpy(values, (const float *)blob + (int64_t)part * steps.rope->head_dim,
           (size_t)steps.rope->head_dim * sizeof(float));
    return TN_OK;
}

static void set_batch(const tn_node *node, const tn_launch *launch, fp16_rope_args *args)
{
    const tn_batch *b = launch->batch;
    args->pos = fp16_pointer(b->pos);
    args->slot = fp16_pointer(b->slot);
    args->q_start = fp16_pointer(b->q_start);
    args->kv_len = fp16_pointer(b->kv_len);
    args->rope_index = fp16_pointer(b->rope_index);
    args->rope_table = fp16_pointer(b->rope_table);
    args->n_seqs = b->n_seqs;
    args->block_tokens = node->block_tokens;
}

static void set_rope(const tn_launch *launch, const tn_rope_steps *steps, fp16_rope_args *args)
{
    const tn_rope *rope = steps->rope;
    args->heads = rope->heads;
    args->kv_heads = rope->kv_heads;
    args->head_dim = rope->head_dim;
    args->q = fp16_pointer(launch->in[0].addr);
    args->q_stride = launch->in[0].stride[0];
    args->q_out = fp16_pointer(launch->out[0].addr);
    args->q_out_stride = launch->out[0].stride[0];
    if (!steps->write) {
        args->k_out = fp16_pointer(launch->out[1].addr);
        args->k_out_stride = launch->out[1].stride[0];
    }
    if (steps->rotate) {
        args->rotary_dim = rope->rotary_dim;
        args->pairing = rope->pairing;
        args->mscale = tn_op_scale(rope->mscale);
    }
    if (steps->norm) {
        args->q_weight = fp16_pointer(launch->weight);
        args->k_weight = args->q_weight + rope->head_dim;
        args->eps = rope->qk_eps;
        args->offset = rope->qk_offset;
    }
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const tn_rope_steps steps = tn_rope_steps_of(node);
    const int k = steps.rope ? 1 : 0; /* input that is k */
    fp16_rope_args args = { .k = fp16_pointer(launch->in[k].addr),
                            .k_stride = launch->in[k].stride[0],
                            .tokens = (int32_t)launch->in[0].dim[0],
                            .dtype = launch->in[0].dtype };
    (void)self;
    set_batch(node, launch, &args);
    if (steps.rope)
        set_rope(launch, &steps, &args);
    if (steps.write) {
        args.kv_heads = steps.attention->kv_heads;
        args.head_dim = steps.attention->head_dim;
        args.v = fp16_pointer(launch->in[k + 1].addr);
        args.v_stride = launch->in[k + 1].stride[0];
        args.kv = fp16_pointer(launch->kv);
        args.kv_block_bytes = launch->kv_block_bytes;
        args.n_kv_static = steps.attention->n_kv_static;
        if (steps.attention->kv_static)
            args.kv_static = (const float *)fp16_pointer(launch->weight) + static_place(&steps);
    }
    return fp16_launched(node, fp16_rope(&args, launch->stream), err);
}

#define ROPE_KERNEL(op_name, extra_flags, class_name)                                              \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = FP16_ROW_FLAGS | (extra_flags), .op = op_name,         \
        .name = TENON_PLUGIN_NAME "." op_name, .tolerance = (class_name), .supports = supports,    \
        .plan = plan, .pack = pack, .unpack = unpack, .run = run                                   \
    }

const tn_kernel fp16_qk_norm_kernel = ROPE_KERNEL("qk_norm", TN_K_IN_PLACE, "f16acc");
const tn_kernel fp16_rope_kernel = ROPE_KERNEL("rope", TN_K_IN_PLACE, "f16acc");
const tn_kernel fp16_kv_write_kernel = ROPE_KERNEL("kv_write", 0, "exact");
const tn_kernel fp16_rope_kv_write_kernel = ROPE_KERNEL("rope_kv_write", TN_K_IN_PLACE, "f16acc");
