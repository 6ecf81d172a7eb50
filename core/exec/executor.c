/* SPDX-License-Identifier: Apache-2.0 */
#include "core/exec/executor.h"

#include "core/base/alloc.h"
#include "core/exec/exec_internal.h"

#include <string.h>

/* ---- memory, taken once ---- */

static uint64_t round_up(uint64_t n)
{
    return (n + 255) / 256 * 256;
}

void tn_executor_kernel_bytes(const tn_binding *b, int32_t d, uint64_t *workspace, uint64_t *zeroed)
{
    *workspace = *zeroed = 0;
    for (int32_t i = 0; i < b->n_nodes; i++) {
        const tn_plan *plan = &b->node[i].plan;
        if (b->node[i].domain != d)
            continue;
        *zeroed += round_up(plan->zeroed_bytes);
        if (*workspace < plan->workspace_bytes)
            *workspace = plan->workspace_bytes;
    }
}

/* Room for any edge or KV block of the domain. */
static uint64_t staging_bytes(const tn_executor *exec, int32_t d)
{
    const tn_binding *b = exec->binding;
    uint64_t most = 0;
    for (int32_t e = 0; e < exec->graph->n_edges; e++)
        if (most < exec->plan.place[d][e].bytes)
            most = exec->plan.place[d][e].bytes;
    for (int32_t l = 0; l < exec->graph->n_layers; l++)
        if (b->kv[l].domain == d && most < b->kv[l].block_bytes)
            most = b->kv[l].block_bytes;
    return most;
}

static tn_status open_domain(tn_executor *exec, int32_t d, tn_error *err)
{
    tn_exec_domain *domain = &exec->domain[d];
    const tn_device *device = &exec->binding->device[d];
    uint64_t workspace;
    uint64_t zeroed;
    domain->device = *device;
    domain->is_host = tn_device_is_host(device) != 0;
    TN_TRY(device->domain->attach(device->self, device->index, err));
    TN_TRY(device->domain->stream_new(device->self, device->index, &domain->stream, err));
    domain->has_stream = true;
    tn_executor_kernel_bytes(exec->binding, d, &workspace, &zeroed);
    TN_TRY(tn_domain_memory_alloc(device, domain->stream, exec->plan.arena_bytes[d], "activations",
                                  &domain->arena, err));
    TN_TRY(tn_domain_memory_alloc(device, domain->stream, workspace, "the kernels' workspace",
                                  &domain->workspace, err));
    TN_TRY(tn_domain_memory_alloc(device, domain->stream, zeroed, "the kernels' zeroed memory",
                                  &domain->zeroed, err));
    if (domain->is_host)
        return TN_OK;
    return device->domain->host_alloc(device->self, staging_bytes(exec, d), &domain->staging, err);
}

static void close_domain(tn_exec_domain *domain)
{
    const tn_device *device = &domain->device;
    if (!device->domain)
        return;
    tn_domain_memory_release(&domain->arena);
    tn_domain_memory_release(&domain->workspace);
    tn_domain_memory_release(&domain->zeroed);
    if (domain->staging)
        device->domain->host_release(device->self, domain->staging);
    if (domain->has_stream)
        device->domain->stream_release(device->self, domain->stream);
}

static tn_status open_pools(tn_executor *exec, tn_error *err)
{
    for (int32_t l = 0; l < exec->graph->n_layers; l++) {
        const tn_bound_kv *kv = &exec->binding->kv[l];
        tn_exec_domain *domain = &exec->domain[kv->domain];
        size_t bytes;
        if (exec->args.n_blocks < 1 ||
            !tn_size_mul((size_t)exec->args.n_blocks, (size_t)kv->block_bytes, &bytes))
            return tn_fail(err, TN_INVALID, "%d KV blocks of %llu bytes cannot be had",
                           exec->args.n_blocks, (unsigned long long)kv->block_bytes);
        TN_TRY(tn_domain_memory_alloc(&domain->device, domain->stream, bytes, "a layer's KV pool",
                                      &exec->kv[l], err));
    }
    return TN_OK;
}

