/* SPDX-License-Identifier: Apache-2.0 */
/* One page with nothing outside of it: no script, no font, no picture from anywhere. */
#include "apps/check/charts.h"
#include "apps/check/groups.h"
#include "apps/check/markup.h"
#include "apps/check/report.h"

#include <tenon/tenon.h>

#include <string.h>

/* Contrast of text is 4.5:1 or more in both schemes (WCAG 2.1, 1.4.3); a state is always also said
 * in words. */
static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n";
static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d0d7de;"
    "--card:#f6f8fa;--ok:#116329;--bad:#b3261e;--a:#0550ae;--b:#bc4c00}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--dim:#9da7b3;"
    "--line:#30363d;--card:#161b22;--ok:#56d364;--bad:#ff7b72;--a:#79c0ff;--b:#ffa657}}\n"
    "body{margin:0 auto;max-width:80rem;padding:1rem 1.5rem 3rem;background:var(--bg);"
    "color:var(--fg);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}\n"
    "code,pre{font-family:ui-monospace,monospace;font-size:.875em}pre{overflow-x:auto}\n"
    ".ok{color:var(--ok)}.bad{color:var(--bad)}.ok,.bad{font-weight:600}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem}dt{color:var(--dim)}"
    "dd{margin:0;overflow-wrap:anywhere}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem}"
    "caption{text-align:left;color:var(--dim);padding:.25rem 0}\n"
    "th,td{padding:.2rem .7rem;border-bottom:1px solid var(--line);text-align:left;"
    "white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--bad);"
    "border-radius:6px;padding:.5rem 1rem;margin:.75rem 0;overflow-wrap:anywhere}"
    ".card h3{margin:.25rem 0}.card p{margin:.25rem 0}\n"
    ".figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1rem}"
    "figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:6px;"
    "padding:.75rem}figcaption{font-size:.875rem;overflow-wrap:anywhere}\n"
    "svg{width:100%;min-width:20rem;height:auto;display:block}svg text{fill:var(--dim);font:12px "
    "system-ui,sans-serif}.ulp text{font-size:11px}.x{text-anchor:middle}.y{text-anchor:end}\n"
    ".grid{stroke:var(--line);fill:none}.line{stroke:var(--a);stroke-width:1.5;fill:none}"
    ".mark{fill:var(--b)}.bar{fill:var(--a)}.b5,.b6,.b7{fill:var(--b)}\n"
    "summary{cursor:pointer;color:var(--a)}\n"
    "</style>\n";

static void put_code(const char *text, tn_strbuf *out)
{
    tn_strbuf_puts(out, "<code>");
    tn_markup_text(text, out);
    tn_strbuf_puts(out, "</code>");
}

static void put_fact(const char *name, const char *value, tn_strbuf *out)
{
    tn_strbuf_printf(out, "<dt>%s</dt><dd>", name);
    tn_markup_text(value, out);
    tn_strbuf_puts(out, "</dd>\n");
}

static void write_head(const tn_check_report *r, tn_strbuf *out)
{
    const char *verdict = r->passed ? "passed" : "FAILED";
    tn_strbuf_puts(out, head);
    tn_strbuf_printf(out, "<title>tenon check: %s</title>\n", verdict);
    tn_strbuf_puts(out, style);
    tn_strbuf_printf(
        out, "</head>\n<body>\n<main>\n<h1>tenon check: <span class=\"%s\">%s</span></h1>\n<dl>\n",
        r->passed ? "ok" : "bad", verdict);
    put_fact(r->plugin ? "Plugin" : "Profile", r->plugin ? r->plugin : r->profile, out);
    put_fact("Against", r->against, out);
    tn_strbuf_printf(out, "<dt>Cases</dt><dd>%lld in %.1f s</dd>\n<dt>Seed</dt><dd>%llu</dd>\n",
                     (long long)r->n_cases, r->seconds, (unsigned long long)r->seed);
    put_fact("tenon", tn_version(), out);
    tn_strbuf_puts(out, "</dl>\n");
}

/* ---- failures ---- */

static void write_failure(const tn_check_result *r, tn_strbuf *out)
{
    tn_strbuf_puts(out, "<article class=\"card\">\n<h3>");
    tn_markup_text(r->node, out);
    tn_strbuf_printf(out, "</h3>\n<p><span class=\"bad\">FAILED</span> in %s",
                     tn_check_part_name(r->part));
    if (*r->op) {
        tn_strbuf_printf(out, ": op ");
        put_code(r->op, out);
        tn_strbuf_puts(out, ", kernel ");
        put_code(r->kernel, out);
        tn_strbuf_puts(out, ", class ");
        put_code(r->tolerance, out);
    }
    tn_strbuf_puts(out, "</p>\n<p>");
    tn_markup_text(r->text, out);
    tn_strbuf_puts(out, "</p>\n");
    if (*r->shape) {
        tn_strbuf_puts(out, "<p>");
        tn_markup_text(r->shape, out);
        tn_strbuf_puts(out, "</p>\n");
    }
    if (*r->repro) {
        tn_strbuf_puts(out, "<p>Again: <code>tenon check --repro ");
        tn_markup_text(r->repro, out);
        tn_strbuf_puts(out, "</code></p>\n");
    }
    tn_strbuf_puts(out, "</article>\n");
}

