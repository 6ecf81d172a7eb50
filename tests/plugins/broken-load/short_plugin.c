/* SPDX-License-Identifier: Apache-2.0 */
/* Correct: a descriptor that ends after `kernels`. What lies behind its size is none of the host's
 * business. */
#include "tests/plugins/broken-load/parts.h"

static const tn_kernel kernel = { PART_KERNEL };
static const tn_kernel *const kernels[] = { &kernel, NULL };
static const tn_kv_format nonsense = { .size = 1 };
static const tn_kv_format *const beyond[] = { &nonsense, NULL };

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .size = offsetof(tn_plugin, kv_formats),
                                 .kernels = kernels, .kv_formats = beyond };
