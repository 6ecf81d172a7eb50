/* SPDX-License-Identifier: Apache-2.0 */
/* tenon check --plugin: one plugin without a model. Its file is read before anything of it runs. */
#include "apps/check/hygiene.h"
#include "apps/check/session.h"
#include "core/base/alloc.h"
#include "core/plugin/loader.h"
#include "runtime/host_cpus.h"

#include <string.h>

static const uint32_t known_flags =
    TN_K_CAPTURE_SAFE | TN_K_DETERMINISTIC | TN_K_BATCH_INVARIANT | TN_K_IN_PLACE;

/* A rule about the plugin as a whole, and what became of it. text: "" when it is kept. */
static tn_status add_rule(tn_check_session *s, const char *plugin, const char *rule, int32_t state,
                          const char *text, tn_error *err)
{
    tn_check_results *all = &s->report->results;
    tn_check_result *r = tn_check_results_add(all, TN_CHECK_PLUGIN, rule);
    if (!r)
        return tn_fail_memory(err, "the results");
    r->plugin = tn_check_results_text(all, "%s", plugin);
    r->state = state;
    r->n_cases = 1;
    r->metric = rule;
    r->value = state == TN_CHECK_FAILED;
    r->text = tn_check_results_text(all, "%s", text);
    if (state == TN_CHECK_FAILED)
        s->report->passed = false;
    return TN_OK;
}

/* ---- the file ---- */

static tn_status check_file(tn_check_session *s, const char *path, tn_error *err)
{
    const char *slash = strrchr(path, '/');
    const tn_hygiene_context context = { .sanitized = tn_host_sanitizer() != TN_SANITIZER_NONE,
                                         .emulated = slash && slash - path >= 4 &&
                                                     memcmp(slash - 4, "/sim", 4) == 0 };
    tn_shared_object so;
    char text[512];
    TN_TRY(tn_shared_object_read(path, &so, err));
    tn_status status = TN_OK;
    for (int32_t rule = 0; rule < TN_N_HYGIENE && !status; rule++) {
        const bool kept = tn_hygiene_check(&so, rule, context, text, sizeof text);
        status = add_rule(s, path, tn_hygiene_name(rule), kept ? TN_CHECK_PASSED : TN_CHECK_FAILED,
                          text, err);
    }
    tn_shared_object_deinit(&so);
    return status;
}

/* ---- the descriptor ---- */

static bool same_kernel(const tn_kernel *a, const tn_kernel *b)
{
    return strcmp(a->op, b->op) == 0 && strcmp(a->name, b->name) == 0;
}

static int32_t count_raw(const tn_plugin_entry *p)
{
    int32_t n = 0;
    while (p->api.kernels && p->api.kernels[n])
        n++;
    return n;
}

static tn_status check_kernels(tn_check_session *s, const tn_plugin_entry *p, tn_error *err)
{
    char text[512] = "";
    for (int32_t i = 0; i < p->n_kernels && !*text; i++) {
        if (p->kernel[i].flags & ~known_flags)
            (void)snprintf(text, sizeof text, "kernel %s has flags 0x%x that are not defined",
                           p->kernel[i].name, (unsigned)(p->kernel[i].flags & ~known_flags));
        for (int32_t k = 0; k < i && !*text; k++)
            if (same_kernel(&p->kernel[i], &p->kernel[k]))
                (void)snprintf(text, sizeof text, "two kernels for %s are called %s",
                               p->kernel[i].op, p->kernel[i].name);
    }
    TN_TRY(add_rule(s, p->name, "kernels", *text ? TN_CHECK_FAILED : TN_CHECK_PASSED, text, err));
    const int32_t unknown = count_raw(p) - p->n_kernels;
    if (unknown == 0)
        return TN_OK;
    (void)snprintf(text, sizeof text, "%d kernels are for ops that this program does not know",
                   (int)unknown);
    return add_rule(s, p->name, "unknown ops", TN_CHECK_SKIPPED, text, err);
}

static tn_status check_descriptor(tn_check_session *s, const tn_plugin_entry *p, tn_error *err)
{
    if (p->state == TN_PLUGIN_SKIPPED)
        return tn_fail(err, TN_UNAVAILABLE, "the plugin %s cannot run here: %s", p->name,
                       p->reason);
    TN_TRY(add_rule(s, p->name, "descriptor",
                    p->state == TN_PLUGIN_LOADED ? TN_CHECK_PASSED : TN_CHECK_FAILED, p->reason,
                    err));
    return p->state == TN_PLUGIN_LOADED ? check_kernels(s, p, err) : TN_OK;
}

