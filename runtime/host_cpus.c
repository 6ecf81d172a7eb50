/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "runtime/host_cpus.h"

#include <assert.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static_assert(CPU_SETSIZE >= TN_HOST_MAX_CPUS, "the mask has every CPU");

enum { MAX_LINE = 4096 };

static FILE *open_file(const char *root, const char *directory, const char *name)
{
    char path[2 * MAX_LINE];
    const int n = snprintf(path, sizeof path, "%s%s%s", root, directory, name);
    return n > 0 && (size_t)n < sizeof path ? fopen(path, "re") : NULL;
}

/* ---- cores ---- */

/* The lowest CPU that shares a core with cpu (the list begins with it), or cpu itself when the
 * system does not say. */
static int32_t core_of(const char *root, int32_t cpu)
{
    char name[96];
    int first = cpu;
    (void)snprintf(name, sizeof name, "/cpu%d/topology/thread_siblings_list", (int)cpu);
    FILE *f = open_file(root, "/sys/devices/system/cpu", name);
    if (!f)
        return cpu;
    if (fscanf(f, "%d", &first) != 1 || first < 0 || first >= TN_HOST_MAX_CPUS)
        first = cpu;
    (void)fclose(f);
    return first;
}

static void count_cores(const char *root, const uint8_t *allowed, tn_host_cpus *out)
{
    uint8_t is_counted[TN_HOST_MAX_CPUS] = { 0 };
    for (int32_t cpu = 0; cpu < TN_HOST_MAX_CPUS; cpu++) {
        if (!allowed[cpu])
            continue;
        const int32_t core = core_of(root, cpu);
        out->n_cpus++;
        if (!is_counted[core])
            out->core[out->n_cores++] = cpu;
        is_counted[core] = 1;
    }
    if (out->n_cpus == 0) /* no mask that makes sense */
        out->n_cpus = out->n_cores = 1;
}

static void read_mask(uint8_t allowed[TN_HOST_MAX_CPUS])
{
    cpu_set_t mask;
    memset(allowed, 0, TN_HOST_MAX_CPUS);
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return;
    for (int cpu = 0; cpu < TN_HOST_MAX_CPUS; cpu++)
        allowed[cpu] = CPU_ISSET(cpu, &mask) ? 1 : 0;
}

/* ---- quota: Documentation/admin-guide/cgroup-v2.rst (cpu.max), scheduler/sched-bwc.rst ---- */

/* quota / period of one cgroup; 0: no limit, or no such file. */
static double quota_of(const char *root, const char *group, bool is_v2)
{
    double quota = 0, period = 0;
    FILE *f = open_file(root, group, is_v2 ? "/cpu.max" : "/cpu.cfs_quota_us");
    if (!f)
        return 0;
    const int wanted = is_v2 ? 2 : 1; /* "max 100000" and "-1" are no limit */
    int n = fscanf(f, "%lf %lf", &quota, &period);
    (void)fclose(f);
    if (n < wanted || quota <= 0)
        return 0;
    f = is_v2 ? NULL : open_file(root, group, "/cpu.cfs_period_us");
    if (f) {
        n = fscanf(f, "%lf", &period);
        (void)fclose(f);
    }
    return n >= 1 && period > 0 ? quota / period : 0;
}

/* The tightest limit of a cgroup and those above it. */
static double quota_above(const char *root, const char *mount, char *path, bool is_v2)
{
    double least = 0;
    char group[2 * MAX_LINE];
    for (;;) {
        const size_t n = strlen(path);
        const bool is_top = n == 0 || strcmp(path, "/") == 0;
        (void)snprintf(group, sizeof group, "%s%s", mount, is_top ? "" : path);
        const double quota = quota_of(root, group, is_v2);
        if (quota > 0 && (least <= 0 || quota < least))
            least = quota;
        if (is_top)
            return least;
        char *slash = strrchr(path, '/');
        *(slash ? slash : path) = 0;
    }
}

static bool lists_cpu(const char *controllers)
{
    const size_t n = strlen("cpu");
    for (const char *c = controllers; c; c = strchr(c, ',')) {
        c += *c == ',';
        if (strncmp(c, "cpu", n) == 0 && (c[n] == ',' || c[n] == 0))
            return true;
    }
    return false;
}

/* Lines "ID:CONTROLLERS:PATH"; without controllers it is version 2: cgroups(7). */
static double read_quota(const char *root)
{
    char line[MAX_LINE];
    double least = 0;
    FILE *f = open_file(root, "/proc/self", "/cgroup");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        controllers++;
        const bool is_v2 = *controllers == 0;
        if (!is_v2 && !lists_cpu(controllers))
            continue;
        const double quota =
            quota_above(root, is_v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", path, is_v2);
        if (quota > 0 && (least <= 0 || quota < least))
            least = quota;
    }
    (void)fclose(f);
    return least;
}

/* ---- both ---- */

void tn_host_cpus_read(const char *root, const uint8_t *allowed, tn_host_cpus *out)
{
    uint8_t mask[TN_HOST_MAX_CPUS];
    *out = (tn_host_cpus){ .quota = read_quota(root) };
    if (!allowed)
        read_mask(mask);
    count_cores(root, allowed ? allowed : mask, out);
}

int32_t tn_host_cpus_threads(const tn_host_cpus *cpus)
{
    if (cpus->quota <= 0 || cpus->quota >= cpus->n_cores)
        return cpus->n_cores;
    return cpus->quota < 1 ? 1 : (int32_t)cpus->quota;
}

tn_status tn_host_team_create(int32_t threads, int32_t affinity, tn_team **out, tn_error *err)
{
    int32_t cpu[TN_HOST_MAX_CPUS];
    tn_host_cpus cpus;
    tn_host_cpus_read("", NULL, &cpus);
    if (threads == 0)
        threads = tn_host_cpus_threads(&cpus);
    for (int32_t i = 0; i < TN_HOST_MAX_CPUS; i++) /* more threads than cores: round about */
        cpu[i] = cpus.core[i % cpus.n_cores];
    return tn_team_create_on(threads, affinity == TN_PROFILE_AFFINITY_CORES ? cpu : NULL, out, err);
}
