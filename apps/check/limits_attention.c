/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds of attention. An error d of the scores changes every weight of the softmax by at most the
 * factor e^2d, so the output, a mean of v, moves by at most (e^2d - 1) max |v|; roundings of
 * weights and sums come on top.
 */
#include "apps/check/limits.h"
#include "core/base/alloc.h"
#include "core/exec/executor.h"

#include <math.h>

/* K and V of the pool as f32, and what is seen of a window. */
typedef struct attention_job {
    const tn_check_case *c;
    const tn_attention *a;
    const tn_check_class *k;
    float *keys, *values; /* [n_blocks][kv_heads][block_tokens][head_dim] */
    float *most;          /* [head_dim] largest |v| of the window */
} attention_job;

static const float *row_of(const attention_job *j, const float *pages, int32_t seq, int32_t head,
                           int32_t pos)
{
    const tn_check_batch *b = j->c->batch;
    const int32_t tokens = j->c->pool.block_tokens;
    const int32_t block = b->table[seq * b->table_stride + pos / tokens];
    const size_t row = ((size_t)block * (size_t)j->a->kv_heads + (size_t)head) * (size_t)tokens +
                       (size_t)(pos % tokens);
    return pages + row * (size_t)j->a->head_dim;
}

/* Largest |k| of the positions, and largest |v| of each element. */
static double look_at_window(const attention_job *j, int32_t seq, int32_t head, int32_t first,
                             int32_t last)
{
    double longest = 0;
    for (int32_t d = 0; d < j->a->head_dim; d++)
        j->most[d] = 0;
    for (int32_t pos = first; pos <= last; pos++) {
        const float *k = row_of(j, j->keys, seq, head, pos);
        const float *v = row_of(j, j->values, seq, head, pos);
        double sum = 0;
        for (int32_t d = 0; d < j->a->head_dim; d++) {
            sum += (double)k[d] * (double)k[d];
            j->most[d] = fmaxf(j->most[d], fabsf(v[d]));
        }
        longest = fmax(longest, sum);
    }
    return sqrt(longest);
}

static double score_scale(const tn_attention *a, int32_t pos)
{
    const double scale = a->scale > 0 ? (double)a->scale : 1 / sqrt(a->head_dim);
    if (a->logn_length <= 1)
        return scale;
    return scale * fmax(1, log(pos + 1.0) / log(a->logn_length));
}

/* Error of a score, and from it the relative error of the mean. */
static double mean_error(const attention_job *j, double size, int32_t n)
{
    const tn_check_class *k = j->k;
    const double dim = j->a->head_dim;
    const double score =
        size * (k->sum * (tn_check_sum_terms(dim) + 8) + k->operand * (6 * sqrt(2 / dim) + 2)) +
        8 * k->sum * fabs((double)j->a->softcap);
    return expm1(fmin(2 * score, 50)) + k->sum * (tn_check_sum_terms(n) + 16) + 4 * k->operand;
}

static void limit_token(const attention_job *j, int32_t seq, int32_t token, float *limit)
{
    const tn_attention *a = j->a;
    const int32_t pos = j->c->batch->pos[token];
    const int32_t first = a->window > 0 && pos - a->window + 1 > 0 ? pos - a->window + 1 : 0;
    const float *q = j->c->in[0].values + (size_t)token * (size_t)j->c->in[0].width;
    for (int32_t h = 0; h < a->heads; h++, q += a->head_dim, limit += a->head_dim) {
        const double longest = look_at_window(j, seq, h / (a->heads / a->kv_heads), first, pos);
        double sum = 0;
        for (int32_t d = 0; d < a->head_dim; d++)
            sum += (double)q[d] * (double)q[d];
        const double error =
            mean_error(j, sqrt(sum) * longest * score_scale(a, pos), pos - first + 1);
        for (int32_t d = 0; d < a->head_dim; d++)
            limit[d] = (float)((double)j->most[d] * error + 0x1p-120);
    }
}

static tn_status read_pool(attention_job *j, tn_error *err)
{
    const tn_check_pool *p = &j->c->pool;
    const size_t block = (size_t)j->a->kv_heads * (size_t)p->block_tokens * (size_t)j->a->head_dim;
    j->keys = tn_alloc_array((size_t)p->n_blocks * block, sizeof(float));
    j->values = tn_alloc_array((size_t)p->n_blocks * block, sizeof(float));
    j->most = tn_alloc_array((size_t)j->a->head_dim, sizeof(float));
    if (!j->keys || !j->values || !j->most)
        return tn_fail_memory(err, "the limits");
    for (int32_t i = 0; i < p->n_blocks; i++)
        TN_TRY(tn_kv_block_values(p->format, j->a, p->block_tokens,
                                  p->bytes + (size_t)i * (size_t)p->block_bytes,
                                  j->keys + (size_t)i * block, j->values + (size_t)i * block, err));
    return TN_OK;
}

tn_status tn_check_attention_limits(const tn_check_case *c, const tn_check_class *k, float *limit,
                                    tn_error *err)
{
    attention_job j = { .c = c, .a = c->node.param, .k = k };
    const tn_check_batch *b = c->batch;
    const tn_status status = read_pool(&j, err);
    for (int32_t s = 0; s < b->n_seqs && !status; s++)
        for (int32_t t = b->q_start[s]; t < b->q_start[s + 1] && b->kv_len[s] > 0; t++)
            limit_token(&j, s, t, limit + (size_t)t * (size_t)c->out[0].width);
    tn_free(j.keys);
    tn_free(j.values);
    tn_free(j.most);
    return status;
}
