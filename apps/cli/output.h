/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share: exit statuses, the error line, results to stdout. */
#ifndef TN_APPS_CLI_OUTPUT_H
#define TN_APPS_CLI_OUTPUT_H

#include "apps/cli/options.h"

#include <tenon/tenon.h>

#include <jansson.h>

enum { TN_EXIT_OK = 0, TN_EXIT_FAILED = 1, TN_EXIT_USAGE = 2 };

/** Print "tenon: text" to stderr and give the exit status of the code: bad input is 2, a failure of
 * the machine 1. */
int tn_cli_error(tn_status status, const tn_error *err);
/** Print to stdout; TN_EXIT_FAILED when stdout cannot be written. */
int tn_cli_print(const tn_strbuf *text);
/** Print JSON and drop the reference; json NULL counts as out of memory, and so does any failure
 * before (json_memory.h). */
int tn_cli_print_json(json_t *json);
/** Flush stdout and report an error of it (a full disk, a closed pipe). */
int tn_cli_flush(void);

/** tn_open_args of the options; sets must have room for TN_CLI_MAX_SETS entries, thread_set for
 * 32 bytes. */
tn_open_args tn_cli_open_args(const tn_cli_options *options, const char **sets, char *thread_set);
/** TN_INVALID unless --profile or --model is given. */
tn_status tn_cli_need_model(const tn_cli_options *options, tn_error *err) TN_MUST_USE;
/** "98.4 MB" */
const char *tn_cli_bytes(uint64_t bytes, char text[32]);

#endif
