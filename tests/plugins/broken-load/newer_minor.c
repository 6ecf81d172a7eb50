/* SPDX-License-Identifier: Apache-2.0 */
/* Correct, and of a later minor version: its struct is longer than the host knows. */
/* The header declares the symbol with this version's type. */
#define tn_plugin_v1 tn_tests_declared_plugin
#include "tests/plugins/broken-load/parts.h"
#undef tn_plugin_v1

static const tn_kernel kernel = { PART_KERNEL };
static const tn_kernel *const kernels[] = { &kernel, NULL };

typedef struct newer_plugin {
    tn_plugin base;
    uint64_t later[4];
} newer_plugin;

TN_EXPORT extern const newer_plugin tn_plugin_v1;
const newer_plugin tn_plugin_v1 = {
    .base = { PART_PLUGIN, .size = sizeof(newer_plugin), .minor = 7, .kernels = kernels },
    .later = { 1, 2, 3, 4 },
};
