/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 10,000 short requests of every kind, and ends of every kind, leave nothing behind: blocks of
 * memory, resident memory, descriptors and threads stay as they were after the first of them.
 */
#include "core/base/alloc.h"
#include "tests/support/runtime_rig.h"
#include "tests/support/temp_dir.h"

#include <dirent.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_REQUESTS = 10000, N_WARM_UP = 500, AT_ONCE = 8, MAX_YIELDS = 1000000 };
/* What the allocator may keep; a leak of 1 KB a request would be 10 MB. AddressSanitizer keeps 256
 * MB of what was freed, and finds leaks itself. */
#ifdef __SANITIZE_ADDRESS__
enum { MAX_GROWTH_KB = 400 << 10 };
#else
enum { MAX_GROWTH_KB = 4 << 10 };
#endif

typedef enum kind {
    LENGTH,
    STOP,
    SAMPLES,
    CANCELLED,
    FROM_CALLBACK,
    TOO_LONG,
    BAD_ID,
    N_KINDS
} kind;

typedef struct tally {
    tn_runtime *rt;
    _Atomic uint64_t id; /* for on_token, which may come before submit has returned: 0 then */
    kind kind;
    int32_t reason, n_done;
} tally;

/* ---- what is in use ---- */

typedef struct usage {
    int64_t blocks;
    long resident_kb;
    int n_descriptors, n_threads;
} usage;

static int count_entries(const char *path)
{
    int n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

static usage measure(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    (void)fclose(file);
    return (usage){ .blocks = tn_alloc_live(),
                    .resident_kb = pages * (sysconf(_SC_PAGESIZE) / 1024),
                    .n_descriptors = count_entries("/proc/self/fd"),
                    .n_threads = count_entries("/proc/self/task") };
}

/* ---- requests ---- */

static int32_t on_token(void *ctx, const tn_token *token)
{
    tally *t = ctx;
    if (t->kind == FROM_CALLBACK && token->position == 1)
        tn_request_cancel(t->rt, atomic_load(&t->id));
    return 0;
}

static void on_text(void *ctx, int32_t sample, const char *text, size_t n)
{
    (void)ctx;
    (void)sample;
    (void)text;
    (void)n;
}

static void on_done(void *ctx, const tn_result *result)
{
    tally *t = ctx;
    t->reason = result->reason;
    t->n_done++;
}

static void submit(tn_runtime *rt, tally *t, int32_t index)
{
    static int32_t long_prompt[300];
    static const int32_t bad_id[] = { -5 };
    static const char *const stop[] = { "e", "a", "the" };
    tn_request_args args;
    tn_error err = { 0 };
    char text[64];
    *t = (tally){ .rt = rt, .kind = (kind)(index % N_KINDS) };
    (void)snprintf(text, sizeof text, "%d short requests", index * 7919 % 100003);
    tn_request_defaults(rt, &args, sizeof args);
    args.text = text;
    args.n_text = strlen(text);
    args.max_tokens = 1 + index % 4;
    args.temperature = (float)(index % 3) / 2;
    args.seed = (uint64_t)index;
    args.n_samples = t->kind == SAMPLES ? 3 : 1;
    args.repetition_penalty = t->kind == SAMPLES ? 1.2F : 1;
    args.stop = stop;
    args.n_stops = t->kind == STOP ? 3 : 0;
    args.ctx = t;
    args.on_token = on_token;
    args.on_text = index % 2 ? on_text : NULL;
    args.on_done = on_done;
    if (t->kind == TOO_LONG || t->kind == BAD_ID) {
        args.text = NULL;
        args.ids = t->kind == TOO_LONG ? long_prompt : bad_id;
        args.n_ids = t->kind == TOO_LONG ? 300 : 1;
    }
    uint64_t id = 0;
    const tn_status status = tn_request_submit(rt, &args, &id, &err);
    atomic_store(&t->id, id);
    if (t->kind == TOO_LONG || t->kind == BAD_ID)
        assert_int_equal(status, TN_INVALID);
    else if (status)
        fail_msg("request %d: %s", (int)index, err.text);
    if (t->kind == CANCELLED)
        tn_request_cancel(rt, t->id);
}

static void finish(tn_runtime *rt, const tally *t)
{
    if (t->kind == TOO_LONG || t->kind == BAD_ID)
        return;
    tn_request_wait(rt, t->id);
    assert_int_equal(t->n_done, t->kind == SAMPLES ? 3 : 1);
    assert_true(t->reason != TN_DONE_FAILED);
}

static void run(tn_runtime *rt, int32_t first, int32_t end)
{
    tally tallies[AT_ONCE];
    for (int32_t i = first; i < end; i += AT_ONCE) {
        for (int32_t k = 0; k < AT_ONCE; k++)
            submit(rt, &tallies[k], i + k);
        for (int32_t k = 0; k < AT_ONCE; k++)
            finish(rt, &tallies[k]);
    }
}

/* The memory of the last requests is freed a moment after they are done. */
static void settle(int64_t blocks)
{
    for (int i = 0; i < MAX_YIELDS && tn_alloc_live() != blocks; i++)
        sched_yield();
}

static void ten_thousand_requests_leave_nothing_behind(void **state)
{
    tn_metrics metrics;
    const int64_t before_open = tn_alloc_live();
    tn_runtime *rt = tn_runtime_rig_open(TN_RUNTIME_SIMD);
    const int64_t idle = tn_alloc_live();

    (void)state;
    run(rt, 0, N_WARM_UP);
    settle(idle);
    const usage before = measure();
    run(rt, N_WARM_UP, N_REQUESTS);
    settle(idle);
    const usage after = measure();

    assert_int_equal(before.blocks, idle);
    assert_int_equal(after.blocks, idle);
    assert_int_equal(after.n_descriptors, before.n_descriptors);
    assert_int_equal(after.n_threads, before.n_threads);
    if (after.resident_kb - before.resident_kb > MAX_GROWTH_KB)
        fail_msg("resident memory grew from %ld to %ld KB", before.resident_kb, after.resident_kb);
    tn_runtime_metrics(rt, &metrics, sizeof metrics);
    assert_int_equal(metrics.running + metrics.waiting, 0);
    assert_true(metrics.requests > N_REQUESTS * 5 / N_KINDS - N_KINDS);
    assert_true(metrics.cancelled > 100);
    assert_true(metrics.finished > N_REQUESTS / 2);
    assert_int_equal(metrics.failed, 0);
    tn_runtime_close(rt);
    assert_int_equal(tn_alloc_live(), before_open);
}

static void runtimes_that_open_and_close_leave_nothing_behind(void **state)
{
    usage before = { 0 };
    (void)state;
    for (int i = 0; i < 60; i++) {
        tn_runtime *rt = tn_runtime_rig_open(i % TN_N_RUNTIME_VARIANTS);
        run(rt, 0, AT_ONCE);
        tn_runtime_close(rt);
        if (i == 20)
            before = measure();
    }
    usage after = measure();
    /* The kernel may list a thread for a moment after it was joined. */
    for (int i = 0; i < MAX_YIELDS && after.n_threads > before.n_threads; i++)
        after = measure();
    assert_int_equal(after.blocks, before.blocks);
    assert_int_equal(after.n_descriptors, before.n_descriptors);
    assert_true(after.n_threads <= before.n_threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_requests_leave_nothing_behind),
        cmocka_unit_test(runtimes_that_open_and_close_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, tn_runtime_rig_setup, tn_temp_dir_teardown);
}
