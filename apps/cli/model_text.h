/* SPDX-License-Identifier: Apache-2.0 */
/* A model's metadata and tokenizer without its weights, for commands about text. */
#ifndef TN_APPS_CLI_MODEL_TEXT_H
#define TN_APPS_CLI_MODEL_TEXT_H

#include "apps/cli/options.h"
#include "model/formats/model_file.h"
#include "model/text/tokenizer.h"

/** The model of --model or --profile. Both are the caller's, also on failure (NULL is allowed for
 * their release). */
tn_status tn_cli_open_text(const tn_cli_options *options, tn_model_file **file,
                           tn_tokenizer **tokenizer, tn_error *err) TN_MUST_USE;

#endif
