/* SPDX-License-Identifier: Apache-2.0 */
/* tenon bench: speed of profiles, measured in turn; or the machine's roofline alone. */
#include "apps/bench/report.h"
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"
#include "core/base/alloc.h"
#include "model/formats/write_file.h"
#include "runtime/host_cpus.h"

#include <stdio.h>
#include <string.h>

/* More would not fit memory or patience; a sweep is cut into several runs. */
enum {
    MAX_TARGETS = 64,
    MAX_TESTS = 1024,
    DEFAULT_PREFILL = 512,
    DEFAULT_DECODE = 128,
    DEFAULT_REPEATS = 5,
    MAX_DEPTH = 1 << 24
};

typedef struct session {
    const tn_cli_options *o;
    tn_bench_test *test;
    int32_t n_tests, max_batch;
    tn_bench_target target[MAX_TARGETS];
    int32_t n_targets;
    tn_roofline roofline[MAX_TARGETS]; /* of each target */
    tn_roofline roof[MAX_TARGETS];     /* of each number of threads, in order of measurement */
    int32_t n_roofs;
    tn_bench_row *rows;
    tn_cli_progress progress;
} session;

/* ---- what to measure ---- */

static void default_to(tn_cli_ids *list, int32_t value)
{
    if (list->n == 0)
        *list = (tn_cli_ids){ .item = { value }, .n = 1 };
}

static tn_status check_range(const tn_cli_ids *list, const char *name, int32_t min, int32_t max,
                             tn_error *err)
{
    for (int32_t i = 0; i < list->n; i++)
        if (list->item[i] < min || list->item[i] > max)
            return tn_fail(err, TN_INVALID, "--%s %d: allowed is %d to %d", name,
                           (int)list->item[i], (int)min, (int)max);
    return TN_OK;
}

static tn_status add_tests(session *s, bool is_prefill, const tn_cli_ids *tokens,
                           const tn_cli_ids *depths, const tn_cli_ids *batches, tn_error *err)
{
    for (int32_t i = 0; i < tokens->n * depths->n * batches->n; i++) {
        const int32_t n = tokens->item[i / batches->n / depths->n];
        const tn_bench_test test = { .prefill = is_prefill ? n : 0,
                                     .decode = is_prefill ? 0 : n,
                                     .depth = depths->item[i / batches->n % depths->n],
                                     .batch = batches->item[i % batches->n] };
        if (n == 0)
            continue;
        if (s->n_tests == MAX_TESTS)
            return tn_fail(err, TN_INVALID, "more than %d tests; give shorter lists", MAX_TESTS);
        s->test[s->n_tests++] = test;
        if (test.batch > s->max_batch)
            s->max_batch = test.batch;
    }
    return TN_OK;
}

static tn_status plan_tests(session *s, tn_error *err)
{
    tn_cli_ids prefill = s->o->prefill, decode = s->o->decode_tokens;
    tn_cli_ids depth = s->o->depth, batch = s->o->batch;
    default_to(&prefill, DEFAULT_PREFILL);
    default_to(&decode, DEFAULT_DECODE);
    default_to(&depth, 0);
    default_to(&batch, 1);
    TN_TRY(check_range(&prefill, "prefill", 0, MAX_DEPTH, err));
    TN_TRY(check_range(&decode, "decode", 0, MAX_DEPTH, err));
    TN_TRY(check_range(&depth, "depth", 0, MAX_DEPTH, err));
    TN_TRY(check_range(&batch, "batch", 1, TN_BENCH_MAX_BATCH, err));
    s->test = tn_alloc_array(MAX_TESTS, sizeof *s->test);
    if (!s->test)
        return tn_fail_memory(err, "the tests");
    TN_TRY(add_tests(s, true, &prefill, &depth, &batch, err));
    TN_TRY(add_tests(s, false, &decode, &depth, &batch, err));
    if (s->n_tests == 0)
        return tn_fail(err, TN_INVALID, "nothing to measure: --prefill and --decode are 0");
    return TN_OK;
}

