/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attention over the paged pool with an online softmax (Milakov and Gimelshein 2018): tiles of 16
 * positions, at multiples of 16, are summed each by itself and then joined.
 */
#include "tests/plugins/alt/kv.h"

#include <math.h>

enum { TILE = 16 };

tn_status alt_attention_supports(void *self, const tn_node *node, tn_error *why)
{
    alt_kv kv;
    TN_PLUGIN_TRY(alt_check(self, node, 1, 0, why));
    const tn_attention *a = node->param;
    TN_PLUGIN_TRY(alt_kv_init(self, node->kvfmt, a, node->block_tokens, &kv, why));
    if (a->window < 0 || a->logn_length < 0 || a->logn_length == 1 || !(a->softcap >= 0.0f))
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "window %d, logn length %d or soft cap %g is out of range", a->window,
                              a->logn_length, (double)a->softcap);
    return TN_OK;
}

tn_status alt_attention_plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    (void)self;
    (void)node;
    (void)err;
    *out = (tn_plan){ .size = sizeof *out };
    return TN_OK;
}

/* The only part is i8-static's parameters, which also come with the node. */
tn_status alt_attention_pack(void *self, const tn_node *node, const tn_weight_rows *rows,
                             void *blob, tn_error *err)
{
    (void)self;
    (void)blob;
    if (rows->part != 0)
        return tn_plugin_fail(err, TN_INVALID, "%s has no weight part %d", node->path, rows->part);
    return TN_OK;
}

tn_status alt_attention_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                               const void *blob, float *values, tn_error *err)
{
    (void)self;
    (void)blob;
    (void)values;
    return tn_plugin_fail(err, TN_UNSUPPORTED, "%s keeps no row %lld of part %d", node->path,
                          (long long)row, part);
}

typedef struct attention_job {
    void *self;
    const tn_node *node;
    const tn_attention *attention;
    const tn_launch *launch;
    alt_kv kv;
} attention_job;

/* One (token, head). */
typedef struct attention_query {
    const attention_job *job;
    const int32_t *table; /* block ids of its sequence */
    float q[ALT_MAX_HEAD_DIM];
    int32_t first, last, kv_head; /* positions first..last */
    float scale;
} attention_query;

/* What is known of the softmax so far: the largest score, sum of exp(score - largest), and of that
 * times V. */
typedef struct softmax {
    float largest, total, sum[ALT_MAX_HEAD_DIM];
} softmax;

static void load(const attention_query *query, int32_t position, int32_t which, float *out)
{
    const attention_job *job = query->job;
    int32_t page = position / job->kv.tokens;
    if (alt_has(job->self, ALT_FAULT_FIRST_PAGE))
        page = 0;
    if (alt_has(job->self, ALT_FAULT_V_FROM_K))
        which = ALT_K;
    alt_kv_at at = { query->kv_head, position % job->kv.tokens, which };
    alt_kv_load(&job->kv, alt_kv_block(job->self, job->node, job->launch, query->table[page]), at,
                out);
}

/* Scale (with logn), then soft cap: docs/numerics.md, "Attention". */
static float score(const attention_query *query, int32_t position)
{
    const tn_attention *a = query->job->attention;
    float key[ALT_MAX_HEAD_DIM];
    load(query, position, ALT_K, key);
    float s = alt_dot(query->q, key, a->head_dim, ALT_EIGHT) * query->scale;
    return a->softcap > 0.0f ? a->softcap * tanhf(s / a->softcap) : s;
}

static void sum_tile(const attention_query *query, int32_t first, int32_t last, softmax *tile)
{
    const attention_job *job = query->job;
    float s[TILE], value[ALT_MAX_HEAD_DIM];
    int32_t dim = job->attention->head_dim;
    tile->largest = -INFINITY;
    for (int32_t p = first; p <= last; p++) {
        s[p - first] = score(query, p);
        tile->largest = fmaxf(tile->largest, s[p - first]);
    }
    if (alt_has(job->self, ALT_FAULT_OVERFLOW))
        tile->largest = 0.0f;
    tile->total = 0.0f;
    memset(tile->sum, 0, (size_t)dim * sizeof *tile->sum);
    for (int32_t p = first; p <= last; p++) {
        float weight = expf(s[p - first] - tile->largest);
        load(query, p, ALT_V, value);
        tile->total += weight;
        for (int32_t d = 0; d < dim; d++)
            tile->sum[d] += weight * value[d];
    }
}

