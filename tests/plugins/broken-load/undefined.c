/* SPDX-License-Identifier: Apache-2.0 */
/* Needs a function that no library has: RTLD_NOW finds it at load. */
#include "tests/plugins/broken-load/parts.h"

void tn_tests_nowhere_defined(void);

static tn_status calling_run(void *self, const tn_node *node, const tn_launch *launch,
                             tn_error *err)
{
    (void)self;
    (void)node;
    (void)launch;
    (void)err;
    tn_tests_nowhere_defined();
    return TN_OK;
}

static const tn_kernel kernel = { PART_KERNEL, .run = calling_run };
static const tn_kernel *const kernels[] = { &kernel, NULL };

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .kernels = kernels };
