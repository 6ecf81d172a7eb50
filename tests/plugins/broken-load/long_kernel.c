/* SPDX-License-Identifier: Apache-2.0 */
/* Correct, and of a later minor version: a kernel has a tail that the host does not know. */
#include "tests/plugins/broken-load/parts.h"

typedef struct later_kernel {
    tn_kernel base;
    uint64_t later[8];
} later_kernel;

static const later_kernel kernel = { .base = { PART_KERNEL, .size = sizeof(later_kernel) },
                                     .later = { 1, 2, 3 } };
static const tn_kernel *const kernels[] = { &kernel.base, NULL };

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .minor = 7, .kernels = kernels };
