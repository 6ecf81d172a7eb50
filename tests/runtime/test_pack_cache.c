/* SPDX-License-Identifier: Apache-2.0 */
/* Packed weights on disk: a second start packs nothing and answers the same, and no file that
 * anybody can put there does harm. */
#include "core/base/alloc.h"
#include "core/base/log.h"
#include "runtime/cache_dir.h"
#include "runtime/pack_file.h"
#include "runtime/runtime_internal.h"
#include "tests/support/runtime_rig.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { V = TN_RUNTIME_SIMD, MAX_FAILURES = 100000 };

/* Warnings of the cache since they were last counted; other lines are dropped. */
static int n_warnings;
static char last_warning[512];

static void count_warning(void *ctx, int32_t level, const char *module, const char *text)
{
    (void)ctx;
    if (level == TN_LOG_WARNING && strcmp(module, "cache") == 0) {
        n_warnings++;
        (void)snprintf(last_warning, sizeof last_warning, "%s", text);
    }
}

/* Remove all packed weights, and look for them in the test's own directory. */
static void start_afresh(void)
{
    char *dir = NULL;
    tn_cache_list gone;
    (void)setenv("XDG_CACHE_HOME", tn_temp_path("cache"), 1);
    (void)unsetenv("TENON_CACHE_LIMIT");
    tn_log_configure(TN_LOG_WARNING, count_warning, NULL);
    n_warnings = 0;
    assert_int_equal(tn_cache_dir_open(&dir, NULL), TN_OK);
    assert_int_equal(tn_cache_clear(dir, &gone, NULL), TN_OK);
    tn_cache_list_deinit(&gone);
    tn_free(dir);
}

static int close_directory(void **state)
{
    char *dir = NULL;
    (void)setenv("XDG_CACHE_HOME", tn_temp_path("cache"), 1);
    start_afresh();
    if (tn_cache_dir_path(&dir, NULL) || rmdir(dir) || rmdir(tn_temp_path("cache")))
        return -1;
    tn_free(dir);
    return tn_temp_dir_teardown(state);
}

/* One start and an answer: was nothing packed? */
static bool start(int32_t v, const tn_answer *want)
{
    tn_runtime *rt = tn_runtime_rig_open(v);
    const bool is_hit = tn_pack_cache_is_hit(rt->cache);
    tn_runtime_rig_check(rt, want);
    tn_runtime_close(rt);
    return is_hit;
}

static void answer_without_cache(int32_t v, tn_answer *out)
{
    (void)setenv("TENON_CACHE_LIMIT", "0", 1);
    tn_runtime_rig_answer(v, out);
    (void)unsetenv("TENON_CACHE_LIMIT");
}

static tn_cache_list files(void)
{
    char *dir = NULL;
    tn_cache_list list;
    assert_int_equal(tn_cache_dir_open(&dir, NULL), TN_OK);
    assert_int_equal(tn_cache_list_read(dir, &list, NULL), TN_OK);
    tn_free(dir);
    return list;
}

static size_t count(const char *end)
{
    tn_cache_list list = files();
    size_t n = 0;
    for (size_t i = 0; i < list.n; i++)
        n += strcmp(strrchr(list.file[i].path, '.'), end) == 0;
    tn_cache_list_deinit(&list);
    return n;
}

/* The one file of packed weights: its bytes (tn_free) and path. */
static uint8_t *read_pack(char path[512], size_t *out_n)
{
    tn_cache_list list = files();
    path[0] = 0;
    for (size_t i = 0; i < list.n; i++)
        if (strstr(list.file[i].path, TN_CACHE_PACK))
            (void)snprintf(path, 512, "%s", list.file[i].path);
    tn_cache_list_deinit(&list);
    FILE *f = fopen(path, "rbe");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *out_n = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = tn_alloc(*out_n);
    assert_int_equal(fread(bytes, 1, *out_n, f), *out_n);
    assert_int_equal(fclose(f), 0);
    return bytes;
}

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    (void)unlink(path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    assert_int_equal(close(fd), 0);
}

/* ---- starts ---- */

static void a_second_start_packs_nothing_and_answers_the_same(void **state)
{
    (void)state;
    for (int32_t v = 0; v < TN_N_RUNTIME_VARIANTS; v++) {
        tn_answer want;
        answer_without_cache(v, &want);
        start_afresh();
        assert_false(start(v, &want));
        assert_true(start(v, &want));
        assert_true(start(v, &want));
        assert_int_equal(count(TN_CACHE_PACK), 1);
        assert_int_equal(count(TN_CACHE_TEMP), 0);
        assert_int_equal(n_warnings, 0);
    }
}

