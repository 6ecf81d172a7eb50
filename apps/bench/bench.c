/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/bench/bench.h"

#include "core/base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tn_bench_test_name(const tn_bench_test *test, char out[32])
{
    (void)snprintf(out, 32, "%s%d", test->prefill ? "pp" : "tg",
                   (int)(test->prefill ? test->prefill : test->decode));
}

void tn_bench_rows_free(tn_bench_row *rows, int32_t n)
{
    for (int32_t i = 0; rows && i < n; i++)
        tn_free(rows[i].sample);
    tn_free(rows);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Of sorted values, between two of them by their distance. */
static double quantile(const double *sorted, int32_t n, double q)
{
    const double at = q * (n - 1);
    const int32_t i = (int32_t)at;
    const double next = i + 1 < n ? sorted[i + 1] : sorted[i];
    return sorted[i] + (at - i) * (next - sorted[i]);
}

static tn_status summarise(tn_bench_row *row, const tn_roofline *roofline, tn_error *err)
{
    double *sorted = tn_alloc_array((size_t)row->n_repeats, sizeof *sorted);
    if (!sorted)
        return tn_fail_memory(err, "the results");
    memcpy(sorted, row->sample, (size_t)row->n_repeats * sizeof *sorted);
    qsort(sorted, (size_t)row->n_repeats, sizeof *sorted, ascending);
    row->tokens_s = quantile(sorted, row->n_repeats, 0.5);
    row->spread =
        0.5 * (quantile(sorted, row->n_repeats, 0.75) - quantile(sorted, row->n_repeats, 0.25)) /
        row->tokens_s;
    tn_free(sorted);
    if (!roofline)
        return TN_OK;
    row->memory = row->tokens_s * tn_bench_token_bytes(&row->target->cost, &row->test) /
                  roofline->read_bytes_s;
    row->compute = row->tokens_s * tn_bench_token_seconds(&row->target->cost, &row->test, roofline);
    return TN_OK;
}

static tn_status measure_all(const tn_bench *b, tn_bench_row *rows, tn_error *err)
{
    const int32_t n_rows = b->n_targets * b->n_tests;
    const uint64_t total = (uint64_t)n_rows * (uint64_t)(b->n_repeats + 1);
    uint64_t done = 0;
    for (int32_t repeat = -1; repeat < b->n_repeats; repeat++) {
        for (int32_t i = 0; i < n_rows; i++) {
            tn_bench_row *row = &rows[i];
            double value;
            TN_TRY(tn_bench_measure(row->target->rt, &row->test, row->target->vocab,
                                    done * 1000003u + 1, &value, err));
            if (repeat >= 0)
                row->sample[repeat] = value;
            if (b->progress)
                b->progress(b->ctx, ++done, total);
            else
                done++;
        }
    }
    return TN_OK;
}

tn_status tn_bench_run(const tn_bench *b, tn_bench_row **out_rows, tn_error *err)
{
    const int32_t n = b->n_targets * b->n_tests;
    tn_bench_row *rows = tn_alloc_array((size_t)n, sizeof *rows);
    tn_status status = rows ? TN_OK : tn_fail_memory(err, "the results");
    *out_rows = NULL;
    for (int32_t i = 0; i < n && !status; i++) {
        rows[i] = (tn_bench_row){ .target = &b->target[i / b->n_tests],
                                  .test = b->test[i % b->n_tests],
                                  .n_repeats = b->n_repeats };
        rows[i].sample = tn_alloc_array((size_t)b->n_repeats, sizeof(double));
        if (!rows[i].sample)
            status = tn_fail_memory(err, "the results");
    }
    if (!status)
        status = measure_all(b, rows, err);
    for (int32_t i = 0; i < n && !status; i++)
        status = summarise(&rows[i], b->roofline ? &b->roofline[i / b->n_tests] : NULL, err);
    if (status) {
        tn_bench_rows_free(rows, n);
        return status;
    }
    *out_rows = rows;
    return TN_OK;
}
