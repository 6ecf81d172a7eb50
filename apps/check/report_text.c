/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/report.h"

#include <string.h>

enum { MAX_GROUPS = 256 };

/* Results of one kernel in one part. */
typedef struct group {
    const tn_check_result *first;
    tn_check_metrics metrics;
    int32_t nodes, cases, failed;
} group;

static bool same_group(const tn_check_result *a, const tn_check_result *b)
{
    return a->part == b->part && strcmp(a->kernel, b->kernel) == 0 && strcmp(a->op, b->op) == 0;
}

static int32_t collect(const tn_check_report *r, group *g)
{
    int32_t n = 0;
    for (int32_t i = 0; i < r->results.n; i++) {
        const tn_check_result *item = &r->results.item[i];
        int32_t k = 0;
        while (k < n && !same_group(g[k].first, item))
            k++;
        if (k == n && n == MAX_GROUPS)
            continue;
        if (k == n)
            g[n++] = (group){ .first = item };
        tn_check_metrics_merge(&g[k].metrics, &item->metrics);
        g[k].nodes++;
        g[k].cases += item->n_cases;
        g[k].failed += item->state == TN_CHECK_FAILED;
    }
    return n;
}

static void write_group(const group *g, tn_strbuf *out)
{
    const tn_check_result *r = g->first;
    tn_strbuf_printf(out, "%-9s %-16s %-28s %-7s %5d %6d  %-6s", tn_check_part_name(r->part), r->op,
                     r->kernel, r->tolerance, (int)g->nodes, (int)g->cases,
                     g->failed ? "FAILED" : "ok");
    if (g->metrics.n > 0)
        tn_strbuf_printf(out, " %11.3g %9.2e %9.2e %9.2e", g->metrics.worst, g->metrics.nmse,
                         g->metrics.worst_row_nmse, g->metrics.max_abs);
    tn_strbuf_puts(out, "\n");
}

static void write_failure(const tn_check_result *r, tn_strbuf *out)
{
    tn_strbuf_printf(out, "\nFAILED  %s: %s\n", tn_check_part_name(r->part), r->node);
    if (*r->op)
        tn_strbuf_printf(out, "  op %s, kernel %s of %s, class %s\n", r->op, r->kernel, r->plugin,
                         r->tolerance);
    if (*r->shape)
        tn_strbuf_printf(out, "  %s\n", r->shape);
    tn_strbuf_printf(out, "  %s\n", r->text);
    if (*r->repro)
        tn_strbuf_printf(out, "  again: tenon check --repro %s\n", r->repro);
}

static void write_node(const tn_check_result *r, tn_strbuf *out)
{
    static const char *const states[] = { "ok", "FAILED", "skipped" };
    tn_strbuf_printf(out, "%-9s %-28s %-16s %-28s %-7s error/limit %.3g, nmse %.2e\n",
                     tn_check_part_name(r->part), r->node, r->op, r->kernel, states[r->state],
                     r->metrics.worst, r->metrics.nmse);
}

void tn_check_text(const tn_check_report *r, bool all, tn_strbuf *out)
{
    group g[MAX_GROUPS];
    const int32_t n = collect(r, g);
    int32_t failed = 0;
    for (int32_t i = 0; all && i < r->results.n; i++)
        write_node(&r->results.item[i], out);
    tn_strbuf_printf(out, "%-9s %-16s %-28s %-7s %5s %6s  %-6s %11s %9s %9s %9s\n", "part", "op",
                     "kernel", "class", "nodes", "cases", "", "error/limit", "nmse", "row nmse",
                     "max abs");
    for (int32_t i = 0; i < n; i++)
        write_group(&g[i], out);
    for (int32_t i = 0; i < r->results.n; i++) {
        if (r->results.item[i].state != TN_CHECK_FAILED)
            continue;
        write_failure(&r->results.item[i], out);
        failed++;
    }
    for (int32_t i = 0; i < r->results.n; i++)
        if (r->results.item[i].state == TN_CHECK_SKIPPED)
            tn_strbuf_printf(out, "\nskipped %s: %s: %s\n",
                             tn_check_part_name(r->results.item[i].part), r->results.item[i].node,
                             r->results.item[i].text);
    if (r->plugin && r->matrix.n) {
        tn_strbuf_puts(out, "\nwhat the plugin supports: ok is all cases, - none; ops without a "
                            "column, none at all\n");
        tn_check_matrix_print(&r->matrix, out);
    }
    tn_strbuf_printf(out, "\n%s: %lld cases against %s in %.1f s", r->passed ? "passed" : "FAILED",
                     (long long)r->n_cases, r->against, r->seconds);
    if (failed)
        tn_strbuf_printf(out, ", %d failed", (int)failed);
    tn_strbuf_puts(out, "\n");
}