/* The file is written behind the start: close waits for it. */
static void a_runtime_that_is_closed_at_once_leaves_the_whole_file(void **state)
{
    (void)state;
    for (int32_t v = 0; v < TN_N_RUNTIME_VARIANTS; v++) {
        tn_answer want;
        answer_without_cache(v, &want);
        start_afresh();
        tn_runtime_close(tn_runtime_rig_open(v));
        assert_int_equal(count(TN_CACHE_PACK), 1);
        assert_int_equal(count(TN_CACHE_TEMP), 0);
        assert_true(start(v, &want));
        assert_int_equal(n_warnings, 0);
    }
}

static void another_model_of_the_same_name_and_size_is_packed_anew(void **state)
{
    (void)state;
    tn_answer first, second;
    start_afresh();
    answer_without_cache(V, &first);
    assert_false(start(V, &first));
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    m.layers = 1;
    m.type = "Q4_1";
    m.seed = 77;
    assert_int_equal(tn_tiny_model_write(&m, tn_runtime_rig_model(V), NULL), TN_OK);
    answer_without_cache(V, &second);
    assert_false(start(V, &second));
    assert_true(start(V, &second));
    assert_int_equal(count(TN_CACHE_PACK), 2);
    assert_int_equal(tn_runtime_rig_write(), 0);
    assert_true(start(V, &first)); /* the same bytes in another file: by the digest */
}

static void an_empty_limit_and_the_profile_switch_the_cache_off(void **state)
{
    static const char *const limits[] = { "0", "1KiB" };
    (void)state;
    tn_answer want;
    start_afresh();
    answer_without_cache(V, &want);
    for (size_t i = 0; i < 2; i++) {
        (void)setenv("TENON_CACHE_LIMIT", limits[i], 1);
        assert_false(start(V, &want));
        assert_false(start(V, &want));
        assert_int_equal(count(TN_CACHE_PACK), 0);
    }
    assert_int_equal(n_warnings, 2);
    assert_non_null(strstr(last_warning, "over the cache's limit"));
    (void)setenv("TENON_CACHE_LIMIT", "much", 1);
    tn_runtime *rt = NULL;
    tn_error err = { 0 };
    assert_int_equal(tn_runtime_rig_try_open(V, NULL, &rt, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "TENON_CACHE_LIMIT is \"much\""));
    (void)unsetenv("TENON_CACHE_LIMIT");
}

static void the_least_recently_used_go_first(void **state)
{
    (void)state;
    tn_answer want[TN_N_RUNTIME_VARIANTS];
    char limit[64];
    start_afresh();
    for (int32_t v = 0; v < TN_N_RUNTIME_VARIANTS; v++) {
        answer_without_cache(v, &want[v]);
        assert_false(start(v, &want[v]));
    }
    tn_cache_list list = files();
    for (size_t i = 0; i < list.n; i++) { /* all were used long ago, but the last variant */
        const struct timespec then[2] = { { 1000, 0 }, { 1000, 0 } };
        assert_int_equal(utimensat(AT_FDCWD, list.file[i].path, then, 0), 0);
    }
    (void)snprintf(limit, sizeof limit, "%dKiB", (int)(list.bytes / 1024));
    tn_cache_list_deinit(&list);
    assert_true(start(TN_RUNTIME_SPLIT, &want[TN_RUNTIME_SPLIT]));
    (void)setenv("TENON_CACHE_LIMIT", limit, 1);
    assert_true(start(TN_RUNTIME_SPLIT, &want[TN_RUNTIME_SPLIT]));
    (void)unsetenv("TENON_CACHE_LIMIT");
    assert_true(count(TN_CACHE_PACK) < TN_N_RUNTIME_VARIANTS);
    assert_true(start(TN_RUNTIME_SPLIT, &want[TN_RUNTIME_SPLIT]));
}

/* ---- files of others, and damaged ones ---- */

static void need_packed_again(const tn_answer *want, const char *what, const char *words)
{
    n_warnings = 0;
    last_warning[0] = 0;
    if (start(V, want))
        fail_msg("%s was used", what);
    if (n_warnings != 1 || !strstr(last_warning, words))
        fail_msg("%s: %d warnings, the last: \"%s\"", what, n_warnings, last_warning);
    if (!start(V, want))
        fail_msg("%s was not replaced", what);
}

static void damaged_bytes_anywhere_are_found_and_packed_again(void **state)
{
    char path[512];
    uint64_t random = 5;
    size_t n;
    (void)state;
    tn_answer want;
    start_afresh();
    answer_without_cache(V, &want);
    assert_false(start(V, &want));
    uint8_t *good = read_pack(path, &n);
    uint8_t *bad = tn_alloc(n);
    for (int i = 0; i < 60; i++) {
        /* Half of them in the head, where few bytes decide much; the label decides nothing. */
        size_t at = (size_t)(tn_test_random(&random) % (i % 2 ? n : 32));
        memcpy(bad, good, n);
        bad[at] ^= (uint8_t)(1u << tn_test_random(&random) % 8);
        write_bytes(path, bad, n);
        n_warnings = 0;
        const bool is_hit = start(V, &want);
        /* Zeros between the blobs, and the label, are not looked at: the answer is right anyway. */
        assert_true(is_hit == (n_warnings == 0));
        if (at < 32 && is_hit)
            fail_msg("byte %zu of the head may be anything", at);
    }
    tn_free(good);
    tn_free(bad);
}

