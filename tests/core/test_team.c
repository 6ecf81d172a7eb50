/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_getcpu, cpu_set_t */
#include "core/base/alloc.h"
#include "core/base/team.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MAX_N = 10007, MAX_TEST_WORKERS = 7 };

/* cmocka's assertions jump, which a worker must not do: jobs record, the test thread asserts. */
typedef struct job {
    tn_team *team;
    int32_t n_workers;
    uint8_t *visits; /* [MAX_N], plain bytes: a double visit is also a race for TSan */
    _Atomic int32_t inside[MAX_TEST_WORKERS]; /* calls running now, by worker */
    _Atomic int32_t n_bad;
} job;

static void visit(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    job *j = arg;

    if (worker < 0 || worker >= j->n_workers || i0 >= i1) {
        atomic_fetch_add(&j->n_bad, 1);
        return;
    }
    if (atomic_fetch_add(&j->inside[worker], 1) != 0)
        atomic_fetch_add(&j->n_bad, 1);
    for (int64_t i = i0; i < i1; i++)
        j->visits[i]++;
    atomic_fetch_sub(&j->inside[worker], 1);
}

static tn_team *new_team(int32_t threads)
{
    tn_team *team = NULL;
    tn_error err = { 0 };

    assert_int_equal(tn_team_create(threads, &team, &err), TN_OK);
    assert_non_null(team);
    return team;
}

static void every_index_is_visited_once_by_a_known_worker(void **state)
{
    (void)state;
    static const int64_t sizes[] = { 0, 1, 2, 3, 7, 8, 63, 64, 1000, MAX_N };
    job j = { .visits = tn_alloc(MAX_N) };
    assert_non_null(j.visits);

    for (int32_t workers = 1; workers <= MAX_TEST_WORKERS; workers++) {
        j.team = new_team(workers);
        j.n_workers = workers;
        assert_int_equal(tn_team_workers(j.team), workers);
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            memset(j.visits, 0, MAX_N);
            tn_team_for(j.team, sizes[s], visit, &j);
            for (int64_t i = 0; i < MAX_N; i++)
                assert_int_equal(j.visits[i], i < sizes[s] ? 1 : 0);
        }
        tn_team_destroy(j.team);
    }
    assert_int_equal(j.n_bad, 0);
    tn_free(j.visits);
}

static void many_short_jobs_lose_no_tile(void **state)
{
    (void)state;
    uint8_t visits[16];
    job j = { .team = new_team(3), .n_workers = 3, .visits = visits };

    for (int round = 0; round < 3000; round++) {
        memset(visits, 0, sizeof(visits));
        tn_team_for(j.team, 16, visit, &j);
        for (int i = 0; i < 16; i++)
            assert_int_equal(visits[i], 1);
    }

    assert_int_equal(j.n_bad, 0);
    tn_team_destroy(j.team);
}

typedef struct nested_job {
    tn_team *team;
    _Atomic int64_t n_done;
    _Atomic int32_t n_bad;
} nested_job;

typedef struct inner_job {
    nested_job *outer;
    pthread_t thread;
    int32_t worker;
    int32_t n_calls;
} inner_job;

static void inner(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    inner_job *in = arg;

    in->n_calls++;
    if (worker != in->worker || !pthread_equal(in->thread, pthread_self()))
        atomic_fetch_add(&in->outer->n_bad, 1);
    atomic_fetch_add(&in->outer->n_done, i1 - i0);
}

static void outer(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    nested_job *j = arg;

    for (int64_t i = i0; i < i1; i++) {
        inner_job in = { .outer = j, .thread = pthread_self(), .worker = worker };
        tn_team_for(j->team, 10, inner, &in);
        if (in.n_calls != 1)
            atomic_fetch_add(&j->n_bad, 1);
    }
}

static void nested_calls_run_inline_on_the_calling_worker(void **state)
{
    (void)state;

    for (int32_t workers = 1; workers <= 4; workers++) {
        nested_job j = { .team = new_team(workers) };
        tn_team_for(j.team, 50, outer, &j);
        tn_team_for(j.team, 1, outer, &j);
        assert_int_equal(j.n_done, 51 * 10);
        assert_int_equal(j.n_bad, 0);
        tn_team_destroy(j.team);
    }
}