/* Room for the f32 copies of the inputs and outputs of the largest node. */
static tn_status open_tap(tn_executor *exec, tn_error *err)
{
    const tn_binding *b = exec->binding;
    uint64_t most = 0;
    for (int32_t i = 0; i < b->n_nodes; i++) {
        const tn_bound_node *node = &b->node[i];
        uint64_t n = 0;
        for (int32_t e = 0; e < node->node.n_in + node->node.n_out; e++) {
            bool is_in = e < node->node.n_in;
            const tn_edge *edge =
                &exec->graph->edge[is_in ? node->in[e] : node->out[e - node->node.n_in]];
            int32_t rows = edge->rows == TN_ROWS_WANTED ? b->max_rows : b->max_tokens;
            n += (uint64_t)rows * (uint64_t)edge->width;
        }
        most = n > most ? n : most;
    }
    exec->tap_bytes = most * sizeof(float);
    exec->tap_values = tn_pages_alloc((size_t)exec->tap_bytes);
    return exec->tap_values ? TN_OK : tn_fail_memory(err, "the values that taps see");
}

static void find_producers(tn_executor *exec)
{
    for (int32_t e = 0; e < exec->graph->n_edges; e++)
        exec->producer_domain[e] = -1;
    for (int32_t i = 0; i < exec->binding->n_nodes; i++) {
        const tn_bound_node *node = &exec->binding->node[i];
        for (int32_t out = 0; out < node->node.n_out; out++)
            exec->producer_domain[node->out[out]] = node->domain;
    }
}

/* Slices run the nodes after gather_rows again and again, so nothing else may follow them. */
static tn_status check_order(const tn_executor *exec, tn_error *err)
{
    bool wanted = false;
    for (int32_t i = 0; i < exec->binding->n_nodes; i++) {
        bool is_wanted = tn_node_is_wanted(exec->graph, &exec->binding->node[i]);
        if (wanted && !is_wanted)
            return tn_fail(err, TN_INTERNAL, "node %s runs on tokens but comes after gather_rows",
                           exec->binding->node[i].node.path);
        wanted = is_wanted;
    }
    return TN_OK;
}

/* All domains to their end; the first error counts. */
static tn_status wait_all(tn_executor *exec, tn_error *err)
{
    tn_status first = TN_OK;
    for (int32_t d = 0; d < exec->binding->n_domains; d++) {
        const tn_device *device = &exec->domain[d].device;
        tn_error own = { 0 };
        tn_status st = device->domain->stream_wait(device->self, exec->domain[d].stream, &own);
        if (st && !first)
            first = tn_fail(err, st, "%s: %s", device->domain->name, own.text);
    }
    return first;
}

static tn_status open_all(tn_executor *exec, tn_error *err)
{
    const tn_binding *b = exec->binding;
    exec->node = tn_alloc_array((size_t)b->n_nodes, sizeof(*exec->node));
    exec->kv = tn_alloc_array((size_t)exec->graph->n_layers, sizeof(*exec->kv));
    exec->producer_domain = tn_alloc_array((size_t)exec->graph->n_edges, sizeof(int32_t));
    if (!exec->node || !exec->kv || !exec->producer_domain)
        return tn_fail_memory(err, "the executor");
    find_producers(exec);
    TN_TRY(check_order(exec, err));
    TN_TRY(tn_memory_plan_make(b, exec->args.keep_all, &exec->plan, err));
    for (int32_t d = 0; d < b->n_domains; d++)
        TN_TRY(open_domain(exec, d, err));
    TN_TRY(tn_exec_batch_init(exec, err));
    TN_TRY(open_pools(exec, err));
    if (exec->args.keep_all)
        TN_TRY(open_tap(exec, err));
    tn_exec_prepare_nodes(exec);
    tn_exec_replay_init(exec);
    return wait_all(exec, err);
}

tn_status tn_executor_create(const tn_executor_args *args, tn_executor **out, tn_error *err)
{
    tn_executor *exec = tn_alloc_array(1, sizeof(*exec));
    *out = NULL;
    if (!exec)
        return tn_fail_memory(err, "the executor");
    exec->args = *args;
    exec->binding = args->binding;
    exec->graph = args->binding->graph;
    exec->half_rotary = exec->graph->desc->rope.rotary_dim / 2;
    tn_status st = open_all(exec, err);
    if (st) {
        tn_executor_destroy(exec);
        return st;
    }
    *out = exec;
    return TN_OK;
}

