/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of cpu-ref, one descriptor an op, and the checks that several of them share. */
#ifndef TN_PLUGINS_CPU_REF_OPS_H
#define TN_PLUGINS_CPU_REF_OPS_H

#include <tenon/plugin.h>

extern const tn_kernel ref_embed, ref_rmsnorm, ref_linear, ref_add, ref_linear_add, ref_glu,
    ref_linear_glu, ref_norm_linear, ref_norm_linear_glu, ref_qk_norm, ref_rope, ref_kv_write,
    ref_rope_kv_write, ref_attention, ref_gather_rows, ref_argmax;
extern const tn_kv_format ref_kv_f32, ref_kv_f16, ref_kv_i8, ref_kv_i8_static;

/** TN_UNSUPPORTED for an activation that is none of TN_ACT_*. */
tn_status ref_check_act(int32_t act, tn_error *why);

#endif
