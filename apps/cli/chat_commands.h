/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of `tenon chat` that begin with a slash: one table. Thread: main thread. */
#ifndef TN_APPS_CLI_CHAT_COMMANDS_H
#define TN_APPS_CLI_CHAT_COMMANDS_H

#include "apps/cli/chat.h"

typedef struct tn_chat_command_row {
    const char *name;     /* without the slash */
    const char *argument; /* "FILE", "[TEXT]", or "" when it takes none */
    const char *text;
    bool needs_argument;
    bool (*run)(tn_chat *chat, const char *argument); /* false: end the program */
} tn_chat_command_row;

/** Ends with a row whose name is NULL. */
extern const tn_chat_command_row tn_chat_command_table[];

/** Split "/name  argument " and find its row; *out_argument (tn_free) is NULL when there is none.
 * TN_INVALID with the nearest name, or with what the command takes. */
tn_status tn_chat_parse_command(const char *line, const tn_chat_command_row **out,
                                char **out_argument, tn_error *err) TN_MUST_USE;
/** Change one sampling option, "temperature 0.5": the rows that run and chat share. */
tn_status tn_chat_set_option(tn_cli_options *options, const char *argument,
                             tn_error *err) TN_MUST_USE;

#endif
