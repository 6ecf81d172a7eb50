/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the host's CPUs this process may use, for `threads: auto` and `affinity`: one thread a
 * physical core, since two on one core share the units that the kernels keep busy; of the CPUs that
 * the cpuset leaves (the affinity mask); and no more than the cgroup's quota pays for, since a step
 * waits for the thread that was stopped. Pure but for the files it reads.
 */
#ifndef TN_RUNTIME_HOST_CPUS_H
#define TN_RUNTIME_HOST_CPUS_H

#include "core/base/team.h"
#include "runtime/profile.h"

enum { TN_HOST_MAX_CPUS = 1024 };

typedef struct tn_host_cpus {
    int32_t n_cpus, n_cores;        /* that may be used, at least 1 */
    int32_t core[TN_HOST_MAX_CPUS]; /* [n_cores] the lowest CPU of each */
    double quota;                   /* CPUs' worth of time that the cgroups leave; 0: no limit */
} tn_host_cpus;

/** allowed: a byte a CPU, or NULL for this thread's affinity mask. root: "" or, for tests, the
 * directory that has proc/self/cgroup and sys/. */
void tn_host_cpus_read(const char *root, const uint8_t *allowed, tn_host_cpus *out);
/** Threads for `auto`: 1 or more. */
int32_t tn_host_cpus_threads(const tn_host_cpus *cpus);

/** A team of so many threads; 0: as many as `auto` says. */
tn_status tn_host_team_create(int32_t threads, int32_t affinity, tn_team **out,
                              tn_error *err) TN_MUST_USE;

#endif
