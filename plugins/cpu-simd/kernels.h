/* SPDX-License-Identifier: Apache-2.0 */
/* cpu-simd's kernels without their descriptor, so that tests can link them. */
#ifndef TN_PLUGINS_CPU_SIMD_KERNELS_H
#define TN_PLUGINS_CPU_SIMD_KERNELS_H

#include <tenon/plugin.h>

extern const tn_kernel *const tn_cpu_simd_kernels[];       /* NULL-terminated */
extern const tn_kv_format *const tn_cpu_simd_kv_formats[]; /* NULL-terminated */

/** Options: isa (a name of simd_isas, or auto), dot (a8 | f32). Errors: TN_NO_MEMORY, TN_INVALID
 * for an unknown option value, TN_UNAVAILABLE for a set that this machine lacks. */
tn_status tn_cpu_simd_open(const tn_host *host, void **self, tn_error *err);
void tn_cpu_simd_close(void *self);

#endif
