/* SPDX-License-Identifier: Apache-2.0 */
/* The binding for people: an aligned table, the refusals of plugins that come earlier, the KV pool,
 * the crossings. */
#include "core/bind/binder.h"
#include "core/weights/weight_store.h"
#include "runtime/reports.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { N_COLUMNS = 7 };

typedef struct row {
    const char *text[N_COLUMNS];
    char weight[24], workspace[24];
} row;

static void make_row(const tn_bound_node *node, row *out)
{
    snprintf(out->weight, sizeof(out->weight), "%" PRIu64, node->plan.weight_bytes);
    snprintf(out->workspace, sizeof(out->workspace), "%" PRIu64, node->plan.workspace_bytes);
    out->text[0] = node->node.path;
    out->text[1] = node->op->name;
    out->text[2] = node->plugin->name;
    out->text[3] = node->kernel->name;
    out->text[4] = node->plan.layout[0] ? node->plan.layout : "-";
    out->text[5] = out->weight;
    out->text[6] = out->workspace;
}

static void put_row(const row *r, const size_t *width, tn_strbuf *out)
{
    for (int32_t c = 0; c < N_COLUMNS; c++) {
        const int w = (int)width[c];
        const bool number = c >= 5;
        tn_strbuf_printf(out, "%s%*s", c ? "  " : "", number ? w : -w, r->text[c]);
    }
    tn_strbuf_puts(out, "\n");
}

static void put_table(const tn_binding *binding, tn_strbuf *out)
{
    const row head = { .text = { "node", "op", "plugin", "kernel", "layout", "weight bytes",
                                 "workspace" } };
    size_t width[N_COLUMNS];

    for (int32_t c = 0; c < N_COLUMNS; c++)
        width[c] = strlen(head.text[c]);
    for (int32_t i = 0; i < binding->n_nodes; i++) {
        row r;
        make_row(&binding->node[i], &r);
        for (int32_t c = 0; c < N_COLUMNS; c++)
            width[c] = strlen(r.text[c]) > width[c] ? strlen(r.text[c]) : width[c];
    }
    put_row(&head, width, out);
    for (int32_t i = 0; i < binding->n_nodes; i++) {
        row r;
        make_row(&binding->node[i], &r);
        put_row(&r, width, out);
    }
}

/* The node's graph node as a form of its own op, so that earlier plugins can be asked again
 * (supports is pure). */
static void put_refusals(const tn_binder *b, const tn_bound_node *node, tn_strbuf *out)
{
    for (int32_t i = 0; i < b->n_candidates; i++) {
        tn_form form = { .bound = *node };
        tn_error why = { 0 };
        if (b->candidate[i].plugin == node->plugin)
            return;
        if (tn_rule_of(b, node->node.path))
            continue; /* a rule decided, not the order */
        if (tn_ask(b, &form, &b->candidate[i], &why) == TN_OK)
            continue; /* refused in another form, or for the KV format */
        tn_strbuf_printf(out, "  %s (%s): %s: %s\n", node->node.path, node->op->name,
                         b->candidate[i].plugin->name, why.text);
    }
}

static void put_pools(const tn_bind_args *args, const tn_binding *binding, tn_strbuf *out)
{
    uint64_t token = 0;

    for (int32_t i = 0; i < binding->graph->n_layers; i++)
        token += binding->kv[i].block_bytes / (uint64_t)binding->block_tokens;
    if (binding->graph->n_layers > 0)
        tn_strbuf_printf(out,
                         "\nkv: format %s of %s, blocks of %d tokens, %" PRIu64
                         " bytes a block and layer, %" PRIu64 " bytes a token\n",
                         args->kv_format, binding->kv[0].plugin->name, (int)binding->block_tokens,
                         binding->kv[0].block_bytes, token);
}

static uint64_t edge_bytes(const tn_binding *binding, int32_t edge)
{
    const int32_t dtype = binding->edge_dtype[edge];

    return (uint64_t)binding->graph->edge[edge].width *
           (dtype == TN_F16 || dtype == TN_BF16 ? 2u : 4u);
}

