/* SPDX-License-Identifier: Apache-2.0 */
/* tenon check: the plugins of a profile, or one plugin alone, held against the reference. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "apps/check/check.h"
#include "apps/check/report.h"
#include "apps/check/repro.h"
#include "apps/check/watch.h"
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"
#include "apps/cli/terminal.h"
#include "core/base/alloc.h"
#include "model/formats/write_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    tn_cli_progress_update(ctx, done, total);
}

/* --only op=NAME. */
static tn_status only_op(const tn_cli_options *o, const char **out, tn_error *err)
{
    *out = NULL;
    if (!o->only)
        return TN_OK;
    if (strncmp(o->only, "op=", 3) != 0 || !o->only[3])
        return tn_fail(err, TN_INVALID, "--only takes op=NAME, as in op=attention, not \"%s\"",
                       o->only);
    *out = o->only + 3;
    return TN_OK;
}

/* Whole or not at all. path NULL: it was not asked for. */
static int write_report(const tn_check_report *r, const char *path,
                        void (*make)(const tn_check_report *r, tn_strbuf *out))
{
    tn_strbuf out = TN_STRBUF((size_t)64 << 20);
    tn_error err = { 0 };
    if (!path)
        return TN_EXIT_OK;
    make(r, &out);
    const tn_file_part part = { tn_strbuf_text(&out), out.len };
    const tn_write_args args = { .part = &part, .n_parts = 1, .mode = 0666 };
    tn_status status = tn_strbuf_status(&out, path, &err);
    if (!status)
        status = tn_write_file(path, &args, &err);
    tn_strbuf_deinit(&out);
    if (!status)
        return TN_EXIT_OK;
    (void)tn_cli_error(status, &err);
    return TN_EXIT_FAILED;
}

/* Before minutes of work: can there be a file of that name? */
static tn_status check_path(const char *path, tn_error *err)
{
    tn_file_writer *w = NULL;
    if (!path)
        return TN_OK;
    const tn_status status = tn_file_writer_open(path, 0666, &w, err);
    tn_file_writer_abort(w);
    return status;
}

static int report(const tn_check_report *r, const tn_cli_options *o)
{
    tn_strbuf out = TN_STRBUF((size_t)64 << 20);
    if (!o->json)
        tn_check_text(r, o->verbose, &out);
    int exit_status = o->json ? tn_cli_print_json(tn_check_json(r)) : tn_cli_print(&out);
    tn_strbuf_deinit(&out);
    if (write_report(r, o->junit, tn_check_junit))
        exit_status = TN_EXIT_FAILED;
    if (write_report(r, o->html, tn_check_html))
        exit_status = TN_EXIT_FAILED;
    return exit_status ? exit_status : r->passed ? TN_EXIT_OK : TN_EXIT_FAILED;
}

static tn_status run(const tn_cli_options *o, tn_setup *setup, const tn_check_repro *repro,
                     tn_check_watch *watch, tn_check_report *out, tn_error *err)
{
    tn_cli_progress progress;
    tn_check_args args = { .setup = setup,
                           .against = o->against ? o->against : setup->profile->check_against,
                           .node = o->node,
                           .seed = o->has_seed ? o->seed : 1,
                           .quick = o->quick,
                           .repro_dir = o->repro_dir ? o->repro_dir : ".",
                           .repro = repro,
                           .watch = watch,
                           .progress = on_progress,
                           .ctx = &progress };
    TN_TRY(only_op(o, &args.op, err));
    tn_cli_progress_init(&progress, "checking", TN_CLI_COUNT, o);
    const tn_status status = tn_check_run(&args, out, err);
    tn_cli_progress_end(&progress);
    return status;
}

static tn_status check_profile(const tn_cli_options *o, tn_setup *setup, tn_check_watch *watch,
                               tn_check_report *out, tn_error *err)
{
    const char *sets[TN_CLI_MAX_SETS];
    char thread_set[32];
    TN_TRY(tn_cli_need_model(o, err));
    const tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    TN_TRY(tn_setup_open(setup, &args, err));
    return run(o, setup, NULL, watch, out, err);
}

/* ---- --plugin ---- */

static tn_status check_plugin_options(const tn_cli_options *o, tn_error *err)
{
    const char *given = o->profile ? "profile" : o->model ? "model" : o->node ? "node" : NULL;
    if (given || o->set.n > 0)
        return tn_fail(err, TN_INVALID,
                       "--plugin checks a plugin alone; --%s belongs to the check of a profile",
                       given ? given : "set");
    return TN_OK;
}

static tn_status plugin_path(const tn_cli_options *o, char path[PATH_MAX], tn_error *err)
{
    if (realpath(o->plugin, path))
        return TN_OK;
    return tn_fail(err, TN_INVALID, "--plugin %s: %s; give the path of a plugin's file", o->plugin,
                   strerror(errno));
}

