/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/progress.h"

#include "apps/cli/output.h"
#include "apps/cli/terminal.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR_AFTER_S   0.3 /* a bar that comes and goes at once only flickers */
#define LINES_AFTER_S 1.0
#define RATE_AFTER_S  1.0 /* earlier ones jump */
#define REDRAW_S      0.1
enum { MIN_BAR = 8, MAX_BAR = 30, TEXT_BYTES = 256 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void tn_cli_progress_init(tn_cli_progress *p, const char *what, tn_cli_unit unit,
                          const tn_cli_options *options)
{
    *p = (tn_cli_progress){ .what = what,
                            .unit = unit,
                            .enabled = !options->quiet,
                            .bar = tn_cli_is_terminal(STDERR_FILENO),
                            .utf8 = tn_cli_is_utf8(),
                            .start_s = now_s() };
}

/* ---- the bar ---- */

static void add_amount(const tn_cli_progress *p, tn_strbuf *out, uint64_t n)
{
    char text[32];
    if (p->unit == TN_CLI_BYTES)
        tn_strbuf_puts(out, tn_cli_bytes(n, text));
    else
        tn_strbuf_printf(out, "%llu", (unsigned long long)n);
}

static const char *unit_name(const tn_cli_progress *p)
{
    return p->unit == TN_CLI_TOKENS ? " tokens" : "";
}

static void add_time(tn_strbuf *out, double seconds)
{
    const long s = seconds < 360000 ? (long)(seconds + 0.5) : 360000;
    if (s < 60)
        tn_strbuf_printf(out, ", %ld s left", s);
    else
        tn_strbuf_printf(out, ", %ld:%02ld min left", s / 60, s % 60);
}

static void add_rate(const tn_cli_progress *p, tn_strbuf *out, uint64_t done, uint64_t total)
{
    const double now = now_s();
    if (now - p->start_s < RATE_AFTER_S || done <= p->first_done || now <= p->first_s)
        return;
    const double rate = (double)(done - p->first_done) / (now - p->first_s);
    if (p->unit != TN_CLI_COUNT) {
        tn_strbuf_puts(out, ", ");
        add_amount(p, out, (uint64_t)rate);
        tn_strbuf_printf(out, "%s/s", unit_name(p));
    }
    add_time(out, (double)(total - done) / rate);
}

static void add_bar(const tn_cli_progress *p, tn_strbuf *out, double share, int width)
{
    tn_strbuf_puts(out, p->utf8 ? " " : " [");
    for (int i = 0; i < width; i++)
        tn_strbuf_puts(out, i < (int)(share * width) ? (p->utf8 ? "\u2588" : "#")
                                                     : (p->utf8 ? "\u2591" : "."));
    tn_strbuf_puts(out, p->utf8 ? "" : "]");
}

/* What does not fit goes: the bar first, then the end of the text. The last column stays free, for
 * some terminals wrap when it is written. */
static void draw(tn_cli_progress *p, uint64_t done, uint64_t total)
{
    const double share = (double)done / (double)total;
    tn_strbuf facts = TN_STRBUF(TEXT_BYTES), line = TN_STRBUF(4 * TEXT_BYTES);
    tn_strbuf_printf(&facts, " %3d %%, ", (int)(100 * share));
    add_amount(p, &facts, done);
    tn_strbuf_puts(&facts, " of ");
    add_amount(p, &facts, total);
    tn_strbuf_puts(&facts, unit_name(p));
    add_rate(p, &facts, done, total);
    tn_strbuf_printf(&line, "%s", p->what);
    const int columns = tn_cli_columns(STDERR_FILENO) - 1;
    const int room = columns - (int)(line.len + facts.len) - 3; /* 3: the space and the brackets */
    if (room >= MIN_BAR)
        add_bar(p, &line, share, room < MAX_BAR ? room : MAX_BAR);
    tn_strbuf_puts(&line, tn_strbuf_text(&facts));
    if (room >= MIN_BAR)
        fprintf(stderr, "\r%s\033[K", tn_strbuf_text(&line));
    else
        fprintf(stderr, "\r%.*s\033[K", columns, tn_strbuf_text(&line));
    fflush(stderr);
    p->shown = true;
    tn_strbuf_deinit(&facts);
    tn_strbuf_deinit(&line);
}

/* ---- both ---- */

static void print_quarter(tn_cli_progress *p, double now, uint64_t done, uint64_t total)
{
    const int quarter = (int)(4 * (double)done / (double)total);
    if (quarter <= p->quarter)
        return;
    p->quarter = quarter;
    if (now - p->start_s >= LINES_AFTER_S)
        fprintf(stderr, "%s: %d %%\n", p->what, 25 * quarter);
}

void tn_cli_progress_update(tn_cli_progress *p, uint64_t done, uint64_t total)
{
    if (!p->enabled || total == 0 || done > total)
        return;
    const double now = now_s();
    if (p->first_s <= 0) {
        p->first_s = now;
        p->first_done = done;
    }
    if (!p->bar) {
        print_quarter(p, now, done, total);
    } else if (now - p->start_s >= BAR_AFTER_S && now - p->drawn_s >= REDRAW_S) {
        p->drawn_s = now;
        draw(p, done, total);
    }
}

void tn_cli_progress_end(tn_cli_progress *p)
{
    if (p->shown) {
        fprintf(stderr, "\r\033[K");
        fflush(stderr);
    }
    p->shown = false;
    p->enabled = false;
}