void tn_executor_destroy(tn_executor *exec)
{
    if (!exec)
        return;
    for (int32_t l = 0; exec->kv && l < exec->graph->n_layers; l++)
        tn_domain_memory_release(&exec->kv[l]);
    tn_exec_batch_deinit(exec);
    tn_exec_replay_deinit(exec);
    for (int32_t d = 0; d < TN_MAX_DOMAINS; d++)
        close_domain(&exec->domain[d]);
    tn_pages_release(exec->tap_values, (size_t)exec->tap_bytes);
    tn_memory_plan_deinit(&exec->plan);
    tn_free(exec->producer_domain);
    tn_free(exec->kv);
    tn_free(exec->node);
    tn_free(exec);
}

/* ---- a step ---- */

/* Attach, refuse after a loss, and remember a new one. */
static tn_status begin(tn_executor *exec, tn_error *err)
{
    if (exec->lost.code)
        return tn_fail(err, TN_DEVICE_LOST, "%s", exec->lost.text);
    for (int32_t d = 0; d < exec->binding->n_domains; d++) {
        const tn_device *device = &exec->domain[d].device;
        TN_TRY(device->domain->attach(device->self, device->index, err));
    }
    return TN_OK;
}

static tn_status end(tn_executor *exec, tn_status st, const tn_error *own, tn_error *err)
{
    if (!st)
        return TN_OK;
    (void)!wait_all(exec, NULL); /* the batch arrays are in use until then */
    if (st == TN_DEVICE_LOST) {
        exec->lost = *own;
        exec->lost.code = st;
    }
    return tn_fail(err, st, "%s", own->text);
}

static tn_status copy_blocks(tn_executor *exec, const tn_exec_step *step, tn_error *err)
{
    for (int32_t l = 0; l < exec->graph->n_layers && step->n_copies > 0; l++) {
        const tn_bound_kv *kv = &exec->binding->kv[l];
        const tn_exec_domain *domain = &exec->domain[kv->domain];
        for (int32_t c = 0; c < step->n_copies; c++)
            TN_TRY(domain->device.domain->copy(
                domain->device.self,
                exec->kv[l].addr + (uint64_t)step->copy_dst[c] * kv->block_bytes,
                exec->kv[l].addr + (uint64_t)step->copy_src[c] * kv->block_bytes, kv->block_bytes,
                TN_ON_DEVICE, domain->stream, err));
    }
    return TN_OK;
}

/* Bytes of an end edge on the host, waiting for them. */
static tn_status fetch_rows(tn_executor *exec, int32_t edge, int32_t rows, const void **out,
                            int64_t *stride, tn_error *err)
{
    int32_t d = exec->producer_domain[edge];
    const tn_edge_place *place = &exec->plan.place[d][edge];
    uint64_t bytes = (uint64_t)rows * (uint64_t)place->row_stride * tn_dtype_bytes(place->dtype);
    *stride = place->row_stride;
    return tn_exec_fetch(&exec->domain[d], exec->domain[d].arena.addr + place->offset, bytes, out,
                         err);
}

static tn_status deliver(tn_executor *exec, const tn_exec_step *step, int32_t row0, int32_t n,
                         tn_error *err)
{
    int32_t vocab = exec->graph->edge[exec->graph->logits].width;
    const void *bytes = NULL;
    int64_t stride = 0;
    if (step->logits || step->on_rows)
        TN_TRY(fetch_rows(exec, exec->graph->logits, n, &bytes, &stride, err));
    if (step->logits)
        tn_convert_rows(bytes, TN_F32, stride, step->logits + (size_t)row0 * (size_t)vocab, TN_F32,
                        vocab, n, vocab);
    if (step->on_rows)
        step->on_rows(step->ctx, row0, n, bytes, stride);
    if (step->logits || step->on_rows || !step->argmax)
        return TN_OK;
    TN_TRY(fetch_rows(exec, exec->graph->argmax, n, &bytes, &stride, err));
    memcpy(step->argmax + row0, bytes, (size_t)n * sizeof(int32_t));
    return TN_OK;
}

static tn_status run_slice(tn_executor *exec, const tn_exec_step *step, int32_t first, int32_t row0,
                           int32_t n, tn_error *err)
{
    tn_exec_set_slice(exec, row0, n);
    TN_TRY(tn_exec_run_from(exec, first, tn_exec_wants_argmax(step), err));
    return deliver(exec, step, row0, n, err);
}