/* One line an edge and reading domain; a view counts as the columns it shows. */
static void put_crossings(const tn_binding *binding, tn_strbuf *out)
{
    const tn_graph *g = binding->graph;
    uint64_t total = 0;
    int32_t n = 0;

    for (int32_t i = 0; i < binding->n_nodes; i++) {
        const tn_bound_node *node = &binding->node[i];
        for (int32_t j = 0; j < node->node.n_in; j++) {
            const tn_edge *edge = &g->edge[node->in[j]];
            const int32_t owner = edge->base >= 0 ? edge->base : node->in[j];
            int32_t from = -1;
            for (int32_t k = 0; k < i && from < 0; k++)
                for (int32_t o = 0; o < binding->node[k].node.n_out; o++)
                    if (binding->node[k].out[o] == owner)
                        from = binding->node[k].domain;
            if (from < 0 || from == node->domain)
                continue;
            const uint64_t bytes = edge_bytes(binding, node->in[j]);
            tn_strbuf_printf(out, "%s  %s -> %s: %s for %s, %" PRIu64 " bytes a %s\n",
                             n++ ? "" : "\ncrossings:\n", binding->device[from].domain->name,
                             binding->device[node->domain].domain->name, edge->name,
                             node->node.path, bytes,
                             edge->rows == TN_ROWS_TOKENS ? "token" : "wanted row");
            total += edge->rows == TN_ROWS_TOKENS ? bytes : 0;
        }
    }
    if (n)
        tn_strbuf_printf(out, "  %d crossings, %" PRIu64 " bytes a token\n", (int)n, total);
}

void tn_report_binding(const tn_bind_args *args, const tn_binding *binding, tn_strbuf *out)
{
    tn_binder b;
    tn_binding copy = { .graph = binding->graph };

    put_table(binding, out);
    if (tn_binder_init(&b, args, &copy, NULL) == TN_OK) {
        tn_strbuf refusals = TN_STRBUF(1 << 20);
        for (int32_t i = 0; i < binding->n_nodes; i++)
            put_refusals(&b, &binding->node[i], &refusals);
        if (refusals.len)
            tn_strbuf_printf(out, "\nearlier plugins that refused:\n%s", tn_strbuf_text(&refusals));
        tn_strbuf_deinit(&refusals);
    }
    put_pools(args, binding, out);
    put_crossings(binding, out);
}

int32_t tn_report_layout_uses(const tn_binding *binding, tn_layout_use *use, int32_t max)
{
    int32_t n = 0;
    for (int32_t i = 0; i < binding->n_nodes; i++) {
        const int32_t owner = tn_weight_store_owner(binding, i);
        const tn_plan *plan = &binding->node[i].plan;
        int32_t k = 0;
        if (owner < 0)
            continue;
        while (k < n && strcmp(use[k].layout, plan->layout) != 0)
            k++;
        if (k == max)
            continue;
        if (k == n)
            use[n++] = (tn_layout_use){ .layout = plan->layout };
        use[k].nodes++;
        use[k].blobs += owner == i;
        use[k].bytes += owner == i ? plan->weight_bytes : 0;
    }
    return n;
}

void tn_report_layouts(const tn_binding *binding, tn_strbuf *out)
{
    tn_layout_use use[TN_REPORT_MAX_LAYOUTS];
    const int32_t n = tn_report_layout_uses(binding, use, TN_REPORT_MAX_LAYOUTS);
    size_t width = strlen("layout");
    for (int32_t i = 0; i < n; i++)
        width = strlen(use[i].layout) > width ? strlen(use[i].layout) : width;
    tn_strbuf_printf(out, "\n%-*s  nodes  blobs         bytes\n", (int)width, "layout");
    for (int32_t i = 0; i < n; i++)
        tn_strbuf_printf(out, "%-*s  %5d  %5d  %12" PRIu64 "\n", (int)width, use[i].layout,
                         (int)use[i].nodes, (int)use[i].blobs, use[i].bytes);
}

void tn_report_memory_plan(const tn_memory_plan *plan, const tn_binding *binding, tn_strbuf *out)
{
    for (int32_t d = 0; d < binding->n_domains; d++) {
        tn_strbuf_printf(out, "activations in %s: %" PRIu64 " bytes, %" PRIu64 " without sharing\n",
                         binding->device[d].domain->name, plan->arena_bytes[d], plan->sum_bytes[d]);
        for (int32_t e = 0; e < binding->graph->n_edges; e++) {
            const tn_edge_place *place = &plan->place[d][e];
            if (place->bytes > 0)
                tn_strbuf_printf(out, "  %12" PRIu64 " %12" PRIu64 "  %s\n", place->offset,
                                 place->bytes, binding->graph->edge[e].name);
        }
    }
}
