/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/charts.h"

#include "apps/check/markup.h"

#include <math.h>

/* ---- drift ---- */

enum { WIDTH = 960, HEIGHT = 300, LEFT = 64, RIGHT = 16, TOP = 16, BOTTOM = 40 };
enum { LEAST = -9, MOST = 2 }; /* powers of ten; what lies outside is drawn at the border */

static double y_of(double relative)
{
    double power = relative > 0 ? log10(relative) : LEAST;
    if (isnan(relative) || power > MOST)
        power = MOST;
    power = power < LEAST ? LEAST : power;
    return TOP + (MOST - power) * (HEIGHT - TOP - BOTTOM) / (MOST - LEAST);
}

static double x_of(const tn_check_free_run *run, int32_t i)
{
    return LEFT + (i + 0.5) * (WIDTH - LEFT - RIGHT) / run->n_drift;
}

static void write_grid(tn_strbuf *out)
{
    for (int power = LEAST; power <= MOST; power++) {
        const double y = y_of(pow(10, power));
        tn_strbuf_printf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, y, WIDTH - RIGHT);
        if (power % 2 == 0 || power == LEAST)
            tn_strbuf_printf(out, "<text class=\"y\" x=\"%d\" y=\"%.1f\">1e%d</text>", LEFT - 8,
                             y + 4, power);
    }
}

/* At most a dozen numbers under the axis. */
static void write_layers(const tn_check_free_run *run, tn_strbuf *out)
{
    int32_t last = 0;
    for (int32_t i = 0; i < run->n_drift; i++)
        last = run->drift[i].layer > last ? run->drift[i].layer : last;
    const int32_t each = last / 12 + 1;
    for (int32_t i = 0; i < run->n_drift; i++) {
        const tn_check_drift *d = &run->drift[i];
        if (!d->ends_layer)
            continue;
        tn_strbuf_printf(out, "<circle class=\"mark\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>",
                         x_of(run, i), y_of(d->relative));
        tn_markup_text(d->node, out);
        tn_strbuf_printf(out, ": %.2e</title></circle>", d->relative);
        if (d->layer % each == 0)
            tn_strbuf_printf(out, "<text class=\"x\" x=\"%.1f\" y=\"%d\">%d</text>", x_of(run, i),
                             HEIGHT - BOTTOM + 18, (int)d->layer);
    }
}

void tn_check_chart_drift(const tn_check_free_run *run, tn_strbuf *out)
{
    tn_strbuf_printf(out,
                     "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"drift-t drift-d\">"
                     "<title id=\"drift-t\">Drift by node</title><desc id=\"drift-d\">RMS error by "
                     "RMS of the output of each node, in the order of execution, on a logarithmic "
                     "scale. The numbers stand in the table below.</desc>\n",
                     WIDTH, HEIGHT);
    write_grid(out);
    tn_strbuf_puts(out, "\n<path class=\"line\" d=\"");
    for (int32_t i = 0; i < run->n_drift; i++)
        tn_strbuf_printf(out, "%s%.1f %.1f", i ? "L" : "M", x_of(run, i),
                         y_of(run->drift[i].relative));
    tn_strbuf_puts(out, "\"/>\n");
    write_layers(run, out);
    tn_strbuf_printf(out, "<text class=\"x\" x=\"%d\" y=\"%d\">layer</text></svg>\n",
                     (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4);
}

/* ---- histogram ---- */

enum { ULP_WIDTH = 360, ULP_HEIGHT = 120, ULP_TOP = 20, ULP_BOTTOM = 22 };

/* Short, so that neighbours do not touch. */
static void write_share(double share, double x, double y, tn_strbuf *out)
{
    tn_strbuf_printf(out, "<text class=\"x\" x=\"%.1f\" y=\"%.1f\">", x, y);
    if (share < 0.001)
        tn_strbuf_puts(out, "&lt;0.1%</text>");
    else
        tn_strbuf_printf(out, share < 0.0995 ? "%.1f%%</text>" : "%.0f%%</text>", 100 * share);
}

void tn_check_chart_ulp(const tn_check_metrics *m, int32_t id, tn_strbuf *out)
{
    /* As tn_check_metrics_bin_name, but of the upper end. */
    static const char *const labels[TN_ULP_BINS] = { "0",
                                                     "1",
                                                     "2",
                                                     "\xe2\x89\xa4"
                                                     "4",
                                                     "\xe2\x89\xa4"
                                                     "16",
                                                     "\xe2\x89\xa4"
                                                     "256",
                                                     "\xe2\x89\xa4"
                                                     "65536",
                                                     "more" };
    const double room = ULP_HEIGHT - ULP_TOP - ULP_BOTTOM, step = (double)ULP_WIDTH / TN_ULP_BINS;
    int64_t n = 0;
    for (int32_t i = 0; i < TN_ULP_BINS; i++)
        n += m->ulp[i];
    tn_strbuf_printf(out,
                     "<svg class=\"ulp\" viewBox=\"0 0 %d %d\" role=\"img\" "
                     "aria-labelledby=\"u%d-t\"><title id=\"u%d-t\">Distances in units in the last "
                     "place:",
                     ULP_WIDTH, ULP_HEIGHT, (int)id, (int)id);
    for (int32_t i = 0; i < TN_ULP_BINS; i++)
        tn_strbuf_printf(out, "%s %s: %lld", i ? "," : "", tn_check_metrics_bin_name(i),
                         (long long)m->ulp[i]);
    tn_strbuf_puts(out, "</title>\n");
    for (int32_t i = 0; i < TN_ULP_BINS; i++) {
        const double share = n > 0 ? (double)m->ulp[i] / (double)n : 0;
        /* What is there at all is seen. */
        const double height = m->ulp[i] > 0 && share * room < 1 ? 1 : share * room;
        const double x = i * step, y = ULP_TOP + room - height;
        tn_strbuf_printf(out,
                         "<rect class=\"bar b%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                         "height=\"%.1f\"/>",
                         (int)i, x + 3, y, step - 6, height);
        if (m->ulp[i] > 0)
            write_share(share, x + step / 2, y - 4, out);
        tn_strbuf_printf(out, "<text class=\"x\" x=\"%.1f\" y=\"%d\">%s</text>\n", x + step / 2,
                         ULP_HEIGHT - 6, labels[i]);
    }
    tn_strbuf_puts(out, "</svg>\n");
}
