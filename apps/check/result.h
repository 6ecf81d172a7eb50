/* SPDX-License-Identifier: Apache-2.0 */
/* What a check found: one result a node or case, in the order in which they were looked at. Thread:
 * one. */
#ifndef TN_APPS_CHECK_RESULT_H
#define TN_APPS_CHECK_RESULT_H

#include "apps/check/metrics.h"
#include "core/base/arena.h"
#include "core/base/status.h"

/* The parts of a check. */
enum {
    TN_CHECK_PLUGIN,
    TN_CHECK_OPS,
    TN_CHECK_LOCKSTEP,
    TN_CHECK_FREE,
    TN_CHECK_CLAIMS,
    TN_CHECK_PARTS
};
enum { TN_CHECK_PASSED, TN_CHECK_FAILED, TN_CHECK_SKIPPED };

typedef struct tn_check_result {
    int32_t part, state; /* TN_CHECK_* */
    int32_t layer;       /* of a node of the model; -1 */
    int32_t n_cases;
    const char *node; /* path of the node, or name of the case */
    const char *op, *plugin, *kernel, *tolerance;
    const char *shape;     /* of the case that is told about: the worst, or the first to fail */
    const char *signature; /* of claims: what tells them from those of a like node */
    const char *metric;    /* what failed: "error/limit", "overrun", "determinism" ... */
    double value, limit;
    const char *text;         /* one sentence about a failure, or why it was skipped; "" */
    const char *repro;        /* path of the repro file, or "" */
    tn_check_metrics metrics; /* n 0: nothing was compared */
} tn_check_result;

typedef struct tn_check_results {
    tn_check_result *item;
    int32_t n, capacity;
    tn_arena arena; /* every string */
} tn_check_results;

/** A new result with empty strings; NULL without memory. Valid until the next call. */
tn_check_result *tn_check_results_add(tn_check_results *all, int32_t part, const char *node);
void tn_check_results_deinit(tn_check_results *all);
/** A copy of the text that lives as long as the results, of which every byte can be shown (names
 * come from plugins and files); "" without memory. */
const char *tn_check_results_text(tn_check_results *all, const char *format, ...) TN_PRINTF(2, 3);

const char *tn_check_part_name(int32_t part);

#endif
