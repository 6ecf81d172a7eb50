/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenon bench: every test on every target, in turn, several times, so that what else the machine
 * does falls on all alike. Thread: one at a time.
 */
#ifndef TN_APPS_BENCH_BENCH_H
#define TN_APPS_BENCH_BENCH_H

#include "apps/bench/roofline.h"
#include "apps/bench/target.h"

enum { TN_BENCH_MAX_REPEATS = 1000 };

typedef struct tn_bench_row {
    const tn_bench_target *target;
    tn_bench_test test;
    int32_t n_repeats;
    double tokens_s;        /* median */
    double spread;          /* half the distance of the quartiles, by the median */
    double memory, compute; /* share of the roofline, 0 when it was not measured */
    double *sample;         /* [n_repeats] tokens a second, in order of measurement */
} tn_bench_row;

typedef struct tn_bench {
    const tn_bench_target *target;
    int32_t n_targets;
    const tn_bench_test *test;
    int32_t n_tests, n_repeats;
    const tn_roofline *roofline; /* [n_targets], by the target's threads; or NULL */
    /* Measurements done of all; may be NULL. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
} tn_bench;

/** A measurement of each row that does not count, then n_repeats rounds over all rows. *out_rows is
 * [n_targets * n_tests], by target, then by test. */
tn_status tn_bench_run(const tn_bench *bench, tn_bench_row **out_rows, tn_error *err);
void tn_bench_rows_free(tn_bench_row *rows, int32_t n);

/** "pp512" or "tg128" */
void tn_bench_test_name(const tn_bench_test *test, char out[32]);

#endif
