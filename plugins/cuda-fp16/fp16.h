/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host code of cuda-fp16 shares: the handle, the kernels' descriptors, checks that
 * supports() functions have in common, and errors of launches. Everything is C; kernels and their
 * launchers are in kernels/ behind launch.h.
 */
#ifndef TN_PLUGINS_CUDA_FP16_FP16_H
#define TN_PLUGINS_CUDA_FP16_FP16_H

#include "plugins/common/op_check.h"
#include "plugins/cuda-fp16/cublas.h"
#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

#include <stddef.h>

enum {
    FP16_FLAGS = TN_K_CAPTURE_SAFE | TN_K_DETERMINISTIC,
    FP16_ROW_FLAGS = FP16_FLAGS | TN_K_BATCH_INVARIANT /* each row by itself */
};

typedef struct fp16_plugin {
    const tn_host *host;
    fp16_device device;
    fp16_cublas *cublas; /* NULL: the own GEMM computes */
} fp16_plugin;

extern const tn_kernel fp16_embed_kernel, fp16_rmsnorm_kernel, fp16_linear_kernel, fp16_add_kernel,
    fp16_linear_add_kernel, fp16_glu_kernel, fp16_linear_glu_kernel, fp16_qk_norm_kernel,
    fp16_rope_kernel, fp16_kv_write_kernel, fp16_rope_kv_write_kernel, fp16_attention_kernel,
    fp16_gather_rows_kernel, fp16_argmax_kernel, fp16_norm_linear_kernel,
    fp16_norm_linear_glu_kernel;
extern const tn_kv_format fp16_kv_f16;

static inline void *fp16_pointer(uint64_t addr)
{
    return (void *)(uintptr_t)addr;
}

/**
 * TN_UNSUPPORTED unless the node has parameters and inputs and outputs of these types, a letter
 * each: 'a' activations (f16 or bf16), 'r' f32, 'x' either, 'i' i32.
 */
tn_status fp16_check_node(const tn_node *node, const char *in, const char *out, tn_error *why);
/** What a launcher returned; TN_DEVICE_LOST when it is not 0. */
tn_status fp16_launched(const tn_node *node, int error, tn_error *err);

/* ---- kv.c: the pool, for rope.c and attention.c ---- */
/** TN_UNSUPPORTED unless the node's pool is f16 and heads, head size and blocks are in range. */
tn_status fp16_check_kv(const tn_node *node, const tn_attention *attention, tn_error *why);

#endif
