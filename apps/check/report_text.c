/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/groups.h"
#include "apps/check/report.h"

#include <string.h>

static void write_group(const tn_check_group *g, tn_strbuf *out)
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

static void write_failure(const tn_check_report *report, const tn_check_result *r, tn_strbuf *out)
{
    const bool has_profile = report->profile && strcmp(report->profile, "default") != 0;
    tn_strbuf_printf(out, "\nFAILED  %s: %s\n", tn_check_part_name(r->part), r->node);
    if (*r->op)
        tn_strbuf_printf(out, "  op %s, kernel %s of %s, class %s\n", r->op, r->kernel, r->plugin,
                         r->tolerance);
    if (*r->shape)
        tn_strbuf_printf(out, "  %s\n", r->shape);
    tn_strbuf_printf(out, "  %s\n", r->text);
    if (*r->repro)
        tn_strbuf_printf(out, "  again: tenon check --repro %s%s%s\n", r->repro,
                         report->plugin ? " --plugin "
                         : has_profile  ? " --profile "
                                        : "",
                         report->plugin ? report->plugin
                         : has_profile  ? report->profile
                                        : "");
}

static void write_node(const tn_check_result *r, tn_strbuf *out)
{
    static const char *const states[] = { "ok", "FAILED", "skipped" };
    tn_strbuf_printf(out, "%-9s %-28s %-16s %-28s %-7s error/limit %.3g, nmse %.2e\n",
                     tn_check_part_name(r->part), r->node, r->op, r->kernel, states[r->state],
                     r->metrics.worst, r->metrics.nmse);
}

/* The nodes behind which the drift is largest, and where it grows most. */
static void write_drift(const tn_check_free_run *run, bool all, tn_strbuf *out)
{
    const tn_check_drift *grown = NULL;
    double before = 0, growth = 0;
    tn_strbuf_puts(out, "  drift by layer:");
    for (int32_t i = 0; i < run->n_drift; i++) {
        const tn_check_drift *d = &run->drift[i];
        if (!grown || d->relative - before > growth) {
            grown = d;
            growth = d->relative - before;
        }
        before = d->relative;
        if (d->ends_layer)
            tn_strbuf_printf(out, " %.1e", d->relative);
    }
    tn_strbuf_puts(out, "\n");
    if (grown && growth > 0)
        tn_strbuf_printf(out, "  it grows most at %s, by %.1e\n", grown->node, growth);
    for (int32_t i = 0; all && i < run->n_drift; i++)
        tn_strbuf_printf(out, "    %-28s %.2e\n", run->drift[i].node, run->drift[i].relative);
}

static void write_first(const tn_check_token *t, tn_strbuf *out)
{
    static const char *const why[] = { "", "a tie: errors of the logits explain it", "no tie",
                                       "the logits are too far off" };
    tn_strbuf_printf(out,
                     "  first other token: sequence %d, position %d: %d, expected %d; logits %.3g "
                     "apart, their RMS error %.3g: %s\n",
                     (int)t->seq, (int)t->pos, (int)t->got, (int)t->expected, t->gap, t->rms,
                     why[t->state]);
}

static void write_guilty(const tn_check_free_run *run, tn_strbuf *out)
{
    tn_strbuf_printf(out, "  %s computed by the reference %s the tokens (%d %s):\n",
                     run->n_guilty == 1 ? "this node" : "these nodes",
                     run->n_guilty == 1 ? "restores" : "restore", (int)run->n_tests,
                     run->n_tests == 1 ? "run" : "runs");
    for (int32_t i = 0; i < run->n_guilty; i++)
        tn_strbuf_printf(out, "    %-28s %s\n", run->guilty[i].node, run->guilty[i].kernel);
    if (!run->smallest)
        tn_strbuf_puts(out, "    there may be fewer: the search was ended\n");
}

static void write_free_run(const tn_check_report *r, bool all, tn_strbuf *out)
{
    const tn_check_free_run *run = &r->free;
    if (run->why_not)
        tn_strbuf_printf(out, "\nfree run: none, %s\n", run->why_not);
    if (!run->ran)
        return;
    tn_strbuf_printf(out,
                     "\nfree run: %d of %d best tokens are the same; KL %.2e, at most %.2e nats; "
                     "RMS error of the logits at most %.2e of their deviation (limit %g)\n",
                     (int)run->n_same, (int)run->n_tokens, run->mean_kl, run->most_kl,
                     run->most_rms, run->rms_limit);
    write_drift(run, all, out);
    if (run->first >= 0)
        write_first(&run->token[run->first], out);
    if (run->n_guilty > 0)
        write_guilty(run, out);
    if (run->unsteady)
        tn_strbuf_puts(out,
                       "  runs that are alike differ (a race, or state that is kept): no node is "
                       "named for sure\n");
}

void tn_check_text(const tn_check_report *r, bool all, tn_strbuf *out)
{
    tn_check_group g[TN_CHECK_MAX_GROUPS];
    const int32_t n = tn_check_groups(r, g);
    int32_t failed = 0;
    for (int32_t i = 0; all && i < r->results.n; i++)
        write_node(&r->results.item[i], out);
    tn_strbuf_printf(out, "%-9s %-16s %-28s %-7s %5s %6s  %-6s %11s %9s %9s %9s\n", "part", "op",
                     "kernel", "class", "nodes", "cases", "", "error/limit", "nmse", "row nmse",
                     "max abs");
    for (int32_t i = 0; i < n; i++)
        write_group(&g[i], out);
    write_free_run(r, all, out);
    for (int32_t i = 0; i < r->results.n; i++) {
        if (r->results.item[i].state != TN_CHECK_FAILED)
            continue;
        write_failure(r, &r->results.item[i], out);
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
