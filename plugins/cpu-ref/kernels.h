/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu-ref's kernels without their descriptor, so that they can be linked under another symbol:
 * tests link them statically and tests/plugins/domain-sim puts them behind a device of its own.
 * Everything but `run` is pure; `run` reads batch arrays through their domain addresses only, never
 * through the host mirrors.
 */
#ifndef TN_PLUGINS_CPU_REF_KERNELS_H
#define TN_PLUGINS_CPU_REF_KERNELS_H

#include <tenon/plugin.h>

extern const tn_kernel *const tn_cpu_ref_kernels[];       /* NULL-terminated */
extern const tn_kv_format *const tn_cpu_ref_kv_formats[]; /* NULL-terminated */

/** *self keeps `host` (which must outlive it) and serves every kernel and KV format above. Errors:
 * TN_NO_MEMORY. */
tn_status tn_cpu_ref_open(const tn_host *host, void **self, tn_error *err);
void tn_cpu_ref_close(void *self);

#endif
