/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands, one file each. Each returns the exit status: 0 done, 1 failed or mismatch, 2
 * wrong usage or bad input. */
#ifndef TN_APPS_CLI_COMMANDS_H
#define TN_APPS_CLI_COMMANDS_H

#include "apps/cli/options.h"

int tn_cmd_run(const tn_cli_options *options);
int tn_cmd_chat(const tn_cli_options *options);
int tn_cmd_inspect(const tn_cli_options *options);
int tn_cmd_tokenize(const tn_cli_options *options);
int tn_cmd_template(const tn_cli_options *options);
int tn_cmd_plugins(const tn_cli_options *options);
int tn_cmd_explain(const tn_cli_options *options);
int tn_cmd_check(const tn_cli_options *options);
int tn_cmd_bench(const tn_cli_options *options);
int tn_cmd_convert(const tn_cli_options *options);
int tn_cmd_pack(const tn_cli_options *options);
int tn_cmd_cache(const tn_cli_options *options);
int tn_cmd_help(const tn_cli_options *options);
int tn_cmd_version(const tn_cli_options *options);

#endif
