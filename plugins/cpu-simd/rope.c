/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qk_norm, rope, kv_write, and rope_kv_write, which is all three: each token goes through the same
 * steps, an op leaves some out.
 *
 * Packed weights: the q norm weight, then the k norm weight, head_dim f32 each. i8-static
 * parameters come with the node (tn_attention.kv_static), so that their weight part is accepted and
 * not kept.
 */
#include "plugins/common/rope_op.h"
#include "plugins/cpu-simd/kv.h"
#include "plugins/cpu-simd/ops.h"
#include "plugins/cpu-simd/simd.h"

/* ---- supports, plan, pack ---- */

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    simd_kv kv;
    (void)self;
    int32_t fused = strcmp(node->op, "rope_kv_write") == 0;
    TN_PLUGIN_TRY(tn_op_check_param(node, fused ? 2 : 1, why));
    tn_rope_steps steps = tn_rope_steps_of(node);
    int32_t n_out = steps.write ? fused : 2;
    TN_PLUGIN_TRY(tn_op_check_edges(node, fused ? 3 : 2, n_out, 0, why));
    if (steps.rope)
        TN_PLUGIN_TRY(tn_rope_check(&steps, SIMD_MAX_HEAD_DIM, why));
    if (steps.write)
        TN_PLUGIN_TRY(simd_kv_init(node->kvfmt, steps.attention, node->block_tokens, &kv, why));
    return fused ? tn_rope_check_agreement(&steps, why) : TN_OK;
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    (void)self;
    (void)err;
    tn_rope_steps steps = tn_rope_steps_of(node);
    *out = (tn_plan){ .size = sizeof *out, .pack_rows = 1, .layout = "cpu-simd/qk_norm/1" };
    if (steps.norm)
        out->weight_bytes = 2 * (uint64_t)steps.rope->head_dim * sizeof(float);
    return TN_OK;
}

static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                      tn_error *err)
{
    (void)self;
    tn_rope_steps steps = tn_rope_steps_of(node);
    if (steps.write && rows->part == (steps.rope ? 2 : 0))
        return TN_OK; /* i8-static parameters */
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
    if (!steps.norm || part < 0 || part > 1 || row != 0)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    memcpy(values, (const float *)blob + (int64_t)part * steps.rope->head_dim,
           (size_t)steps.rope->head_dim * sizeof(float));
    return TN_OK;
}

/* ---- run ---- */

typedef struct rope_job {
    const simd_isa *isa;
    tn_rope_steps steps;
    const tn_launch *launch;
    simd_kv kv;
} rope_job;

typedef struct rope_turn {
    float cosine[SIMD_MAX_HEAD_DIM / 2], sine[SIMD_MAX_HEAD_DIM / 2];
} rope_turn;

/* qk_norm and rope of one head, as the op has them; turn NULL: padding, not rotated. which: 0 q, 1
 * k. out may be x. */
static void turn_head(const rope_job *job, int32_t which, const rope_turn *turn, const float *x,
                      float *out)
{
    const tn_rope *rope = job->steps.rope;
    int32_t first = 0;
    if (job->steps.norm) {
        const float *weight = tn_op_floats(job->launch->weight) + (int64_t)which * rope->head_dim;
        job->isa->norm(x, weight, rope->head_dim, rope->qk_eps, rope->qk_offset, out);
        x = out;
    }
    if (job->steps.rotate && turn) {
        first = rope->rotary_dim;
        job->isa->rotate(x, turn->cosine, turn->sine, first / 2, rope->pairing, out);
    }
    if (out != x)
        memcpy(out + first, x + first, (size_t)(rope->head_dim - first) * sizeof(float));
}

/* Inverse frequencies of the token's sequence; NULL for padding. */
static const float *token_frequencies(const rope_job *job, int64_t token)
{
    const tn_batch *batch = job->launch->batch;
    int32_t sequence = tn_op_sequence_of(batch, token);
    if (sequence < 0)
        return NULL;
    int64_t row = tn_op_ints(batch->rope_index)[sequence];
    return tn_op_floats(batch->rope_table) + row * (job->steps.rope->rotary_dim / 2);
}

