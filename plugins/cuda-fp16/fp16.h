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

/** open() and close() of the plugins that multiply: a fp16_plugin, by option gemm with cuBLAS. */
tn_status fp16_open(const tn_host *host, void **self, tn_error *err);
void fp16_close(void *self);

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

/** TN_UNSUPPORTED unless the kernels of attention take these heads, head size and blocks. */
tn_status fp16_check_heads(const tn_node *node, const tn_attention *attention, tn_error *why);
/** The domain's device is current, and one that the kernels run on; TN_UNAVAILABLE with the reason.
 */
tn_status fp16_check_device(const tn_host *host, fp16_device *device, tn_error *err);

/* ---- parameters of KV format i8-static, for rope.c and attention.c: a weight part ---- */
/** Their bytes: 0 for other formats. */
uint64_t fp16_kv_static_bytes(const tn_attention *attention);
tn_status fp16_kv_static_pack(const tn_attention *attention, const tn_weight_rows *rows, float *out,
                              tn_error *err);

/* ---- kv.c: of each plugin, as the kernels of rope and attention are ---- */
/** TN_UNSUPPORTED unless the node's pool is of the plugin's formats, with heads that it takes. */
tn_status fp16_check_kv(const tn_node *node, const tn_attention *attention, tn_error *why);

#endif