typedef struct foreign_caller {
    job *shared;
    uint8_t visits[500];
    int32_t n_bad;
} foreign_caller;

static void visit_own(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    foreign_caller *c = arg;
    job *j = c->shared;

    /* inside[] is shared by all callers: worker numbers must be unique over all of them. */
    if (atomic_fetch_add(&j->inside[worker], 1) != 0)
        atomic_fetch_add(&j->n_bad, 1);
    for (int64_t i = i0; i < i1; i++)
        c->visits[i]++;
    atomic_fetch_sub(&j->inside[worker], 1);
}

static void *call_often(void *arg)
{
    foreign_caller *c = arg;

    for (int round = 0; round < 200; round++) {
        int64_t n = round % 5 == 0 ? 1 : (int64_t)sizeof(c->visits);
        memset(c->visits, 0, sizeof(c->visits));
        tn_team_for(c->shared->team, n, visit_own, c);
        for (int64_t i = 0; i < n; i++)
            c->n_bad += c->visits[i] != 1;
    }
    return NULL;
}

static void four_threads_may_call_at_once(void **state)
{
    (void)state;

    for (int32_t workers = 1; workers <= 3; workers++) {
        job shared = { .team = new_team(workers), .n_workers = workers };
        foreign_caller callers[4] = { 0 };
        pthread_t threads[4];
        for (int t = 0; t < 4; t++) {
            callers[t].shared = &shared;
            assert_int_equal(pthread_create(&threads[t], NULL, call_often, &callers[t]), 0);
        }
        for (int t = 0; t < 4; t++) {
            assert_int_equal(pthread_join(threads[t], NULL), 0);
            assert_int_equal(callers[t].n_bad, 0);
        }
        assert_int_equal(shared.n_bad, 0);
        tn_team_destroy(shared.team);
    }
}

static void sum_rows(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    double *out = arg;

    (void)worker;
    for (int64_t row = i0; row < i1; row++) {
        out[row] = 0;
        for (int k = 1; k <= 50; k++)
            out[row] += 1.0 / (double)(row * 50 + k);
    }
}

static void results_are_equal_for_any_worker_count(void **state)
{
    (void)state;
    enum { ROWS = 777 };
    static double expected[ROWS];
    static double got[ROWS];
    sum_rows(expected, 0, ROWS, 0);

    for (int32_t workers = 1; workers <= MAX_TEST_WORKERS; workers++) {
        tn_team *team = new_team(workers);
        memset(got, 0, sizeof(got));
        tn_team_for(team, ROWS, sum_rows, got);
        assert_memory_equal(got, expected, sizeof(got));
        tn_team_destroy(team);
    }
}

static void a_team_can_be_made_a_hundred_times(void **state)
{
    (void)state;
    uint8_t visits[64];

    for (int32_t round = 0; round < 100; round++) {
        job j = { .team = new_team(1 + round % 4), .n_workers = 1 + round % 4, .visits = visits };
        memset(visits, 0, sizeof(visits));
        if (round % 2 == 0) {
            tn_team_for(j.team, 64, visit, &j);
            assert_int_equal(visits[63], 1);
        }
        tn_team_destroy(j.team);
    }
    tn_team_destroy(NULL);
}

static void zero_threads_means_at_least_one_worker(void **state)
{
    (void)state;
    tn_team *team = new_team(0);

    assert_in_range(tn_team_workers(team), 1, 1024);
    tn_team_destroy(team);
}

static void counts_out_of_range_are_refused(void **state)
{
    (void)state;
    tn_team *team;
    tn_error err = { 0 };

    assert_int_equal(tn_team_create(-1, &team, &err), TN_INVALID);
    assert_null(team);
    assert_non_null(strstr(err.text, "-1"));
    assert_int_equal(tn_team_create(1025, &team, &err), TN_INVALID);
    assert_null(team);
}

