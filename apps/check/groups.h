/* SPDX-License-Identifier: Apache-2.0 */
/* Results summed up by part, op and kernel, as reports show them. Pure. */
#ifndef TN_APPS_CHECK_GROUPS_H
#define TN_APPS_CHECK_GROUPS_H

#include "apps/check/check.h"

enum { TN_CHECK_MAX_GROUPS = 256 };

typedef struct tn_check_group {
    const tn_check_result *first; /* of the results in it */
    tn_check_metrics metrics;
    int32_t nodes, cases, failed, skipped;
} tn_check_group;

/** Their number; groups past the maximum are left out. */
int32_t tn_check_groups(const tn_check_report *r, tn_check_group groups[TN_CHECK_MAX_GROUPS]);

#endif
