/* SPDX-License-Identifier: Apache-2.0 */
/* Says that it was built with another sanitizer than this program. */
#include "tests/plugins/broken-load/parts.h"

static const tn_kernel kernel = { PART_KERNEL };
static const tn_kernel *const kernels[] = { &kernel, NULL };

const tn_plugin tn_plugin_v1 = {
    PART_PLUGIN,
    .sanitizer = TN_SANITIZER == TN_SANITIZER_NONE ? TN_SANITIZER_ADDRESS : TN_SANITIZER_NONE,
    .kernels = kernels,
};
