/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attention over the paged pool, also for tokens of the same chunk: positions max(0, p - window +
 * 1)..p of the token's sequence. Three plain passes in f64, positions ascending: scores, softmax,
 * weighted sum of V. Vaswani et al. 2017, eq. 1.
 */
#include "plugins/cpu-ref/kv.h"
#include "plugins/cpu-ref/ops.h"
#include "plugins/cpu-ref/ref.h"

#include <math.h>
#include <string.h>

enum { KEYS = 8 }; /* keys scored together: eight sums that do not meet */

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    ref_kv kv;
    (void)self;
    TN_PLUGIN_TRY(ref_check_edges(node, 1, 1, 0, why));
    TN_PLUGIN_TRY(ref_check_param(node, 1, why));
    const tn_attention *a = node->param;
    TN_PLUGIN_TRY(ref_kv_init(node->kvfmt, a, node->block_tokens, &kv, why));
    if (a->window < 0 || a->logn_length < 0 || a->logn_length == 1 || !(a->softcap >= 0.0f))
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "window %d, logn length %d or soft cap %g is out of range", a->window,
                              a->logn_length, (double)a->softcap);
    if (node->max_ctx < 1)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "max_ctx %d, at least 1 is needed",
                              node->max_ctx);
    return TN_OK;
}

/* Workspace: the scores of one (token, head) for each worker. */
static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    (void)err;
    *out = (tn_plan){ .size = sizeof *out,
                      .workspace_bytes =
                          (uint64_t)ref_workers(self) * (uint64_t)node->max_ctx * sizeof(double) };
    return TN_OK;
}

/* The only part is i8-static's parameters, which also come with the node. */
static tn_status pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                      tn_error *err)
{
    (void)self;
    (void)blob;
    if (rows->part != 0)
        return tn_plugin_fail(err, TN_INVALID, "%s: attention has no weight part %d", node->path,
                              rows->part);
    return TN_OK;
}

typedef struct attention_job {
    const tn_node *node;
    const tn_attention *attention;
    const tn_launch *launch;
    ref_kv kv;
} attention_job;

/* One (token, head): its query, and where its keys are. */
typedef struct attention_query {
    const attention_job *job;
    const int32_t *table; /* block ids of its sequence */
    const float *q;
    int32_t first, last, kv_head; /* positions first..last */
    double *score;                /* [last - first + 1] */
} attention_query;

static void load(const attention_query *query, int32_t position, int32_t which, float *out)
{
    const attention_job *job = query->job;
    int32_t tokens = job->kv.block_tokens;
    uint64_t block = (uint64_t)query->table[position / tokens];
    ref_kv_load(&job->kv,
                (const uint8_t *)(uintptr_t)job->launch->kv + block * job->launch->kv_block_bytes,
                query->kv_head, position % tokens, which, out);
}

/* q.k of up to 8 keys, each one f64 sum over d ascending. */
static void dot_keys(const attention_query *query, int32_t position, int32_t n, double *sum)
{
    float key[KEYS][REF_MAX_HEAD_DIM];
    int32_t dim = query->job->kv.head_dim;
    for (int32_t j = 0; j < KEYS; j++)
        load(query, position + (j < n ? j : 0), REF_K, key[j]);
    double s[KEYS] = { 0 };
    for (int32_t d = 0; d < dim; d++) {
        double q = (double)query->q[d];
        for (int32_t j = 0; j < KEYS; j++)
            s[j] += q * (double)key[j][d];
    }
    memcpy(sum, s, (size_t)n * sizeof *s);
}

/* Logn of Qwen and InternLM: beyond the trained length L, queries grow by log(length) / log(L),
 * with length = position + 1. */
static double score_scale(const tn_attention *attention, int32_t position)
{
    double scale = attention->scale == 0.0f ? 1.0 / sqrt((double)attention->head_dim)
                                            : (double)attention->scale;
    if (attention->logn_length && position + 1 > attention->logn_length)
        scale *= log((double)position + 1.0) / log((double)attention->logn_length);
    return scale;
}