static tn_status check_context(const tn_bench_target *t, const session *s, tn_error *err)
{
    for (int32_t i = 0; i < s->n_tests; i++) {
        const tn_bench_test *test = &s->test[i];
        /* The prompt of a decode test has one token more; the first new token starts the clock. */
        const int64_t need = (int64_t)test->depth + test->prefill + test->decode + 2;
        if (need > t->context)
            return tn_fail(err, TN_INVALID,
                           "%s has a context of %d tokens, but %d at depth %d needs %lld; take "
                           "less, or set context.length",
                           t->name, (int)t->context, (int)(test->prefill + test->decode),
                           (int)test->depth, (long long)need);
    }
    return TN_OK;
}

/* ---- targets ---- */

static void on_load(void *ctx, uint64_t done, uint64_t total)
{
    tn_cli_progress_update(ctx, done, total);
}

static tn_status open_target(session *s, const char *profile, int32_t threads, tn_error *err)
{
    const char *sets[TN_CLI_MAX_LIST + 4];
    char thread_set[32];
    tn_cli_options o = *s->o;
    tn_cli_progress progress;
    if (s->n_targets == MAX_TARGETS)
        return tn_fail(err, TN_INVALID, "more than %d profiles and numbers of threads",
                       MAX_TARGETS);
    o.profile = profile;
    o.threads = threads;
    tn_bench_target *target = &s->target[s->n_targets];
    tn_open_args args = tn_cli_open_args(&o, sets, thread_set);
    tn_cli_progress_init(&progress, "loading", TN_CLI_BYTES, s->o);
    args.on_load = on_load;
    args.ctx = &progress;
    const tn_status status = tn_bench_target_open(&args, sets, s->max_batch, target, err);
    tn_cli_progress_end(&progress);
    if (status)
        return status;
    s->n_targets++;
    return check_context(target, s, err);
}

static tn_status open_targets(session *s, tn_error *err)
{
    tn_cli_ids threads = s->o->thread_list;
    tn_cli_list profiles = s->o->word;
    default_to(&threads, 0);
    TN_TRY(check_range(&threads, "threads", s->o->thread_list.n ? 1 : 0, 1024, err));
    if (profiles.n == 0 || s->o->profile) {
        TN_TRY(tn_cli_need_model(s->o, err));
        if (profiles.n == TN_CLI_MAX_LIST)
            return tn_fail(err, TN_INVALID, "more than %d profiles", TN_CLI_MAX_LIST);
        profiles.item[profiles.n++] = s->o->profile;
    }
    for (int32_t i = 0; i < profiles.n; i++)
        for (int32_t k = 0; k < threads.n; k++)
            TN_TRY(open_target(s, profiles.item[i], threads.item[k], err));
    return TN_OK;
}

/* ---- roofline ---- */

static tn_status measure_roof(session *s, int32_t threads, tn_roofline *out, tn_error *err)
{
    tn_team *team = NULL;
    for (int32_t i = 0; i < s->n_roofs; i++) {
        if (s->roof[i].threads == threads) {
            *out = s->roof[i];
            return TN_OK;
        }
    }
    TN_TRY(tn_host_team_create(threads, TN_PROFILE_AFFINITY_NONE, &team, err));
    const tn_status status = tn_roofline_measure(team, out, err);
    tn_team_destroy(team);
    if (!status)
        s->roof[s->n_roofs++] = *out;
    return status;
}

static int show_roofline(session *s)
{
    tn_error err = { 0 };
    tn_cli_ids threads = s->o->thread_list;
    tn_strbuf out = TN_STRBUF(1 << 20);
    default_to(&threads, 0);
    tn_status status = check_range(&threads, "threads", s->o->thread_list.n ? 1 : 0, 1024, &err);
    for (int32_t i = 0; i < threads.n && !status; i++)
        status = measure_roof(s, threads.item[i], &s->roofline[i], &err);
    if (status)
        return tn_cli_error(status, &err);
    if (s->o->json)
        return tn_cli_print_json(tn_bench_json(NULL, 0, s->roof, s->n_roofs));
    tn_bench_roofline_text(s->roof, s->n_roofs, &out);
    const int exit_status = tn_cli_print(&out);
    tn_strbuf_deinit(&out);
    return exit_status;
}

