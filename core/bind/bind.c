/* SPDX-License-Identifier: Apache-2.0 */
#include "core/bind/bind.h"

#include "core/base/alloc.h"
#include "core/base/glob.h"
#include "core/base/log.h"
#include "core/bind/binder.h"

#include <math.h>
#include <string.h>

int32_t tn_binding_edge_dtype(const tn_binding *binding, int32_t edge, int32_t domain)
{
    switch (binding->graph->edge[edge].cls) {
    case TN_EDGE_RESID:
        return binding->resid_dtype[domain];
    case TN_EDGE_ACT:
        return binding->act_dtype[domain];
    case TN_EDGE_I32:
        return TN_I32;
    default:
        return TN_F32;
    }
}

/* ---- arguments ---- */

static bool fallback_wanted(const tn_bind_args *args)
{
    return args->fallback && strcmp(args->fallback, "none") != 0;
}

static tn_status check_kv_static(const tn_bind_args *args, tn_error *err)
{
    const bool wanted = strcmp(args->kv_format, "i8-static") == 0;

    if (!wanted && !args->kv_static)
        return TN_OK;
    if (wanted != (args->kv_static != NULL))
        return tn_fail(err, TN_INVALID, "KV format %s %s", args->kv_format,
                       wanted ? "needs calibrated parameters: set kv.params"
                              : "takes no calibrated parameters: only i8-static does");
    if (args->n_kv_static != 1 && args->n_kv_static != args->graph->desc->kv_heads)
        return tn_fail(err, TN_INVALID,
                       "the KV parameters have %d pairs a layer; 1 or %d (kv heads) are allowed",
                       (int)args->n_kv_static, (int)args->graph->desc->kv_heads);
    for (int32_t layer = 0; layer < args->graph->n_layers; layer++) {
        for (int32_t i = 0; i < args->n_kv_static * 4; i++) {
            const float value = args->kv_static[layer][i];
            const bool is_scale = i % 2 == 0;
            if (!isfinite(value) || (is_scale && value <= 0.0f))
                return tn_fail(err, TN_INVALID,
                               "the KV parameters of layer %d hold %g; finite numbers are "
                               "allowed, scales above 0",
                               (int)layer, (double)value);
        }
    }
    return TN_OK;
}

static tn_status check_bounds(const tn_bind_args *args, tn_error *err)
{
    const int32_t t = args->block_tokens;

    if (args->max_tokens < 1 || args->max_seqs < 1 || args->max_ctx < 1 || args->max_rows < 1)
        return tn_fail(err, TN_INVALID,
                       "bounds are tokens %d, sequences %d, context %d, rows %d; each must be at "
                       "least 1",
                       (int)args->max_tokens, (int)args->max_seqs, (int)args->max_ctx,
                       (int)args->max_rows);
    if (t != 16 && t != 32 && t != 64 && t != 128)
        return tn_fail(err, TN_INVALID, "kv.block_tokens is %d; 16, 32, 64 and 128 are allowed",
                       (int)t);
    return TN_OK;
}

static tn_status check_kv_format(const tn_bind_args *args, tn_error *err)
{
    if (!args->kv_format)
        return tn_fail(err, TN_INVALID, "no KV format is given");
    if (tn_kv_format_is_catalogue(args->kv_format))
        return check_kv_static(args, err);
    for (int32_t i = 0; i < tn_plugin_set_size(args->plugins); i++) {
        const tn_plugin_entry *plugin = tn_plugin_set_entry(args->plugins, i);
        if (plugin->state == TN_PLUGIN_LOADED && tn_find_kv_format(plugin, args->kv_format))
            return check_kv_static(args, err);
    }
    return tn_fail(err, TN_INVALID,
                   "KV format %s is unknown: f32, f16, i8, i8-static and formats of loaded "
                   "plugins are allowed",
                   args->kv_format);
}

