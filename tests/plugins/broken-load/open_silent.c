/* SPDX-License-Identifier: Apache-2.0 */
/* open() fails with a code that is none, and leaves no text. */
#include "tests/plugins/broken-load/parts.h"

static const tn_kernel kernel = { PART_KERNEL };
static const tn_kernel *const kernels[] = { &kernel, NULL };

static tn_status open_plugin(const tn_host *host, void **self, tn_error *err)
{
    (void)host;
    (void)self;
    (void)err;
    return 77;
}

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .open = open_plugin, .kernels = kernels };
