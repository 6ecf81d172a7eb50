/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attention over the paged pool. Work is cut into items of one kv head and some query tokens of
 * one sequence, whose rows (tokens x heads that share the kv head) read K and V once. Positions
 * are cut at fixed places: `split` positions make a partial result, and partial results are merged
 * in order, in one item or over several threads; so bits do not depend on who computed what.
 */
#include "plugins/cpu-simd/kv.h"
#include "plugins/cpu-simd/ops.h"
#include "plugins/cpu-simd/simd.h"

#include <math.h>

/* ROWS: query rows of an item, unless one token has more. SPLITS: at most, of the longest context.
 */
enum { ROWS = 48, MIN_SPLIT = 256, SPLITS = 64 };

typedef struct shape {
    int32_t group;       /* query heads a kv head */
    int32_t item_tokens; /* query tokens of an item */
    int32_t item_rows;
    int32_t split, n_splits;       /* positions of a partial result; of the longest context */
    int32_t workers, max_parallel; /* max_parallel: (token, kv head) pairs whose splits spread */
    uint64_t scratch, prefix, partial, bytes; /* of a worker; offsets in the workspace; in all */
} shape;

static uint64_t round_up(uint64_t n)
{
    return (n + 63) / 64 * 64;
}

static int make_shape(void *self, const tn_node *node, shape *out)
{
    const tn_attention *a = node->param;
    shape s = { .group = a->heads / a->kv_heads,
                .split = MIN_SPLIT,
                .workers = simd_workers(self) };
    uint64_t dim = (uint64_t)a->head_dim;
    s.item_tokens = s.group < ROWS ? ROWS / s.group : 1;
    s.item_rows = s.item_tokens * s.group;
    while ((node->max_ctx - 1) / s.split + 1 > SPLITS)
        s.split *= 2;
    s.n_splits = (node->max_ctx - 1) / s.split + 1;
    s.max_parallel = 4 * s.workers;
    uint64_t rows = (uint64_t)s.item_rows;
    /* k_tile, v_tile; scores, q, q_sum, two results with maxima and sums, first, last */
    s.scratch = round_up(4 * (2 * SIMD_SPAN * dim + rows * (SIMD_SPAN + dim * 3 + 7)));
    s.prefix = 0;
    int fits = tn_plugin_add_product(&s.prefix, (uint64_t)s.workers, s.scratch);
    s.partial = s.prefix;
    fits = fits && tn_plugin_add_product(&s.partial, (uint64_t)node->max_seqs + 1, 8);
    s.partial = round_up(s.partial);
    s.bytes = s.partial;
    fits = fits && tn_plugin_add_product(&s.bytes, (uint64_t)s.max_parallel * (uint64_t)s.n_splits,
                                         (uint64_t)s.group * (dim + 2) * 4);
    *out = s;
    return fits;
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    simd_kv kv;
    shape s;
    TN_PLUGIN_TRY(tn_op_check_edges(node, 1, 1, 0, why));
    TN_PLUGIN_TRY(tn_op_check_param(node, 1, why));
    const tn_attention *a = node->param;
    TN_PLUGIN_TRY(simd_kv_init(node->kvfmt, a, node->block_tokens, &kv, why));
    if (a->window < 0 || a->logn_length < 0 || a->logn_length == 1 || !(a->softcap >= 0.0f))
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "window %d, logn length %d or soft cap %g is out of range", a->window,
                              a->logn_length, (double)a->softcap);
    if (node->max_ctx < 1 || node->max_ctx > (1 << 30))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "max_ctx %d, 1 to %d are taken", node->max_ctx,
                              1 << 30);
    if (!make_shape(self, node, &s))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "the workspace is too large");
    return TN_OK;
}

static tn_status plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    shape s;
    if (!make_shape(self, node, &s))
        return tn_plugin_fail(err, TN_INVALID, "%s: the workspace is too large", node->path);
    *out = (tn_plan){ .size = sizeof *out, .workspace_bytes = s.bytes };
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
    const simd_isa *isa;
    const tn_attention *attention;
    const tn_launch *launch;
    simd_kv kv;
    shape shape;
    int64_t *first_item; /* [n_seqs + 1], in items of all kv heads */
} attention_job;

