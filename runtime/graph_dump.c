/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/reports.h"

static const char *class_name(int32_t cls)
{
    switch (cls) {
    case TN_EDGE_RESID:
        return "resid";
    case TN_EDGE_ACT:
        return "act";
    case TN_EDGE_F32:
        return "f32";
    default:
        return "i32";
    }
}

static void put_edge(const tn_graph *g, int32_t id, tn_strbuf *out)
{
    const tn_edge *e = &g->edge[id];
    const char *rows = e->rows == TN_ROWS_TOKENS ? "T" : "R";
    tn_strbuf_printf(out, "%s:%s[%s,", e->name, class_name(e->cls), rows);
    if (e->heads)
        tn_strbuf_printf(out, "%d,%d]", (int)e->heads, (int)(e->width / e->heads));
    else
        tn_strbuf_printf(out, "%d]", (int)e->width);
}

void tn_report_graph(const tn_graph *g, tn_strbuf *out)
{
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const tn_graph_node *node = &g->node[i];
        tn_strbuf_printf(out, "%-24s %-12s (", node->path, node->op->name);
        for (int32_t k = 0; k < node->n_in; k++) {
            tn_strbuf_puts(out, k ? ", " : "");
            put_edge(g, node->in[k], out);
        }
        tn_strbuf_puts(out, ") -> (");
        for (int32_t k = 0; k < node->n_out; k++) {
            tn_strbuf_puts(out, k ? ", " : "");
            put_edge(g, node->out[k], out);
        }
        tn_strbuf_puts(out, ")");
        for (int32_t k = 0; k < node->n_weights; k++)
            if (node->weight[k].name)
                tn_strbuf_printf(out, " %s", node->weight[k].name);
        tn_strbuf_puts(out, "\n");
    }
}

/* Paths come from the architecture's own names, so they need no quoting beyond the quotes. */
void tn_report_graph_dot(const tn_graph *g, tn_strbuf *out)
{
    tn_strbuf_puts(out, "digraph model {\n  node [shape=box];\n");
    for (int32_t i = 0; i < g->n_nodes; i++)
        tn_strbuf_printf(out, "  n%d [label=\"%s\\n%s\"];\n", (int)i, g->node[i].path,
                         g->node[i].op->name);
    for (int32_t i = 0; i < g->n_nodes; i++) {
        for (int32_t k = 0; k < g->node[i].n_in; k++) {
            const int32_t edge = g->node[i].in[k];
            tn_strbuf_printf(out, "  n%d -> n%d [label=\"", (int)g->edge[edge].producer, (int)i);
            put_edge(g, edge, out);
            tn_strbuf_puts(out, "\"];\n");
        }
    }
    tn_strbuf_puts(out, "}\n");
}
