/* SPDX-License-Identifier: Apache-2.0 */
/* Layout ids of packed linears; embed shares the plain one. */
#ifndef TN_PLUGINS_CPU_SIMD_LINEAR_H
#define TN_PLUGINS_CPU_SIMD_LINEAR_H

#include <stdint.h>

/* What follows the tiles of the parts in a blob: biases, then the norm weight. */
enum { SIMD_LAYOUT_PLAIN = 0, SIMD_LAYOUT_BIAS = 1, SIMD_LAYOUT_NORM = 2, SIMD_N_LAYOUTS = 4 };

/** Static id of weight kind (SIMD_W_*) and an or of SIMD_LAYOUT_*. Raise the number when the bytes
 * change. */
const char *simd_linear_layout(int32_t kind, int32_t tail);

#endif
