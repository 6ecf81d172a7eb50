/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/common/sanitizer.h"
#include "plugins/cuda/cuda.h"

const tn_plugin tn_plugin_v1 = {
    .size = sizeof(tn_plugin),
    .minor = TN_ABI_MINOR,
    .sanitizer = TN_SANITIZER,
    .name = "cuda",
    .version = TENON_VERSION,
    .domain = "cuda",
    .build = TN_CUDA_SIM ? "emulator" : "driver by name",
    .open = tn_cuda_open,
    .close = tn_cuda_close,
    .provides = &tn_cuda_domain,
};