static void join(softmax *all, const softmax *tile, int32_t dim)
{
    float largest = fmaxf(all->largest, tile->largest);
    float old = expf(all->largest - largest), new = expf(tile->largest - largest);
    all->total = all->total * old + tile->total * new;
    for (int32_t d = 0; d < dim; d++)
        all->sum[d] = all->sum[d] * old + tile->sum[d] * new;
    all->largest = largest;
}

/* Tiles begin at positions that are `begin` mod 16: 0, whatever the chunk. */
static void attend(const attention_query *query, int32_t begin, float *out)
{
    int32_t dim = query->job->attention->head_dim;
    softmax all, tile;
    all.largest = -INFINITY;
    for (int32_t p = query->first; p <= query->last;) {
        int32_t end = p + TILE - 1 - (p + TILE - begin) % TILE;
        end = end < query->last ? end : query->last;
        sum_tile(query, p, end, p == query->first ? &all : &tile);
        if (p != query->first)
            join(&all, &tile, dim);
        p = end + 1;
    }
    for (int32_t d = 0; d < dim; d++)
        out[d] = all.sum[d] / all.total;
}

static float scale_of(const tn_attention *a, int32_t position)
{
    float scale = a->scale == 0.0f ? 1.0f / sqrtf((float)a->head_dim) : a->scale;
    if (a->logn_length && position + 1 > a->logn_length)
        scale *= logf((float)position + 1.0f) / logf((float)a->logn_length);
    return scale;
}

static int32_t position_of(const attention_job *job, int64_t token)
{
    const tn_batch *batch = job->launch->batch;
    if (alt_has(job->self, ALT_FAULT_CAPTURE) && batch->h_pos)
        return batch->h_pos[token];
    return tn_op_ints(batch->pos)[token];
}

static void attend_token(const attention_job *job, int64_t token, int32_t head, int32_t sequence,
                         float *out)
{
    const tn_attention *a = job->attention;
    const tn_batch *batch = job->launch->batch;
    const int32_t *q_start = tn_op_ints(batch->q_start);
    int32_t kv_len = tn_op_ints(batch->kv_len)[sequence], last = position_of(job, token);
    int32_t chunk = kv_len - (q_start[sequence + 1] - q_start[sequence]); /* its first position */
    attention_query query = { .job = job,
                              .table = tn_op_ints(batch->table) +
                                       (int64_t)sequence * batch->table_stride,
                              .kv_head = head / (a->heads / a->kv_heads),
                              .scale = scale_of(a, last) };
    const float *q = tn_op_head(&job->launch->in[0], token, head, a->head_dim);
    for (int32_t d = 0; d < a->head_dim; d++)
        query.q[d] = alt_act(job->self, q[d]);
    if (a->window > 0 && last >= a->window && !alt_has(job->self, ALT_FAULT_WINDOW))
        query.first = last - a->window + 1;
    query.last = alt_has(job->self, ALT_FAULT_MASK) && last + 1 < kv_len ? last + 1 : last;
    if (alt_has(job->self, ALT_FAULT_GQA))
        query.kv_head = head % a->kv_heads;
    attend(&query, alt_has(job->self, ALT_FAULT_CHUNK) ? chunk % TILE : 0, out);
}

static void attention_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const attention_job *job = arg;
    const tn_attention *a = job->attention;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        int64_t token = i / a->heads;
        int32_t head = (int32_t)(i % a->heads),
                sequence = tn_op_sequence_of(job->launch->batch, token);
        float *out = tn_op_head(&job->launch->out[0], token, head, a->head_dim);
        if (sequence >= 0)
            attend_token(job, token, head, sequence, out);
        else if (!alt_has(job->self, ALT_FAULT_PADDING_OUTPUT))
            memset(out, 0, (size_t)a->head_dim * sizeof *out);
    }
}

tn_status alt_attention_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    self = alt_at(self, node);
    attention_job job = { .self = self, .node = node, .attention = node->param, .launch = launch };
    TN_PLUGIN_TRY(alt_kv_init(self, node->kvfmt, job.attention, node->block_tokens, &job.kv, err));
    if (alt_has(self, ALT_FAULT_STALE_BLOCK))
        alt_keep_blocks(self, node, launch);
    alt_for(self, launch->in[0].dim[0] * job.attention->heads, attention_range, &job);
    return TN_OK;
}