static void lack_of_memory_is_reported(void **state)
{
    (void)state;
    tn_team *team;

    for (uint64_t nth = 1; nth <= 2; nth++) {
        tn_alloc_fail_at(nth);
        assert_int_equal(tn_team_create(2, &team, NULL), TN_NO_MEMORY);
        assert_null(team);
    }
    tn_alloc_fail_at(0);
}

/* Jobs of a team whose workers have CPUs: which one each worker was seen on. */
typedef struct places {
    int32_t n;
    _Atomic int32_t seen[2];
} places;

static void note_place(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    places *p = arg;
    (void)i0, (void)i1;
    if (worker < p->n)
        atomic_store(&p->seen[worker], sched_getcpu());
}

static void workers_stay_where_they_are_put(void **state)
{
    (void)state;
    cpu_set_t before;
    int32_t cpu[2], n = 0;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
        if (CPU_ISSET(i, &before))
            cpu[n++] = i;
    if (n == 1)
        cpu[1] = cpu[0];
    tn_team *team = NULL;
    assert_int_equal(tn_team_create_on(2, cpu, &team, NULL), TN_OK);
    tn_team_settle(team);
    places p = { .n = 2, .seen = { -1, -1 } };
    for (int i = 0; i < 200; i++)
        tn_team_for(team, 64, note_place, &p);
    assert_int_equal(atomic_load(&p.seen[0]), cpu[0]);
    /* On one CPU the second worker leaves the work to the first. */
    assert_true(atomic_load(&p.seen[1]) == cpu[1] || atomic_load(&p.seen[1]) == -1);
    tn_team_destroy(team);

    const int32_t none[] = { CPU_SETSIZE - 1, 1 << 30 };
    assert_int_equal(tn_team_create_on(2, none, &team, NULL), TN_OK);
    tn_team_settle(team);
    tn_team_for(team, 64, note_place, &p);
    tn_team_destroy(team);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static int32_t first_cpu(const cpu_set_t *set)
{
    int32_t cpu = 0;
    while (!CPU_ISSET(cpu, set))
        cpu++;
    return cpu;
}

/* All threads of this process on one CPU. */
static void put_threads_on(int32_t cpu)
{
    cpu_set_t one;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    for (struct dirent *e = readdir(tasks); e; e = readdir(tasks)) {
        pid_t thread = (pid_t)strtol(e->d_name, NULL, 10);
        if (thread > 0)
            assert_int_equal(sched_setaffinity(thread, sizeof(one), &one), 0);
    }
    closedir(tasks);
}

/* The second worker is put where the system puts it when all CPUs are busy. */
static void a_worker_on_the_callers_cpu_moves_to_another(void **state)
{
    (void)state;
    cpu_set_t before;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    if (CPU_COUNT(&before) < 2) {
        print_message("one CPU: there is no other to move to\n");
        skip();
    }
    const int32_t cpu = first_cpu(&before);
    tn_team *team = new_team(2);
    places p = { .n = 2, .seen = { -1, -1 } };

    put_threads_on(cpu);
    const time_t end = time(NULL) + 20;
    while (atomic_load(&p.seen[1]) < 0 && time(NULL) < end)
        tn_team_for(team, 64, note_place, &p);
    assert_int_not_equal(atomic_load(&p.seen[1]), -1);
    assert_int_not_equal(atomic_load(&p.seen[1]), cpu);

    tn_team_destroy(team);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_is_visited_once_by_a_known_worker),
        cmocka_unit_test(many_short_jobs_lose_no_tile),
        cmocka_unit_test(nested_calls_run_inline_on_the_calling_worker),
        cmocka_unit_test(four_threads_may_call_at_once),
        cmocka_unit_test(results_are_equal_for_any_worker_count),
        cmocka_unit_test(a_team_can_be_made_a_hundred_times),
        cmocka_unit_test(zero_threads_means_at_least_one_worker),
        cmocka_unit_test(counts_out_of_range_are_refused),
        cmocka_unit_test(lack_of_memory_is_reported),
        cmocka_unit_test(workers_stay_where_they_are_put),
        cmocka_unit_test(a_worker_on_the_callers_cpu_moves_to_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
