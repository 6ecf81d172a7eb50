/* SPDX-License-Identifier: Apache-2.0 */
/* Repro files: written for the first failure of a kernel in a part, and run again. */
#include "apps/check/repro.h"
#include "apps/check/session.h"
#include "apps/check/shrink.h"

#include <tenon/tenon.h>

#include <stdio.h>
#include <string.h>

/* The case alone, on a kernel that was just opened. */
static tn_status run_alone(tn_check_session *s, const tn_plugin_entry *plugin,
                           const tn_kernel *kernel, const tn_check_case *c, int32_t part,
                           tn_check_verdict *out, tn_error *err)
{
    tn_check_reference *r = NULL;
    tn_check_kernel *k = NULL;
    tn_check_expected e = { 0 };
    tn_check_fault fault = { 0 };
    tn_check_next next = { .part = part,
                           .name = c->node.path,
                           .what = "alone",
                           .node = &c->node,
                           .plugin = plugin,
                           .kernel = kernel,
                           .c = c };
    *out = (tn_check_verdict){ 0 };
    tn_check_begin_case(s, &next);
    tn_status status = tn_check_kernel_open(plugin, kernel, &c->node, c->part, c->n_parts,
                                            s->setup->team, &k, &fault, err);
    tn_check_verdict_fault(&fault, out);
    next.plugin = NULL;
    tn_check_begin_case(s, &next);
    if (!status && k)
        status = tn_check_reference_open(s->reference, c->op, &c->node, c->part, c->n_parts,
                                         s->setup->team, &r, err);
    if (!status && k)
        status = tn_check_reference_run(r, c, &e, err);
    next.plugin = plugin;
    tn_check_begin_case(s, &next);
    if (!status && k)
        status = tn_check_one(s, k, c, &e, out, err);
    if (!status && k && part == TN_CHECK_CLAIMS && !out->failed)
        status = tn_check_claims(s, k, c, out, err);
    tn_check_expected_deinit(&e);
    tn_check_reference_close(r);
    tn_check_kernel_close(k);
    return status;
}

/* ---- write ---- */

/* The smallest case of which the kernel still is wrong; false when even the whole one passes alone.
 */
static tn_status smallest(tn_check_session *s, const tn_plugin_entry *plugin,
                          const tn_kernel *kernel, const tn_check_case *c, int32_t part,
                          tn_check_shrunk *out, bool *out_fails, tn_error *err)
{
    static const int32_t ways[] = { TN_SHRINK_BOTH, TN_SHRINK_COLUMNS, TN_SHRINK_ROWS };
    tn_check_verdict whole, v;
    TN_TRY(run_alone(s, plugin, kernel, c, part, &whole, err));
    *out_fails = whole.failed;
    const bool known = whole.metrics.n_bad > 0;
    const int64_t row = known ? whole.metrics.worst_row : c->out[0].rows - 1;
    const int64_t col = known ? whole.metrics.worst_col : c->out[0].width - 1;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && whole.failed; i++) {
        bool done;
        TN_TRY(tn_check_shrink(c, ways[i], row, col, out, &done, err));
        v.failed = false;
        tn_error none = { 0 }; /* a kernel may refuse the smaller node: then it is another one */
        if (done && kernel->supports(plugin->self, &out->c.node, &none) == TN_OK &&
            run_alone(s, plugin, kernel, &out->c, part, &v, err) == TN_OK && v.failed &&
            strcmp(v.metric, whole.metric) == 0)
            return TN_OK;
        tn_check_shrunk_deinit(out);
    }
    *out = (tn_check_shrunk){ .c = *c };
    return TN_OK;
}

/* A file name of the part and the kernel: only letters, digits, dots and dashes. */
static void name_file(const tn_check_session *s, const tn_check_result *r, char *path, size_t cap)
{
    const bool here = strcmp(s->args->repro_dir, ".") == 0;
    const int used = snprintf(path, cap, "%s%s", here ? "" : s->args->repro_dir, here ? "" : "/");
    if (used < 0 || (size_t)used >= cap)
        return;
    char *name = path + used;
    (void)snprintf(name, cap - (size_t)used, "tenon-repro-%s-%s-seed%llu.safetensors",
                   tn_check_part_name(r->part), r->kernel, (unsigned long long)s->args->seed);
    for (char *c = name; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", *c))
            *c = '-';
}

static bool has_file(const tn_check_session *s, const tn_check_result *r)
{
    const tn_check_results *all = &s->report->results;
    for (int32_t i = 0; i < all->n; i++)
        if (all->item[i].part == r->part && *all->item[i].repro &&
            strcmp(all->item[i].kernel, r->kernel) == 0)
            return true;
    return false;
}

static tn_status write_case(tn_check_session *s, tn_check_result *r, const tn_check_case *c,
                            tn_error *err)
{
    tn_check_results *all = &s->report->results;
    char path[1024], seed[32];
    (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)s->args->seed);
    name_file(s, r, path, sizeof path);
    char text[256]; /* a long finding is cut */
    (void)snprintf(text, sizeof text, "%s", r->text);
    const tn_check_repro repro = { .c = *c,
                                   .part = tn_check_part_name(r->part),
                                   .plugin = r->plugin,
                                   .kernel = r->kernel,
                                   .against = s->args->against,
                                   .metric = r->metric,
                                   .text = text,
                                   .seed = seed,
                                   .tenon = tn_version() };
    TN_TRY(tn_check_repro_write(&repro, path, err));
    r->repro = tn_check_results_text(all, "%s", path);
    return TN_OK;
}

