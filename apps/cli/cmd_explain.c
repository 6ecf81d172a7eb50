/* SPDX-License-Identifier: Apache-2.0 */
/* tenon explain: what would run, before anything is packed: binding, layouts, memory plan,
 * crossings; or the graph itself. */
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "runtime/reports.h"
#include "runtime/setup.h"

#include <stdio.h>

static tn_status explain_memory(const tn_setup *s, tn_strbuf *out, tn_error *err)
{
    tn_memory_plan plan;
    uint64_t kv_bytes;
    TN_TRY(tn_setup_kv_bytes(s, &kv_bytes, err));
    TN_TRY(tn_memory_plan_make(s->binding, false, &plan, err));
    tn_strbuf_puts(out, "\n");
    tn_report_memory_plan(&plan, s->binding, out);
    tn_memory_plan_deinit(&plan);
    char text[32];
    uint64_t token_bytes = 0;
    for (int32_t i = 0; i < s->graph.n_layers; i++)
        token_bytes += s->binding->kv[i].block_bytes;
    tn_strbuf_printf(out, "kv %s: %llu bytes a token in all layers, pools of up to %s\n",
                     s->profile->kv.format,
                     (unsigned long long)(token_bytes / (uint64_t)s->binding->block_tokens),
                     tn_cli_bytes(kv_bytes, text));
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

static int print_json(const tn_setup *s)
{
    json_t *nodes = json_array();
    for (int32_t i = 0; i < s->binding->n_nodes; i++)
        json_array_append_new(nodes, node_json(&s->binding->node[i]));
    return tn_cli_print_json(json_pack("{s:s, s:s, s:o}", "model", s->profile->model, "kv_format",
                                       s->profile->kv.format, "nodes", nodes));
}

int tn_cmd_explain(const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_setup setup;
    const char *sets[TN_CLI_MAX_LIST + 1];
    char thread_set[32];
    tn_strbuf out = TN_STRBUF((size_t)64 << 20);
    int exit_status = TN_EXIT_OK;
    tn_status status = tn_cli_need_model(o, &err);
    if (status)
        return tn_cli_error(status, &err);
    const tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    status = tn_setup_open(&setup, &args, &err);
    if (status)
        return tn_cli_error(status, &err);
    if (o->dot) {
        tn_report_graph_dot(&setup.graph, &out);
    } else if (o->graph) {
        tn_report_graph(&setup.graph, &out);
    } else if (!o->json) {
        tn_report_binding(&setup.bind_args, setup.binding, &out);
        status = explain_memory(&setup, &out, &err);
    }
    if (status)
        exit_status = tn_cli_error(status, &err);
    else
        exit_status = o->json && !o->dot && !o->graph ? print_json(&setup) : tn_cli_print(&out);
    tn_strbuf_deinit(&out);
    tn_setup_close(&setup);
    return exit_status;
}
