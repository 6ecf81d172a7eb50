/* SPDX-License-Identifier: Apache-2.0 */
/* A CUDA plugin of one op, add, built as every CUDA plugin is: what the build system and the domain
 * are tested with. */
#ifndef TN_TESTS_CUDA_PROBE_H
#define TN_TESTS_CUDA_PROBE_H

#include <tenon/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif
/* sum = a + b, n floats in device memory. The error of the launch as text, or NULL. */
const char *probe_add(const float *a, const float *b, float *sum, int64_t n, void *stream);
/* The CUDA runtime's word on whether it can work here, or NULL. */
const char *probe_usable(void);
#ifdef __cplusplus
}
#endif

#endif
