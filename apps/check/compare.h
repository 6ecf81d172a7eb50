/* SPDX-License-Identifier: Apache-2.0 */
/* One case on one kernel against the reference: run both, compare outputs and pages, tell the
 * worst. */
#ifndef TN_APPS_CHECK_COMPARE_H
#define TN_APPS_CHECK_COMPARE_H

#include "apps/check/limits.h"
#include "apps/check/metrics.h"

typedef struct tn_check_verdict {
    bool failed;
    const char *metric; /* what failed */
    double value, limit;
    char text[512];
    tn_check_metrics metrics;
} tn_check_verdict;

/** Outputs and pages of one run against what is expected. */
tn_status tn_check_compare(const tn_check_case *c, const tn_check_expected *e,
                           const tn_check_output *got, const tn_check_class *k, tn_team *team,
                           tn_check_verdict *out, tn_error *err) TN_MUST_USE;
/** A fault as a verdict. */
void tn_check_verdict_fault(const tn_check_fault *fault, tn_check_verdict *out);

/* ---- pages.c ---- */
/** Compare the pools after the op, page by page: written slots within the class (codes +-1), all
 * other bytes as before. */
tn_status tn_check_compare_pool(const tn_check_case *c, const tn_check_expected *e,
                                const uint8_t *got, const tn_check_class *k, tn_check_verdict *out,
                                tn_error *err) TN_MUST_USE;

#endif
