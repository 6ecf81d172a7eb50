/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a report as inline SVG. Colours are the page's classes; each has a title and a
 * description for those who do not see it. Pure. */
#ifndef TN_APPS_CHECK_CHARTS_H
#define TN_APPS_CHECK_CHARTS_H

#include "apps/check/check.h"
#include "core/base/strbuf.h"

/** Drift of every node in the order of execution, on a logarithmic scale; layers end at the marks.
 */
void tn_check_chart_drift(const tn_check_free_run *run, tn_strbuf *out);
/** Bars of the distances in units in the last place. id: tells one picture from another. */
void tn_check_chart_ulp(const tn_check_metrics *m, int32_t id, tn_strbuf *out);

#endif
