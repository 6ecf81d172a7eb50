/* SPDX-License-Identifier: Apache-2.0 */
/* A check as text, JSON, JUnit XML and HTML. Each appends to *out; pure. */
#ifndef TN_APPS_CHECK_REPORT_H
#define TN_APPS_CHECK_REPORT_H

#include "apps/check/check.h"
#include "core/base/strbuf.h"

#include <jansson.h>

/** Table for people: failures in full, what passed summed up by op; with `all` a line for every
 * node. */
void tn_check_text(const tn_check_report *r, bool all, tn_strbuf *out);

/** The object of `tenon check --json`; NULL without memory. */
json_t *tn_check_json(const tn_check_report *r);

/** JUnit XML for build servers; a page of HTML that needs nothing but itself. */
void tn_check_junit(const tn_check_report *r, tn_strbuf *out);
void tn_check_html(const tn_check_report *r, tn_strbuf *out);

#endif
