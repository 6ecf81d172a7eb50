/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of cuda-w4a16. */
#ifndef TN_PLUGINS_CUDA_W4A16_W4A16_H
#define TN_PLUGINS_CUDA_W4A16_W4A16_H

#include <tenon/plugin.h>

extern const tn_kernel w4_linear_kernel, w4_linear_add_kernel, w4_linear_glu_kernel;

#endif
