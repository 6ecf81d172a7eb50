/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds of attention, for each element of the output, from the softmax itself. When score j is off
 * by at most d_j, its weight p_j becomes p_j' with |p_j' - p_j| <= p_j (e^(d_j + D) - 1), where
 * D = log sum_j p_j e^d_j bounds the error of the denominator. As the weights sum to 1 before and
 * after, out' - out = sum_j (p_j' - p_j) (v_j - out): what is alike in all v cannot go wrong.
 * Roundings of the weights and of the sum over j come on top.
 */
#include "apps/check/limits.h"
#include "core/base/alloc.h"
#include "core/exec/executor.h"
#include "runtime/kv_values.h"

#include <math.h>
#include <string.h>

/* K and V of the pool as f32, and scratch for one query row. */
typedef struct attention_job {
    const tn_check_case *c;
    const tn_attention *a;
    const tn_check_class *k;
    float *keys, *values;   /* [n_blocks][kv_heads][block_tokens][head_dim] */
    double *score, *error;  /* [max_kv] s_j, later p_j; d_j */
    double *mean;           /* [head_dim] */
    int32_t seq, head, pos; /* of the query row; head: of K and V */
} attention_job;

static const float *row_of(const attention_job *j, const float *pages, int32_t pos)
{
    const tn_check_batch *b = j->c->batch;
    const int32_t tokens = j->c->pool.block_tokens;
    const int32_t block = b->table[j->seq * b->table_stride + pos / tokens];
    const size_t row = ((size_t)block * (size_t)j->a->kv_heads + (size_t)j->head) * (size_t)tokens +
                       (size_t)(pos % tokens);
    return pages + row * (size_t)j->a->head_dim;
}

static double score_scale(const tn_attention *a, int32_t pos)
{
    const double scale = a->scale > 0 ? (double)a->scale : 1 / sqrt(a->head_dim);
    if (a->logn_length <= 1)
        return scale;
    return scale * fmax(1, log(pos + 1.0) / log(a->logn_length));
}

/* A code's value is code * scale + zero, and a kernel may sum the two apart: what stands in a sum
 * beyond |k| itself. */
static double term_excess(const attention_job *j, const float *row, int32_t which)
{
    const char *format = j->c->pool.format;
    double most = 0;
    if (strcmp(format, "i8-static") == 0) {
        const float *p = j->a->kv_static + (j->a->n_kv_static > 1 ? 4 * j->head : 0) + 2 * which;
        return 128 * fabs((double)p[0]) + 2 * fabs((double)p[1]);
    }
    for (int32_t d = 0; strcmp(format, "i8") == 0 && d < j->a->head_dim; d++)
        most = fmax(most, fabs((double)row[d])); /* zero is the row's minimum */
    return 2 * most;
}

/* s_j, and d_j without what depends on the largest score. */
static void score_position(const attention_job *j, const float *q, int32_t pos, int32_t at)
{
    const tn_check_class *k = j->k;
    const float *key = row_of(j, j->keys, pos);
    const double scale = score_scale(j->a, j->pos), cap = (double)j->a->softcap;
    const double excess = term_excess(j, key, 0);
    double dot = 0, size = 0, squares = 0;
    for (int32_t d = 0; d < j->a->head_dim; d++) {
        const double term = (double)q[d] * (double)key[d];
        dot += term;
        size += fabs(term) + fabs((double)q[d]) * excess;
        squares += term * term;
    }
    j->score[at] = cap > 0 ? cap * tanh(dot * scale / cap) : dot * scale;
    j->error[at] = scale * (k->sum * (tn_check_sum_terms(j->a->head_dim) + 8) * size +
                            k->operand * TN_CHECK_SIGMAS * sqrt(squares * 2 / 3)) +
                   8 * k->sum * fabs(cap);
}

/* Scores become weights; returns D. The argument of exp is a difference of scores, and so are the
 * factors by which an online softmax scales what it has: both lose units of that difference. */
