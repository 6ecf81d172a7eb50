/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JUnit XML, as the servers that read it agree on it (github.com/testmoapp/junitxml): a suite for
 * each part, a test for each result.
 */
#include "apps/check/markup.h"
#include "apps/check/report.h"

static void attribute(const char *name, const char *text, tn_strbuf *out)
{
    tn_strbuf_printf(out, " %s=\"", name);
    tn_markup_text(text, out);
    tn_strbuf_puts(out, "\"");
}

static void write_test(const tn_check_result *r, tn_strbuf *out)
{
    tn_strbuf_puts(out, "    <testcase");
    attribute("classname", *r->kernel ? r->kernel : tn_check_part_name(r->part), out);
    attribute("name", r->node, out);
    tn_strbuf_puts(out, ">\n");
    if (r->state == TN_CHECK_SKIPPED) {
        tn_strbuf_puts(out, "      <skipped");
        attribute("message", r->text, out);
        tn_strbuf_puts(out, "/>\n");
    }
    if (r->state == TN_CHECK_FAILED) {
        tn_strbuf_puts(out, "      <failure");
        attribute("type", r->metric, out);
        attribute("message", r->text, out);
        tn_strbuf_puts(out, ">");
        tn_markup_text(r->shape, out);
        if (*r->repro) {
            tn_strbuf_puts(out, "\ntenon check --repro ");
            tn_markup_text(r->repro, out);
        }
        tn_strbuf_puts(out, "</failure>\n");
    }
    tn_strbuf_puts(out, "    </testcase>\n");
}

static void count(const tn_check_report *r, int32_t part, int32_t n[3])
{
    n[0] = n[1] = n[2] = 0;
    for (int32_t i = 0; i < r->results.n; i++)
        if (part < 0 || r->results.item[i].part == part)
            n[r->results.item[i].state]++;
}

static void counts(const int32_t n[3], tn_strbuf *out)
{
    tn_strbuf_printf(out, " tests=\"%d\" failures=\"%d\" skipped=\"%d\" errors=\"0\"",
                     (int)(n[0] + n[1] + n[2]), (int)n[TN_CHECK_FAILED], (int)n[TN_CHECK_SKIPPED]);
}

void tn_check_junit(const tn_check_report *r, tn_strbuf *out)
{
    int32_t n[3];
    count(r, -1, n);
    tn_strbuf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    attribute("name", "tenon check", out);
    counts(n, out);
    tn_strbuf_printf(out, " time=\"%.3f\">\n", r->seconds);
    for (int32_t part = 0; part < TN_CHECK_PARTS; part++) {
        count(r, part, n);
        if (n[0] + n[1] + n[2] == 0)
            continue;
        tn_strbuf_puts(out, "  <testsuite");
        attribute("name", tn_check_part_name(part), out);
        counts(n, out);
        tn_strbuf_puts(out, ">\n    <properties>\n      <property");
        attribute("name", r->plugin ? "plugin" : "profile", out);
        attribute("value", r->plugin ? r->plugin : r->profile, out);
        tn_strbuf_puts(out, "/>\n      <property");
        attribute("name", "against", out);
        attribute("value", r->against, out);
        tn_strbuf_printf(out,
                         "/>\n      <property name=\"seed\" value=\"%llu\"/>\n    </properties>\n",
                         (unsigned long long)r->seed);
        for (int32_t i = 0; i < r->results.n; i++)
            if (r->results.item[i].part == part)
                write_test(&r->results.item[i], out);
        tn_strbuf_puts(out, "  </testsuite>\n");
    }
    tn_strbuf_puts(out, "</testsuites>\n");
}