/* Query tokens [token0, token0 + n_tokens) of a sequence against a kv head. */
typedef struct item {
    int32_t sequence, kv_head, n_tokens;
    int64_t token0;
    int32_t p0, p1; /* positions that any of its rows sees */
} item;

/* What a worker needs, cut from its scratch. */
typedef struct scratch {
    float *k_tile, *v_tile, *score, *q, *q_sum;
    float *out[2], *max[2], *sum[2];
    int32_t *first, *last;
} scratch;

static scratch scratch_of(const attention_job *job, int32_t worker)
{
    scratch s;
    size_t dim = (size_t)job->attention->head_dim, rows = (size_t)job->shape.item_rows;
    float *at = tn_op_floats(job->launch->workspace + (uint64_t)worker * job->shape.scratch);
    s.k_tile = at, at += SIMD_SPAN * dim;
    s.v_tile = at, at += SIMD_SPAN * dim;
    s.score = at, at += rows * SIMD_SPAN;
    s.q = at, at += rows * dim;
    s.out[0] = at, at += rows * dim;
    s.out[1] = at, at += rows * dim;
    s.q_sum = at, at += rows;
    for (int i = 0; i < 2; i++) {
        s.max[i] = at, at += rows;
        s.sum[i] = at, at += rows;
    }
    s.first = (int32_t *)(void *)at;
    s.last = s.first + rows;
    return s;
}

/* Logn of Qwen and InternLM: beyond the trained length L, queries grow by log(length) / log(L),
 * with length = position + 1. */
static float score_scale(const tn_attention *attention, int32_t position)
{
    double scale = attention->scale == 0.0f ? 1.0 / sqrt((double)attention->head_dim)
                                            : (double)attention->scale;
    if (attention->logn_length && position + 1 > attention->logn_length)
        scale *= log((double)position + 1.0) / log((double)attention->logn_length);
    return (float)scale;
}

/* Queries times their scale, and what each row sees. */
static simd_attend make_rows(const attention_job *job, const item *it, const scratch *s)
{
    const tn_attention *a = job->attention;
    const int32_t *pos = tn_op_ints(job->launch->batch->pos);
    int32_t r = 0, dim = a->head_dim;
    for (int32_t t = 0; t < it->n_tokens; t++) {
        int64_t token = it->token0 + t;
        float scale = score_scale(a, pos[token]);
        for (int32_t h = 0; h < job->shape.group; h++, r++) {
            const float *q =
                tn_op_head(&job->launch->in[0], token, it->kv_head * job->shape.group + h, dim);
            float *out = s->q + (size_t)r * (size_t)dim, sum = 0.0f;
            for (int32_t d = 0; d < dim; d++) {
                out[d] = q[d] * scale;
                sum += out[d];
            }
            s->q_sum[r] = sum;
            s->last[r] = pos[token];
            s->first[r] = a->window > 0 && pos[token] >= a->window ? pos[token] - a->window + 1 : 0;
        }
    }
    simd_attend attend = { .pages = simd_kv_pages(&job->kv, job->launch->kv,
                                                  job->launch->kv_block_bytes, it->kv_head),
                           .q = s->q,
                           .q_sum = s->q_sum,
                           .first = s->first,
                           .last = s->last,
                           .n_rows = r,
                           .softcap = a->softcap,
                           .k_tile = s->k_tile,
                           .v_tile = s->v_tile,
                           .score = s->score };
    const tn_batch *batch = job->launch->batch;
    attend.pages.table = tn_op_ints(batch->table) + (int64_t)it->sequence * batch->table_stride;
    return attend;
}

/* The part of positions [p0, p1) that lies in split i, from a multiple of SIMD_SPAN on. */
static void clip_split(const attention_job *job, const item *it, int32_t i, simd_attend *attend)
{
    int32_t begin = i * job->shape.split, end = begin + job->shape.split;
    int32_t span0 = it->p0 / SIMD_SPAN * SIMD_SPAN;
    attend->p0 = begin > span0 ? begin : span0;
    attend->p1 = end < it->p1 ? end : it->p1;
}

static void write_row(const attention_job *job, const item *it, int32_t r, const float *out,
                      float sum)
{
    int32_t dim = job->attention->head_dim, head = it->kv_head * job->shape.group;
    float *y = tn_op_head(&job->launch->out[0], it->token0 + r / job->shape.group,
                          head + r % job->shape.group, dim);
    for (int32_t d = 0; d < dim; d++)
        y[d] = out[d] / sum;
}