static tn_status run_step(tn_executor *exec, const tn_exec_step *step, tn_error *err)
{
    int32_t max_rows = exec->binding->max_rows;
    int32_t i = 0;
    tn_exec_bucket *bucket = tn_exec_bucket_of(exec, step);
    TN_TRY(begin(exec, err));
    TN_TRY(tn_exec_upload(exec, step, bucket, err));
    TN_TRY(copy_blocks(exec, step, err));
    if (bucket) {
        TN_TRY(tn_exec_replay(exec, bucket, tn_exec_wants_argmax(step), err));
        TN_TRY(deliver(exec, step, 0, step->n_rows, err));
        return wait_all(exec, err);
    }
    for (; i < exec->binding->n_nodes && !exec->node[i].wanted; i++)
        TN_TRY(tn_exec_run_at(exec, i, err));
    for (int32_t row0 = 0; row0 < step->n_rows; row0 += max_rows) {
        int32_t left = step->n_rows - row0;
        TN_TRY(run_slice(exec, step, i, row0, left < max_rows ? left : max_rows, err));
    }
    return wait_all(exec, err);
}

tn_status tn_executor_run(tn_executor *exec, const tn_exec_step *step, tn_error *err)
{
    tn_error own = { 0 };
    return end(exec, run_step(exec, step, &own), &own, err);
}

void tn_executor_set_tap(tn_executor *exec, tn_tap_fn tap, void *ctx)
{
    exec->tap = tap;
    exec->tap_ctx = ctx;
}

static tn_status run_node(tn_executor *exec, int32_t node_index, const tn_exec_step *step,
                          const float *const *in, float *const *out, tn_error *err)
{
    const tn_bound_node *node = &exec->binding->node[node_index];
    tn_tap_fn tap = exec->tap;
    int32_t n_crossings = exec->node[node_index].n_crossings;
    TN_TRY(begin(exec, err));
    TN_TRY(tn_exec_upload(exec, step, NULL, err));
    if (step->n_rows > exec->binding->max_rows)
        return tn_fail(err, TN_INVALID, "%d rows for one node: at most %d are allowed",
                       step->n_rows, exec->binding->max_rows);
    for (int32_t i = 0; i < node->node.n_in; i++)
        TN_TRY(tn_exec_write_edge(exec, node->domain, node->in[i], tn_exec_rows(exec, node->in[i]),
                                  in[i], err));
    /* Its inputs are given: nothing crosses, and nobody else looks. */
    exec->tap = NULL;
    exec->node[node_index].n_crossings = 0;
    tn_status st = tn_exec_run_at(exec, node_index, err);
    exec->tap = tap;
    exec->node[node_index].n_crossings = n_crossings;
    for (int32_t i = 0; i < node->node.n_out && !st; i++)
        st = tn_exec_read_edge(exec, node->domain, node->out[i], tn_exec_rows(exec, node->out[i]),
                               out[i], err);
    return st ? st : wait_all(exec, err);
}

tn_status tn_executor_run_node(tn_executor *exec, int32_t node_index, const tn_exec_step *step,
                               const float *const *in, float *const *out, tn_error *err)
{
    tn_error own = { 0 };
    if (node_index < 0 || node_index >= exec->binding->n_nodes)
        return tn_fail(err, TN_INVALID, "node %d of %d", node_index, exec->binding->n_nodes);
    return end(exec, run_node(exec, node_index, step, in, out, &own), &own, err);
}

tn_executor_memory tn_executor_memory_use(const tn_executor *exec)
{
    tn_executor_memory m = { .weights = tn_weight_store_bytes(exec->args.weights),
                             .batch = exec->batch_bytes };
    for (int32_t d = 0; d < TN_MAX_DOMAINS; d++) {
        m.activations += exec->domain[d].arena.bytes;
        m.workspace += exec->domain[d].workspace.bytes + exec->domain[d].zeroed.bytes;
        m.batch += exec->domain[d].batch_memory.bytes;
    }
    for (int32_t l = 0; l < exec->graph->n_layers; l++)
        m.kv += exec->kv[l].bytes;
    return m;
}
