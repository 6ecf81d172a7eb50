/* SPDX-License-Identifier: Apache-2.0 */
#include "core/exec/exec_internal.h"
#include "core/plugin/normalise.h"

enum { ZEROED_ALIGN = 256 };

int32_t tn_exec_rows(const tn_executor *exec, int32_t edge)
{
    return exec->graph->edge[edge].rows == TN_ROWS_WANTED ? exec->slice_rows : exec->n_tokens;
}

/* The tensor of an edge or view in domain d; dim[0] is its capacity until a step sets it. */
static tn_tensor tensor_of(const tn_executor *exec, int32_t d, int32_t edge)
{
    const tn_edge *e = &exec->graph->edge[edge];
    const tn_edge_place *place = &exec->plan.place[d][tn_edge_owner(exec->graph, edge)];
    uint64_t column = e->base >= 0 ? (uint64_t)e->offset * tn_dtype_bytes(place->dtype) : 0;
    tn_tensor t = {
        .addr = exec->domain[d].arena.addr + place->offset + column,
        .dtype = place->dtype,
        .rank = 2,
        .dim = { 0, e->width },
        .stride = { place->row_stride, 1 },
        .name = e->name,
    };
    if (e->heads > 0) {
        t.rank = 3;
        t.dim[1] = e->heads;
        t.dim[2] = e->width / e->heads;
        t.stride[1] = t.dim[2];
        t.stride[2] = 1;
    }
    if (e->cls == TN_EDGE_I32) /* [R] */
        t.rank = 1;
    return t;
}

static void prepare_crossings(tn_executor *exec, int32_t index)
{
    const tn_bound_node *bound = &exec->binding->node[index];
    tn_exec_node *node = &exec->node[index];
    for (int32_t in = 0; in < bound->node.n_in; in++) {
        int32_t edge = tn_edge_owner(exec->graph, bound->in[in]);
        bool again = exec->producer_domain[edge] == bound->domain ||
                     exec->plan.place[bound->domain][edge].first != index;
        for (int32_t c = 0; c < node->n_crossings; c++)
            again = again || node->crossing[c] == edge;
        if (!again)
            node->crossing[node->n_crossings++] = edge;
    }
}

static void prepare_node(tn_executor *exec, int32_t index, uint64_t *zeroed)
{
    const tn_bound_node *bound = &exec->binding->node[index];
    const tn_exec_domain *domain = &exec->domain[bound->domain];
    tn_exec_node *node = &exec->node[index];
    for (int32_t in = 0; in < bound->node.n_in; in++)
        node->in[in] = tensor_of(exec, bound->domain, bound->in[in]);
    for (int32_t out = 0; out < bound->node.n_out; out++)
        node->out[out] = tensor_of(exec, bound->domain, bound->out[out]);
    node->wanted = tn_node_is_wanted(exec->graph, bound);
    node->launch = (tn_launch){
        .size = sizeof(tn_launch),
        .n_in = (uint32_t)bound->node.n_in,
        .n_out = (uint32_t)bound->node.n_out,
        .in = node->in,
        .out = node->out,
        .batch = &domain->batch,
        .weight = tn_weight_store_address(exec->args.weights, index),
        .workspace = bound->plan.workspace_bytes ? domain->workspace.addr : 0,
        .workspace_bytes = bound->plan.workspace_bytes,
        .zeroed = bound->plan.zeroed_bytes ? domain->zeroed.addr + zeroed[bound->domain] : 0,
        .tag = bound->plan.tag,
        .stream = domain->stream,
    };
    if (bound->op->uses_kv) {
        node->launch.kv = exec->kv[bound->node.layer].addr;
        node->launch.kv_block_bytes = exec->binding->kv[bound->node.layer].block_bytes;
    }
    zeroed[bound->domain] +=
        (bound->plan.zeroed_bytes + ZEROED_ALIGN - 1) / ZEROED_ALIGN * ZEROED_ALIGN;
}

void tn_exec_prepare_nodes(tn_executor *exec)
{
    uint64_t zeroed[TN_MAX_DOMAINS] = { 0 };
    for (int32_t i = 0; i < exec->binding->n_nodes; i++) {
        prepare_node(exec, i, zeroed);
        prepare_crossings(exec, i);
    }
}

/* Values of n edges as f32, appended at *values. */
static tn_status tap_edges(tn_executor *exec, const tn_bound_node *bound, int32_t n,
                           const int32_t *edges, tn_tap_edge *out, float **values, tn_error *err)
{
    for (int32_t i = 0; i < n; i++) {
        const tn_edge *e = &exec->graph->edge[edges[i]];
        int32_t rows = tn_exec_rows(exec, edges[i]);
        TN_TRY(tn_exec_read_edge(exec, bound->domain, edges[i], rows, *values, err));
        out[i] = (tn_tap_edge){ e->name, *values, rows, e->width };
        *values += (size_t)rows * (size_t)e->width;
    }
    return TN_OK;
}

static tn_status call_tap(tn_executor *exec, const tn_bound_node *bound, tn_error *err)
{
    tn_tap_edge in[TN_MAX_IN];
    tn_tap_edge out[TN_MAX_OUT];
    float *values = exec->tap_values;
    TN_TRY(tap_edges(exec, bound, bound->node.n_in, bound->in, in, &values, err));
    TN_TRY(tap_edges(exec, bound, bound->node.n_out, bound->out, out, &values, err));
    exec->tap(exec->tap_ctx, bound, bound->node.n_in, in, bound->node.n_out, out);
    return TN_OK;
}

tn_status tn_exec_run_at(tn_executor *exec, int32_t node_index, tn_error *err)
{
    const tn_bound_node *bound = &exec->binding->node[node_index];
    tn_exec_node *node = &exec->node[node_index];
    tn_error own = { 0 };
    for (int32_t c = 0; c < node->n_crossings; c++)
        TN_TRY(tn_exec_cross(exec, node->crossing[c], bound->domain, err));
    for (int32_t in = 0; in < bound->node.n_in; in++)
        node->in[in].dim[0] = tn_exec_rows(exec, bound->in[in]);
    for (int32_t out = 0; out < bound->node.n_out; out++)
        node->out[out].dim[0] = tn_exec_rows(exec, bound->out[out]);
    tn_status st = tn_plugin_status(
        bound->kernel->run(bound->plugin->self, &bound->node, &node->launch, &own), &own);
    if (st)
        return tn_fail(err, st, "node %s (%s, kernel %s): %s", bound->node.path,
                       bound->plugin->name, bound->kernel->name, own.text);
    return exec->tap && exec->tap_values ? call_tap(exec, bound, err) : TN_OK;
}

bool tn_exec_wants_argmax(const tn_exec_step *step)
{
    return step->argmax && !step->logits && !step->on_rows;
}

tn_status tn_exec_run_from(tn_executor *exec, int32_t first, bool argmax, tn_error *err)
{
    for (int32_t i = first; i < exec->binding->n_nodes; i++)
        if (argmax || exec->binding->node[i].out[0] != exec->graph->argmax)
            TN_TRY(tn_exec_run_at(exec, i, err));
    return TN_OK;
}