/* ---- run and report ---- */

static int write_svg(const session *s, const char *path)
{
    tn_strbuf out = TN_STRBUF((size_t)64 << 20);
    tn_error err = { 0 };
    tn_bench_svg(s->rows, s->n_targets * s->n_tests, &out);
    const tn_file_part part = { tn_strbuf_text(&out), out.len };
    const tn_write_args args = { .part = &part, .n_parts = 1, .mode = 0666 };
    const tn_status status =
        out.failed ? tn_fail_memory(&err, "the SVG") : tn_write_file(path, &args, &err);
    tn_strbuf_deinit(&out);
    if (!status)
        return TN_EXIT_OK;
    (void)tn_cli_error(status, &err);
    return TN_EXIT_FAILED;
}

/* More than the memory gives: not a wrong figure, but a small model. */
static void explain_shares(const session *s)
{
    for (int32_t i = 0; i < s->n_targets * s->n_tests && !s->o->quiet; i++) {
        if (s->rows[i].memory <= 1)
            continue;
        fputs("memory % above 100: the weights stay in the CPU's caches; the roofline is that of "
              "memory past them\n",
              stderr);
        return;
    }
}

static int report(const session *s)
{
    const int32_t n = s->n_targets * s->n_tests;
    tn_strbuf out = TN_STRBUF((size_t)64 << 20);
    if (s->o->svg && write_svg(s, s->o->svg))
        return TN_EXIT_FAILED;
    if (s->o->json)
        return tn_cli_print_json(tn_bench_json(s->rows, n, s->roof, s->n_roofs));
    if (s->o->csv)
        tn_bench_csv(s->rows, n, &out);
    else
        tn_bench_markdown(s->rows, n, &out);
    const int exit_status = tn_cli_print(&out);
    explain_shares(s);
    tn_strbuf_deinit(&out);
    return exit_status;
}

static tn_status measure(session *s, tn_error *err)
{
    TN_TRY(plan_tests(s, err));
    TN_TRY(open_targets(s, err));
    for (int32_t i = 0; i < s->n_targets; i++)
        TN_TRY(measure_roof(s, s->target[i].threads, &s->roofline[i], err));
    const tn_bench bench = { .target = s->target,
                             .n_targets = s->n_targets,
                             .test = s->test,
                             .n_tests = s->n_tests,
                             .n_repeats = s->o->repeat ? s->o->repeat : DEFAULT_REPEATS,
                             .roofline = s->roofline,
                             .progress = on_load,
                             .ctx = &s->progress };
    tn_cli_progress_init(&s->progress, "measuring", TN_CLI_COUNT, s->o);
    const tn_status status = tn_bench_run(&bench, &s->rows, err);
    tn_cli_progress_end(&s->progress);
    return status;
}

int tn_cmd_bench(const tn_cli_options *o)
{
    tn_error err = { 0 };
    int exit_status;
    session *s = tn_alloc_array(1, sizeof *s);
    if (!s)
        return tn_cli_error(tn_fail_memory(&err, "the bench"), &err);
    s->o = o;
    if (o->roofline) {
        exit_status = show_roofline(s);
    } else {
        const tn_status status = measure(s, &err);
        exit_status = status ? tn_cli_error(status, &err) : report(s);
    }
    tn_bench_rows_free(s->rows, s->n_targets * s->n_tests);
    for (int32_t i = 0; i < s->n_targets; i++)
        tn_bench_target_close(&s->target[i]);
    tn_free(s->test);
    tn_free(s);
    return exit_status;
}
