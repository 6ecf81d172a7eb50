/* SPDX-License-Identifier: Apache-2.0 */
/* The loader against plugins that are wrong in one place each (tests/plugins/broken-load), and one
 * that is right (fake). */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "core/base/alloc.h"
#include "model/formats/file_map.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/plugin/plugin_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#define BROKEN_DIR PLUGIN_DIR "/broken-load"

static tn_plugin_set *open_set(const tn_plugin_set_args *args)
{
    tn_plugin_set *set = NULL;
    tn_error err = { 0 };

    assert_int_equal(tn_plugin_set_open(args, &set, &err), TN_OK);
    return set;
}

static tn_plugin_set *open_one(const tn_plugin_spec *spec, const char *dir)
{
    return open_set(&(tn_plugin_set_args){ .spec = spec, .n_specs = 1, .plugin_dir = dir });
}

static void assert_entry(const tn_plugin_set *set, int32_t index, int32_t state, const char *reason)
{
    const tn_plugin_entry *entry = tn_plugin_set_entry(set, index);

    assert_non_null(entry);
    if (entry->state != state || !strstr(entry->reason, reason))
        fail_msg("%s: state %d, reason \"%s\"; wanted state %d, \"%s\"", entry->name,
                 (int)entry->state, entry->reason, (int)state, reason);
}

/* Load one plugin of a directory by name, or by path when name has a '/' in front. */
static void assert_load(const char *dir, const char *name, int32_t state, const char *reason)
{
    const bool is_path = name[0] == '/';
    tn_plugin_spec spec = { .name = is_path ? NULL : name, .path = is_path ? name : NULL };
    tn_plugin_set *set = open_one(&spec, dir);

    assert_entry(set, 0, state, reason);
    tn_plugin_set_close(set);
}

/* ---- a directory for files that a test makes ---- */

typedef struct scratch {
    char dir[64], plugin[128];
} scratch;

