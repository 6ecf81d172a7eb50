/* SPDX-License-Identifier: Apache-2.0 */
/* qk_norm, rope, kv_write and rope_kv_write, which is all three. Packed: the q norm weight, then
 * the k norm weight; parameters of i8-static come with the node, so that their part is accepted and
 * not kept. */
#include "tests/plugins/alt/kv.h"

#include <math.h>

typedef struct rope_steps {
    int32_t norm, rotate, write; /* what the op does */
    const tn_rope *rope;         /* norm, rotate */
    const tn_attention *attention;
} rope_steps;

static rope_steps steps_of(const tn_node *node)
{
    if (strcmp(node->op, "kv_write") == 0)
        return (rope_steps){ .write = 1, .attention = node->param };
    rope_steps s = { .rope = node->param,
                     .rotate = strcmp(node->op, "qk_norm") != 0,
                     .write = strcmp(node->op, "rope_kv_write") == 0 };
    s.norm = s.write ? s.rope->qk_norm != 0 : !s.rotate;
    s.attention = s.write ? node->param2 : NULL;
    return s;
}

static tn_status check_rope(const rope_steps *s, tn_error *why)
{
    const tn_rope *rope = s->rope;
    if (rope->heads < 1 || rope->kv_heads < 1 || rope->head_dim < 1 ||
        rope->head_dim > ALT_MAX_HEAD_DIM)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "%d heads and %d kv heads of size %d",
                              rope->heads, rope->kv_heads, rope->head_dim);
    int turns = rope->rotary_dim >= 2 && rope->rotary_dim % 2 == 0 &&
                rope->rotary_dim <= rope->head_dim &&
                (rope->pairing == TN_ROPE_HALVES || rope->pairing == TN_ROPE_INTERLEAVED);
    if (s->rotate && !turns)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "rotary width %d with pairing %d",
                              rope->rotary_dim, rope->pairing);
    return TN_OK;
}

tn_status alt_rope_supports(void *self, const tn_node *node, tn_error *why)
{
    int32_t is_write = strcmp(node->op, "kv_write") == 0,
            is_all = strcmp(node->op, "rope_kv_write") == 0;
    alt_kv kv;
    TN_PLUGIN_TRY(alt_check(self, node, is_all ? 3 : 2, 0, why));
    TN_PLUGIN_TRY(tn_op_check_param(node, is_all ? 2 : 1, why));
    rope_steps s = steps_of(node);
    if (!is_write)
        TN_PLUGIN_TRY(check_rope(&s, why));
    if (s.write)
        TN_PLUGIN_TRY(alt_kv_init(self, node->kvfmt, s.attention, node->block_tokens, &kv, why));
    if (is_all &&
        (s.rope->heads != s.attention->heads || s.rope->kv_heads != s.attention->kv_heads ||
         s.rope->head_dim != s.attention->head_dim))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "rope and attention have unlike heads");
    return TN_OK;
}

tn_status alt_rope_plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    rope_steps s = steps_of(node);
    (void)err;
    *out =
        (tn_plan){ .size = sizeof *out, .layout = ((const alt_plugin *)self)->layout[ALT_VECTOR] };
    if (s.norm)
        out->weight_bytes = 2 * (uint64_t)s.rope->head_dim * sizeof(float);
    return TN_OK;
}

tn_status alt_rope_pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                        tn_error *err)
{
    rope_steps s = steps_of(node);
    (void)self;
    if (rows->part == (s.rope ? 2 : 0) && s.write)
        return TN_OK;
    if (!s.norm || rows->part < 0 || rows->part > 1)
        return tn_plugin_fail(err, TN_INVALID, "%s has no weight part %d", node->path, rows->part);
    return tn_op_pack_vector(rows, s.rope->head_dim,
                             (float *)blob + (int64_t)rows->part * s.rope->head_dim, err);
}

tn_status alt_rope_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                          const void *blob, float *values, tn_error *err)
{
    rope_steps s = steps_of(node);
    (void)self;
    if (!s.norm || part < 0 || part > 1 || row != 0)
        return tn_plugin_fail(err, TN_INVALID, "%s keeps no row %lld of part %d", node->path,
                              (long long)row, part);
    memcpy(values, (const float *)blob + (int64_t)part * s.rope->head_dim,
           (size_t)s.rope->head_dim * sizeof *values);
    return TN_OK;
}

/* ---- run ---- */

