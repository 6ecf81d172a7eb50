/* SPDX-License-Identifier: Apache-2.0 */
/* `kernels` is NULL, and no domain is provided. */
#include "tests/plugins/broken-load/parts.h"

const tn_plugin tn_plugin_v1 = { PART_PLUGIN };