static void a_file_of_any_other_length_is_packed_again(void **state)
{
    char path[512];
    size_t n;
    (void)state;
    tn_answer want;
    start_afresh();
    answer_without_cache(V, &want);
    assert_false(start(V, &want));
    uint8_t *good = read_pack(path, &n);
    uint8_t *more = tn_alloc_array(1, 2 * n);
    memcpy(more, good, n);
    const size_t lengths[] = { 0,   1,    7,    8,     31,    32,    511,  512,
                               513, 4095, 4096, n / 2, n - 1, n + 1, 2 * n };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        write_bytes(path, more, lengths[i]);
        need_packed_again(&want, "a file of another length",
                          lengths[i] < 512 ? "is no file of packed weights"
                                           : " bytes in place of ");
    }
    memset(more, 0xff, n);
    write_bytes(path, more, n);
    need_packed_again(&want, "a file of ones", "is no file of packed weights");
    memcpy(more, good, n);
    more[7]++;
    write_bytes(path, more, n);
    need_packed_again(&want, "another version", "is no file of packed weights");
    memcpy(more, good, n);
    more[512 + 6] ^= 1;
    write_bytes(path, more, n);
    need_packed_again(&want, "another key", "has weights of something else");
    memcpy(more, good, n);
    more[n - 1] ^= 1;
    write_bytes(path, more, n);
    need_packed_again(&want, "another checksum", "a checksum differs");
    tn_free(good);
    tn_free(more);
}

static void what_others_may_write_is_not_used(void **state)
{
    char path[512];
    size_t n;
    (void)state;
    tn_answer want;
    start_afresh();
    answer_without_cache(V, &want);
    assert_false(start(V, &want));
    uint8_t *good = read_pack(path, &n);
    assert_int_equal(chmod(path, 0620), 0);
    need_packed_again(&want, "a file that the group may write",
                      "may be written by others (mode 620)");
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 65534, 65534), 0);
        need_packed_again(&want, "a file of another user", "belongs to user 65534, not to you");
    }
    assert_int_equal(rename(path, tn_temp_path("elsewhere")), 0);
    assert_int_equal(symlink(tn_temp_path("elsewhere"), path), 0);
    n_warnings = 0;
    assert_false(start(V, &want));
    assert_int_equal(n_warnings, 1);
    assert_non_null(strstr(last_warning, "is no regular file"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(tn_temp_path("elsewhere")), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(start(V, &want)); /* and no waiting for a writer */
    assert_int_equal(unlink(path), 0);
    tn_free(good);
}

static void a_directory_that_others_may_write_is_not_used(void **state)
{
    char *dir = NULL;
    tn_error err = { 0 };
    (void)state;
    tn_answer want;
    start_afresh();
    answer_without_cache(V, &want);
    assert_int_equal(tn_cache_dir_open(&dir, NULL), TN_OK);
    assert_int_equal(chmod(dir, 0770), 0);
    assert_false(start(V, &want));
    assert_false(start(V, &want));
    char *again = NULL;
    assert_int_equal(tn_cache_dir_open(&again, &err), TN_UNAVAILABLE);
    assert_null(again);
    assert_non_null(strstr(err.text, "may be written by others (mode 770)"));
    assert_int_equal(chmod(dir, 0700), 0);
    assert_int_equal(count(TN_CACHE_PACK), 0);
    tn_free(dir);
}

static void a_digest_file_with_anything_in_it_does_no_harm(void **state)
{
    static const char *const texts[] = { "", "\n", "x", "0000" };
    (void)state;
    tn_answer want;
    start_afresh();
    answer_without_cache(V, &want);
    sleep(2); /* so that the model is old enough for its digest to be remembered */
    assert_false(start(V, &want));
    tn_cache_list list = files();
    for (size_t i = 0; i < list.n; i++) {
        if (!strstr(list.file[i].path, TN_CACHE_DIGEST))
            continue;
        for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
            write_bytes(list.file[i].path, texts[t], strlen(texts[t]));
            assert_true(start(V, &want));
        }
        char *zeros = tn_alloc_array(1, 1 << 20);
        write_bytes(list.file[i].path, zeros, 1 << 20);
        assert_true(start(V, &want));
        memset(zeros, '0', 64); /* the digest of another model: its packed weights are not there */
        zeros[64] = '\n';
        write_bytes(list.file[i].path, zeros, 65);
        assert_false(start(V, &want));
        tn_free(zeros);
    }
    assert_int_equal(count(TN_CACHE_DIGEST), 1);
    tn_cache_list_deinit(&list);
}