static tn_status check_plugin(const tn_cli_options *o, char path[PATH_MAX], tn_check_watch *watch,
                              tn_check_report *out, tn_error *err)
{
    tn_cli_progress progress;
    tn_check_plugin_args args = { .path = path,
                                  .plugin_dir = o->plugin_dir,
                                  .against = o->against ? o->against : "cpu-ref",
                                  .seed = o->has_seed ? o->seed : 1,
                                  .threads = o->threads,
                                  .watch = watch,
                                  .repro_dir = o->repro_dir ? o->repro_dir : ".",
                                  .progress = on_progress,
                                  .ctx = &progress };
    TN_TRY(check_plugin_options(o, err));
    TN_TRY(only_op(o, &args.op, err));
    TN_TRY(plugin_path(o, path, err));
    tn_cli_progress_init(&progress, "checking", TN_CLI_COUNT, o);
    const tn_status status = tn_check_plugin(&args, out, err);
    tn_cli_progress_end(&progress);
    return status;
}

/* ---- --repro ---- */

/* The key `plugins` for the one of the file: by its name, or at the place that --plugin gives. A
 * path in a file that somebody sent would be code to run, so there is none. */
static tn_status plugins_key(const tn_cli_options *o, const tn_check_repro *repro, char **out,
                             tn_error *err)
{
    char path[PATH_MAX];
    tn_strbuf key = TN_STRBUF(8 * PATH_MAX);
    *out = NULL;
    if (o->plugin)
        TN_TRY(plugin_path(o, path, err));
    json_t *quoted = o->plugin ? json_string(path) : NULL; /* which YAML reads as JSON does */
    char *text = quoted ? json_dumps(quoted, JSON_ENCODE_ANY) : NULL;
    tn_strbuf_printf(&key, "plugins=[{name: %s", repro->plugin);
    if (o->plugin && text)
        tn_strbuf_printf(&key, ", path: %s", text);
    tn_strbuf_puts(&key, "}]");
    json_decref(quoted);
    tn_free(text);
    *out = tn_strbuf_take(&key);
    tn_strbuf_deinit(&key);
    if (o->plugin && !text)
        return tn_fail(err, TN_INVALID, "--plugin %s: its path is no UTF-8", o->plugin);
    return *out ? TN_OK : tn_fail_memory(err, "the plugin list");
}

static tn_status check_repro_options(const tn_cli_options *o, tn_error *err)
{
    const char *given = o->node ? "node" : o->only ? "only" : o->quick ? "quick" : NULL;
    if (given)
        return tn_fail(err, TN_INVALID,
                       "--repro runs the one case of its file; --%s belongs to the check of a "
                       "profile",
                       given);
    if (o->plugin && (o->profile || o->model))
        return tn_fail(err, TN_INVALID,
                       "--repro takes the plugin from --plugin or from a profile, not from both");
    return TN_OK;
}

/* Of a profile only the plugins are opened: the file has the rest. */
static tn_status check_repro(const tn_cli_options *o, tn_setup *setup, tn_check_watch *watch,
                             tn_check_report *out, tn_error *err)
{
    const char *sets[TN_CLI_MAX_SETS + 1];
    char thread_set[32], *key = NULL;
    tn_check_repro repro;
    TN_TRY(check_repro_options(o, err));
    TN_TRY(tn_check_repro_read(o->repro, &repro, err));
    tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    const bool has_profile = o->profile || o->model;
    tn_status status = has_profile ? TN_OK : plugins_key(o, &repro, &key, err);
    if (key)
        sets[args.n_sets++] = key;
    const tn_profile_options options = { .path = args.profile,
                                         .model = has_profile ? args.model : "none",
                                         .sets = sets,
                                         .n_sets = (size_t)args.n_sets };
    if (!status)
        status = tn_profile_load(&options, &setup->profile, err);
    if (!status)
        status = tn_setup_plugins(setup, o->plugin_dir, err);
    if (!status)
        status = run(o, setup, &repro, watch, out, err);
    tn_check_repro_deinit(&repro);
    tn_free(key);
    return status;
}

/* watch NULL: in a process that nobody watches. */
static int check(const tn_cli_options *o, tn_check_watch *watch)
{
    tn_error err = { 0 };
    tn_setup setup = { .graph = { .logits = -1, .argmax = -1 } };
    tn_check_report r = { 0 };
    char path[PATH_MAX]; /* which the report borrows */
    int exit_status = TN_EXIT_USAGE;
    const tn_status status = o->repro    ? check_repro(o, &setup, watch, &r, &err)
                             : o->plugin ? check_plugin(o, path, watch, &r, &err)
                                         : check_profile(o, &setup, watch, &r, &err);
    tn_setup_close(&setup); /* plugins may also crash or hang when they are closed */
    tn_check_watch_finished(watch);
    if (status)
        (void)tn_cli_error(status, &err); /* whatever kept it from running: 2 */
    else
        exit_status = report(&r, o);
    tn_check_report_deinit(&r);
    return exit_status;
}

/* ---- a check that died ---- */

/* A word as a shell reads it. */
static void put_word(tn_strbuf *out, const char *option, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:/=_+-";
    if (!word)
        return;
    tn_strbuf_printf(out, " --%s ", option);
    if (word[strspn(word, plain)] == 0 && *word) {
        tn_strbuf_puts(out, word);
        return;
    }
    tn_strbuf_puts(out, "'");
    for (; *word; word++)
        tn_strbuf_printf(out, *word == '\'' ? "'\\''" : "%c", *word);
    tn_strbuf_puts(out, "'");
}

