/* SPDX-License-Identifier: Apache-2.0 */
/* What a check holds the kernels against, and the end of a session. */
#include "apps/check/session.h"

#include "apps/check/watch.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void tn_check_begin(const tn_check_session *s, const tn_check_result *next)
{
    tn_check_watch_begin(s->args->watch, s->report, next);
}

void tn_check_begin_case(const tn_check_session *s, const tn_check_next *next)
{
    const tn_kernel *kernel = next->plugin ? next->kernel : NULL;
    char shape[512];
    const int used = snprintf(shape, sizeof shape, "%.160s", next->what);
    if (next->c) {
        memcpy(shape + used, ": ", 3);
        tn_check_case_shape(next->c, shape + used + 2, sizeof shape - (size_t)used - 2);
    }
    tn_check_begin(
        s, &(tn_check_result){ .part = next->part,
                               .layer = next->node->layer,
                               .node = next->name,
                               .op = next->node->op,
                               .plugin = next->plugin ? next->plugin->name : s->args->against,
                               .kernel = kernel         ? kernel->name
                                         : next->plugin ? "(supports)"
                                                        : "(the reference)",
                               .tolerance = kernel ? kernel->tolerance : "-",
                               .shape = shape });
}

void tn_check_alive(const tn_check_session *s)
{
    tn_check_watch_alive(s->args->watch);
}

static bool is_profile(const char *against)
{
    const size_t n = strlen(against);
    return strchr(against, '/') || (n > 5 && strcmp(against + n - 5, ".yaml") == 0) ||
           (n > 4 && strcmp(against + n - 4, ".yml") == 0);
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return strcmp(a, b) == 0 ||
           (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* All that is taken from a profile is its plugins, with their options: model, KV format and bounds
 * are those of the profile under test, so that nothing but the kernels differs. */
static tn_status open_profile(tn_check_session *s, tn_error *err)
{
    const tn_profile_options options = { .path = s->args->against };
    const tn_profile *own = s->setup->profile;
    TN_TRY(tn_profile_load(&options, &s->against.profile, err));
    if (own && !s->args->repro && !same_file(own->model, s->against.profile->model))
        return tn_fail(err, TN_INVALID,
                       "--against %s: it is a profile of another model (%s, not %s); kernels are "
                       "compared on one model",
                       s->args->against, s->against.profile->model, own->model);
    s->against.team = s->setup->team;
    TN_TRY(tn_setup_plugins(&s->against, s->setup->plugin_dir, err));
    return tn_plugin_set_require(s->against.plugins, err);
}

/* By its name, from the plugin directory that was given, or from the installed one. */
static tn_status open_by_name(tn_check_session *s, tn_error *err)
{
    const tn_plugin_spec spec = { .name = s->args->against };
    TN_TRY(tn_check_open_plugin(&spec, s->setup->plugin_dir, s->setup->team, &s->against.plugins,
                                err));
    if (tn_plugin_set_entry(s->against.plugins, 0)->state == TN_PLUGIN_LOADED)
        return TN_OK;
    tn_plugin_set *installed = NULL;
    TN_TRY(tn_setup_plugin_dir(&s->against, NULL, err));
    TN_TRY(tn_check_open_plugin(&spec, s->against.plugin_dir, s->setup->team, &installed, err));
    if (tn_plugin_set_entry(installed, 0)->state == TN_PLUGIN_LOADED) {
        tn_plugin_set_close(s->against.plugins);
        s->against.plugins = installed;
        return TN_OK;
    }
    tn_plugin_set_close(installed);
    return tn_fail(err, TN_INVALID, "the reference %s is not there: %s", s->args->against,
                   tn_plugin_set_entry(s->against.plugins, 0)->reason);
}

tn_status tn_check_open_reference(tn_check_session *s, tn_error *err)
{
    tn_check_begin(s, &(tn_check_result){ .part = TN_CHECK_PLUGIN,
                                          .node = "reference",
                                          .plugin = s->args->against,
                                          .shape = "the reference is opened" });
    TN_TRY(is_profile(s->args->against) ? open_profile(s, err) : open_by_name(s, err));
    s->reference = s->against.plugins;
    return TN_OK;
}

tn_status tn_check_open_again(tn_check_session *s, tn_setup *again, tn_error *err)
{
    again->profile = s->setup->profile;
    if (s->plugin)
        return tn_check_open_plugin(s->plugin, s->setup->plugin_dir, again->team, &again->plugins,
                                    err);
    return tn_setup_plugins(again, s->setup->plugin_dir, err);
}

const tn_plugin_entry *tn_check_same_plugin(const tn_setup *again, const tn_plugin_entry *plugin)
{
    const tn_plugin_entry *p = tn_plugin_set_find(again->plugins, plugin->name);
    return p && p->state == TN_PLUGIN_LOADED && p->n_kernels == plugin->n_kernels ? p : NULL;
}

/* The other setups borrow what the session does not own. */
void tn_check_session_close(tn_check_session *s)
{
    tn_check_begin(s, &(tn_check_result){ .part = TN_CHECK_PLUGIN,
                                          .node = "closing",
                                          .shape = "plugins are closed" });
    tn_check_runners_close(s);
    tn_check_schedule_deinit(&s->schedule);
    s->against.team = NULL;
    tn_setup_close(&s->against);
    s->other.profile = NULL;
    tn_setup_close(&s->other);
}

tn_check_schedule_args tn_check_session_schedule(const tn_check_session *s)
{
    const tn_binding *b = s->setup->binding;
    return (tn_check_schedule_args){ .desc = &s->setup->desc,
                                     .vocab = b->graph->edge[b->graph->logits].width,
                                     .max_tokens = b->max_tokens,
                                     .max_seqs = b->max_seqs,
                                     .max_ctx = b->max_ctx,
                                     .max_rows = b->max_rows,
                                     .block_tokens = b->block_tokens,
                                     .seed = s->args->seed,
                                     .quick = s->args->quick };
}
