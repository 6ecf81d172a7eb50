/* SPDX-License-Identifier: Apache-2.0 */
/* tenon explain: what would run, before anything is packed: binding, layouts, memory plan,
 * crossings; or the graph itself. */
#include "apps/cli/commands.h"
#include "apps/cli/memory_report.h"
#include "apps/cli/output.h"
#include "runtime/reports.h"
#include "runtime/setup.h"

/* Layouts, the arena (edge by edge when asked for), and what all of it takes. */
static tn_status explain_memory(const tn_setup *s, bool edges, tn_strbuf *out, tn_error *err)
{
    tn_memory_plan plan;
    tn_memory_need need;
    TN_TRY(tn_setup_memory_need(s, &need, err));
    tn_report_layouts(s->binding, out);
    if (edges) {
        TN_TRY(tn_memory_plan_make(s->binding, false, &plan, err));
        tn_strbuf_puts(out, "\n");
        tn_report_memory_plan(&plan, s->binding, out);
        tn_memory_plan_deinit(&plan);
    }
    tn_strbuf_puts(out, "\n");
    tn_cli_put_memory(s, &need, out);
    return TN_OK;
}

static json_t *node_json(const tn_bound_node *n)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "node", n->node.path, "op", n->node.op,
                     "plugin", n->plugin->name, "kernel", n->kernel->name, "layout",
                     n->plan.layout ? n->plan.layout : "", "weight_bytes",
                     (json_int_t)n->plan.weight_bytes, "workspace_bytes",
                     (json_int_t)n->plan.workspace_bytes);
}

static json_t *layouts_json(const tn_setup *s)
{
    tn_layout_use use[TN_REPORT_MAX_LAYOUTS];
    const int32_t n = tn_report_layout_uses(s->binding, use, TN_REPORT_MAX_LAYOUTS);
    json_t *layouts = json_array();
    for (int32_t i = 0; i < n; i++)
        json_array_append_new(layouts,
                              json_pack("{s:s, s:i, s:i, s:I}", "layout", use[i].layout, "nodes",
                                        (int)use[i].nodes, "blobs", (int)use[i].blobs, "bytes",
                                        (json_int_t)use[i].bytes));
    return layouts;
}

/* The edges that have a buffer in a domain. */
static json_t *edges_json(const tn_graph *graph, const tn_edge_place *place)
{
    json_t *edges = json_array();
    for (int32_t e = 0; e < graph->n_edges; e++)
        if (place[e].bytes > 0)
            json_array_append_new(edges, json_pack("{s:s, s:I, s:I}", "edge", graph->edge[e].name,
                                                   "offset", (json_int_t)place[e].offset, "bytes",
                                                   (json_int_t)place[e].bytes));
    return edges;
}

static json_t *arenas_json(const tn_setup *s, const tn_memory_plan *plan)
{
    json_t *arenas = json_array();
    for (int32_t d = 0; d < s->binding->n_domains; d++)
        json_array_append_new(
            arenas, json_pack("{s:s, s:I, s:I, s:o}", "domain", s->binding->device[d].domain->name,
                              "bytes", (json_int_t)plan->arena_bytes[d], "bytes_without_sharing",
                              (json_int_t)plan->sum_bytes[d], "edges",
                              edges_json(&s->graph, plan->place[d])));
    return arenas;
}

static tn_status put_json(const tn_setup *s, json_t **out, tn_error *err)
{
    tn_memory_plan plan;
    tn_memory_need need;
    TN_TRY(tn_setup_memory_need(s, &need, err));
    TN_TRY(tn_memory_plan_make(s->binding, false, &plan, err));
    json_t *nodes = json_array();
    for (int32_t i = 0; i < s->binding->n_nodes; i++)
        json_array_append_new(nodes, node_json(&s->binding->node[i]));
    *out = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "model", s->profile->model, "kv_format",
                     s->profile->kv.format, "nodes", nodes, "layouts", layouts_json(s), "memory",
                     tn_cli_memory_json(s, &need), "arenas", arenas_json(s, &plan));
    tn_memory_plan_deinit(&plan);
    return TN_OK;
}

static int explain(const tn_setup *s, const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_status status = TN_OK;
    tn_strbuf out = TN_STRBUF((size_t)64 << 20);
    json_t *json = NULL;
    const bool is_json = o->json && !o->dot && !o->graph;
    int exit_status;
    if (o->dot) {
        tn_report_graph_dot(&s->graph, &out);
    } else if (o->graph) {
        tn_report_graph(&s->graph, &out);
    } else if (o->json) {
        status = put_json(s, &json, &err);
    } else {
        tn_report_binding(&s->bind_args, s->binding, &out);
        status = explain_memory(s, o->verbose, &out, &err);
    }
    if (status)
        exit_status = tn_cli_error(status, &err);
    else
        exit_status = is_json ? tn_cli_print_json(json) : tn_cli_print(&out);
    tn_strbuf_deinit(&out);
    return exit_status;
}

int tn_cmd_explain(const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_setup setup;
    const char *sets[TN_CLI_MAX_SETS];
    char thread_set[32];
    tn_status status = tn_cli_need_model(o, &err);
    if (status)
        return tn_cli_error(status, &err);
    const tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    status = tn_setup_open(&setup, &args, &err);
    if (status)
        return tn_cli_error(status, &err);
    const int exit_status = explain(&setup, o);
    tn_setup_close(&setup);
    return exit_status;
}