/* K and V of a token: from in[first], in[first + 1], K through the op's steps. */
static void write_token(const rope_job *job, int64_t token, const rope_turn *turn)
{
    const tn_launch *l = job->launch;
    const simd_kv *kv = &job->kv;
    int32_t first = job->steps.rope ? 1 : 0, slot = tn_op_ints(l->batch->slot)[token];
    float turned[SIMD_MAX_HEAD_DIM];
    if (slot < 0)
        return;
    uint8_t *block =
        (uint8_t *)(uintptr_t)l->kv + (uint64_t)(slot / kv->block_tokens) * l->kv_block_bytes;
    for (int32_t head = 0; head < kv->kv_heads; head++) {
        const float *k = tn_op_head(&l->in[first], token, head, kv->head_dim);
        if (job->steps.rope) {
            turn_head(job, 1, turn, k, turned);
            k = turned;
        }
        simd_kv_store(job->isa, kv, block, head, slot % kv->block_tokens, k,
                      tn_op_head(&l->in[first + 1], token, head, kv->head_dim));
    }
}

/* All heads of one token's q (which 0) or k (1), from in[which] to out[which]. */
static void turn_token(const rope_job *job, int32_t which, int64_t token, const rope_turn *turn)
{
    const tn_rope *rope = job->steps.rope;
    const tn_tensor *in = &job->launch->in[which], *out = &job->launch->out[which];
    int32_t n = which ? rope->kv_heads : rope->heads;
    for (int32_t head = 0; head < n; head++)
        turn_head(job, which, turn, tn_op_head(in, token, head, rope->head_dim),
                  tn_op_head(out, token, head, rope->head_dim));
}

static void rope_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const rope_job *job = arg;
    const tn_rope *rope = job->steps.rope;
    rope_turn angles;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *inv_freq = job->steps.rotate ? token_frequencies(job, i) : NULL;
        const rope_turn *turn = inv_freq ? &angles : NULL;
        if (inv_freq)
            job->isa->turn(inv_freq, tn_op_ints(job->launch->batch->pos)[i],
                           tn_op_scale(rope->mscale), rope->rotary_dim / 2, angles.cosine,
                           angles.sine);
        if (rope)
            turn_token(job, 0, i, turn);
        if (job->steps.write)
            write_token(job, i, turn);
        else
            turn_token(job, 1, i, turn);
    }
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    rope_job job = { .isa = simd_isa_of(self), .steps = tn_rope_steps_of(node), .launch = launch };
    if (job.steps.write)
        TN_PLUGIN_TRY(
            simd_kv_init(node->kvfmt, job.steps.attention, node->block_tokens, &job.kv, err));
    if (launch->in[0].dim[0] == 1)
        rope_range(&job, 0, 1, 0);
    else
        simd_for(self, launch->in[0].dim[0], rope_range, &job);
    return TN_OK;
}

#define ROPE_KERNEL(op_name, extra_flags, class_name)                                              \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = SIMD_FLAGS | (extra_flags), .op = op_name,             \
        .name = "cpu-simd." op_name, .tolerance = (class_name), .supports = supports,              \
        .plan = plan, .pack = pack, .unpack = unpack, .run = run                                   \
    }

const tn_kernel simd_qk_norm = ROPE_KERNEL("qk_norm", TN_K_IN_PLACE, "f32acc");
const tn_kernel simd_rope = ROPE_KERNEL("rope", TN_K_IN_PLACE, "f32acc");
const tn_kernel simd_kv_write = ROPE_KERNEL("kv_write", 0, "exact");
const tn_kernel simd_rope_kv_write = ROPE_KERNEL("rope_kv_write", TN_K_IN_PLACE, "f32acc");
