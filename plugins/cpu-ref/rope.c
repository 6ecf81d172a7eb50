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
#include "plugins/cpu-ref/kv.h"
#include "plugins/cpu-ref/math_rows.h"
#include "plugins/cpu-ref/ops.h"
#include "plugins/cpu-ref/ref.h"

#include <math.h>
#include <string.h>

/* ---- supports, plan, pack ---- */

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    ref_kv kv;
    (void)self;
    int32_t fused = strcmp(node->op, "rope_kv_write") == 0;
    TN_PLUGIN_TRY(ref_check_param(node, fused ? 2 : 1, why));
    tn_rope_steps steps = tn_rope_steps_of(node);
    int32_t n_out = steps.write ? fused : 2;
    TN_PLUGIN_TRY(ref_check_edges(node, fused ? 3 : 2, n_out, 0, why));
    if (steps.rope)
        TN_PLUGIN_TRY(tn_rope_check(&steps, REF_MAX_HEAD_DIM, why));
    if (steps.write)
        TN_PLUGIN_TRY(ref_kv_init(node->kvfmt, steps.attention, node->block_tokens, &kv, why));
    return fused ? tn_rope_check_agreement(&steps, why) : TN_OK;
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    (void)self;
    (void)err;
    tn_rope_steps steps = tn_rope_steps_of(node);
    *out = (tn_plan){ .size = sizeof *out, .pack_rows = 1, .layout = "cpu-ref/qk_norm/1" };
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
    return ref_pack_vector(rows, steps.rope->head_dim,
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
    tn_rope_steps steps;
    const tn_launch *launch;
    ref_kv kv;
} rope_job;

typedef struct rope_turn {
    double cosine[REF_MAX_HEAD_DIM / 2], sine[REF_MAX_HEAD_DIM / 2];
} rope_turn;

/* cos and sin of one token's angles; the angle is rounded to f32 once. Su et al. 2021, eq. 34. */
static void make_turn(const tn_rope *rope, const float *inv_freq, int32_t pos, rope_turn *turn)
{
    double mscale = ref_scale(rope->mscale);
    for (int32_t i = 0; i < rope->rotary_dim / 2; i++) {
        float angle = (float)pos * inv_freq[i];
        turn->cosine[i] = cos((double)angle) * mscale;
        turn->sine[i] = sin((double)angle) * mscale;
    }
}

/* Rotate one head; what lies beyond rotary_dim is copied. out may be x: a pair is read before it is
 * written. */
static void rotate(const tn_rope *rope, const rope_turn *turn, const float *x, float *out)
{
    int32_t half = rope->rotary_dim / 2;
    for (int32_t i = 0; i < half; i++) {
        int32_t a = rope->pairing == TN_ROPE_HALVES ? i : 2 * i;
        int32_t b = rope->pairing == TN_ROPE_HALVES ? i + half : 2 * i + 1;
        double xa = (double)x[a], xb = (double)x[b];
        out[a] = (float)(xa * turn->cosine[i] - xb * turn->sine[i]);
        out[b] = (float)(xa * turn->sine[i] + xb * turn->cosine[i]);
    }
    for (int32_t i = rope->rotary_dim; i < rope->head_dim; i++)
        out[i] = x[i];
}

/* qk_norm and rope of one head, as the op has them; turn NULL: padding, not rotated. which: 0 q, 1
 * k. */
static void turn_head(const rope_job *job, int32_t which, const rope_turn *turn, const float *x,
                      float *out)
{
    const tn_rope *rope = job->steps.rope;
    float normed[REF_MAX_HEAD_DIM];
    if (job->steps.norm) {
        const float *weight = ref_floats(job->launch->weight) + (int64_t)which * rope->head_dim;
        ref_rmsnorm_row(x, weight, rope->head_dim, rope->qk_eps, rope->qk_offset, normed);
        x = normed;
    }
    if (job->steps.rotate && turn)
        rotate(rope, turn, x, out);
    else
        memmove(out, x, (size_t)rope->head_dim * sizeof(float));
}

