/* SPDX-License-Identifier: Apache-2.0 */
/* tenon check: the plugins of a profile, held against the reference. */
#include "apps/check/check.h"
#include "apps/check/report.h"
#include "apps/check/repro.h"
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"

#include <stdio.h>
#include <string.h>

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

static int report(const tn_check_report *r, const tn_cli_options *o)
{
    tn_strbuf out = TN_STRBUF((size_t)64 << 20);
    if (!o->json)
        tn_check_text(r, o->verbose, &out);
    const int exit_status = o->json ? tn_cli_print_json(tn_check_json(r)) : tn_cli_print(&out);
    tn_strbuf_deinit(&out);
    return exit_status ? exit_status : r->passed ? TN_EXIT_OK : TN_EXIT_FAILED;
}

static tn_status run(const tn_cli_options *o, tn_setup *setup, const tn_check_repro *repro,
                     tn_check_report *out, tn_error *err)
{
    tn_cli_progress progress;
    tn_check_args args = { .setup = setup,
                           .against = o->against ? o->against : setup->profile->check_against,
                           .node = o->node,
                           .seed = o->has_seed ? o->seed : 1,
                           .quick = o->quick,
                           .repro_dir = o->repro_dir ? o->repro_dir : ".",
                           .repro = repro,
                           .progress = on_progress,
                           .ctx = &progress };
    TN_TRY(only_op(o, &args.op, err));
    tn_cli_progress_init(&progress, "checking", TN_CLI_COUNT, o);
    const tn_status status = tn_check_run(&args, out, err);
    tn_cli_progress_end(&progress);
    return status;
}

static tn_status check_profile(const tn_cli_options *o, tn_setup *setup, tn_check_report *out,
                               tn_error *err)
{
    const char *sets[TN_CLI_MAX_LIST + 1];
    char thread_set[32];
    TN_TRY(tn_cli_need_model(o, err));
    const tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    TN_TRY(tn_setup_open(setup, &args, err));
    return run(o, setup, NULL, out, err);
}

/* Plugins only: those of the profile, or the one of the file by its name. A path in a file that
 * somebody sent would be code to run, so there is none. */
static tn_status check_repro(const tn_cli_options *o, tn_setup *setup, const tn_check_repro *repro,
                             tn_check_report *out, tn_error *err)
{
    const char *sets[TN_CLI_MAX_LIST + 2];
    char thread_set[32], plugin_set[320];
    tn_open_args args = tn_cli_open_args(o, sets, thread_set);
    (void)snprintf(plugin_set, sizeof plugin_set, "plugins=[%s]", repro->plugin);
    const bool has_profile = o->profile || o->model;
    if (!has_profile)
        sets[args.n_sets++] = plugin_set;
    const tn_profile_options options = { .path = args.profile,
                                         .model = has_profile ? args.model : "none",
                                         .sets = sets,
                                         .n_sets = (size_t)args.n_sets };
    TN_TRY(tn_profile_load(&options, &setup->profile, err));
    TN_TRY(tn_setup_plugins(setup, o->plugin_dir, err));
    return run(o, setup, repro, out, err);
}

int tn_cmd_check(const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_setup setup = { .graph = { .logits = -1, .argmax = -1 } };
    tn_check_report r = { 0 };
    tn_check_repro repro = { 0 };
    int exit_status = TN_EXIT_USAGE;
    tn_status status = o->repro ? tn_check_repro_read(o->repro, &repro, &err) : TN_OK;
    if (!status)
        status = o->repro ? check_repro(o, &setup, &repro, &r, &err)
                          : check_profile(o, &setup, &r, &err);
    if (status)
        (void)tn_cli_error(status, &err); /* whatever kept it from running: 2 */
    else
        exit_status = report(&r, o);
    tn_check_report_deinit(&r);
    tn_setup_close(&setup);
    tn_check_repro_deinit(&repro);
    return exit_status;
}
