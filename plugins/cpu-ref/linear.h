/* SPDX-License-Identifier: Apache-2.0 */
/* Layout ids of packed linears; embed shares the plain one. */
#ifndef TN_PLUGINS_CPU_REF_LINEAR_H
#define TN_PLUGINS_CPU_REF_LINEAR_H

#include <stdint.h>

/* What follows the blocks of the parts in a blob: biases, then the norm weight. */
enum { REF_LAYOUT_PLAIN = 0, REF_LAYOUT_BIAS = 1, REF_LAYOUT_NORM = 2, REF_N_LAYOUTS = 4 };

/** Static id of weight format kind (REF_W_*) and an or of REF_LAYOUT_*. Raise the number when the
 * bytes change. */
const char *ref_linear_layout(int32_t kind, int32_t tail);

#endif