static void write_failures(const tn_check_report *r, tn_strbuf *out)
{
    bool any = false;
    for (int32_t i = 0; i < r->results.n; i++) {
        if (r->results.item[i].state != TN_CHECK_FAILED)
            continue;
        if (!any)
            tn_strbuf_puts(out, "<h2>Failures</h2>\n");
        any = true;
        write_failure(&r->results.item[i], out);
    }
}

/* ---- free run ---- */

static void write_drift_table(const tn_check_free_run *run, tn_strbuf *out)
{
    tn_strbuf_puts(out, "<details><summary>Drift of each node</summary><div class=\"wide\"><table>"
                        "<thead><tr><th scope=\"col\">node</th><th scope=\"col\">kernel</th>"
                        "<th scope=\"col\" class=\"n\">drift</th></tr></thead><tbody>\n");
    for (int32_t i = 0; i < run->n_drift; i++) {
        tn_strbuf_puts(out, "<tr><th scope=\"row\">");
        tn_markup_text(run->drift[i].node, out);
        tn_strbuf_puts(out, "</th><td>");
        tn_markup_text(run->drift[i].kernel, out);
        tn_strbuf_printf(out, "</td><td class=\"n\">%.2e</td></tr>\n", run->drift[i].relative);
    }
    tn_strbuf_puts(out, "</tbody></table></div></details>\n");
}

static void write_tokens(const tn_check_free_run *run, tn_strbuf *out)
{
    static const char *const states[] = { "same", "tie", "different", "logits too far off" };
    tn_strbuf_puts(
        out, "<details><summary>Each row of logits</summary><div class=\"wide\"><table><thead><tr>"
             "<th scope=\"col\" class=\"n\">sequence</th><th scope=\"col\" class=\"n\">position"
             "</th><th scope=\"col\" class=\"n\">expected</th><th scope=\"col\" class=\"n\">got"
             "</th><th scope=\"col\">best token</th><th scope=\"col\" class=\"n\">gap</th>"
             "<th scope=\"col\" class=\"n\">RMS error</th><th scope=\"col\" class=\"n\">deviation"
             "</th><th scope=\"col\" class=\"n\">KL</th></tr></thead><tbody>\n");
    for (int32_t i = 0; i < run->n_tokens; i++) {
        const tn_check_token *t = &run->token[i];
        tn_strbuf_printf(out,
                         "<tr><td class=\"n\">%d</td><td class=\"n\">%d</td><td class=\"n\">%d</td>"
                         "<td class=\"n\">%d</td><td>%s</td><td class=\"n\">%.3g</td>"
                         "<td class=\"n\">%.3g</td><td class=\"n\">%.3g</td><td class=\"n\">%.2e"
                         "</td></tr>\n",
                         (int)t->seq, (int)t->pos, (int)t->expected, (int)t->got, states[t->state],
                         t->gap, t->rms, t->deviation, t->kl);
    }
    tn_strbuf_puts(out, "</tbody></table></div></details>\n");
}

static void write_guilty(const tn_check_free_run *run, tn_strbuf *out)
{
    if (run->n_guilty == 0)
        return;
    tn_strbuf_printf(out,
                     "<p>Computed by the reference, these nodes give the tokens back (%s; "
                     "runs to find them: %d):</p>\n<ul>\n",
                     run->smallest ? "none can be left out" : "there may be fewer",
                     (int)run->n_tests);
    for (int32_t i = 0; i < run->n_guilty; i++) {
        tn_strbuf_puts(out, "<li>");
        put_code(run->guilty[i].node, out);
        tn_strbuf_puts(out, ", kernel ");
        put_code(run->guilty[i].kernel, out);
        tn_strbuf_puts(out, "</li>\n");
    }
    tn_strbuf_puts(out, "</ul>\n");
}

static void write_free_run(const tn_check_free_run *run, tn_strbuf *out)
{
    if (!run->ran)
        return;
    tn_strbuf_printf(out,
                     "<h2>Free run</h2>\n<p><span class=\"%s\">%s</span>: %d of %d best tokens are "
                     "the same. KL divergence: mean %.2e, at most %.2e nats. RMS error of the "
                     "logits: at most %.2e of their standard deviation, %g is allowed.</p>\n",
                     run->failed ? "bad" : "ok", run->failed ? "FAILED" : "ok", (int)run->n_same,
                     (int)run->n_tokens, run->mean_kl, run->most_kl, run->most_rms, run->rms_limit);
    write_guilty(run, out);
    tn_strbuf_puts(out, "<figure>\n");
    tn_check_chart_drift(run, out);
    tn_strbuf_puts(out,
                   "<figcaption>Drift: RMS error by RMS of each node's output, in the order of "
                   "execution; dots end a layer.</figcaption></figure>\n");
    write_drift_table(run, out);
    write_tokens(run, out);
}

