/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attention over the paged pool: sequences with one new token go to the decode kernel, which splits
 * their positions over blocks, the others to the prefill kernel. Splits are fixed ranges of
 * positions, chosen when the node is planned, whatever the batch. Packed weights: the parameters of
 * i8-static.
 */
#include "plugins/cuda-fp16/fp16.h"

#include <math.h>
#include <string.h>

enum { MIN_SPLIT = 256, SPLIT_UNIT = 64, MAX_GRID = 65535, ALIGN = 256 };

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    TN_PLUGIN_TRY(fp16_check_node(node, "a", "a", why));
    const tn_attention *a = node->param;
    TN_PLUGIN_TRY(fp16_check_kv(node, a, why));
    if (a->window < 0 || a->logn_length < 0 || a->logn_length == 1 || !(a->softcap >= 0.0f))
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "window %d, logn length %d or soft cap %g is out of range", a->window,
                              a->logn_length, (double)a->softcap);
    if (node->max_ctx < 1 || node->max_seqs < 1 || node->max_seqs > MAX_GRID)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "%d sequences of at most %d tokens, 1 to %d sequences are taken",
                              node->max_seqs, node->max_ctx, MAX_GRID);
    return TN_OK;
}

/* Positions a split: 256, or more where that would be above 64 splits. */
static int32_t split_tokens(const tn_node *node)
{
    int64_t least = ((int64_t)node->max_ctx + FP16_MAX_SPLITS - 1) / FP16_MAX_SPLITS;
    least = (least + SPLIT_UNIT - 1) / SPLIT_UNIT * SPLIT_UNIT;
    return least > MIN_SPLIT ? (int32_t)least : MIN_SPLIT;
}

static int32_t max_splits(const tn_node *node)
{
    return (int32_t)(((int64_t)node->max_ctx + split_tokens(node) - 1) / split_tokens(node));
}

/* Row tiles of all sequences. */
static uint64_t n_tiles(const tn_node *node)
{
    const tn_attention *a = node->param;
    return (uint64_t)node->max_seqs * (uint64_t)a->kv_heads *
           (uint64_t)fp16_decode_tiles(a->heads, a->kv_heads);
}

static uint64_t state_bytes(const tn_node *node)
{
    uint64_t bytes =
        n_tiles(node) * (uint64_t)max_splits(node) * FP16_DECODE_ROWS * 2 * sizeof(float);
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* Workspace: the splits' states, then their sums. */
static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    const tn_attention *a = node->param;
    (void)self;
    *out = (tn_plan){ .size = sizeof *out,
                      .workspace_bytes = state_bytes(node),
                      .weight_bytes = fp16_kv_static_bytes(a) };
    if (out->weight_bytes) {
        out->pack_rows = 1;
        out->layout = "cuda-fp16/kv_static/1";
    }
    if (!tn_plugin_add_product(&out->workspace_bytes, (uint64_t)node->max_seqs * (uint64_t)a->heads,
                               (uint64_t)max_splits(node) * (uint64_t)a->head_dim * sizeof(float)))
        return tn_plugin_fail(err, TN_INVALID, "%s: the workspace is too large", node->path);
    out->zeroed_bytes = n_tiles(node) * sizeof(uint32_t);
    return TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                      tn_error *err)
{
    const tn_attention *a = node->param;
    (void)self;
    if (!a->kv_static || rows->part != 0)
        return tn_plugin_fail(err, TN_INVALID, "%s: attention has no weight part %d", node->path,
                              rows->part);
    return fp16_kv_static_pack(a, rows, blob, err);
}

static tn_status unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                        const void *blob, float *values, tn_error *err)
{
    const tn_attention *a = node->param;
    (void)self;
    if (!a->kv_static || part != 0 || row < 0 || row >= a->n_kv_static)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    memcpy(values, (const float *)blob + row * 4, 4 * sizeof *values);
    return TN_OK;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const tn_attention *a = node->param;
    const tn_batch *b = launch->batch;
    (void)self;
    fp16_attention_args args = {
        .q = fp16_pointer(launch->in[0].addr),
        .out = fp16_pointer(launch->out[0].addr),
        .q_stride = launch->in[0].stride[0],
        .out_stride = launch->out[0].stride[0],
        .kv = fp16_pointer(launch->kv),
        .kv_block_bytes = launch->kv_block_bytes,
        .kv_static = a->kv_static ? fp16_pointer(launch->weight) : NULL,
        .n_kv_static = a->n_kv_static,
        .table = fp16_pointer(b->table),
        .q_start = fp16_pointer(b->q_start),
        .kv_len = fp16_pointer(b->kv_len),
        .table_stride = b->table_stride,
        .block_tokens = node->block_tokens,
        .max_q = b->max_q,
        .max_kv = b->max_kv,
        .heads = a->heads,
        .kv_heads = a->kv_heads,
        .head_dim = a->head_dim,
        .dtype = launch->in[0].dtype,
        .window = a->window,
        .logn_length = a->logn_length,
        .scale = a->scale == 0.0f ? 1.0f / sqrtf((float)a->head_dim) : a->scale,
        .softcap = a->softcap,
        .split_tokens = split_tokens(node),
        .max_splits = max_splits(node),
        .states = fp16_pointer(launch->workspace),
        .sums = fp16_pointer(launch->workspace + state_bytes(node)),
        .done = fp16_pointer(launch->zeroed),
    };
    args.n_seqs = b->n_decode;
    if (args.n_seqs > 0)
        TN_PLUGIN_TRY(fp16_launched(node, fp16_attention_decode(&args, launch->stream), err));
    args.first_seq = b->n_decode;
    args.n_seqs = b->n_seqs - b->n_decode;
    if (args.n_seqs > 0)
        TN_PLUGIN_TRY(fp16_launched(node, fp16_attention_prefill(&args, launch->stream), err));
    return TN_OK;
}

const tn_kernel fp16_attention_kernel = { .size = sizeof(tn_kernel),
                                          .flags = FP16_FLAGS,
                                          .op = "attention",
                                          .name = TENON_PLUGIN_NAME ".attention",
                                          .tolerance = "f16acc",
                                          .supports = supports,
                                          .plan = plan,
                                          .pack = pack,
                                          .unpack = unpack,
                                          .run = run };
