/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of cpu-simd, one descriptor an op. */
#ifndef TN_PLUGINS_CPU_SIMD_OPS_H
#define TN_PLUGINS_CPU_SIMD_OPS_H

#include <tenon/plugin.h>

extern const tn_kernel simd_embed, simd_rmsnorm, simd_linear, simd_add, simd_linear_add, simd_glu,
    simd_linear_glu, simd_norm_linear, simd_norm_linear_glu, simd_qk_norm, simd_rope, simd_kv_write,
    simd_rope_kv_write, simd_attention, simd_gather_rows, simd_argmax;
/* Of weights that come as values and are recoded: their classes say so. */
extern const tn_kernel simd_embed_w8, simd_linear_w8, simd_linear_add_w8, simd_linear_glu_w8,
    simd_norm_linear_w8, simd_norm_linear_glu_w8;
extern const tn_kv_format simd_kv_f32, simd_kv_f16, simd_kv_i8, simd_kv_i8_static;

#endif
