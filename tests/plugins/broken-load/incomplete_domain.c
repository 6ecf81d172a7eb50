/* SPDX-License-Identifier: Apache-2.0 */
/* Provides a domain without functions. */
#include "tests/plugins/broken-load/parts.h"

static const tn_domain domain = { .size = sizeof(tn_domain), .name = "incomplete_domain" };

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .provides = &domain };
