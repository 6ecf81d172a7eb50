/* SPDX-License-Identifier: Apache-2.0 */
/* What the terminal behind a file descriptor can do. Thread: any. */
#ifndef TN_APPS_CLI_TERMINAL_H
#define TN_APPS_CLI_TERMINAL_H

#include <stdbool.h>

/** Lines can be drawn again: a terminal, and TERM is neither missing nor "dumb". */
bool tn_cli_is_terminal(int fd);
/** The same, and the user has not asked for none: https://no-color.org, NO_COLOR not empty. */
bool tn_cli_has_colour(int fd);
/** Columns: the terminal's own, else $COLUMNS, else 80. */
int tn_cli_columns(int fd);
/** The user's locale writes UTF-8. */
bool tn_cli_is_utf8(void);

/** Escape sequences to begin and end a style; "" where there is no colour. */
const char *tn_cli_red(int fd);
const char *tn_cli_dim(int fd);
const char *tn_cli_plain(int fd);

#endif