static tn_status check_rules(const tn_bind_args *args, tn_error *err)
{
    if (fallback_wanted(args) && !tn_plugin_set_find(args->plugins, args->fallback))
        return tn_fail(err, TN_INVALID, "the fallback %s is not a loaded plugin", args->fallback);
    for (int32_t i = 0; i < args->n_rules; i++) {
        const tn_bind_rule *rule = &args->rule[i];
        const tn_plugin_entry *plugin = tn_plugin_set_find(args->plugins, rule->plugin);
        const bool usable =
            plugin && (plugin->listed ||
                       (fallback_wanted(args) && strcmp(plugin->name, args->fallback) == 0));
        bool matches = false;
        if (!usable)
            return tn_fail(err, TN_INVALID,
                           "bind rule \"%s\" names the plugin %s, which is not in the list of "
                           "plugins",
                           rule->glob, rule->plugin);
        for (int32_t n = 0; n < args->graph->n_nodes && !matches; n++)
            matches = tn_glob_match(rule->glob, args->graph->node[n].path);
        if (!matches)
            return tn_fail(err, TN_INVALID, "bind rule \"%s\" matches no node of the graph",
                           rule->glob);
    }
    return TN_OK;
}

/* ---- domains and candidates ---- */

static bool same_device(const tn_device *a, const tn_device *b)
{
    return a->domain == b->domain && a->index == b->index;
}

static tn_status find_device(tn_binder *b, tn_error *err)
{
    const tn_plugin_set *plugins = b->args->plugins;
    tn_binding *binding = b->binding;
    const char *name = tn_plugin_set_device_name(plugins);
    bool present;

    tn_plugin_set_device(plugins, &binding->device[0], &present);
    binding->n_domains = 1;
    if (present)
        return TN_OK;
    const tn_plugin_entry *provider = tn_plugin_set_find(plugins, name);
    const char *reason = provider ? provider->reason : "";
    if (!fallback_wanted(b->args))
        return tn_fail(err, TN_UNAVAILABLE,
                       "device %s is not there: %.120s; `fallback:` with a host plugin would run "
                       "the model there",
                       name, reason);
    b->device_absent = true;
    binding->device[0] = (tn_device){ .domain = tn_host_domain() };
    return TN_OK;
}

static void set_dtypes(tn_binder *b)
{
    tn_binding *binding = b->binding;

    binding->device[1] = (tn_device){ .domain = tn_host_domain() };
    for (int32_t d = 0; d < TN_MAX_DOMAINS; d++) {
        binding->resid_dtype[d] = binding->device[d].domain->resid_dtype;
        binding->act_dtype[d] = binding->device[d].domain->act_dtype;
    }
    if (b->args->act_dtype && !tn_device_is_host(&binding->device[0]))
        binding->act_dtype[0] = b->args->act_dtype;
}

static bool named_by_rule(const tn_bind_args *args, const char *name)
{
    for (int32_t i = 0; i < args->n_rules; i++)
        if (strcmp(args->rule[i].plugin, name) == 0)
            return true;
    return false;
}

/* Those that share the device first, in the profile's order; the fallback is asked last. */
static void add_candidates(tn_binder *b)
{
    const tn_bind_args *args = b->args;
    tn_candidate fallback = { .domain = -1 };

    for (int32_t i = 0; i < tn_plugin_set_size(args->plugins); i++) {
        const tn_plugin_entry *plugin = tn_plugin_set_entry(args->plugins, i);
        const bool is_fallback = fallback_wanted(args) && strcmp(plugin->name, args->fallback) == 0;
        tn_candidate c = { .plugin = plugin, .domain = -1 };
        const bool on_host =
            plugin->state == TN_PLUGIN_LOADED && tn_device_is_host(&plugin->device);
        if (plugin->state == TN_PLUGIN_LOADED && (!b->device_absent || is_fallback) &&
            same_device(&plugin->device, &b->binding->device[0]))
            c.domain = 0;
        else if (on_host && !b->device_absent && (is_fallback || named_by_rule(args, plugin->name)))
            c.domain = 1;
        c.by_rule = c.domain == 1 && !is_fallback;
        if (is_fallback && (c.domain == 1 || !plugin->listed))
            fallback = c;
        else if (plugin->listed && b->n_candidates < TN_MAX_CANDIDATES - 1)
            b->candidate[b->n_candidates++] = c;
    }
    if (fallback.plugin)
        b->candidate[b->n_candidates++] = fallback;
}

