/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another process truncates a model file that is mapped. Each test runs in a process of its own:
 * cmocka has its handler of SIGBUS, and the first guard installs another.
 */
#include "core/base/alloc.h"
#include "model/formats/map_guard.h"
#include "model/formats/model_file.h"
#include "tests/support/runtime_rig.h"
#include "tests/support/temp_dir.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_PATH = 512, HANDLED = 42 };

/* In the child: say what is wrong and end it. */
#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* The wait status of fn in a process that treats SIGBUS as any new one does. */
static int run_child(void (*fn)(void))
{
    int status = 0;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGBUS, SIG_DFL);
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void expect_exit(void (*fn)(void), int code)
{
    const int status = run_child(fn);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fail_msg("ended with wait status 0x%x, not exit %d", status, code);
}

/* By another process, which has ended when this returns. */
static void truncate_elsewhere(const char *path, off_t size)
{
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0)
        _exit(truncate(path, size) != 0);
    NEED(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

/* A copy of a variant's model that may be harmed. */
static void copy_model(char path[MAX_PATH], size_t *out_size)
{
    char *bytes = NULL;
    NEED(tn_file_read(tn_runtime_rig_model(TN_RUNTIME_BPE), (size_t)1 << 30, &bytes, out_size,
                      NULL) == TN_OK);
    (void)snprintf(path, MAX_PATH, "%s", tn_temp_path("copy.gguf"));
    FILE *file = fopen(path, "wb");
    NEED(file && fwrite(bytes, 1, *out_size, file) == *out_size && fclose(file) == 0);
    tn_free(bytes);
}

static void need_truncated(tn_status status, const tn_error *err, const char *path)
{
    if (status != TN_INTERNAL || !strstr(err->text, "was truncated while it was read") ||
        !strstr(err->text, path)) {
        (void)fprintf(stderr, "%s: %s\n", tn_status_name(status), err->text);
        _exit(1);
    }
}

/* ---- between open and reading ---- */

static tn_status read_all(tn_model_file *file, tn_error *err)
{
    tn_status status = TN_OK;
    for (int32_t i = 0; i < tn_model_file_n_tensors(file) && !status; i++) {
        tn_weight_info info;
        float *values = NULL;
        status = tn_model_file_tensor(file, i, &info, err);
        if (!status)
            status = tn_weight_values(tn_model_file_weights(file), &info, &values, err);
        tn_free(values);
    }
    return status;
}

static void read_after_truncation(size_t lost_bytes)
{
    char path[MAX_PATH];
    size_t size = 0;
    tn_model_file *file = NULL;
    tn_error err = { 0 };
    copy_model(path, &size);
    NEED(tn_model_file_open(path, &file, &err) == TN_OK);
    NEED(read_all(file, &err) == TN_OK);
    truncate_elsewhere(path, (off_t)(lost_bytes ? size - lost_bytes : 0));
    const tn_status status = read_all(file, &err);
    need_truncated(status, &err, path);
    tn_model_file_close(file);
    NEED(tn_model_file_open(path, &file, &err) == TN_INVALID && !file);
}

static void lose_all(void)
{
    read_after_truncation(0);
}

static void lose_one_byte(void)
{
    read_after_truncation(1);
}

static void lose_half(void)
{
    read_after_truncation(50000);
}

static void weights_of_a_truncated_file_are_an_error(void **state)
{
    (void)state;
    expect_exit(lose_all, 0);
    expect_exit(lose_half, 0);
    expect_exit(lose_one_byte, 0); /* in a page that is still there: no signal tells */
}

/* ---- during load, and after it ---- */

static char model[MAX_PATH];

static void truncate_at_first(void *ctx, uint64_t done, uint64_t total)
{
    int *n_calls = ctx;
    (void)done;
    (void)total;
    if ((*n_calls)++ == 0)
        truncate_elsewhere(model, 0);
}

static void truncate_during_load(void)
{
    tn_runtime *rt = NULL;
    tn_error err = { 0 };
    int n_calls = 0;
    const tn_open_args more = { .on_load = truncate_at_first, .ctx = &n_calls };
    (void)snprintf(model, sizeof model, "%s", tn_runtime_rig_model(TN_RUNTIME_SIMD));
    const tn_status status = tn_runtime_rig_try_open(TN_RUNTIME_SIMD, &more, &rt, &err);
    NEED(n_calls > 0 && !rt);
    need_truncated(status, &err, model);
}

static void a_model_truncated_while_it_is_loaded_is_an_error(void **state)
{
    (void)state;
    expect_exit(truncate_during_load, 0);
    assert_int_equal(tn_runtime_rig_write(), 0);
}

static void truncate_after_load(void)
{
    const int32_t variants[] = { TN_RUNTIME_BPE, TN_RUNTIME_SPM };
    for (int i = 0; i < 2; i++) {
        tn_answer want;
        tn_runtime_rig_answer(variants[i], &want);
        tn_runtime *rt = tn_runtime_rig_open(variants[i]);
        truncate_elsewhere(tn_runtime_rig_model(variants[i]), 0);
        tn_runtime_rig_check(rt, &want);
        tn_runtime_close(rt);
    }
}

static void a_loaded_model_does_not_need_its_file(void **state)
{
    (void)state;
    expect_exit(truncate_after_load, 0);
    assert_int_equal(tn_runtime_rig_write(), 0);
}

/* ---- the handler ---- */

/* Map a copy, guarded or not, and truncate it. */
static tn_map_guard *map_and_truncate(tn_file_map *map, const char *name, bool guarded)
{
    char path[MAX_PATH];
    size_t size = 0;
    tn_map_guard *guard = NULL;
    copy_model(path, &size);
    char other[MAX_PATH];
    (void)snprintf(other, sizeof other, "%s", tn_temp_path(name));
    NEED(rename(path, other) == 0);
    NEED(tn_file_map_open(map, other, NULL) == TN_OK);
    if (guarded)
        NEED(tn_map_guard_add(map, &guard, NULL) == TN_OK);
    truncate_elsewhere(other, 0);
    return guard;
}

static uint8_t read_byte(const tn_file_map *map, size_t at)
{
    return ((const volatile uint8_t *)map->data)[at];
}

static void guards_are_independent(void)
{
    tn_file_map map[2];
    tn_map_guard *guard[2];
    guard[0] = map_and_truncate(&map[0], "first.gguf", true);
    guard[1] = map_and_truncate(&map[1], "second.gguf", true);
    NEED(read_byte(&map[1], map[1].size - 1) == 0 && read_byte(&map[1], 0) == 0);
    NEED(tn_map_guard_check(guard[0], "elsewhere", NULL) == TN_OK);
    NEED(tn_map_guard_check(guard[1], "elsewhere", NULL) == TN_INTERNAL);
    NEED(tn_map_guard_check(NULL, "memory", NULL) == TN_OK);
    for (int i = 0; i < 2; i++) {
        tn_map_guard_remove(guard[i]);
        tn_file_map_close(&map[i]);
    }
    /* A place that is used again has forgotten what was lost before. */
    guard[0] = map_and_truncate(&map[0], "third.gguf", true);
    NEED(tn_map_guard_check(guard[0], "elsewhere", NULL) == TN_OK);
}

static void exit_handled(int signal_number)
{
    _exit(signal_number == SIGBUS ? HANDLED : 1);
}

static void exit_with_address(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    _exit(signal_number == SIGBUS && info->si_addr ? HANDLED : 1);
}

/* A guard is there, and the byte that is read is none of its. */
static void read_unguarded(void)
{
    tn_file_map guarded, other;
    (void)map_and_truncate(&guarded, "guarded.gguf", true);
    (void)map_and_truncate(&other, "other.gguf", false);
    (void)read_byte(&other, 0);
}

static void read_unguarded_with_handler(void)
{
    (void)signal(SIGBUS, exit_handled);
    read_unguarded();
}

static void read_unguarded_with_action(void)
{
    struct sigaction action = { .sa_sigaction = exit_with_address, .sa_flags = SA_SIGINFO };
    NEED(sigaction(SIGBUS, &action, NULL) == 0);
    read_unguarded();
}

static void send_ignored_then_default(void)
{
    tn_file_map map;
    (void)signal(SIGBUS, SIG_IGN);
    (void)map_and_truncate(&map, "guarded.gguf", true);
    (void)raise(SIGBUS); /* ignored, as the application wants */
    NEED(read_byte(&map, 0) == 0);
    tn_file_map other;
    (void)map_and_truncate(&other, "other.gguf", false);
    (void)read_byte(&other, 0); /* a fault cannot be ignored */
}

static void send_default(void)
{
    tn_file_map map;
    (void)map_and_truncate(&map, "guarded.gguf", true);
    (void)raise(SIGBUS);
}

static void expect_bus_error(void (*fn)(void))
{
    const int status = run_child(fn);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS)
        fail_msg("ended with wait status 0x%x, not by SIGBUS", status);
}

static void only_the_truncated_file_is_lost(void **state)
{
    (void)state;
    expect_exit(guards_are_independent, 0);
}

static void other_bus_errors_go_where_they_went_before(void **state)
{
    (void)state;
    expect_exit(read_unguarded_with_handler, HANDLED);
    expect_exit(read_unguarded_with_action, HANDLED);
    expect_bus_error(read_unguarded);
    expect_bus_error(send_default);
    expect_bus_error(send_ignored_then_default);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_of_a_truncated_file_are_an_error),
        cmocka_unit_test(a_model_truncated_while_it_is_loaded_is_an_error),
        cmocka_unit_test(a_loaded_model_does_not_need_its_file),
        cmocka_unit_test(only_the_truncated_file_is_lost),
        cmocka_unit_test(other_bus_errors_go_where_they_went_before),
    };
    return cmocka_run_group_tests(tests, tn_runtime_rig_setup, tn_temp_dir_teardown);
}
