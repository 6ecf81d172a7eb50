/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that generate text share (run, chat): sampling options to a request, words and
 * numbers of a result. */
#ifndef TN_APPS_CLI_GENERATION_H
#define TN_APPS_CLI_GENERATION_H

#include "apps/cli/options.h"

#include <tenon/tenon.h>

/** TN_INVALID for sampling options that contradict each other. */
tn_status tn_cli_check_sampling(const tn_cli_options *options, tn_error *err) TN_MUST_USE;
/** The options that are given, over the defaults in *ask. Lists are borrowed from options. */
void tn_cli_set_sampling(const tn_cli_options *options, tn_request_args *ask);

/** "stop", "length", "cancelled" */
const char *tn_cli_reason_name(int32_t reason);
/** Tokens a second of a result; 0 when nothing was measured. */
double tn_cli_prefill_rate(const tn_result *result);
double tn_cli_decode_rate(const tn_result *result);

#endif
