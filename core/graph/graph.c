/* SPDX-License-Identifier: Apache-2.0 */
#include "core/graph/graph.h"

#include "core/base/alloc.h"

#include <string.h>

tn_status tn_graph_init(tn_graph *g, const tn_model_desc *desc, const tn_weight_source *source,
                        tn_error *err)
{
    *g = (tn_graph){ .desc = desc, .source = source, .layer = -1, .logits = -1, .argmax = -1 };
    if (desc->dim <= 0 || desc->heads <= 0 || desc->kv_heads <= 0 || desc->head_dim <= 0)
        return tn_fail(err, TN_INVALID,
                       "the model description has dim %d, heads %d, kv_heads %d, head_dim %d; all "
                       "must be positive",
                       (int)desc->dim, (int)desc->heads, (int)desc->kv_heads, (int)desc->head_dim);
    return TN_OK;
}

void tn_graph_deinit(tn_graph *g)
{
    tn_free(g->edge);
    tn_free(g->node);
    tn_arena_deinit(&g->arena);
    *g = (tn_graph){ .logits = -1, .argmax = -1 };
}

/* Every layer writes its KV once and reads it once, in this order: the executor and the binder rely
 * on it. */
static tn_status check_layers(const tn_graph *g, tn_error *err)
{
    for (int32_t layer = 0; layer < g->n_layers; layer++) {
        int writers = 0, readers = 0;
        for (int32_t i = 0; i < g->n_nodes; i++) {
            const tn_graph_node *node = &g->node[i];
            if (node->layer != layer)
                continue;
            if (strcmp(node->op->name, "kv_write") == 0 && !readers)
                writers++;
            if (strcmp(node->op->name, "attention") == 0)
                readers++;
        }
        if (writers != 1 || readers != 1)
            return tn_fail(err, TN_INTERNAL,
                           "layer %d has %d kv_write and %d attention nodes; it must have one of "
                           "each, in this order",
                           (int)layer, writers, readers);
    }
    return TN_OK;
}

tn_status tn_graph_finish(tn_graph *g, tn_error *err)
{
    g->source = NULL;
    if (g->status) {
        if (err)
            *err = g->error;
        return g->status;
    }
    if (g->logits < 0 || g->argmax < 0)
        return tn_fail(err, TN_INTERNAL, "the graph has no logits; tn_build_argmax ends a graph");
    return check_layers(g, err);
}