tn_status tn_binder_init(tn_binder *b, const tn_bind_args *args, tn_binding *binding, tn_error *err)
{
    *b = (tn_binder){ .args = args, .binding = binding };
    TN_TRY(check_bounds(args, err));
    TN_TRY(check_kv_format(args, err));
    TN_TRY(check_rules(args, err));
    TN_TRY(find_device(b, err));
    set_dtypes(b);
    add_candidates(b);
    return TN_OK;
}

/* ---- the graph ---- */

static void find_readers(tn_binder *b)
{
    const tn_graph *g = b->args->graph;

    for (int32_t e = 0; e < g->n_edges; e++)
        b->reader[e] = -1;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        for (int32_t j = 0; j < g->node[i].n_in; j++) {
            const int32_t edge = g->node[i].in[j], base = g->edge[edge].base;
            b->reader[edge] = i;
            if (base >= 0)
                b->reader[base] = i;
        }
    }
}

static tn_status bind_forms(tn_binder *b, tn_form *forms, int32_t n_forms, tn_error *err)
{
    const tn_form *claimed;

    if (n_forms == 0)
        return tn_fail_memory(err, "binding");
    TN_TRY(tn_claim(b, forms, n_forms, NULL, &claimed, err));
    return tn_accept(b, claimed, err);
}

static tn_status bind_linears(tn_binder *b, tn_error *err)
{
    const tn_graph *g = b->args->graph;

    for (int32_t i = 0; i < g->n_nodes; i++) {
        tn_form forms[TN_MAX_FORMS];
        if (strcmp(g->node[i].op->name, "linear") == 0)
            TN_TRY(bind_forms(b, forms, tn_forms_of_linear(b, i, forms), err));
    }
    return TN_OK;
}

/* tn_graph_finish has checked: one kv_write and one attention a layer, in this order. */
static tn_status bind_kv(tn_binder *b, tn_error *err)
{
    const tn_graph *g = b->args->graph;
    int32_t kv_write = -1;

    for (int32_t i = 0; i < g->n_nodes; i++) {
        const tn_graph_node *node = &g->node[i];
        if (strcmp(node->op->name, "kv_write") == 0)
            kv_write = i;
        if (strcmp(node->op->name, "attention") != 0)
            continue;
        if (kv_write < 0 || g->node[kv_write].layer != node->layer)
            return tn_fail(err, TN_INTERNAL, "%s has no kv_write before it", node->path);
        TN_TRY(tn_bind_layer_kv(b, node->layer, kv_write, i, err));
    }
    return TN_OK;
}

static tn_status bind_rest(tn_binder *b, tn_error *err)
{
    const tn_graph *g = b->args->graph;

    for (int32_t i = 0; i < g->n_nodes; i++) {
        tn_form form;
        if (!b->taken[i])
            TN_TRY(bind_forms(b, &form, tn_form_of_node(b, i, &form), err));
    }
    return TN_OK;
}

static void finish_nodes(tn_binder *b)
{
    tn_binding *binding = b->binding;
    const tn_graph *g = b->args->graph;

    for (int32_t i = 0; i < g->n_nodes; i++)
        if (b->at[i].op)
            binding->node[binding->n_nodes++] = b->at[i];
    for (int32_t i = 0; i < binding->n_nodes; i++) {
        const tn_bound_node *node = &binding->node[i];
        for (int32_t j = 0; j < node->node.n_out; j++)
            binding->edge_dtype[node->out[j]] = node->node.out_dtype[j];
    }
    for (int32_t e = 0; e < g->n_edges; e++)
        if (g->edge[e].base >= 0)
            binding->edge_dtype[e] = binding->edge_dtype[g->edge[e].base];
}

