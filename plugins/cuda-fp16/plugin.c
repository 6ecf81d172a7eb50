/* SPDX-License-Identifier: Apache-2.0 */
/* cuda-fp16: every op on CUDA with a residual stream of f32 and activations of f16 or bf16; the
 * base of every CUDA graph. */
#include "plugins/common/sanitizer.h"
#include "plugins/cuda-fp16/fp16.h"

static const tn_kernel *const kernels[] = {
    &fp16_embed_kernel,
    &fp16_rmsnorm_kernel,
    &fp16_linear_kernel,
    &fp16_add_kernel,
    &fp16_linear_add_kernel,
    &fp16_glu_kernel,
    &fp16_linear_glu_kernel,
    &fp16_qk_norm_kernel,
    &fp16_rope_kernel,
    &fp16_kv_write_kernel,
    &fp16_rope_kv_write_kernel,
    &fp16_attention_kernel,
    &fp16_gather_rows_kernel,
    &fp16_argmax_kernel,
    &fp16_norm_linear_kernel,
    &fp16_norm_linear_glu_kernel,
    NULL,
};

static const tn_kv_format *const kv_formats[] = { &fp16_kv_f16, NULL };

const tn_plugin tn_plugin_v1 = {
    .size = sizeof(tn_plugin),
    .minor = TN_ABI_MINOR,
    .sanitizer = TN_SANITIZER,
    .name = "cuda-fp16",
    .version = TENON_VERSION,
    .domain = "cuda",
    .build = "f32 residual, f16 or bf16 activations, mma.sync",
    .open = fp16_open,
    .close = fp16_close,
    .kernels = kernels,
    .kv_formats = kv_formats,
};