static tn_status save(tn_check_session *s, tn_check_result *r, const tn_plugin_entry *plugin,
                      const tn_kernel *kernel, const tn_check_case *c, tn_error *err)
{
    tn_check_results *all = &s->report->results;
    tn_check_shrunk shrunk;
    tn_error why = { 0 };
    bool fails;
    TN_TRY(smallest(s, plugin, kernel, c, r->part, &shrunk, &fails, err));
    if (write_case(s, r, &shrunk.c, &why))
        r->text = tn_check_results_text(all, "%s (no repro file: %s)", r->text, why.text);
    else if (!fails)
        r->text = tn_check_results_text(all, "%s (alone it passes: it depends on what ran before)",
                                        r->text);
    tn_check_shrunk_deinit(&shrunk);
    return TN_OK;
}

tn_status tn_check_save(tn_check_session *s, int32_t result, const tn_plugin_entry *plugin,
                        const tn_kernel *kernel, const tn_check_case *c, tn_error *err)
{
    tn_check_result *r = &s->report->results.item[result];
    tn_setup again = { .team = s->setup->team };
    if (!s->args->repro_dir || r->state != TN_CHECK_FAILED || has_file(s, r))
        return TN_OK;
    /* On an instance of its own, where no case before it has left anything. */
    tn_status status = tn_check_open_again(s, &again, err);
    const tn_plugin_entry *same = status ? NULL : tn_check_same_plugin(&again, plugin);
    if (same)
        status = save(s, r, same, &same->kernel[kernel - plugin->kernel], c, err);
    again.profile = NULL; /* the setup's, as the team */
    again.team = NULL;
    tn_setup_close(&again);
    return status;
}

/* ---- run again ---- */

static tn_status find_plugin(const tn_check_session *s, const tn_check_repro *repro,
                             const tn_plugin_entry **out, tn_error *err)
{
    const tn_plugin_entry *p = tn_plugin_set_find(s->setup->plugins, repro->plugin);
    *out = p;
    if (!p)
        return tn_fail(err, TN_INVALID,
                       "the profile does not list the plugin %s, which the repro file is of",
                       repro->plugin);
    if (p->state != TN_PLUGIN_LOADED)
        return tn_fail(err, TN_INVALID,
                       "the plugin %s is not there: %s; --profile or --plugin-dir may name another "
                       "place",
                       repro->plugin, p->reason);
    return TN_OK;
}

static tn_status find_kernel(const tn_plugin_entry *plugin, const tn_check_repro *repro,
                             const tn_kernel **out, tn_error *err)
{
    tn_error why = { 0 };
    *out = NULL;
    for (int32_t i = 0; i < plugin->n_kernels && !*out; i++)
        if (strcmp(plugin->kernel[i].name, repro->kernel) == 0 &&
            strcmp(plugin->kernel[i].op, repro->c.node.op) == 0)
            *out = &plugin->kernel[i];
    if (!*out)
        return tn_fail(err, TN_INVALID, "%s has no kernel %s for %s any more", plugin->name,
                       repro->kernel, repro->c.node.op);
    if ((*out)->supports(plugin->self, &repro->c.node, &why) != TN_OK)
        return tn_fail(err, TN_INVALID, "%s does not support the case any more: %s", repro->kernel,
                       why.text);
    return TN_OK;
}

tn_status tn_check_replay(tn_check_session *s, const tn_check_repro *repro, tn_error *err)
{
    const tn_plugin_entry *plugin;
    const tn_kernel *kernel;
    tn_check_verdict v;
    const bool claims = strcmp(repro->part, tn_check_part_name(TN_CHECK_CLAIMS)) == 0;
    const int32_t part = claims ? TN_CHECK_CLAIMS : TN_CHECK_OPS;
    TN_TRY(find_plugin(s, repro, &plugin, err));
    TN_TRY(find_kernel(plugin, repro, &kernel, err));
    TN_TRY(run_alone(s, plugin, kernel, &repro->c, part, &v, err));
    tn_check_result *r =
        tn_check_add_result(s, part, repro->c.node.path, &repro->c.node, plugin->name, kernel);
    if (!r)
        return tn_fail_memory(err, "the results");
    tn_check_note(s, r, &repro->c, repro->c.name, &v);
    return TN_OK;
}