/* A whole item: its splits one after the other. */
static void run_item(const attention_job *job, const item *it, const scratch *s)
{
    simd_attend attend = make_rows(job, it, s);
    int32_t dim = job->attention->head_dim, split = job->shape.split;
    int32_t first = it->p0 / split, last = (it->p1 - 1) / split;
    for (int32_t i = first; i <= last; i++) {
        int side = i > first;
        attend.out = s->out[side], attend.max = s->max[side], attend.sum = s->sum[side];
        clip_split(job, it, i, &attend);
        job->isa->attend(&attend);
        for (int32_t r = 0; side && r < attend.n_rows; r++)
            job->isa->merge(s->out[0] + (size_t)r * (size_t)dim, &s->max[0][r], &s->sum[0][r],
                            s->out[1] + (size_t)r * (size_t)dim, s->max[1][r], s->sum[1][r], dim);
    }
    for (int32_t r = 0; r < attend.n_rows; r++)
        write_row(job, it, r, s->out[0] + (size_t)r * (size_t)dim, s->sum[0][r]);
}

static void zero_padding(const attention_job *job, int64_t token0, int64_t token1)
{
    const tn_attention *a = job->attention;
    for (int64_t token = token0; token < token1; token++)
        for (int32_t head = 0; head < a->heads; head++)
            memset(tn_op_head(&job->launch->out[0], token, head, a->head_dim), 0,
                   (size_t)a->head_dim * sizeof(float));
}

static void fill_item(const attention_job *job, int32_t sequence, int64_t index, item *it)
{
    const tn_attention *a = job->attention;
    const int32_t *q_start = tn_op_ints(job->launch->batch->q_start);
    const int32_t *pos = tn_op_ints(job->launch->batch->pos);
    int64_t token0 = q_start[sequence] + index / a->kv_heads * job->shape.item_tokens;
    int64_t left = q_start[sequence + 1] - token0;
    *it =
        (item){ .sequence = sequence,
                .kv_head = (int32_t)(index % a->kv_heads),
                .n_tokens = left < job->shape.item_tokens ? (int32_t)left : job->shape.item_tokens,
                .token0 = token0 };
    int32_t first = pos[token0];
    it->p1 = pos[token0 + it->n_tokens - 1] + 1;
    it->p0 = a->window > 0 && first >= a->window ? first - a->window + 1 : 0;
}

/* Item `index` of all: its sequence by binary search. */
static void find_item(const attention_job *job, int64_t index, item *it)
{
    int32_t low = 0, high = job->launch->batch->n_seqs;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (job->first_item[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    fill_item(job, low, index - job->first_item[low], it);
}

static void item_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const attention_job *job = arg;
    scratch s = scratch_of(job, worker);
    for (int64_t i = i0; i < i1; i++) {
        item it;
        find_item(job, i, &it);
        run_item(job, &it, &s);
    }
}

/* ---- few long sequences: their splits spread over the threads ---- */

static float *partial_of(const attention_job *job, int64_t index, int32_t split)
{
    uint64_t row = (uint64_t)job->attention->head_dim + 2;
    uint64_t at = ((uint64_t)index * (uint64_t)job->shape.n_splits + (uint64_t)split) *
                  (uint64_t)job->shape.group * row;
    return tn_op_floats(job->launch->workspace + job->shape.partial) + at;
}

/* [group][dim] results, [group] maxima, [group] sums. */
static void split_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const attention_job *job = arg;
    scratch s = scratch_of(job, worker);
    size_t dim = (size_t)job->attention->head_dim, group = (size_t)job->shape.group;
    for (int64_t i = i0; i < i1; i++) {
        item it;
        int32_t split = (int32_t)(i % job->shape.n_splits);
        find_item(job, i / job->shape.n_splits, &it);
        if (split < it.p0 / job->shape.split || split > (it.p1 - 1) / job->shape.split)
            continue;
        simd_attend attend = make_rows(job, &it, &s);
        attend.out = partial_of(job, i / job->shape.n_splits, split);
        attend.max = attend.out + group * dim;
        attend.sum = attend.max + group;
        clip_split(job, &it, split, &attend);
        job->isa->attend(&attend);
    }
}

