/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decode steps on a device as recorded graphs, so that a step is one launch. A graph is that of a
 * bucket: the number of sequences and the longest of them, rounded up to powers of two; a step is
 * padded to its bucket. A bucket's first step runs node by node, which loads what kernels load on
 * first use; the second is recorded.
 */
#include "core/exec/exec_internal.h"

enum { LEAST_KV_LOG2 = 8 };

void tn_exec_replay_init(tn_executor *exec)
{
    const tn_binding *b = exec->binding;
    exec->may_record =
        b->n_domains == 1 && exec->domain[0].device.domain->capture_begin && !exec->args.keep_all;
    for (int32_t i = 0; i < b->n_nodes; i++)
        exec->may_record = exec->may_record && (b->node[i].kernel->flags & TN_K_CAPTURE_SAFE);
}

void tn_exec_replay_deinit(tn_executor *exec)
{
    const tn_device *device = &exec->domain[0].device;
    tn_exec_bucket *bucket = &exec->bucket[0][0][0];
    for (size_t i = 0; i < sizeof(exec->bucket) / sizeof(*bucket); i++)
        if (bucket[i].graph)
            device->domain->graph_release(device->self, bucket[i].graph);
}

static int32_t log2_up(int32_t n, int32_t least)
{
    while (least < TN_BUCKET_LOG2 - 1 && INT32_C(1) << least < n)
        least++;
    return least;
}

static int32_t least_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

tn_exec_bucket *tn_exec_bucket_of(tn_executor *exec, const tn_exec_step *step)
{
    const tn_binding *b = exec->binding;
    const int32_t n = step->n_seqs,
                  most = least_of(least_of(b->max_seqs, b->max_tokens), b->max_rows);
    if (!exec->may_record || exec->tap || n < 1 || n > most || step->n_decode != n ||
        step->n_tokens != n || step->n_rows != n)
        return NULL;
    const int32_t n_log2 = log2_up(n, 0), kv_log2 = log2_up(step->max_kv, LEAST_KV_LOG2);
    tn_exec_bucket *bucket = &exec->bucket[n_log2][kv_log2][tn_exec_wants_argmax(step)];
    bucket->n_seqs = least_of(INT32_C(1) << n_log2, most);
    bucket->max_kv = least_of(INT32_C(1) << kv_log2, b->max_ctx);
    return bucket;
}

/* What cannot be recorded runs node by node, from then on. */
static tn_status record(tn_executor *exec, tn_exec_bucket *bucket, bool argmax, tn_error *err)
{
    const tn_exec_domain *d = &exec->domain[0];
    tn_error own = { 0 };
    exec->may_record = !d->device.domain->capture_begin(d->device.self, d->stream, &own);
    if (!exec->may_record)
        return TN_OK;
    tn_status st = tn_exec_run_from(exec, 0, argmax, err);
    exec->may_record =
        !d->device.domain->capture_end(d->device.self, d->stream, &bucket->graph, &own);
    return st;
}

tn_status tn_exec_replay(tn_executor *exec, tn_exec_bucket *bucket, bool argmax, tn_error *err)
{
    const tn_exec_domain *d = &exec->domain[0];
    if (bucket->is_warm && !bucket->graph)
        TN_TRY(record(exec, bucket, argmax, err));
    bucket->is_warm = true;
    if (!bucket->graph)
        return tn_exec_run_from(exec, 0, argmax, err);
    return d->device.domain->graph_run(d->device.self, bucket->graph, d->stream, err);
}
