/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of one thing on stderr. On a terminal: a bar with amounts, rate and time left, drawn at
 * most ten times a second, as wide as the terminal, and gone when it is over; it comes only for
 * what lasts. Elsewhere, for logs: "loading: 25 %" at each quarter that is reached a second or more
 * after the beginning, so that what is quick says nothing. With --quiet: nothing.
 * Thread: one at a time.
 */
#ifndef TN_APPS_CLI_PROGRESS_H
#define TN_APPS_CLI_PROGRESS_H

#include "apps/cli/options.h"

typedef enum tn_cli_unit { TN_CLI_COUNT = 0, TN_CLI_TOKENS, TN_CLI_BYTES } tn_cli_unit;

typedef struct tn_cli_progress {
    const char *what;
    tn_cli_unit unit;
    bool enabled, bar, utf8, shown;
    uint64_t first_done; /* at the first update: what was there already has no rate */
    double start_s, first_s, drawn_s;
    int quarter; /* the last that a line was due for */
} tn_cli_progress;

/** Begin now. what is borrowed. */
void tn_cli_progress_init(tn_cli_progress *p, const char *what, tn_cli_unit unit,
                          const tn_cli_options *options);
void tn_cli_progress_update(tn_cli_progress *p, uint64_t done, uint64_t total);
/** Remove the bar; more calls do nothing. */
void tn_cli_progress_end(tn_cli_progress *p);

#endif
