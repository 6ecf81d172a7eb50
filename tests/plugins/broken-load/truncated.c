/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor that ends before `kernels`. */
#include "tests/plugins/broken-load/parts.h"

static const tn_kernel kernel = { PART_KERNEL };
static const tn_kernel *const kernels[] = { &kernel, NULL };

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .size = offsetof(tn_plugin, kernels),
                                 .kernels = kernels };