static void warn(const tn_binder *b)
{
    int32_t on_host = 0;

    if (b->device_absent) {
        const char *name = tn_plugin_set_device_name(b->args->plugins);
        const tn_plugin_entry *provider = tn_plugin_set_find(b->args->plugins, name);
        tn_log(TN_LOG_WARNING, "bind", "device %s is not there (%s): everything runs on %s", name,
               provider ? provider->reason : "no provider", b->args->fallback);
    }
    for (int32_t i = 0; i < b->binding->n_nodes; i++)
        on_host += b->binding->node[i].domain == 1;
    if (on_host)
        tn_log(TN_LOG_WARNING, "bind",
               "%d of %d nodes run on the host and their edges cross to it (see `tenon explain`)",
               (int)on_host, (int)b->binding->n_nodes);
}

static tn_status allocate(tn_binder *b, tn_error *err)
{
    tn_binding *binding = b->binding;
    const tn_graph *g = binding->graph;
    const size_t nodes = (size_t)g->n_nodes + 1, edges = (size_t)g->n_edges + 1;

    b->at = tn_alloc_array(nodes, sizeof(*b->at));
    b->taken = tn_alloc_array(nodes, sizeof(*b->taken));
    b->reader = tn_alloc_array(edges, sizeof(*b->reader));
    binding->node = tn_alloc_array(nodes, sizeof(*binding->node));
    binding->edge_dtype = tn_alloc_array(edges, sizeof(*binding->edge_dtype));
    binding->kv = tn_alloc_array((size_t)g->n_layers + 1, sizeof(*binding->kv));
    if (!b->at || !b->taken || !b->reader || !binding->node || !binding->edge_dtype || !binding->kv)
        return tn_fail_memory(err, "the bound graph");
    return TN_OK;
}

/* The arguments, with the strings that end up in nodes copied into the binding. */
static tn_status copy_args(const tn_bind_args *args, tn_binding *binding, tn_bind_args *out,
                           tn_error *err)
{
    *out = *args;
    if (!args->kv_format)
        return TN_OK;
    out->kv_format = tn_arena_strdup(&binding->arena, args->kv_format);
    return out->kv_format ? TN_OK : tn_fail_memory(err, "the bound graph");
}

tn_status tn_bind(const tn_bind_args *args, tn_binding **out, tn_error *err)
{
    tn_binder b = { 0 };
    tn_bind_args copy;

    *out = NULL;
    tn_binding *binding = tn_alloc_array(1, sizeof(*binding));
    if (!binding)
        return tn_fail_memory(err, "the bound graph");
    binding->graph = args->graph;
    binding->max_tokens = args->max_tokens;
    binding->max_seqs = args->max_seqs;
    binding->max_ctx = args->max_ctx;
    binding->block_tokens = args->block_tokens;
    binding->max_rows = args->max_rows;
    tn_status status = copy_args(args, binding, &copy, err);
    if (!status)
        status = tn_binder_init(&b, &copy, binding, err);
    if (!status)
        status = allocate(&b, err);
    if (status)
        goto out;
    find_readers(&b);
    status = bind_linears(&b, err);
    if (!status)
        status = bind_kv(&b, err);
    if (!status)
        status = bind_rest(&b, err);
    if (status)
        goto out;
    finish_nodes(&b);
    warn(&b);
    *out = binding;
    binding = NULL;
out:
    tn_free(b.at);
    tn_free(b.taken);
    tn_free(b.reader);
    tn_binding_destroy(binding);
    return status;
}

void tn_binding_destroy(tn_binding *binding)
{
    if (!binding)
        return;
    tn_free(binding->node);
    tn_free(binding->edge_dtype);
    tn_free(binding->kv);
    tn_arena_deinit(&binding->arena);
    tn_free(binding);
}
