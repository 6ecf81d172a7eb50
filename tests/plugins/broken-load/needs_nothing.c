/* SPDX-License-Identifier: Apache-2.0 */
/* Runs in the domain `newer_minor`: a plugin of that name exists and provides nothing. */
#include "tests/plugins/broken-load/parts.h"

static const tn_kernel kernel = { PART_KERNEL };
static const tn_kernel *const kernels[] = { &kernel, NULL };

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .domain = "newer_minor", .kernels = kernels };