/* ---- failures ---- */

static void weights_that_are_cut_off_while_in_use_fail_the_request(void **state)
{
    char path[512];
    size_t n;
    tn_error err = { 0 };
    (void)state;
    tn_answer want, got;
    start_afresh();
    answer_without_cache(V, &want);
    assert_false(start(V, &want));
    uint8_t *good = read_pack(path, &n);
    tn_runtime *rt = tn_runtime_rig_open(V);
    assert_true(tn_pack_cache_is_hit(rt->cache));
    tn_runtime_rig_check(rt, &want);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_not_equal(tn_runtime_rig_ask(rt, &got, &err), TN_OK);
    assert_non_null(strstr(err.text, "was cut off by another program"));
    tn_runtime_close(rt);
    assert_false(start(V, &want));
    assert_true(start(V, &want));
    tn_free(good);
}

/* With the file there, and without. */
static void every_allocation_fails_once(bool is_hit)
{
    tn_answer want;
    answer_without_cache(V, &want);
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        tn_runtime *rt = NULL;
        tn_error err = { 0 };
        if (!is_hit)
            start_afresh();
        const uint64_t before = tn_alloc_count();
        const int64_t live = tn_alloc_live();
        assert_true(n < MAX_FAILURES);
        tn_alloc_fail_at(n);
        const tn_status st = tn_runtime_rig_try_open(V, NULL, &rt, &err);
        failed = tn_alloc_count() - before >= n;
        tn_alloc_fail_at(0);
        if (st && st != TN_NO_MEMORY)
            fail_msg("allocation %d: %s: %s", (int)n, tn_status_name(st), err.text);
        if (!st)
            tn_runtime_rig_check(rt, &want);
        tn_runtime_close(rt);
        assert_int_equal(tn_alloc_live(), live);
        assert_int_equal(count(TN_CACHE_TEMP), 0);
    }
    assert_true(start(V, &want));
}

static void no_allocation_that_fails_leaves_anything_behind(void **state)
{
    tn_answer want;
    (void)state;
    start_afresh();
    answer_without_cache(V, &want);
    every_allocation_fails_once(false);
    every_allocation_fails_once(true);
}

static void starts_at_the_same_time_leave_one_file(void **state)
{
    enum { N = 6 };
    pid_t child[N];
    (void)state;
    tn_answer want;
    start_afresh();
    answer_without_cache(V, &want);
    for (int i = 0; i < N; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            (void)start(V, &want); /* a wrong answer exits */
            _exit(n_warnings);
        }
    }
    for (int i = 0; i < N; i++) {
        int status = 0;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count(TN_CACHE_PACK), 1);
    assert_int_equal(count(TN_CACHE_TEMP), 0);
    assert_true(start(V, &want));
}

/* ---- the file alone ---- */

static void senseless_sizes_make_no_file(void **state)
{
    const uint64_t huge[] = { UINT64_MAX / 2, UINT64_MAX / 2, 1 };
    tn_pack_spec spec = { .key = "k", .n_key = 1, .blob_bytes = huge, .n_blobs = 3 };
    (void)state;
    assert_int_equal(tn_pack_file_bytes(&spec), 0);
    spec.n_blobs = 0;
    assert_int_equal(tn_pack_file_bytes(&spec), 4096);
    spec.n_key = SIZE_MAX;
    assert_int_equal(tn_pack_file_bytes(&spec), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: cmocka takes SIGBUS for itself before every test, a guard once a process. */
        cmocka_unit_test(weights_that_are_cut_off_while_in_use_fail_the_request),
        cmocka_unit_test(a_second_start_packs_nothing_and_answers_the_same),
        cmocka_unit_test(a_runtime_that_is_closed_at_once_leaves_the_whole_file),
        cmocka_unit_test(another_model_of_the_same_name_and_size_is_packed_anew),
        cmocka_unit_test(an_empty_limit_and_the_profile_switch_the_cache_off),
        cmocka_unit_test(the_least_recently_used_go_first),
        cmocka_unit_test(damaged_bytes_anywhere_are_found_and_packed_again),
        cmocka_unit_test(a_file_of_any_other_length_is_packed_again),
        cmocka_unit_test(what_others_may_write_is_not_used),
        cmocka_unit_test(a_directory_that_others_may_write_is_not_used),
        cmocka_unit_test(a_digest_file_with_anything_in_it_does_no_harm),
        cmocka_unit_test(no_allocation_that_fails_leaves_anything_behind),
        cmocka_unit_test(starts_at_the_same_time_leave_one_file),
        cmocka_unit_test(senseless_sizes_make_no_file),
    };
    return cmocka_run_group_tests(tests, tn_runtime_rig_setup, close_directory);
}