/* Inverse frequencies of the token's sequence; NULL for padding. */
static const float *token_frequencies(const rope_job *job, int64_t token)
{
    const tn_batch *batch = job->launch->batch;
    int32_t sequence = ref_sequence_of(batch, token);
    if (sequence < 0)
        return NULL;
    int64_t row = ref_ints(batch->rope_index)[sequence];
    return ref_floats(batch->rope_table) + row * (job->steps.rope->rotary_dim / 2);
}

static uint8_t *token_block(const rope_job *job, int32_t slot)
{
    return (uint8_t *)(uintptr_t)job->launch->kv +
           (uint64_t)(slot / job->kv.block_tokens) * job->launch->kv_block_bytes;
}

/* K and V of a token: from in[first], in[first + 1], K through the op's steps. */
static void write_token(const rope_job *job, int64_t token, const rope_turn *turn)
{
    const tn_launch *l = job->launch;
    const ref_kv *kv = &job->kv;
    int32_t first = job->steps.rope ? 1 : 0, slot = ref_ints(l->batch->slot)[token];
    float turned[REF_MAX_HEAD_DIM];
    if (slot < 0)
        return;
    for (int32_t head = 0; head < kv->kv_heads; head++) {
        const float *k = ref_head(&l->in[first], token, head, kv->head_dim);
        if (job->steps.rope) {
            turn_head(job, 1, turn, k, turned);
            k = turned;
        }
        ref_kv_store(kv, token_block(job, slot), head, slot % kv->block_tokens, k,
                     ref_head(&l->in[first + 1], token, head, kv->head_dim));
    }
}

/* All heads of one token's q (which 0) or k (1), from in[which] to out[which]. */
static void turn_token(const rope_job *job, int32_t which, int64_t token, const rope_turn *turn)
{
    const tn_rope *rope = job->steps.rope;
    const tn_tensor *in = &job->launch->in[which], *out = &job->launch->out[which];
    int32_t n = which ? rope->kv_heads : rope->heads;
    for (int32_t head = 0; head < n; head++)
        turn_head(job, which, turn, ref_head(in, token, head, rope->head_dim),
                  ref_head(out, token, head, rope->head_dim));
}

static void rope_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const rope_job *job = arg;
    const tn_batch *batch = job->launch->batch;
    rope_turn angles;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const float *inv_freq = job->steps.rotate ? token_frequencies(job, i) : NULL;
        const rope_turn *turn = inv_freq ? &angles : NULL;
        if (inv_freq)
            make_turn(job->steps.rope, inv_freq, ref_ints(batch->pos)[i], &angles);
        if (job->steps.rope)
            turn_token(job, 0, i, turn);
        if (job->steps.write)
            write_token(job, i, turn);
        else
            turn_token(job, 1, i, turn);
    }
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    rope_job job = { .steps = tn_rope_steps_of(node), .launch = launch };
    if (job.steps.write)
        TN_PLUGIN_TRY(
            ref_kv_init(node->kvfmt, job.steps.attention, node->block_tokens, &job.kv, err));
    ref_for(self, launch->in[0].dim[0], rope_range, &job);
    return TN_OK;
}

#define ROPE_KERNEL(op_name, extra_flags, class_name)                                              \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = REF_FLAGS | (extra_flags), .op = op_name,              \
        .name = "cpu-ref." op_name, .tolerance = (class_name), .supports = supports, .plan = plan, \
        .pack = pack, .unpack = unpack, .run = run                                                 \
    }

const tn_kernel ref_qk_norm = ROPE_KERNEL("qk_norm", TN_K_IN_PLACE, "f32acc");
const tn_kernel ref_rope = ROPE_KERNEL("rope", TN_K_IN_PLACE, "f32acc");
const tn_kernel ref_kv_write = ROPE_KERNEL("kv_write", 0, "exact");
const tn_kernel ref_rope_kv_write = ROPE_KERNEL("rope_kv_write", TN_K_IN_PLACE, "f32acc");
