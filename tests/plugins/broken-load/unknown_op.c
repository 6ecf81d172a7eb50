/* SPDX-License-Identifier: Apache-2.0 */
/* One kernel for an op of the future, one private, one known: only the first is left out. */
#include "tests/plugins/broken-load/parts.h"

static const tn_kernel future = { PART_KERNEL, .op = "teleport", .name = "broken.teleport" };
static const tn_kernel private_op = { PART_KERNEL, .op = "acme/add", .name = "broken.acme" };
static const tn_kernel add = { PART_KERNEL };
static const tn_kernel *const kernels[] = { &future, &private_op, &add, NULL };

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .kernels = kernels };
