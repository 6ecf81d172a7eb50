/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one thread pool of the process. A job is a range cut into dynamic tiles; the caller works too. Workers spin for a
 * bounded time, then sleep on a futex; beside a busy neighbour they keep off the caller's CPU.
 *
 * Thread: tn_team_for from any thread, one job at a time (others wait);
 * a call from inside a job runs inline on the calling worker.
 */
#ifndef TN_CORE_BASE_TEAM_H
#define TN_CORE_BASE_TEAM_H

#include "core/base/status.h"

typedef struct tn_team tn_team;
typedef void (*tn_team_fn)(void *arg, int64_t i0, int64_t i1, int32_t worker);

/** threads >= 1 counts the caller; 0 means one a CPU that this process may use. */
tn_status tn_team_create(int32_t threads, tn_team **out_team, tn_error *err) TN_MUST_USE;
/** The same with worker i kept on cpu[i] of [threads]; NULL: nowhere. */
tn_status tn_team_create_on(int32_t threads, const int32_t *cpu, tn_team **out_team, tn_error *err) TN_MUST_USE;
/** The calling thread is to be worker 0 from now on, on the CPU that it was given. Threads that it makes start there, too. */
void tn_team_settle(const tn_team *team);
void tn_team_destroy(tn_team *team);
int32_t tn_team_workers(const tn_team *team);

/**
 * fn over [0, n) in tiles; returns when all tiles are done. worker is 0..workers-1, unique among concurrent calls.
 * Which worker gets which tile is not determined: results must not depend on it.
 */
void tn_team_for(tn_team *team, int64_t n, tn_team_fn fn, void *arg);

#endif