typedef struct rope_job {
    void *self;
    rope_steps s;
    const tn_launch *launch;
    alt_kv kv;
} rope_job;

/* Su et al. 2021, eq. 34, for one pair; the angle is rounded to f32 once (docs/numerics.md). */
static void rotate(const rope_job *job, const float *inv_freq, int32_t pos, float *x)
{
    const tn_rope *rope = job->s.rope;
    float mscale = tn_op_scale(rope->mscale);
    int32_t half = rope->rotary_dim / 2, halves = rope->pairing == TN_ROPE_HALVES;
    if (alt_has(job->self, ALT_FAULT_PAIRING))
        halves = !halves;
    for (int32_t i = 0; i < half; i++) {
        float *a = &x[halves ? i : 2 * i], *b = &x[halves ? i + half : 2 * i + 1];
        float angle = (float)pos * inv_freq[i], c = cosf(angle) * mscale, s = sinf(angle) * mscale;
        float xa = *a, xb = *b;
        *a = xa * c - xb * s;
        *b = xa * s + xb * c;
    }
}

/* One head of q (which 0) or k (1) of a token through the op's steps. */
static void turn_head(const rope_job *job, int32_t which, int64_t token, const float *x, float *out)
{
    const tn_batch *batch = job->launch->batch;
    const tn_rope *rope = job->s.rope;
    int32_t sequence = job->s.rotate ? tn_op_sequence_of(batch, token) : -1;
    for (int32_t i = 0; i < rope->head_dim; i++)
        out[i] = alt_act(job->self, x[i]);
    if (job->s.norm) {
        alt_norm norm = { tn_op_floats(job->launch->weight) + (int64_t)which * rope->head_dim,
                          rope->head_dim, rope->qk_eps, rope->qk_offset };
        alt_norm_row(job->self, &norm, -1, out, out);
    }
    if (sequence < 0)
        return;
    int64_t row = tn_op_ints(batch->rope_index)[sequence];
    rotate(job, tn_op_floats(batch->rope_table) + row * (rope->rotary_dim / 2),
           tn_op_ints(batch->pos)[token], out);
}

static void turn_token(const rope_job *job, int32_t which, int64_t token)
{
    const tn_rope *rope = job->s.rope;
    float turned[ALT_MAX_HEAD_DIM];
    for (int32_t head = 0; head < (which ? rope->kv_heads : rope->heads); head++) {
        turn_head(job, which, token,
                  tn_op_head(&job->launch->in[which], token, head, rope->head_dim), turned);
        memcpy(tn_op_head(&job->launch->out[which], token, head, rope->head_dim), turned,
               (size_t)rope->head_dim * sizeof *turned);
    }
}

static void write_token(const rope_job *job, int64_t token)
{
    const tn_launch *l = job->launch;
    int32_t first = job->s.rope ? 1 : 0, slot = tn_op_ints(l->batch->slot)[token],
            dim = job->s.attention->head_dim;
    float row[ALT_MAX_HEAD_DIM];
    if (slot < 0 && alt_has(job->self, ALT_FAULT_PADDING_SLOT))
        slot = 0;
    if (slot < 0)
        return;
    uint8_t *block =
        (uint8_t *)(uintptr_t)l->kv + (uint64_t)(slot / job->kv.tokens) * l->kv_block_bytes;
    for (int32_t head = 0; head < job->s.attention->kv_heads; head++) {
        const float *k = tn_op_head(&l->in[first], token, head, dim);
        alt_kv_at at = { head, slot % job->kv.tokens, ALT_K };
        if (job->s.rope) {
            turn_head(job, 1, token, k, row);
            k = row;
        }
        alt_kv_store(&job->kv, block, at, k);
        at.which = ALT_V;
        alt_kv_store(&job->kv, block, at, tn_op_head(&l->in[first + 1], token, head, dim));
    }
}

static void rope_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const rope_job *job = arg;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        if (job->s.rope)
            turn_token(job, 0, i);
        if (job->s.write)
            write_token(job, i);
        else
            turn_token(job, 1, i);
    }
}

tn_status alt_rope_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    self = alt_at(self, node);
    rope_job job = { .self = self, .s = steps_of(node), .launch = launch };
    if (job.s.write)
        TN_PLUGIN_TRY(
            alt_kv_init(self, node->kvfmt, job.s.attention, node->block_tokens, &job.kv, err));
    alt_for(self, launch->in[0].dim[0], rope_range, &job);
    return TN_OK;
}