/* ---- what it supports ---- */

static bool was_asked(const tn_check_session *s, const tn_kernel *kernel)
{
    const tn_check_results *all = &s->report->results;
    for (int32_t i = 0; i < all->n; i++)
        if (all->item[i].part == TN_CHECK_OPS && strcmp(all->item[i].kernel, kernel->name) == 0)
            return true;
    return false;
}

/* A kernel without a single case is not proven; a plugin without one fails. */
static tn_status check_support(tn_check_session *s, const tn_plugin_entry *p, tn_error *err)
{
    char text[512];
    int32_t proven = 0;
    for (int32_t i = 0; i < p->n_kernels; i++) {
        const tn_kernel *kernel = &p->kernel[i];
        if (s->args->op && strcmp(s->args->op, kernel->op) != 0)
            continue;
        if (was_asked(s, kernel)) {
            proven++;
            continue;
        }
        (void)snprintf(text, sizeof text,
                       "no case of %s reached the kernel %s: nothing is known about it", kernel->op,
                       kernel->name);
        TN_TRY(add_rule(s, p->name, kernel->name, TN_CHECK_SKIPPED, text, err));
    }
    return add_rule(
        s, p->name, "support", proven ? TN_CHECK_PASSED : TN_CHECK_FAILED,
        proven ? "" : "it supports no case of any op: a plugin that claims nothing fails", err);
}

/* ---- all ---- */

tn_status tn_check_open_plugin(const tn_plugin_spec *spec, const char *plugin_dir, tn_team *team,
                               tn_plugin_set **out, tn_error *err)
{
    const tn_plugin_set_args args = { .spec = spec,
                                      .n_specs = 1,
                                      .plugin_dir = plugin_dir,
                                      .device = "cpu",
                                      .fallback = "none",
                                      .team = team };
    return tn_plugin_set_open(&args, out, err);
}

static tn_status check_all(tn_check_session *s, tn_setup *setup, tn_error *err)
{
    TN_TRY(check_file(s, s->plugin->path, err));
    tn_check_begin(s, &(tn_check_result){ .part = TN_CHECK_PLUGIN,
                                          .node = "descriptor",
                                          .plugin = s->plugin->path,
                                          .shape = "its file is loaded, and it is opened" });
    TN_TRY(tn_check_open_plugin(s->plugin, setup->plugin_dir, setup->team, &setup->plugins, err));
    const tn_plugin_entry *p = tn_plugin_set_entry(setup->plugins, 0);
    TN_TRY(check_descriptor(s, p, err));
    if (p->state != TN_PLUGIN_LOADED || p->n_kernels == 0)
        return TN_OK;
    TN_TRY(tn_check_open_reference(s, err));
    TN_TRY(tn_check_ops(s, err));
    return check_support(s, p, err);
}

tn_status tn_check_plugin(const tn_check_plugin_args *args, tn_check_report *out, tn_error *err)
{
    const double start = tn_check_now_s();
    tn_setup setup = { .graph = { .logits = -1, .argmax = -1 } };
    const tn_plugin_spec spec = { .path = args->path };
    const tn_check_args ops = { .setup = &setup,
                                .against = args->against,
                                .op = args->op,
                                .seed = args->seed,
                                .repro_dir = args->repro_dir,
                                .watch = args->watch,
                                .progress = args->progress,
                                .ctx = args->ctx };
    tn_check_session s = { .args = &ops, .setup = &setup, .plugin = &spec, .report = out };
    *out = (tn_check_report){ .seed = args->seed, .passed = true };
    out->plugin = tn_check_results_text(&out->results, "%s", args->path);
    out->against = tn_check_results_text(&out->results, "%s", args->against);
    tn_status status = tn_check_known_op(args->op, err);
    if (!status)
        status = tn_setup_plugin_dir(&setup, args->plugin_dir, err);
    if (!status)
        status = tn_host_team_create(args->threads, TN_PROFILE_AFFINITY_NONE, &setup.team, err);
    if (!status)
        status = check_all(&s, &setup, err);
    tn_check_session_close(&s);
    tn_setup_close(&setup);
    out->seconds = tn_check_now_s() - start;
    if (status)
        tn_check_report_deinit(out);
    return status;
}
