/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_getaffinity, syscall(SYS_futex) */
#include "core/base/team.h"

#include "core/base/alloc.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_WORKERS = 1024,
    TILES_PER_WORKER = 8, /* a late worker then holds back at most an eighth of its share */
    /* About 50 us on current x86: longer than the gap between two ops of a step, shorter than a
       time slice. */
    SPIN_ROUNDS = 2000,
    /* A wake costs some 7 us; when a worker finds no CPU but the caller's, so many jobs do without:
       about a token of a small model. */
    SKIPPED_WAKES = 256,
    /* Short of a time slice (3 ms on current Linux), long beside a system call; 0.25, 0.5 and
       2 ms gain less beside a busy neighbour. */
    YIELD_AFTER_NS = 1000000,
};

/*
 * A job is open while `epoch` is odd. The fields of the job are written only while epoch is even
 * and active is 0. epoch/active pair (all seq_cst): a worker adds itself to active, then reads
 * epoch; the caller closes epoch, then reads active. One of the two sees the other, so the caller
 * never returns while a worker still runs a tile. sleepers/epoch pair (seq_cst): a worker counts
 * itself in sleepers, then the kernel compares epoch; the caller changes epoch, then reads
 * sleepers. So no wake-up is lost. caller_waits/active is the same pair the other way round.
 */
struct tn_team {
    int32_t n_workers, spin_rounds;
    pthread_mutex_t job_lock; /* one job at a time */
    tn_team_fn fn;
    void *arg;
    uint64_t n, tile;
    _Atomic int32_t caller_cpu; /* a hint, relaxed */
    _Atomic int32_t skip_wakes; /* jobs that open without waking sleepers; a hint, relaxed */
    _Atomic bool shutdown;
    _Atomic int32_t n_started; /* worker numbers given out */
    int32_t n_threads;
    pthread_t *threads;       /* of workers 1 to n_threads */
    int32_t cpu[MAX_WORKERS]; /* a worker's CPU plus 1; 0: any of `allowed` */
    cpu_set_t allowed;
    _Alignas(64) _Atomic uint32_t epoch;
    _Atomic uint32_t sleepers;
    _Alignas(64) _Atomic uint32_t active;
    _Atomic uint32_t caller_waits;
    _Alignas(64) _Atomic uint64_t next; /* first index nobody took; unsigned: cannot overflow */
};

/* The worker number while this thread is inside a job, else -1. */
static _Thread_local int32_t current_worker = -1;

static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void run_tiles(tn_team *team, int32_t worker)
{
    uint64_t n = team->n;
    uint64_t tile = team->tile;
    int32_t outer = current_worker;

    current_worker = worker;
    for (;;) {
        /* Relaxed: only the number matters; data is ordered by epoch and active. */
        uint64_t i0 = atomic_fetch_add_explicit(&team->next, tile, memory_order_relaxed);
        if (i0 >= n)
            break;
        team->fn(team->arg, (int64_t)i0, (int64_t)(n - i0 < tile ? n : i0 + tile), worker);
    }
    current_worker = outer;
}

static bool shares_cpu_with_caller(tn_team *team)
{
    return sched_getcpu() == atomic_load_explicit(&team->caller_cpu, memory_order_relaxed);
}

/* On the caller's CPU a worker only takes time from it. When others keep all CPUs busy the system
 * wakes it just there, so that it keeps off that CPU by itself. */
