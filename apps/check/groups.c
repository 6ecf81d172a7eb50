/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/groups.h"

#include <string.h>

static bool same_group(const tn_check_result *a, const tn_check_result *b)
{
    return a->part == b->part && strcmp(a->kernel, b->kernel) == 0 && strcmp(a->op, b->op) == 0;
}

int32_t tn_check_groups(const tn_check_report *r, tn_check_group groups[TN_CHECK_MAX_GROUPS])
{
    int32_t n = 0;
    for (int32_t i = 0; i < r->results.n; i++) {
        const tn_check_result *item = &r->results.item[i];
        int32_t k = 0;
        while (k < n && !same_group(groups[k].first, item))
            k++;
        if (k == n && n == TN_CHECK_MAX_GROUPS)
            continue;
        if (k == n)
            groups[n++] = (tn_check_group){ .first = item };
        tn_check_metrics_merge(&groups[k].metrics, &item->metrics);
        groups[k].nodes++;
        groups[k].cases += item->n_cases;
        groups[k].failed += item->state == TN_CHECK_FAILED;
        groups[k].skipped += item->state == TN_CHECK_SKIPPED;
    }
    return n;
}
