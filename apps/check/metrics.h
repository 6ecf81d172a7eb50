/* SPDX-License-Identifier: Apache-2.0 */
/* How two tensors differ. Pure. */
#ifndef TN_APPS_CHECK_METRICS_H
#define TN_APPS_CHECK_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bins of the histogram of distances in units in the last place of the edge's type: 0, 1, 2, up to
 * 4, 16, 256, 65536, and beyond. */
enum { TN_ULP_BINS = 8 };

typedef struct tn_check_metrics {
    int64_t n, n_bad; /* elements, and those past their limit */
    double nmse;      /* sum of squared errors by sum of squared expected values */
    double worst_row_nmse;
    double max_abs;
    double worst; /* largest |error| / limit; above 1 is a failure; inf: no error is allowed */
    int64_t worst_row, worst_col;
    double got, expected, limit; /* of that element */
    int64_t n_not_finite; /* NaN or infinite where the reference is not, or the other way round */
    int64_t ulp[TN_ULP_BINS];
} tn_check_metrics;

/** Compare [rows][width]; dtype is the edge's, to which `expected` is rounded first. limit NULL:
 * all 0. */
void tn_check_metrics_compare(const float *got, const float *expected, const float *limit,
                              int64_t rows, int64_t width, int32_t dtype, tn_check_metrics *out);
/** Add b to *a: counts and histograms; the worse of the two for the rest. */
void tn_check_metrics_merge(tn_check_metrics *a, const tn_check_metrics *b);
/** "0", "1", "2", "3-4" ... */
const char *tn_check_metrics_bin_name(int32_t bin);

#endif