/* The command of this check, narrowed to what ran: cases and inputs come from the seed. */
static void put_again(const tn_cli_options *o, const tn_check_result *begun, tn_strbuf *out)
{
    const bool lockstep = begun->part == TN_CHECK_LOCKSTEP, cases = begun->part == TN_CHECK_OPS;
    const bool of_node = strncmp(begun->node, "cases of ", 9) != 0;
    char only[80] = "", number[32];
    tn_strbuf_puts(out, "tenon check");
    put_word(out, "profile", o->profile);
    put_word(out, "model", o->model);
    put_word(out, "plugin", o->plugin);
    put_word(out, "repro", o->repro);
    for (int32_t i = 0; i < o->set.n; i++)
        put_word(out, "set", o->set.item[i]);
    put_word(out, "plugin-dir", o->plugin_dir);
    put_word(out, "against", o->against);
    (void)snprintf(number, sizeof number, "%d", (int)o->threads);
    put_word(out, "threads", o->threads > 0 ? number : NULL);
    if (!o->repro && (lockstep || begun->part == TN_CHECK_CLAIMS) && of_node)
        put_word(out, "node", begun->node);
    if (!o->repro && (cases || begun->part == TN_CHECK_CLAIMS) && !of_node)
        (void)snprintf(only, sizeof only, "op=%s", begun->op);
    put_word(out, "only", *only ? only : o->only);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)(o->has_seed ? o->seed : 1));
    put_word(out, "seed", number);
    if (o->quick)
        tn_strbuf_puts(out, " --quick");
}

/* A plugin that crashes when it is loaded is one of these. */
static void put_loaded(const tn_cli_options *o, tn_strbuf *out)
{
    const char *sets[TN_CLI_MAX_SETS];
    char thread_set[32];
    tn_error err = { 0 };
    tn_profile *profile = NULL;
    const tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    const tn_profile_options options = {
        .path = args.profile, .model = o->model, .sets = sets, .n_sets = (size_t)args.n_sets
    };
    tn_strbuf_puts(out, "plugins are opened, and asked what they support");
    if (o->plugin || tn_profile_load(&options, &profile, &err))
        return;
    for (size_t i = 0; i < profile->n_plugins; i++)
        tn_strbuf_printf(out, "%s%s", i ? ", " : ": ", profile->plugins[i].name);
    tn_profile_destroy(profile);
}

/* The report that the child could not give. */
static tn_status make_report(const tn_cli_options *o, tn_check_watch *w, tn_error *err)
{
    tn_strbuf again = TN_STRBUF(1 << 16), loaded = TN_STRBUF(1 << 16);
    tn_check_report *r = &w->report;
    tn_check_result begun;
    TN_TRY(tn_check_watch_found(w, &begun, err));
    r->profile = o->plugin && !o->repro ? NULL : o->profile ? o->profile : "default";
    r->plugin = r->profile ? NULL : o->plugin;
    r->seed = o->has_seed ? o->seed : 1;
    if (!*r->against) /* it did not come so far as to know it */
        r->against = o->against ? o->against : "cpu-ref";
    if (strcmp(begun.node, "loading") == 0) {
        put_loaded(o, &loaded);
        begun.shape = tn_strbuf_text(&loaded);
    }
    put_again(o, &begun, &again);
    const tn_status status = tn_check_watch_fail(w, &begun, tn_strbuf_text(&again), err);
    tn_strbuf_deinit(&again);
    tn_strbuf_deinit(&loaded);
    return status;
}

static int watch(const tn_cli_options *o, tn_check_watch *w)
{
    tn_error err = { 0 };
    int exit_status;
    if (tn_check_watch_wait(w, o->has_timeout ? o->timeout : TN_CHECK_SILENT_S, &exit_status))
        return exit_status;
    if (!o->quiet && tn_cli_is_terminal(STDERR_FILENO))
        fputs("\r\033[K", stderr); /* the child's progress */
    if (tn_check_watch_is_finished(w)) {
        fprintf(stderr, "tenon: the check is done, but %s\n", w->how);
        return TN_EXIT_FAILED;
    }
    const tn_status status = make_report(o, w, &err);
    (void)(status ? tn_cli_error(status, &err) : report(&w->report, o));
    return TN_EXIT_FAILED;
}

int tn_cmd_check(const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_check_watch w;
    const bool alone = o->has_timeout && o->timeout == 0;
    tn_status status = check_path(o->junit, &err);
    if (!status)
        status = check_path(o->html, &err);
    if (!status && !alone)
        status = tn_check_watch_open(&w, &err);
    if (status) {
        (void)tn_cli_error(status, &err);
        return TN_EXIT_USAGE;
    }
    if (alone)
        return check(o, NULL);
    const int exit_status = w.child == 0 ? check(o, &w) : watch(o, &w);
    tn_check_watch_close(&w);
    return exit_status;
}
