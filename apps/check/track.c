/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/track.h"

#include "core/base/alloc.h"
#include "core/exec/executor.h"

#include <stdio.h>
#include <string.h>

static float **slot_of(const tn_check_track *t, int32_t step, int32_t edge)
{
    return &t->edge[(size_t)step * (size_t)t->binding->graph->n_edges + (size_t)edge];
}

static size_t pool_bytes(const tn_check_track *t, int32_t layer)
{
    return (size_t)t->schedule->n_blocks * (size_t)t->binding->kv[layer].block_bytes;
}

static uint8_t **pool_of(const tn_check_track *t, int32_t step, int32_t layer)
{
    return &t->pool[(size_t)(step + 1) * (size_t)t->binding->graph->n_layers + (size_t)layer];
}

/* The pool as a node of this step finds it: as this step's writer, or the last one before, left it.
 */
static const uint8_t *latest_pool(const tn_check_track *t, int32_t step, int32_t layer)
{
    while (step >= 0 && !*pool_of(t, step, layer))
        step--;
    return *pool_of(t, step, layer);
}

static void free_pools(tn_check_track *t, int32_t first, int32_t end, int32_t layer)
{
    for (int32_t step = first; step < end; step++) {
        tn_free(*pool_of(t, step, layer));
        *pool_of(t, step, layer) = NULL;
    }
}

/* Free blocks, and slots of used ones that no token has reached, hold NaN: nobody may look. */
static tn_status open_pools(tn_check_track *t, tn_error *err)
{
    const int32_t n = t->binding->graph->n_layers;
    t->pool = tn_alloc_array((size_t)(t->schedule->n_steps + 1) * (size_t)n, sizeof *t->pool);
    if (!t->pool)
        return tn_fail_memory(err, "the KV pools");
    for (int32_t l = 0; l < n; l++) {
        uint8_t *pool = *pool_of(t, -1, l) = tn_alloc(pool_bytes(t, l));
        if (!pool)
            return tn_fail_memory(err, "the KV pools");
        memset(pool, 0xff, pool_bytes(t, l));
    }
    return TN_OK;
}

tn_status tn_check_track_open(const tn_binding *binding, const char *kv_format,
                              const tn_check_schedule *schedule, tn_check_track *out, tn_error *err)
{
    const tn_graph *g = binding->graph;
    *out = (tn_check_track){ .binding = binding, .schedule = schedule, .kv_format = kv_format };
    out->edge = tn_alloc_array((size_t)schedule->n_steps * (size_t)g->n_edges, sizeof(float *));
    out->last_read = tn_alloc_array((size_t)g->n_edges, sizeof(int32_t));
    tn_status status =
        out->edge && out->last_read ? open_pools(out, err) : tn_fail_memory(err, "the edges");
    if (status) {
        tn_check_track_close(out);
        return status;
    }
    for (int32_t i = 0; i < binding->n_nodes; i++)
        for (int32_t in = 0; in < binding->node[i].node.n_in; in++)
            out->last_read[tn_edge_owner(g, binding->node[i].in[in])] = i;
    out->last_read[g->logits] = binding->n_nodes;
    return TN_OK;
}

void tn_check_track_close(tn_check_track *t)
{
    if (!t->binding)
        return;
    const tn_graph *g = t->binding->graph;
    for (int32_t i = 0; t->edge && i < t->schedule->n_steps * g->n_edges; i++)
        tn_free(t->edge[i]);
    for (int32_t l = 0; t->pool && l < g->n_layers; l++)
        free_pools(t, -1, t->schedule->n_steps, l);
    tn_free(t->edge);
    tn_free(t->pool);
    tn_free(t->last_read);
    *t = (tn_check_track){ 0 };
}

/* ---- cases ---- */

static tn_check_tensor shape_of(const tn_check_track *t, int32_t edge, const tn_check_batch *b)
{
    const tn_graph *g = t->binding->graph;
    const tn_edge *e = &g->edge[edge];
    return (tn_check_tensor){ .name = e->name,
                              .rows = e->rows == TN_ROWS_WANTED ? b->n_rows : b->n_tokens,
                              .width = e->width,
                              .heads = e->heads,
                              .base_width = e->base >= 0 ? g->edge[e->base].width : e->width,
                              .offset = e->base >= 0 ? e->offset : 0,
                              .is_ids = e->cls == TN_EDGE_I32 };
}

/* Columns of the owner's rows, rounded to what the node's domain can hold. */
static void gather(const float *from, const tn_check_tensor *shape, int32_t dtype, float *to)
{
    const size_t n = (size_t)shape->rows * (size_t)shape->width;
    tn_convert_rows(from + shape->offset, TN_F32, shape->base_width, to, TN_F32, shape->width,
                    shape->rows, shape->width);
    tn_check_round_values(to, n, dtype);
}

