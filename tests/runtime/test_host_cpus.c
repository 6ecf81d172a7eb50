/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* nftw */
/* Threads of `auto` on machines that are made up: files as the kernel shows them, below a
 * directory. */
#include "runtime/host_cpus.h"
#include "tests/support/temp_dir.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[600];

/* A new machine without anything. */
static void new_machine(void)
{
    static int n;
    (void)snprintf(root, sizeof root, "%s/machine%d", tn_temp_path(""), n++);
    assert_int_equal(mkdir(root, 0700), 0);
}

static void write_text(const char *name, const char *text)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void write_siblings(int cpu, const char *text)
{
    char name[128];
    (void)snprintf(name, sizeof name, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                   cpu);
    write_text(name, text);
}

/* Of a machine where CPUs [0, n) are allowed: bit i of `without` takes CPU i away. */
static tn_host_cpus read_cpus(int n, uint32_t without)
{
    uint8_t allowed[TN_HOST_MAX_CPUS] = { 0 };
    tn_host_cpus cpus;
    for (int i = 0; i < n; i++)
        allowed[i] = i >= 32 || !(without >> i & 1);
    tn_host_cpus_read(root, allowed, &cpus);
    return cpus;
}

static int32_t threads(int n, uint32_t without)
{
    const tn_host_cpus cpus = read_cpus(n, without);
    return tn_host_cpus_threads(&cpus);
}

static void two_threads_of_a_core_count_once(void **state)
{
    (void)state;
    new_machine();
    for (int i = 0; i < 4; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%d,%d\n", i, i + 4);
        write_siblings(i, text);
        write_siblings(i + 4, text);
    }
    assert_int_equal(threads(8, 0), 4);
    const tn_host_cpus cpus = read_cpus(8, 0x02); /* without CPU 1, whose core CPU 5 still has */
    assert_int_equal(cpus.n_cpus, 7);
    assert_int_equal(cpus.n_cores, 4);
    const int32_t want[] = { 0, 2, 3, 5 };
    assert_memory_equal(cpus.core, want, sizeof want);
    assert_int_equal(threads(8, 0xee), 1); /* CPUs 0 and 4: one core */
    for (int i = 0; i < 8; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%d-%d\n", i / 2 * 2, i / 2 * 2 + 1); /* as ranges */
        write_siblings(i, text);
    }
    assert_int_equal(threads(8, 0), 4);
}

static void without_topology_every_cpu_is_a_core(void **state)
{
    (void)state;
    new_machine();
    assert_int_equal(threads(6, 0), 6);
    write_siblings(0, "");
    write_siblings(1, "none\n");
    write_siblings(2, "-5\n");
    write_siblings(3, "99999999\n");
    assert_int_equal(threads(6, 0), 6);
    assert_int_equal(threads(0, 0), 1);
    assert_int_equal(threads(TN_HOST_MAX_CPUS, 0), TN_HOST_MAX_CPUS);
}

static void a_quota_of_version_2_bounds_the_threads(void **state)
{
    static const struct {
        const char *max;
        int32_t threads;
    } cases[] = { { "max 100000\n", 8 },
                  { "200000 100000\n", 2 },
                  { "250000 100000\n", 2 },
                  { "50000 100000\n", 1 },
                  { "800000 100000\n", 8 },
                  { "9999999 1\n", 8 },
                  { "", 8 },
                  { "200000\n", 8 },
                  { "0 100000\n", 8 },
                  { "200000 0\n", 8 },
                  { "-100000 100000\n", 8 },
                  { "x 100000\n", 8 },
                  { "200000 -100000\n", 8 } };
    (void)state;
    new_machine();
    write_text("/proc/self/cgroup", "0::/a/b/c\n");
    assert_int_equal(threads(8, 0), 8); /* no file of a quota */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_text("/sys/fs/cgroup/a/b/c/cpu.max", cases[i].max);
        if (threads(8, 0) != cases[i].threads)
            fail_msg("cpu.max \"%s\" gives %d threads", cases[i].max, (int)threads(8, 0));
    }
    write_text("/sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n");
    write_text("/sys/fs/cgroup/a/cpu.max", "300000 100000\n"); /* one above is tighter */
    assert_int_equal(threads(8, 0), 3);
    assert_int_equal(threads(2, 0), 2);
    write_text("/sys/fs/cgroup/cpu.max", "100000 100000\n"); /* the root of a container */
    assert_int_equal(threads(8, 0), 1);
}

static void a_quota_of_version_1_bounds_the_threads(void **state)
{
    (void)state;
    new_machine();
    write_text("/proc/self/cgroup", "12:cpuset:/x\n4:cpu,cpuacct:/docker/1\n3:cpuacct:/y\n0::/\n");
    write_text("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "-1\n");
    write_text("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n");
    assert_int_equal(threads(8, 0), 8);
    write_text("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "350000\n");
    assert_int_equal(threads(8, 0), 3);
    write_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n"); /* without a period: no limit */
    assert_int_equal(threads(8, 0), 3);
    write_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(threads(8, 0), 2);
}

static void senseless_cgroup_lines_are_no_limit(void **state)
{
    char line[9000];
    (void)state;
    new_machine();
    write_text("/sys/fs/cgroup/cpu.max", "max\n");
    memset(line, 'a', sizeof line);
    line[sizeof line - 1] = 0;
    static const char *const texts[] = {
        "", "\n", ":", "::", "0::", "0::\n", "0::no/slash\n", "1:cpu\n", "1:cpux:/a\n"
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_text("/proc/self/cgroup", texts[i]);
        assert_int_equal(threads(8, 0), 8);
    }
    write_text("/proc/self/cgroup", line);
    assert_int_equal(threads(8, 0), 8);
    memcpy(line, "0::/", 4);
    write_text("/proc/self/cgroup", line);
    assert_int_equal(threads(8, 0), 8);
}

static void this_machine_has_a_core(void **state)
{
    tn_host_cpus cpus;
    (void)state;
    tn_host_cpus_read("", NULL, &cpus);
    assert_true(cpus.n_cores >= 1 && cpus.n_cores <= cpus.n_cpus);
    assert_in_range(tn_host_cpus_threads(&cpus), 1, cpus.n_cores);
    for (int32_t affinity = TN_PROFILE_AFFINITY_NONE; affinity <= TN_PROFILE_AFFINITY_CORES;
         affinity++) {
        tn_team *team = NULL;
        assert_int_equal(tn_host_team_create(0, affinity, &team, NULL), TN_OK);
        assert_int_equal(tn_team_workers(team), tn_host_cpus_threads(&cpus));
        tn_team_destroy(team);
        assert_int_equal(tn_host_team_create(5, affinity, &team, NULL), TN_OK);
        assert_int_equal(tn_team_workers(team), 5);
        tn_team_destroy(team);
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static int remove_machines(void **state)
{
    (void)state;
    return nftw(tn_temp_path(""), remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads_of_a_core_count_once),
        cmocka_unit_test(without_topology_every_cpu_is_a_core),
        cmocka_unit_test(a_quota_of_version_2_bounds_the_threads),
        cmocka_unit_test(a_quota_of_version_1_bounds_the_threads),
        cmocka_unit_test(senseless_cgroup_lines_are_no_limit),
        cmocka_unit_test(this_machine_has_a_core),
    };
    return cmocka_run_group_tests(tests, tn_temp_dir_setup, remove_machines);
}