/* ---- kernels ---- */

static void write_group(const tn_check_group *g, tn_strbuf *out)
{
    const tn_check_result *r = g->first;
    tn_strbuf_printf(out, "<tr><td>%s</td><td>", tn_check_part_name(r->part));
    tn_markup_text(r->op, out);
    tn_strbuf_puts(out, "</td><th scope=\"row\">");
    tn_markup_text(*r->kernel ? r->kernel : r->node, out);
    tn_strbuf_puts(out, "</th><td>");
    tn_markup_text(r->tolerance, out);
    tn_strbuf_printf(out,
                     "</td><td class=\"n\">%d</td><td class=\"n\">%d</td>"
                     "<td class=\"%s\">%s</td>",
                     (int)g->nodes, (int)g->cases, g->failed ? "bad" : "ok",
                     g->failed                ? "FAILED"
                     : g->skipped == g->nodes ? "skipped"
                                              : "ok");
    if (g->metrics.n > 0)
        tn_strbuf_printf(out,
                         "<td class=\"n\">%.3g</td><td class=\"n\">%.2e</td>"
                         "<td class=\"n\">%.2e</td><td class=\"n\">%.2e</td></tr>\n",
                         g->metrics.worst, g->metrics.nmse, g->metrics.worst_row_nmse,
                         g->metrics.max_abs);
    else
        tn_strbuf_puts(out, "<td></td><td></td><td></td><td></td></tr>\n");
}

static void write_histograms(const tn_check_group *g, int32_t n, tn_strbuf *out)
{
    tn_strbuf_puts(out, "<h2>Error histograms</h2>\n<p>Elements by their distance from the "
                        "reference in units in the last place of the edge's type.</p>\n<div "
                        "class=\"figures\">\n");
    for (int32_t i = 0; i < n; i++) {
        if (g[i].metrics.n == 0)
            continue;
        tn_strbuf_puts(out, "<figure>\n");
        tn_check_chart_ulp(&g[i].metrics, i, out);
        tn_strbuf_printf(out, "<figcaption>%s, ", tn_check_part_name(g[i].first->part));
        put_code(g[i].first->kernel, out);
        tn_strbuf_printf(out, ": %lld elements, %lld past their limit</figcaption></figure>\n",
                         (long long)g[i].metrics.n, (long long)g[i].metrics.n_bad);
    }
    tn_strbuf_puts(out, "</div>\n");
}

static void write_kernels(const tn_check_report *r, tn_strbuf *out)
{
    tn_check_group g[TN_CHECK_MAX_GROUPS];
    const int32_t n = tn_check_groups(r, g);
    tn_strbuf_puts(
        out, "<h2>Kernels</h2>\n<div class=\"wide\"><table>\n<caption>error/limit: the largest "
             "error of an element by what it may be wrong; above 1 is a failure.</caption>\n<thead>"
             "<tr><th scope=\"col\">part</th><th scope=\"col\">op</th><th scope=\"col\">kernel</th>"
             "<th scope=\"col\">class</th><th scope=\"col\" class=\"n\">nodes</th>"
             "<th scope=\"col\" class=\"n\">cases</th><th scope=\"col\">result</th>"
             "<th scope=\"col\" class=\"n\">error/limit</th><th scope=\"col\" class=\"n\">NMSE</th>"
             "<th scope=\"col\" class=\"n\">row NMSE</th><th scope=\"col\" class=\"n\">max abs</th>"
             "</tr></thead>\n<tbody>\n");
    for (int32_t i = 0; i < n; i++)
        write_group(&g[i], out);
    tn_strbuf_puts(out, "</tbody></table></div>\n");
    write_histograms(g, n, out);
}

static void write_matrix(const tn_check_report *r, tn_strbuf *out)
{
    tn_strbuf text = TN_STRBUF((size_t)1 << 20);
    if (!r->plugin || !r->matrix.n)
        return;
    tn_check_matrix_print(&r->matrix, &text);
    tn_strbuf_puts(out, "<h2>Support</h2>\n<p>ok is all cases, - none.</p>\n<pre>");
    tn_markup_text(tn_strbuf_text(&text), out);
    tn_strbuf_puts(out, "</pre>\n");
    out->failed = out->failed || text.failed;
    tn_strbuf_deinit(&text);
}

void tn_check_html(const tn_check_report *r, tn_strbuf *out)
{
    write_head(r, out);
    write_failures(r, out);
    write_free_run(&r->free, out);
    write_matrix(r, out);
    write_kernels(r, out);
    tn_strbuf_puts(out, "</main>\n</body>\n</html>\n");
}