static void set_pool(const tn_check_track *t, const tn_bound_node *bound, int32_t step,
                     tn_check_case *out)
{
    const tn_bound_kv *kv = &t->binding->kv[bound->node.layer];
    out->pool = (tn_check_pool){ .format = t->kv_format,
                                 .attention = &kv->attention,
                                 .n_blocks = t->schedule->n_blocks,
                                 .block_tokens = t->binding->block_tokens,
                                 .block_bytes = kv->block_bytes,
                                 .bytes = latest_pool(t, step, bound->node.layer) };
}

tn_status tn_check_track_case(const tn_check_track *t, int32_t node, int32_t step,
                              const tn_check_part *part, tn_check_case *out, float **storage,
                              bool *has_rows, tn_error *err)
{
    const tn_bound_node *bound = &t->binding->node[node];
    const tn_check_batch *b = &t->schedule->step[step];
    size_t n = 0, used = 0;
    *storage = NULL;
    *out = (tn_check_case){ .name = bound->node.path,
                            .op = bound->op,
                            .node = bound->node,
                            .part = part,
                            .n_parts = bound->n_weights,
                            .batch = b };
    for (int32_t i = 0; i < bound->node.n_out; i++)
        out->out[i] = shape_of(t, bound->out[i], b);
    for (int32_t i = 0; i < bound->node.n_in; i++) {
        out->in[i] = shape_of(t, bound->in[i], b);
        n += (size_t)out->in[i].rows * (size_t)out->in[i].width;
    }
    *has_rows = bound->node.n_out == 0 || out->out[0].rows > 0;
    if (bound->op->uses_kv)
        set_pool(t, bound, step, out);
    *storage = tn_alloc_array(n + 1, sizeof(float));
    if (!*storage)
        return tn_fail_memory(err, "the inputs of a node");
    for (int32_t i = 0; i < bound->node.n_in; i++) {
        const float *from = *slot_of(t, step, tn_edge_owner(t->binding->graph, bound->in[i]));
        if (!from && *has_rows)
            return tn_fail(err, TN_INTERNAL, "%s: its input %s was not made", bound->node.path,
                           out->in[i].name);
        if (from)
            gather(from, &out->in[i], t->exact ? TN_F32 : bound->node.in_dtype[i], *storage + used);
        out->in[i].values = *storage + used;
        used += (size_t)out->in[i].rows * (size_t)out->in[i].width;
    }
    return TN_OK;
}

void tn_check_track_put(tn_check_track *t, int32_t node, int32_t step, float *out[TN_MAX_OUT],
                        uint8_t **pool)
{
    const tn_bound_node *bound = &t->binding->node[node];
    for (int32_t i = 0; i < bound->node.n_out; i++) {
        float **slot = slot_of(t, step, bound->out[i]);
        tn_free(*slot);
        *slot = out[i];
        out[i] = NULL;
    }
    if (*pool) {
        tn_free(*pool_of(t, step, bound->node.layer));
        *pool_of(t, step, bound->node.layer) = *pool;
        *pool = NULL;
    }
}

static bool is_last_of_layer(const tn_binding *b, int32_t node)
{
    return b->node[node].node.layer >= 0 &&
           (node + 1 == b->n_nodes || b->node[node + 1].node.layer != b->node[node].node.layer);
}

void tn_check_track_forget(tn_check_track *t, int32_t node)
{
    if (is_last_of_layer(t->binding, node))
        free_pools(t, -1, t->schedule->n_steps, t->binding->node[node].node.layer);
    for (int32_t e = 0; e < t->binding->graph->n_edges; e++) {
        if (t->last_read[e] != node)
            continue;
        for (int32_t s = 0; s < t->schedule->n_steps; s++) {
            tn_free(*slot_of(t, s, e));
            *slot_of(t, s, e) = NULL;
        }
    }
}

void tn_check_track_end_step(tn_check_track *t, int32_t step)
{
    for (int32_t l = 0; l < t->binding->graph->n_layers; l++)
        if (*pool_of(t, step, l))
            free_pools(t, -1, step, l);
    for (int32_t e = 0; e < t->binding->graph->n_edges; e++) {
        tn_free(*slot_of(t, step, e));
        *slot_of(t, step, e) = NULL;
    }
}

const float *tn_check_track_values(const tn_check_track *t, int32_t step, int32_t edge)
{
    return *slot_of(t, step, tn_edge_owner(t->binding->graph, edge));
}
