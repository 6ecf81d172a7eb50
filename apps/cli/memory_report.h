/* SPDX-License-Identifier: Apache-2.0 */
/* What a profile needs, for people and as JSON; shared by inspect and explain. */
#ifndef TN_APPS_CLI_MEMORY_REPORT_H
#define TN_APPS_CLI_MEMORY_REPORT_H

#include "core/base/strbuf.h"
#include "runtime/setup.h"

#include <jansson.h>

/** Lines of a table whose first column, 16 wide, says "memory" in the first line. */
void tn_cli_put_memory(const tn_setup *setup, const tn_memory_need *need, tn_strbuf *out);
json_t *tn_cli_memory_json(const tn_setup *setup, const tn_memory_need *need);

#endif
