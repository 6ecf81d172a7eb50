/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-simd: every op on the host, with the widest vectors of the machine. */
#include "plugins/common/sanitizer.h"
#include "plugins/cpu-simd/kernels.h"

#include <tenon/plugin.h>

const tn_plugin tn_plugin_v1 = {
    .size = sizeof(tn_plugin),
    .minor = TN_ABI_MINOR,
    .sanitizer = TN_SANITIZER,
    .name = "cpu-simd",
    .version = TENON_VERSION,
    .domain = "host",
#if defined(__x86_64__)
    .build = "avx512-bf16 avx512-vnni avx512 avx-vnni avx2 plain, chosen at load",
#else
    .build = "plain",
#endif
    .open = tn_cpu_simd_open,
    .close = tn_cpu_simd_close,
    .kernels = tn_cpu_simd_kernels,
    .kv_formats = tn_cpu_simd_kv_formats,
};
