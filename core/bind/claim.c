/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and plugins' answers: who may have a form, who claims it, and the sentence when nobody
 * does. */
#include "core/base/glob.h"
#include "core/bind/binder.h"
#include "core/plugin/normalise.h"

#include <string.h>

/* A layout or a workspace past this is a plugin's mistake in arithmetic, not a wish. */
static const uint64_t MAX_PLAN_BYTES = UINT64_C(1) << 42;

const tn_bind_rule *tn_rule_of(const tn_binder *b, const char *path)
{
    for (int32_t i = 0; i < b->args->n_rules; i++) {
        const tn_bind_rule *rule = &b->args->rule[i];
        if (!tn_glob_match(rule->glob, path))
            continue;
        if (b->device_absent && strcmp(rule->plugin, b->args->fallback) != 0)
            continue;
        return rule;
    }
    return NULL;
}

/* May the candidate have every member of the form? */
static tn_status rules_allow(const tn_binder *b, const tn_form *form, const tn_candidate *candidate,
                             tn_error *why)
{
    for (int32_t i = 0; i < form->n_members; i++) {
        const char *path = b->args->graph->node[form->member[i]].path;
        const tn_bind_rule *rule = tn_rule_of(b, path);
        if (rule && strcmp(rule->plugin, candidate->plugin->name) != 0)
            return tn_fail(why, TN_UNSUPPORTED, "bind rule \"%s\" gives %s to %s", rule->glob, path,
                           rule->plugin);
        if (!rule && candidate->by_rule)
            return tn_fail(why, TN_UNSUPPORTED, "it runs in host and is not the fallback");
    }
    return TN_OK;
}

/* The node as a plugin of this domain would see it. */
static void set_domain(const tn_binder *b, tn_bound_node *bound, int32_t domain)
{
    const tn_bind_args *args = b->args;
    tn_node *node = &bound->node;

    bound->domain = domain;
    node->kvfmt = bound->op->uses_kv ? args->kv_format : NULL;
    node->resid_dtype = b->binding->resid_dtype[domain];
    node->act_dtype = b->binding->act_dtype[domain];
    for (int32_t i = 0; i < node->n_in; i++)
        node->in_dtype[i] = tn_binding_edge_dtype(b->binding, bound->in[i], domain);
    for (int32_t i = 0; i < node->n_out; i++)
        node->out_dtype[i] = tn_binding_edge_dtype(b->binding, bound->out[i], domain);
    node->max_tokens = args->max_tokens;
    node->max_seqs = args->max_seqs;
    node->max_ctx = args->max_ctx;
    node->block_tokens = args->block_tokens;
    node->max_rows = args->max_rows;
}

static tn_status ask_kernel(const tn_plugin_entry *plugin, const tn_kernel *kernel,
                            const tn_bound_node *bound, tn_error *why)
{
    bool weights = false;

    for (int32_t i = 0; i < bound->n_weights; i++)
        weights = weights || bound->weight[i].name;
    if (weights && (!kernel->pack || !kernel->plan))
        return tn_fail(why, TN_UNSUPPORTED, "its kernel %s has no `%s`, and the node has weights",
                       kernel->name, kernel->plan ? "pack" : "plan");
    *why = (tn_error){ 0 };
    return tn_plugin_status(kernel->supports(plugin->self, &bound->node, why), why);
}

tn_status tn_ask(const tn_binder *b, tn_form *form, const tn_candidate *candidate, tn_error *why)
{
    tn_bound_node *bound = &form->bound;
    const tn_plugin_entry *plugin = candidate->plugin;

    if (plugin->state != TN_PLUGIN_LOADED)
        return tn_fail(why, TN_UNSUPPORTED, "%s: %.200s",
                       plugin->state == TN_PLUGIN_SKIPPED ? "skipped" : "failed", plugin->reason);
    if (candidate->domain < 0)
        return tn_fail(why, TN_UNSUPPORTED, "it runs in %s", plugin->api.domain);
    TN_TRY(rules_allow(b, form, candidate, why));
    if (bound->op->uses_kv && !tn_find_kv_format(plugin, b->args->kv_format))
        return tn_fail(why, TN_UNSUPPORTED, "it has no KV format %s", b->args->kv_format);
    set_domain(b, bound, candidate->domain);
    tn_status status = tn_fail(why, TN_UNSUPPORTED, "it has no kernel for %s", bound->op->name);
    for (int32_t i = 0; i < plugin->n_kernels && status; i++) {
        if (strcmp(plugin->kernel[i].op, bound->op->name) != 0)
            continue;
        status = ask_kernel(plugin, &plugin->kernel[i], bound, why);
        bound->kernel = &plugin->kernel[i];
        bound->plugin = plugin;
    }
    return status ? TN_UNSUPPORTED : TN_OK;
}