static double weigh(const attention_job *j, int32_t n)
{
    double most = j->score[0], sum = 0, moved = 0;
    for (int32_t i = 1; i < n; i++)
        most = fmax(most, j->score[i]);
    for (int32_t i = 0; i < n; i++) {
        const double below = most - j->score[i];
        j->error[i] = fmin(j->error[i] + 4 * j->k->sum * below, 50);
        j->score[i] = exp(-below);
        sum += j->score[i];
    }
    for (int32_t i = 0; i < n; i++) {
        j->score[i] /= sum;
        moved += j->score[i] * exp(j->error[i]);
    }
    return log(moved);
}

static void limit_row(const attention_job *j, const float *q, float *limit)
{
    const tn_attention *a = j->a;
    const int32_t first = a->window > 0 && j->pos - a->window + 1 > 0 ? j->pos - a->window + 1 : 0;
    const int32_t n = j->pos - first + 1;
    for (int32_t i = 0; i < n; i++)
        score_position(j, q, first + i, i);
    const double moved = weigh(j, n);
    memset(j->mean, 0, (size_t)a->head_dim * sizeof *j->mean);
    for (int32_t i = 0; i < n; i++)
        for (int32_t d = 0; d < a->head_dim; d++)
            j->mean[d] += j->score[i] * (double)row_of(j, j->values, first + i)[d];
    for (int32_t d = 0; d < a->head_dim; d++) {
        double shift = 0, size = 0, squares = 0, most = 0;
        for (int32_t i = 0; i < n; i++) {
            const float *row = row_of(j, j->values, first + i);
            const double v = (double)row[d], p = j->score[i];
            shift += p * expm1(j->error[i] + moved) * fabs(v - j->mean[d]);
            size += p * fabs(v);
            squares += p * p * v * v;
            most = fmax(most, fabs(v));
        }
        /* Weights below 2^-14 of the largest lose absolute precision in f16. */
        const double subnormal = j->k->operand > 0 ? n * 0x1p-25 * most : 0;
        limit[d] =
            (float)(shift + j->k->sum * (tn_check_sum_terms(n) + 16) * size +
                    j->k->operand * TN_CHECK_SIGMAS * sqrt(squares * 2 / 3) + subnormal + 0x1p-120);
    }
    for (int32_t i = 0; i < n; i++) {
        const double excess = term_excess(j, row_of(j, j->values, first + i), 1) * j->score[i];
        for (int32_t d = 0; excess > 0 && d < a->head_dim; d++)
            limit[d] += (float)(j->k->sum * (tn_check_sum_terms(n) + 16) * excess);
    }
}

static void limit_token(attention_job *j, int32_t token, float *limit)
{
    const tn_attention *a = j->a;
    const float *q = j->c->in[0].values + (size_t)token * (size_t)j->c->in[0].width;
    j->pos = j->c->batch->pos[token];
    for (int32_t h = 0; h < a->heads; h++) {
        j->head = h / (a->heads / a->kv_heads);
        limit_row(j, q + (size_t)h * (size_t)a->head_dim, limit + (size_t)h * (size_t)a->head_dim);
    }
}

static tn_status read_pool(attention_job *j, tn_error *err)
{
    const tn_check_pool *p = &j->c->pool;
    const size_t block = (size_t)j->a->kv_heads * (size_t)p->block_tokens * (size_t)j->a->head_dim;
    const size_t longest = (size_t)j->c->batch->max_kv + 1;
    j->keys = tn_alloc_array((size_t)p->n_blocks * block, sizeof(float));
    j->values = tn_alloc_array((size_t)p->n_blocks * block, sizeof(float));
    j->score = tn_alloc_array(longest, sizeof(double));
    j->error = tn_alloc_array(longest, sizeof(double));
    j->mean = tn_alloc_array((size_t)j->a->head_dim, sizeof(double));
    if (!j->keys || !j->values || !j->score || !j->error || !j->mean)
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
    for (j.seq = 0; j.seq < b->n_seqs && !status; j.seq++)
        for (int32_t t = b->q_start[j.seq]; t < b->q_start[j.seq + 1] && b->kv_len[j.seq] > 0; t++)
            limit_token(&j, t, limit + (size_t)t * (size_t)c->out[0].width);
    tn_free(j.keys);
    tn_free(j.values);
    tn_free(j.score);
    tn_free(j.error);
    tn_free(j.mean);
    return status;
}
