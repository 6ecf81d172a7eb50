/* SPDX-License-Identifier: Apache-2.0 */
/* What the user hands in: files, with "-" for stdin. */
#ifndef TN_APPS_CLI_INPUT_H
#define TN_APPS_CLI_INPUT_H

#include "core/base/status.h"

#include <stddef.h>

/** The whole of a file, or of stdin for "-"; TN_INVALID when it has more than max_bytes. *out has a
 * NUL behind its n bytes (tn_free). */
tn_status tn_cli_read_text(const char *path, size_t max_bytes, char **out, size_t *out_n,
                           tn_error *err) TN_MUST_USE;

#endif
