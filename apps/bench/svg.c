/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/bench/report.h"

#include <stdio.h>

enum { WIDTH = 960, LABEL = 420, RIGHT = 110, ROW = 26, BAR = 16, TOP = 56, MAX_LABEL = 512 };

static void escaped(const char *text, tn_strbuf *out)
{
    for (; *text; text++) {
        if (*text == '&')
            tn_strbuf_puts(out, "&amp;");
        else if (*text == '<')
            tn_strbuf_puts(out, "&lt;");
        else if (*text == '>')
            tn_strbuf_puts(out, "&gt;");
        else if ((unsigned char)*text >= 0x20)
            tn_strbuf_append(out, text, 1);
    }
}

/* What the memory could give: the measured rate by its share. */
static double roof(const tn_bench_row *r)
{
    return r->memory > 0 && r->test.decode > 0 ? r->tokens_s / r->memory : 0;
}

static void write_row(const tn_bench_row *r, int32_t i, double scale, tn_strbuf *out)
{
    char test[32], label[MAX_LABEL];
    const int y = TOP + (int)i * ROW;
    const double end = LABEL + r->tokens_s * scale;
    const double half = r->spread * r->tokens_s * scale;
    tn_bench_test_name(&r->test, test);
    (void)snprintf(label, sizeof label, "%s  %s  %dT  depth %d  batch %d", r->target->name, test,
                   (int)r->target->threads, (int)r->test.depth, (int)r->test.batch);
    tn_strbuf_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", LABEL - 8, y + BAR - 4);
    escaped(label, out);
    tn_strbuf_printf(out,
                     "</text><rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n",
                     r->test.prefill ? "p" : "d", LABEL, y, end - LABEL, BAR);
    tn_strbuf_printf(out, "<path class=\"s\" d=\"M%.1f %dH%.1f\"/>", end - half, y + BAR / 2,
                     end + half);
    if (roof(r) > 0)
        tn_strbuf_printf(out, "<path class=\"r\" d=\"M%.1f %dv%d\"/>", LABEL + roof(r) * scale,
                         y - 2, BAR + 4);
    tn_strbuf_printf(out, "<text x=\"%.1f\" y=\"%d\">%.1f</text>\n", end + half + 6, y + BAR - 4,
                     r->tokens_s);
}

void tn_bench_svg(const tn_bench_row *rows, int32_t n, tn_strbuf *out)
{
    double most = 1e-9;
    for (int32_t i = 0; i < n; i++) {
        most = rows[i].tokens_s > most ? rows[i].tokens_s : most;
        most = roof(&rows[i]) > most ? roof(&rows[i]) : most;
    }
    const double scale = (WIDTH - LABEL - RIGHT) / most;
    tn_strbuf_printf(out,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                     "font-family=\"sans-serif\" font-size=\"12\">\n",
                     WIDTH, TOP + (int)n * ROW + 20);
    tn_strbuf_puts(out, "<style>.p{fill:#4c78a8}.d{fill:#59a14f}.s{stroke:#222}.r{stroke:#e15759;"
                        "stroke-width:2}</style>\n"
                        "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
                        "<text x=\"16\" y=\"24\" font-size=\"16\">tokens a second</text>\n"
                        "<text x=\"16\" y=\"42\">median and quartiles; blue: prefill, green: "
                        "decode, red line: memory roofline</text>\n");
    for (int32_t i = 0; i < n; i++)
        write_row(&rows[i], i, scale, out);
    tn_strbuf_puts(out, "</svg>\n");
}
