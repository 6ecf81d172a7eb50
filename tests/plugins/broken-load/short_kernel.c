/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel that ends before `run`. */
#include "tests/plugins/broken-load/parts.h"

static const tn_kernel kernel = { PART_KERNEL, .size = offsetof(tn_kernel, run) };
static const tn_kernel *const kernels[] = { &kernel, NULL };

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .kernels = kernels };