static void merge_item(const attention_job *job, int64_t index)
{
    item it;
    find_item(job, index, &it);
    int32_t dim = job->attention->head_dim, group = job->shape.group;
    int32_t first = it.p0 / job->shape.split, last = (it.p1 - 1) / job->shape.split;
    float *into = partial_of(job, index, first), *into_max = into + (size_t)group * (size_t)dim;
    for (int32_t i = first + 1; i <= last; i++) {
        float *part = partial_of(job, index, i), *max = part + (size_t)group * (size_t)dim;
        for (int32_t r = 0; r < group; r++)
            job->isa->merge(into + (size_t)r * (size_t)dim, &into_max[r], &into_max[group + r],
                            part + (size_t)r * (size_t)dim, max[r], max[group + r], dim);
    }
    for (int32_t r = 0; r < group; r++)
        write_row(job, &it, r, into + (size_t)r * (size_t)dim, into_max[group + r]);
}

/* ---- run ---- */

/* Items of each sequence; *max_p1: the longest of them. Padding is zeroed here. */
static tn_status count_items(attention_job *job, const tn_node *node, int32_t *max_q,
                             int32_t *max_p1, tn_error *err)
{
    const tn_batch *batch = job->launch->batch;
    const int32_t *q_start = tn_op_ints(batch->q_start), *kv_len = tn_op_ints(batch->kv_len);
    const int32_t *pos = tn_op_ints(batch->pos);
    int64_t n = 0, n_tokens = job->launch->in[0].dim[0];
    for (int32_t i = 0; i < batch->n_seqs; i++) {
        int32_t n_q = q_start[i + 1] - q_start[i];
        job->first_item[i] = n;
        if (n_q > 0 && kv_len[i] < 1)
            zero_padding(job, q_start[i], q_start[i + 1]);
        if (n_q < 1 || kv_len[i] < 1)
            continue;
        for (int64_t t = q_start[i]; t < q_start[i + 1]; t++)
            if (pos[t] < 0 || pos[t] >= node->max_ctx)
                return tn_plugin_fail(err, TN_INVALID, "%s: token %lld is at position %d of %d",
                                      node->path, (long long)t, pos[t], node->max_ctx);
        n += ((int64_t)n_q + job->shape.item_tokens - 1) / job->shape.item_tokens *
             job->attention->kv_heads;
        *max_q = n_q > *max_q ? n_q : *max_q;
        *max_p1 = pos[q_start[i + 1] - 1] >= *max_p1 ? pos[q_start[i + 1] - 1] + 1 : *max_p1;
    }
    job->first_item[batch->n_seqs] = n;
    int64_t seen = batch->n_seqs > 0 ? q_start[batch->n_seqs] : 0;
    zero_padding(job, seen, n_tokens);
    return TN_OK;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    attention_job job = { .isa = simd_isa_of(self), .attention = node->param, .launch = launch };
    int32_t max_q = 0, max_p1 = 0, n_seqs = launch->batch->n_seqs;
    TN_PLUGIN_TRY(simd_kv_init(node->kvfmt, job.attention, node->block_tokens, &job.kv, err));
    if (!make_shape(self, node, &job.shape) || job.shape.bytes > launch->workspace_bytes ||
        n_seqs > node->max_seqs)
        return tn_plugin_fail(err, TN_INVALID, "%s: %d sequences, %d were planned", node->path,
                              n_seqs, node->max_seqs);
    job.first_item = (int64_t *)(uintptr_t)(launch->workspace + job.shape.prefix);
    TN_PLUGIN_TRY(count_items(&job, node, &max_q, &max_p1, err));
    int64_t n = job.first_item[n_seqs];
    if (max_q > 1 || max_p1 <= job.shape.split || n > job.shape.max_parallel) {
        simd_for(self, n, item_range, &job);
        return TN_OK;
    }
    simd_for(self, n * job.shape.n_splits, split_range, &job);
    for (int64_t i = 0; i < n; i++)
        merge_item(&job, i);
    return TN_OK;
}

const tn_kernel simd_attention = { .size = sizeof simd_attention,
                                   .flags = SIMD_FLAGS,
                                   .op = "attention",
                                   .name = "cpu-simd.attention",
                                   .tolerance = "f32acc",
                                   .supports = supports,
                                   .plan = plan,
                                   .pack = pack,
                                   .run = run };
