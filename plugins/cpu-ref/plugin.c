/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-ref: every op on the host, in plain f64. It is what other plugins are held against; it may be
 * slow, it may not be wrong. */
#include "plugins/common/sanitizer.h"
#include "plugins/cpu-ref/kernels.h"

#include <tenon/plugin.h>

const tn_plugin tn_plugin_v1 = {
    .size = sizeof(tn_plugin),
    .minor = TN_ABI_MINOR,
    .sanitizer = TN_SANITIZER,
    .name = "cpu-ref",
    .version = TENON_VERSION,
    .domain = "host",
    .build = "f32 edges, f64 sums, no contraction",
    .open = tn_cpu_ref_open,
    .close = tn_cpu_ref_close,
    .kernels = tn_cpu_ref_kernels,
    .kv_formats = tn_cpu_ref_kv_formats,
};
