/* SPDX-License-Identifier: Apache-2.0 */
/* cuda-w4a16: an overlay on cuda-fp16 with linears on weights of 4 bits, which are expanded where
 * they are multiplied. All other ops and formats are the base's. */
#include "plugins/common/sanitizer.h"
#include "plugins/cuda-fp16/fp16.h"
#include "plugins/cuda-w4a16/w4a16.h"

static const tn_kernel *const kernels[] = { &w4_linear_kernel, &w4_linear_add_kernel,
                                            &w4_linear_glu_kernel, NULL };

const tn_plugin tn_plugin_v1 = {
    .size = sizeof(tn_plugin),
    .minor = TN_ABI_MINOR,
    .sanitizer = TN_SANITIZER,
    .name = TENON_PLUGIN_NAME,
    .version = TENON_VERSION,
    .domain = "cuda",
    .build = "4-bit weights u4z and u4b, f16 activations, mma.sync",
    .open = fp16_open,
    .close = fp16_close,
    .kernels = kernels,
};