static tn_status check_plan(tn_binder *b, tn_bound_node *bound, tn_error *err)
{
    tn_plan *plan = &bound->plan;

    if (plan->weight_bytes > MAX_PLAN_BYTES || plan->workspace_bytes > MAX_PLAN_BYTES ||
        plan->zeroed_bytes > MAX_PLAN_BYTES)
        return tn_fail(err, TN_INVALID, "it plans more than 2^42 bytes");
    if (plan->weight_bytes && (!plan->layout || !plan->layout[0]))
        return tn_fail(err, TN_INVALID, "it plans %llu weight bytes without a layout id",
                       (unsigned long long)plan->weight_bytes);
    if (!plan->pack_rows)
        plan->pack_rows = 1;
    plan->layout = tn_arena_strdup(&b->binding->arena, plan->layout ? plan->layout : "");
    return plan->layout ? TN_OK : tn_fail_memory(err, "a weight layout id");
}

tn_status tn_accept(tn_binder *b, const tn_form *form, tn_error *err)
{
    const int32_t place = form->member[form->n_members - 1];
    tn_bound_node *bound = &b->at[place];
    tn_error why = { 0 };

    *bound = form->bound;
    bound->plan = (tn_plan){ .size = sizeof(tn_plan) };
    tn_status status = TN_OK;
    if (bound->kernel->plan)
        status = tn_plugin_status(
            bound->kernel->plan(bound->plugin->self, &bound->node, &bound->plan, &why), &why);
    if (!status)
        status = check_plan(b, bound, &why);
    if (status)
        return tn_fail(err, status, "%s: kernel %s of plugin %s claimed the node, then: %s",
                       bound->node.path, bound->kernel->name, bound->plugin->name, why.text);
    for (int32_t i = 0; i < form->n_members; i++)
        b->taken[form->member[i]] = true;
    if (bound->domain + 1 > b->binding->n_domains)
        b->binding->n_domains = bound->domain + 1;
    return TN_OK;
}

/* "plugin: why", but for plugins that a rule keeps from the form. */
static void add_reason(const tn_binder *b, const tn_form *form, const tn_candidate *candidate,
                       const tn_error *why, tn_strbuf *out)
{
    const tn_bind_rule *rule = tn_rule_of(b, form->bound.node.path);

    if (!rule || strcmp(rule->plugin, candidate->plugin->name) == 0)
        tn_strbuf_printf(out, "%s%s: %s", out->len ? "; " : "", candidate->plugin->name, why->text);
}

/* What the linear's weights are, for the reader of an error. */
static const char *weight_format(const tn_form *form)
{
    if (form->bound.op->param == TN_PARAM_LINEAR)
        return ((const tn_linear *)form->bound.node.param)->part[0]->wfmt;
    if (form->bound.op->param == TN_PARAM_EMBED)
        return ((const tn_embed *)form->bound.node.param)->wfmt;
    return NULL;
}

static tn_status fail_unclaimed(const tn_binder *b, const tn_form *form, const tn_form *also,
                                const tn_strbuf *reasons, tn_error *err)
{
    const char *path = form->bound.node.path, *wfmt = weight_format(form);
    const tn_bind_rule *rule = tn_rule_of(b, path);

    return tn_fail(err, TN_UNSUPPORTED, "no plugin claims node %s (%s%s%s)%s%s%s%s%s: %s", path,
                   form->bound.op->name, wfmt ? " " : "", wfmt ? wfmt : "",
                   also ? " together with " : "", also ? also->bound.node.path : "",
                   rule ? " under bind rule \"" : "", rule ? rule->glob : "", rule ? "\"" : "",
                   reasons->len ? tn_strbuf_text(reasons) : "no plugin is listed");
}

tn_status tn_claim(const tn_binder *b, tn_form *forms, int32_t n_forms, tn_form *also,
                   const tn_form **out, tn_error *err)
{
    const tn_form *narrowest = &forms[n_forms - 1];
    tn_strbuf reasons = TN_STRBUF(4096);
    tn_status status = TN_OK;

    *out = NULL;
    for (int32_t i = 0; i < b->n_candidates && !*out; i++) {
        const tn_candidate *candidate = &b->candidate[i];
        tn_error why = { 0 };
        const bool refused = also && tn_ask(b, also, candidate, &why) != TN_OK;
        for (int32_t j = 0; j < n_forms && !refused && !*out; j++)
            if (tn_ask(b, &forms[j], candidate, &why) == TN_OK)
                *out = &forms[j];
        if (!*out)
            add_reason(b, narrowest, candidate, &why, &reasons);
    }
    if (!*out)
        status = fail_unclaimed(b, narrowest, also, &reasons, err);
    tn_strbuf_deinit(&reasons);
    return status;
}