static bool leave_callers_cpu(tn_team *team, int32_t worker)
{
    int32_t cpu = atomic_load_explicit(&team->caller_cpu, memory_order_relaxed);
    cpu_set_t others = team->allowed;

    if (team->cpu[worker] || cpu < 0)
        return false;
    CPU_CLR(cpu, &others);
    return sched_setaffinity(0, sizeof(others), &others) == 0;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Who else waits for this CPU gets it between two jobs, and not in the middle of a tile, when the
 * caller would have to wait for a whole time slice. */
static void yield_now_and_then(int64_t *resumed_ns)
{
    if (now_ns() - *resumed_ns < YIELD_AFTER_NS)
        return;
    sched_yield();
    *resumed_ns = now_ns();
}

/* Wait until *word differs from seen: spin, then sleep. waits tells the other side to wake us. */
static uint32_t wait_change(_Atomic uint32_t *word, uint32_t seen, _Atomic uint32_t *waits,
                            int32_t spin_rounds)
{
    for (int32_t i = 0; i < spin_rounds; i++) {
        /* Acquire pairs with the changer's store. */
        uint32_t now = atomic_load_explicit(word, memory_order_acquire);
        if (now != seen)
            return now;
        cpu_relax();
    }
    atomic_fetch_add(waits, 1);
    uint32_t now = atomic_load(word);
    while (now == seen) {
        futex_wait(word, seen);
        now = atomic_load(word);
    }
    atomic_fetch_sub(waits, 1);
    return now;
}

/* A CPU that cannot be had is none of the job's errors: the system then chooses as it did. */
static void settle(const tn_team *team, int32_t worker)
{
    int32_t cpu = team->cpu[worker] - 1;
    cpu_set_t set;

    if (cpu < 0 || cpu >= CPU_SETSIZE)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

void tn_team_settle(const tn_team *team)
{
    settle(team, 0);
}

static void *worker_main(void *arg)
{
    tn_team *team = arg;
    int32_t worker = 1 + atomic_fetch_add(&team->n_started, 1);
    uint32_t seen = 0;
    int64_t resumed_ns = 0;

    settle(team, worker);
    while (!atomic_load(&team->shutdown)) {
        int32_t spin_rounds = shares_cpu_with_caller(team) ? 0 : team->spin_rounds;
        seen = wait_change(&team->epoch, seen, &team->sleepers, spin_rounds);
        if (seen % 2 == 0)
            continue;
        if (shares_cpu_with_caller(team) && !leave_callers_cpu(team, worker)) {
            atomic_store_explicit(&team->skip_wakes, SKIPPED_WAKES, memory_order_relaxed);
            continue;
        }
        atomic_fetch_add(&team->active, 1);
        seen = atomic_load(&team->epoch); /* a later job than the one noticed is as good */
        if (seen % 2 == 1)
            run_tiles(team, worker);
        /* Publishes the tiles' results to the caller's load of active. */
        atomic_fetch_sub(&team->active, 1);
        if (atomic_load(&team->caller_waits))
            futex_wake(&team->active);
        yield_now_and_then(&resumed_ns);
    }
    return NULL;
}

static void open_job(tn_team *team)
{
    int32_t skip = atomic_load_explicit(&team->skip_wakes, memory_order_relaxed);

    atomic_fetch_add(&team->epoch, 1);
    if (skip > 0)
        atomic_store_explicit(&team->skip_wakes, skip - 1, memory_order_relaxed);
    else if (atomic_load(&team->sleepers))
        futex_wake(&team->epoch);
}

static void run_job(tn_team *team, int64_t n, tn_team_fn fn, void *arg)
{
    uint64_t tile = (uint64_t)n / ((uint64_t)team->n_workers * TILES_PER_WORKER);

    team->fn = fn;
    team->arg = arg;
    team->n = (uint64_t)n;
    team->tile = tile > 0 ? tile : 1;
    atomic_store_explicit(&team->next, 0, memory_order_relaxed);
    atomic_store_explicit(&team->caller_cpu, sched_getcpu(), memory_order_relaxed);
    open_job(team); /* odd: open; publishes the fields above */
    run_tiles(team, 0);
    atomic_fetch_add(&team->epoch, 1); /* even: closed; sleepers need not know */
    for (uint32_t active = atomic_load(&team->active); active > 0;)
        active = wait_change(&team->active, active, &team->caller_waits, team->spin_rounds);
}

void tn_team_for(tn_team *team, int64_t n, tn_team_fn fn, void *arg)
{
    if (n <= 0)
        return;
    if (current_worker >= 0) { /* nested: the other workers may all be waiting for this tile */
        fn(arg, 0, n, current_worker);
        return;
    }
    pthread_mutex_lock(&team->job_lock);
    if (n == 1 || team->n_workers == 1) {
        current_worker = 0;
        fn(arg, 0, n, 0);
        current_worker = -1;
    } else {
        run_job(team, n, fn, arg);
    }
    pthread_mutex_unlock(&team->job_lock);
}

int32_t tn_team_workers(const tn_team *team)
{
    return team->n_workers;
}

static tn_status start_threads(tn_team *team, tn_error *err)
{
    int32_t want = team->n_workers - 1;

    team->threads = tn_alloc_array((size_t)want, sizeof(team->threads[0]));
    if (!team->threads)
        return tn_fail_memory(err, "the thread team");
    for (; team->n_threads < want; team->n_threads++) {
        int rc = pthread_create(&team->threads[team->n_threads], NULL, worker_main, team);
        if (rc != 0)
            return tn_fail(err, TN_UNAVAILABLE, "cannot create thread %d of %d: %s",
                           team->n_threads + 1, want, strerror(rc));
    }
    return TN_OK;
}

tn_status tn_team_create_on(int32_t threads, const int32_t *cpu, tn_team **out_team, tn_error *err)
{
    cpu_set_t allowed;

    *out_team = NULL;
    CPU_ZERO(&allowed);
    (void)sched_getaffinity(0, sizeof(allowed), &allowed);
    const int32_t n_cpus = CPU_COUNT(&allowed) > 0 ? CPU_COUNT(&allowed) : 1;
    if (threads < 0 || threads > MAX_WORKERS)
        return tn_fail(err, TN_INVALID, "threads is %d: 0 (automatic) to %d are allowed", threads,
                       MAX_WORKERS);
    tn_team *team = tn_alloc_aligned(sizeof(*team));
    if (!team)
        return tn_fail_memory(err, "the thread team");
    *team = (tn_team){ .n_workers = threads > 0 ? threads : n_cpus,
                       .caller_cpu = -1,
                       .allowed = allowed };
    for (int32_t i = 0; cpu && i < team->n_workers; i++)
        team->cpu[i] = cpu[i] + 1;
    /* With more workers than CPUs a spinning thread only keeps a working one from running. */
    team->spin_rounds = team->n_workers <= n_cpus ? SPIN_ROUNDS : 0;
    pthread_mutex_init(&team->job_lock, NULL);
    tn_status status = start_threads(team, err);
    if (status) {
        tn_team_destroy(team);
        return status;
    }
    *out_team = team;
    return TN_OK;
}

tn_status tn_team_create(int32_t threads, tn_team **out_team, tn_error *err)
{
    return tn_team_create_on(threads, NULL, out_team, err);
}

void tn_team_destroy(tn_team *team)
{
    if (!team)
        return;
    atomic_store(&team->shutdown, true);
    /* A change that stays even: wakes the workers, opens no job. */
    atomic_fetch_add(&team->epoch, 2);
    futex_wake(&team->epoch);
    for (int32_t i = 0; i < team->n_threads; i++)
        pthread_join(team->threads[i], NULL);
    tn_free(team->threads);
    pthread_mutex_destroy(&team->job_lock);
    tn_free(team);
}
