/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin of a later major version: the loader looks for tn_plugin_v1 and must say what it found.
 */
#include "tests/plugins/broken-load/parts.h"

static const tn_kernel kernel = { PART_KERNEL };
static const tn_kernel *const kernels[] = { &kernel, NULL };

TN_EXPORT extern const tn_plugin tn_plugin_v2;
const tn_plugin tn_plugin_v2 = { PART_PLUGIN, .kernels = kernels };