/* Scores, scaled and soft-capped (Gemma 2: cap * tanh(s / cap)); returns the largest. */
static double make_scores(const attention_query *query)
{
    const tn_attention *attention = query->job->attention;
    double scale = score_scale(attention, query->last), cap = (double)attention->softcap;
    double largest = -(double)INFINITY;
    int32_t n = query->last - query->first + 1;
    for (int32_t i = 0; i < n; i += KEYS) {
        int32_t count = n - i < KEYS ? n - i : KEYS;
        dot_keys(query, query->first + i, count, query->score + i);
    }
    for (int32_t i = 0; i < n; i++) {
        double s = query->score[i] * scale;
        query->score[i] = cap > 0.0 ? cap * tanh(s / cap) : s;
        largest = query->score[i] > largest ? query->score[i] : largest;
    }
    return largest;
}

static void attend(const attention_query *query, float *out)
{
    double sum[REF_MAX_HEAD_DIM] = { 0 }, total = 0.0, largest = make_scores(query);
    float value[REF_MAX_HEAD_DIM];
    int32_t dim = query->job->kv.head_dim;
    for (int32_t i = 0; i <= query->last - query->first; i++) {
        double p = exp(query->score[i] - largest);
        total += p;
        load(query, query->first + i, REF_V, value);
        for (int32_t d = 0; d < dim; d++)
            sum[d] += p * (double)value[d];
    }
    for (int32_t d = 0; d < dim; d++)
        out[d] = (float)(sum[d] / total);
}

static void attention_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const attention_job *job = arg;
    const tn_attention *a = job->attention;
    const tn_batch *batch = job->launch->batch;
    double *scores = (double *)(uintptr_t)job->launch->workspace;
    for (int64_t i = i0; i < i1; i++) {
        int64_t token = i / a->heads;
        int32_t head = (int32_t)(i % a->heads), sequence = ref_sequence_of(batch, token);
        float *out = ref_head(&job->launch->out[0], token, head, a->head_dim);
        if (sequence < 0) {
            memset(out, 0, (size_t)a->head_dim * sizeof *out);
            continue;
        }
        int32_t last = ref_ints(batch->pos)[token];
        attention_query query = {
            .job = job,
            .table = ref_ints(batch->table) + (int64_t)sequence * batch->table_stride,
            .q = ref_head(&job->launch->in[0], token, head, a->head_dim),
            .first = a->window > 0 && last >= a->window ? last - a->window + 1 : 0,
            .last = last,
            .kv_head = head / (a->heads / a->kv_heads),
            .score = scores + (int64_t)worker * job->node->max_ctx,
        };
        attend(&query, out);
    }
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    attention_job job = { .node = node, .attention = node->param, .launch = launch };
    TN_PLUGIN_TRY(ref_kv_init(node->kvfmt, job.attention, node->block_tokens, &job.kv, err));
    const int32_t *pos = ref_ints(launch->batch->pos);
    int64_t n = launch->in[0].dim[0];
    for (int64_t i = 0; i < n; i++)
        if (ref_sequence_of(launch->batch, i) >= 0 && (pos[i] < 0 || pos[i] >= node->max_ctx))
            return tn_plugin_fail(err, TN_INVALID, "%s: token %lld is at position %d of %d",
                                  node->path, (long long)i, pos[i], node->max_ctx);
    ref_for(self, n * job.attention->heads, attention_range, &job);
    return TN_OK;
}

const tn_kernel ref_attention = { .size = sizeof ref_attention,
                                  .flags = REF_FLAGS,
                                  .op = "attention",
                                  .name = "cpu-ref.attention",
                                  .tolerance = "f32acc",
                                  .supports = supports,
                                  .plan = plan,
                                  .pack = pack,
                                  .run = run };
