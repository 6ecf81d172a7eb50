/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cpu-ref/kernels.h"

#include "plugins/cpu-ref/ops.h"

#include <stddef.h>

const tn_kernel *const tn_cpu_ref_kernels[] = {
    &ref_embed,
    &ref_rmsnorm,
    &ref_linear,
    &ref_add,
    &ref_linear_add,
    &ref_glu,
    &ref_linear_glu,
    &ref_norm_linear,
    &ref_norm_linear_glu,
    &ref_qk_norm,
    &ref_rope,
    &ref_kv_write,
    &ref_rope_kv_write,
    &ref_attention,
    &ref_gather_rows,
    &ref_argmax,
    NULL,
};

const tn_kv_format *const tn_cpu_ref_kv_formats[] = { &ref_kv_f32, &ref_kv_f16, &ref_kv_i8,
                                                      &ref_kv_i8_static, NULL };