static void write_file(const char *path, const void *bytes, size_t n, unsigned mode)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int make_scratch(void **state)
{
    scratch *s = tn_alloc_array(1, sizeof(*s));
    char *bytes;
    size_t n;

    assert_non_null(s);
    snprintf(s->dir, sizeof(s->dir), "/tmp/tenon-test-loader-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->plugin, sizeof(s->plugin), "%s/copy.so", s->dir);
    assert_int_equal(tn_file_read(PLUGIN_DIR "/fake.so", 1u << 26, &bytes, &n, NULL), TN_OK);
    write_file(s->plugin, bytes, n, 0644);
    tn_free(bytes);
    *state = s;
    return 0;
}

static int remove_scratch(void **state)
{
    scratch *s = *state;

    unlink(s->plugin);
    chmod(s->dir, 0700);
    rmdir(s->dir);
    tn_free(s);
    return 0;
}

/* ---- one plugin ---- */

static void a_correct_plugin_loads(void **state)
{
    (void)state;
    tn_plugin_spec spec = { .name = "fake" };
    tn_plugin_set *set = open_one(&spec, PLUGIN_DIR);

    assert_entry(set, 0, TN_PLUGIN_LOADED, "");
    const tn_plugin_entry *entry = tn_plugin_set_find(set, "fake");
    assert_string_equal(entry->reason, "");
    assert_string_equal(entry->path, PLUGIN_DIR "/fake.so");
    assert_int_equal(entry->n_kernels, 16);
    assert_int_equal(entry->n_kv_formats, 3);
    assert_true(tn_device_is_host(&entry->device));
    assert_true(entry->listed);
    assert_int_equal(tn_plugin_set_require(set, NULL), TN_OK);
    tn_plugin_set_close(set);
}

static void what_is_wrong_with_the_file_is_said(void **state)
{
    (void)state;
    assert_load(BROKEN_DIR, "missing", TN_PLUGIN_FAILED, "No such file");
    assert_load(BROKEN_DIR, "/", TN_PLUGIN_FAILED, "a directory");
    assert_load(BROKEN_DIR, "/dev/null", TN_PLUGIN_FAILED, "not a regular file");
    assert_load(BROKEN_DIR, "no_symbol", TN_PLUGIN_FAILED, "does not export tn_plugin_v1");
    assert_load(BROKEN_DIR, "other_major", TN_PLUGIN_FAILED,
                "exports tn_plugin_v2, this program speaks v1");
    assert_load(BROKEN_DIR, "undefined", TN_PLUGIN_FAILED, "tn_tests_nowhere_defined");
}

static void a_plugin_that_was_cut_is_refused_at_every_length(void **state)
{
    const scratch *s = *state;
    char *bytes;
    size_t n;
    int32_t n_cut = 0;
    bool loaded = false;

    assert_int_equal(tn_file_read(s->plugin, 1u << 26, &bytes, &n, NULL), TN_OK);
    /* Debug and section tables at the end are not needed to run: the first that loads ends this, as
     * its file must stay as it is. */
    for (size_t keep = 1; keep < n && !loaded; keep += 1 + n / 97) {
        tn_plugin_spec spec = { .path = s->plugin };
        write_file(s->plugin, bytes, keep, 0644);
        tn_plugin_set *set = open_one(&spec, PLUGIN_DIR);
        const tn_plugin_entry *entry = tn_plugin_set_entry(set, 0);
        loaded = entry->state != TN_PLUGIN_FAILED;
        assert_true(!loaded || keep > n / 2);
        n_cut += strstr(entry->reason, "is cut") != NULL;
        tn_plugin_set_close(set);
    }
    assert_true(n_cut > 0);
    tn_free(bytes);
}

static void names_are_bare_and_paths_absolute(void **state)
{
    (void)state;
    assert_load(PLUGIN_DIR, "broken-load/gone", TN_PLUGIN_FAILED, "is not a plugin name");
    assert_load(PLUGIN_DIR, "..", TN_PLUGIN_FAILED, "is not a plugin name");
    assert_load(PLUGIN_DIR, "", TN_PLUGIN_FAILED, "is not a plugin name");
    assert_load(PLUGIN_DIR, "fake\n", TN_PLUGIN_FAILED, "is not a plugin name");
    tn_plugin_spec relative = { .path = "plugins/fake.so" };
    tn_plugin_set *set = open_one(&relative, PLUGIN_DIR);
    assert_entry(set, 0, TN_PLUGIN_FAILED, "not absolute");
    tn_plugin_set_close(set);
    assert_load(PLUGIN_DIR, PLUGIN_DIR "/fake.so", TN_PLUGIN_LOADED, "");
}

static void what_is_wrong_with_the_descriptor_is_said(void **state)
{
    (void)state;
    assert_load(BROKEN_DIR, "truncated", TN_PLUGIN_FAILED, "its tn_plugin says it is");
    assert_load(BROKEN_DIR, "huge_size", TN_PLUGIN_FAILED, "says it is 1073741824 bytes");
    assert_load(BROKEN_DIR, "short_kernel", TN_PLUGIN_FAILED, "its tn_kernel says it is 64 bytes");
    assert_load(BROKEN_DIR, "no_name", TN_PLUGIN_FAILED, "no name");
    assert_load(BROKEN_DIR, "no_kernels", TN_PLUGIN_FAILED, "no kernels");
    assert_load(BROKEN_DIR, "no_kernel_name", TN_PLUGIN_FAILED, "kernel 0 has no name");
    assert_load(BROKEN_DIR, "no_run", TN_PLUGIN_FAILED, "has no `run`");
    assert_load(BROKEN_DIR, "unknown_tolerance", TN_PLUGIN_FAILED, "tolerance roughly");
    assert_load(BROKEN_DIR, "other_sanitizer", TN_PLUGIN_FAILED, "it was built with");
    assert_load(BROKEN_DIR, "incomplete_domain", TN_PLUGIN_FAILED, "misses a function");
}

static void a_later_minor_version_loads(void **state)
{
    (void)state;
    assert_load(BROKEN_DIR, "newer_minor", TN_PLUGIN_LOADED, "");
    assert_load(BROKEN_DIR, "long_kernel", TN_PLUGIN_LOADED, "");
}

static void kernels_of_unknown_ops_are_left_out(void **state)
{
    (void)state;
    tn_plugin_spec spec = { .name = "unknown_op" };
    tn_plugin_set *set = open_one(&spec, BROKEN_DIR);

    const tn_plugin_entry *entry = tn_plugin_set_entry(set, 0);
    assert_int_equal(entry->state, TN_PLUGIN_LOADED);
    assert_int_equal(entry->n_kernels, 2);
    assert_string_equal(entry->kernel[0].op, "acme/add");
    assert_string_equal(entry->kernel[1].op, "add");
    tn_plugin_set_close(set);
}

static void open_decides_between_skipped_and_failed(void **state)
{
    (void)state;
    assert_load(BROKEN_DIR, "open_unavailable", TN_PLUGIN_SKIPPED, "no abacus");
    assert_load(BROKEN_DIR, "open_fails", TN_PLUGIN_FAILED, "flux capacitor");
    assert_load(BROKEN_DIR, "open_silent", TN_PLUGIN_FAILED, "without a reason");
}

static void require_reports_failed_plugins_and_not_skipped_ones(void **state)
{
    (void)state;
    tn_plugin_spec specs[] = { { .name = "open_unavailable" }, { .name = "open_fails" } };
    tn_plugin_set_args args = { .spec = specs, .n_specs = 1, .plugin_dir = BROKEN_DIR };
    tn_error err = { 0 };

    tn_plugin_set *set = open_set(&args);
    assert_int_equal(tn_plugin_set_require(set, &err), TN_OK);
    tn_plugin_set_close(set);
    args.n_specs = 2;
    set = open_set(&args);
    assert_int_equal(tn_plugin_set_require(set, &err), TN_INVALID);
    assert_string_equal(err.text, "plugin open_fails (" BROKEN_DIR
                                  "/open_fails.so): the flux capacitor is missing");
    tn_plugin_set_close(set);
}

/* ---- files that others could have written ---- */

static void files_that_are_no_libraries_are_refused(void **state)
{
    const scratch *s = *state;

    write_file(s->plugin, "hello, this is no library at all", 32, 0644);
    assert_load(s->dir, "copy", TN_PLUGIN_FAILED, "cannot load it");
    write_file(s->plugin, "", 0, 0644);
    assert_load(s->dir, "copy", TN_PLUGIN_FAILED, "is empty");
}

static void a_file_that_anyone_may_write_is_refused(void **state)
{
    const scratch *s = *state;

    assert_load(s->dir, "copy", TN_PLUGIN_LOADED, "");
    assert_int_equal(chmod(s->plugin, 0646), 0);
    assert_load(s->dir, "copy", TN_PLUGIN_FAILED, "anyone may write to /");
}

static void a_directory_that_anyone_may_write_is_refused_unless_sticky(void **state)
{
    const scratch *s = *state;

    assert_int_equal(chmod(s->dir, 0777), 0);
    assert_load(s->dir, "copy", TN_PLUGIN_FAILED, "anyone may write to its directory");
    assert_int_equal(chmod(s->dir, 01777), 0);
    assert_load(s->dir, "copy", TN_PLUGIN_LOADED, "");
}

static void a_pinned_file_must_have_its_hash(void **state)
{
    const scratch *s = *state;
    char *bytes, hex[65];
    size_t n;
    tn_sha256 hash;

    assert_int_equal(tn_file_read(s->plugin, 1u << 26, &bytes, &n, NULL), TN_OK);
    tn_sha256_init(&hash);
    tn_sha256_update(&hash, bytes, n);
    tn_sha256_hex(&hash, hex);
    tn_free(bytes);
    tn_plugin_spec spec = { .name = "copy", .sha256 = hex };
    tn_plugin_set *set = open_one(&spec, s->dir);
    assert_entry(set, 0, TN_PLUGIN_LOADED, "");
    tn_plugin_set_close(set);
    hex[63] = hex[63] == '0' ? '1' : '0';
    set = open_one(&spec, s->dir);
    assert_entry(set, 0, TN_PLUGIN_FAILED, "not the pinned file");
    tn_plugin_set_close(set);
    hex[63] = '\0';
    set = open_one(&spec, s->dir);
    assert_entry(set, 0, TN_PLUGIN_FAILED, "64 hex digits");
    tn_plugin_set_close(set);
}

static void a_sim_device_looks_in_the_sim_directory_first(void **state)
{
    const scratch *s = *state;
    char sim_dir[80], sim_file[160];
    tn_plugin_spec spec = { .name = "copy" };
    tn_plugin_set_args args = { .spec = &spec, .n_specs = 1, .plugin_dir = s->dir };

    snprintf(sim_dir, sizeof(sim_dir), "%s/sim", s->dir);
    snprintf(sim_file, sizeof(sim_file), "%s/copy.so", sim_dir);
    assert_int_equal(mkdir(sim_dir, 0700), 0);
    write_file(sim_file, "not a library", 13, 0644);
    args.device = "any-sim";
    tn_plugin_set *set = open_set(&args);
    assert_entry(set, 0, TN_PLUGIN_FAILED, "cannot load it");
    assert_string_equal(tn_plugin_set_entry(set, 0)->path, sim_file);
    tn_plugin_set_close(set);
    args.device = "any";
    set = open_set(&args);
    assert_entry(set, 0, TN_PLUGIN_LOADED, "");
    tn_plugin_set_close(set);
    unlink(sim_file);
    rmdir(sim_dir);
}

/* ---- domains ---- */

static void a_dependent_of_a_skipped_provider_is_skipped_with_its_reason(void **state)
{
    (void)state;
    tn_plugin_spec spec = { .name = "needs_gone" };
    tn_plugin_set *set = open_one(&spec, BROKEN_DIR);

    assert_entry(set, 0, TN_PLUGIN_SKIPPED, "its domain gone is not there: the device has left");
    assert_entry(set, 1, TN_PLUGIN_SKIPPED, "the device has left the building");
    assert_false(tn_plugin_set_entry(set, 1)->listed);
    tn_plugin_set_close(set);
}

static void a_provider_that_does_not_provide_fails_its_dependent(void **state)
{
    (void)state;
    assert_load(BROKEN_DIR, "needs_nothing", TN_PLUGIN_FAILED,
                "newer_minor does not provide its domain");
}

static void an_absent_device_is_told_from_a_present_one(void **state)
{
    (void)state;
    tn_plugin_spec spec = { .name = "fake" };
    tn_plugin_set_args args = {
        .spec = &spec, .n_specs = 1, .plugin_dir = PLUGIN_DIR, .device = "cpu"
    };
    tn_device device;
    bool present;

    tn_plugin_set *set = open_set(&args);
    tn_plugin_set_device(set, &device, &present);
    assert_true(present);
    assert_true(tn_device_is_host(&device));
    assert_string_equal(tn_plugin_set_device_name(set), "host");
    tn_plugin_set_close(set);
    args.plugin_dir = BROKEN_DIR;
    args.device = "gone-sim";
    args.n_specs = 0;
    set = open_set(&args);
    tn_plugin_set_device(set, &device, &present);
    assert_false(present);
    assert_string_equal(tn_plugin_set_device_name(set), "gone");
    assert_entry(set, 0, TN_PLUGIN_SKIPPED, "the device has left the building");
    tn_plugin_set_close(set);
}

static void a_device_number_beyond_the_last_fails_the_provider(void **state)
{
    (void)state;
    tn_plugin_set *set = open_set(
        &(tn_plugin_set_args){ .plugin_dir = PLUGIN_DIR, .device = "simdev", .device_index = 5 });
    tn_error err = { 0 };

    assert_entry(set, 0, TN_PLUGIN_FAILED, "there is no device simdev:5");
    assert_int_equal(tn_plugin_set_require(set, &err), TN_INVALID);
    tn_plugin_set_close(set);
}

static void a_device_plugin_gets_its_domain(void **state)
{
    (void)state;
    tn_option probe = { .key = "probe", .value = "services" };
    tn_plugin_spec spec = { .name = "fake-simdev", .option = &probe, .n_options = 1 };
    tn_plugin_set *set = open_set(&(tn_plugin_set_args){
        .spec = &spec, .n_specs = 1, .plugin_dir = PLUGIN_DIR, .device = "simdev" });
    tn_device device;
    bool present;

    assert_entry(set, 0, TN_PLUGIN_LOADED, "");
    tn_plugin_set_device(set, &device, &present);
    assert_true(present);
    assert_ptr_equal(tn_plugin_set_entry(set, 0)->device.domain, device.domain);
    assert_string_equal(device.domain->name, "simdev");
    tn_plugin_set_close(set);
}

/* ---- services and the set ---- */

typedef struct log_text {
    char text[512];
} log_text;

static void keep_log(void *ctx, int32_t level, const char *module, const char *text)
{
    log_text *log = ctx;
    const size_t n = strlen(log->text);

    (void)level;
    if (strcmp(module, "plugin") != 0) /* what the loader itself says */
        snprintf(log->text + n, sizeof(log->text) - n, "%s: %s\n", module, text);
}

static void every_service_of_the_host_works(void **state)
{
    (void)state;
    log_text log = { "" };
    tn_option option[] = { { "probe", "services" } };
    tn_plugin_spec spec = { .name = "fake", .option = option, .n_options = 1 };
    tn_team *team;

    assert_int_equal(tn_team_create(2, &team, NULL), TN_OK);
    tn_log_configure(TN_LOG_WARNING, keep_log, &log);
    for (int with_team = 0; with_team < 2; with_team++) {
        log.text[0] = '\0';
        tn_plugin_set *set = open_set(&(tn_plugin_set_args){ .spec = &spec,
                                                             .n_specs = 1,
                                                             .plugin_dir = PLUGIN_DIR,
                                                             .team = with_team ? team : NULL });
        assert_entry(set, 0, TN_PLUGIN_LOADED, "");
        assert_string_equal(log.text, "fake: services work\n");
        tn_plugin_set_close(set);
    }
    tn_log_configure(TN_LOG_ERROR, NULL, NULL);
    tn_team_destroy(team);
}

static void plugins_close_in_reverse_order(void **state)
{
    (void)state;
    log_text log = { "" };
    tn_plugin_spec spec[] = { { .name = "first", .path = PLUGIN_DIR "/fake.so" },
                              { .name = "second", .path = PLUGIN_DIR "/fake.so" } };

    tn_log_configure(TN_LOG_INFO, keep_log, &log);
    tn_plugin_set *set =
        open_set(&(tn_plugin_set_args){ .spec = spec, .n_specs = 2, .plugin_dir = PLUGIN_DIR });
    tn_plugin_set_close(set);
    tn_log_configure(TN_LOG_ERROR, NULL, NULL);

    assert_string_equal(log.text, "second: closed\nfirst: closed\n");
}

static void senseless_arguments_are_refused(void **state)
{
    (void)state;
    tn_plugin_spec twice[] = { { .name = "fake" }, { .name = "fake" } };
    tn_plugin_spec nothing = { 0 };
    tn_plugin_set *set;
    tn_error err = { 0 };

    tn_plugin_set_args args = { .spec = twice, .n_specs = 2, .plugin_dir = "plugins" };
    assert_int_equal(tn_plugin_set_open(&args, &set, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "absolute"));
    args.plugin_dir = PLUGIN_DIR;
    assert_int_equal(tn_plugin_set_open(&args, &set, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "listed twice"));
    args.spec = &nothing;
    args.n_specs = 1;
    assert_int_equal(tn_plugin_set_open(&args, &set, &err), TN_INVALID);
    assert_null(set);
}

static void the_fallback_is_loaded_and_must_run_on_the_host(void **state)
{
    (void)state;
    tn_plugin_set_args args = { .plugin_dir = PLUGIN_DIR, .device = "simdev", .fallback = "fake" };
    tn_plugin_set *set = open_set(&args);
    tn_error err = { 0 };

    assert_int_equal(tn_plugin_set_find(set, "fake")->state, TN_PLUGIN_LOADED);
    assert_false(tn_plugin_set_find(set, "fake")->listed);
    tn_plugin_set_close(set);
    args.fallback = "fake-simdev";
    assert_int_equal(tn_plugin_set_open(&args, &set, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "a host plugin is needed"));
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    tn_plugin_spec spec = { .name = "fake" };
    tn_plugin_set_args args = { .spec = &spec, .n_specs = 1, .plugin_dir = PLUGIN_DIR };
    tn_status status = TN_NO_MEMORY;
    int n = 0;

    while (status == TN_NO_MEMORY && n < 1000) {
        tn_plugin_set *set = NULL;
        tn_alloc_fail_at((uint64_t)++n);
        status = tn_plugin_set_open(&args, &set, NULL);
        tn_alloc_fail_at(0);
        /* The plugin's own allocation: it failed, the set did not. */
        if (set && tn_plugin_set_entry(set, 0)->state == TN_PLUGIN_FAILED)
            status = TN_NO_MEMORY;
        tn_plugin_set_close(set);
    }

    assert_int_equal(status, TN_OK);
    assert_in_range(n, 3, 999);
}

static void the_host_domain_copies_fills_and_describes(void **state)
{
    (void)state;
    const tn_domain *host = tn_host_domain();
    uint64_t a, b, free_bytes, total_bytes;
    char name[16];
    void *stream;
    tn_error err = { 0 };

    assert_int_equal(host->stream_new(NULL, 0, &stream, &err), TN_OK);
    assert_null(stream);
    assert_int_equal(host->alloc(NULL, 0, 1000, &a, &err), TN_OK);
    assert_int_equal(host->alloc(NULL, 0, 1000, &b, &err), TN_OK);
    assert_int_equal(a % 256, 0);
    assert_int_equal(host->fill(NULL, a, 7, 1000, stream, &err), TN_OK);
    assert_int_equal(host->copy(NULL, b, a, 1000, TN_ON_DEVICE, stream, &err), TN_OK);
    assert_int_equal(((const uint8_t *)(uintptr_t)b)[999], 7);
    host->release(NULL, 0, a);
    host->release(NULL, 0, b);
    assert_int_equal(host->describe(NULL, 0, name, sizeof(name), &free_bytes, &total_bytes, &err),
                     TN_OK);
    assert_string_equal(name, "host");
    assert_true(free_bytes > 0 && free_bytes <= total_bytes);
    assert_int_equal(host->alloc(NULL, 0, UINT64_MAX, &a, &err), TN_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_correct_plugin_loads),
        cmocka_unit_test(what_is_wrong_with_the_file_is_said),
        cmocka_unit_test(names_are_bare_and_paths_absolute),
        cmocka_unit_test(what_is_wrong_with_the_descriptor_is_said),
        cmocka_unit_test(a_later_minor_version_loads),
        cmocka_unit_test(kernels_of_unknown_ops_are_left_out),
        cmocka_unit_test(open_decides_between_skipped_and_failed),
        cmocka_unit_test(require_reports_failed_plugins_and_not_skipped_ones),
        cmocka_unit_test_setup_teardown(files_that_are_no_libraries_are_refused, make_scratch,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(a_plugin_that_was_cut_is_refused_at_every_length,
                                        make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(a_file_that_anyone_may_write_is_refused, make_scratch,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(a_directory_that_anyone_may_write_is_refused_unless_sticky,
                                        make_scratch, remove_scratch),
        cmocka_unit_test_setup_teardown(a_pinned_file_must_have_its_hash, make_scratch,
                                        remove_scratch),
        cmocka_unit_test_setup_teardown(a_sim_device_looks_in_the_sim_directory_first, make_scratch,
                                        remove_scratch),
        cmocka_unit_test(a_dependent_of_a_skipped_provider_is_skipped_with_its_reason),
        cmocka_unit_test(a_provider_that_does_not_provide_fails_its_dependent),
        cmocka_unit_test(an_absent_device_is_told_from_a_present_one),
        cmocka_unit_test(a_device_number_beyond_the_last_fails_the_provider),
        cmocka_unit_test(a_device_plugin_gets_its_domain),
        cmocka_unit_test(every_service_of_the_host_works),
        cmocka_unit_test(plugins_close_in_reverse_order),
        cmocka_unit_test(senseless_arguments_are_refused),
        cmocka_unit_test(the_fallback_is_loaded_and_must_run_on_the_host),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(the_host_domain_copies_fills_and_describes),
    };

    tn_log_configure(TN_LOG_ERROR, NULL, NULL); /* the fake plugin warns when it closes */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
