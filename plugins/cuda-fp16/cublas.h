/* SPDX-License-Identifier: Apache-2.0 */
/* Products of many rows by cuBLAS, where it is there (option gemm: auto), or never (gemm: own). */
#ifndef TN_PLUGINS_CUDA_FP16_CUBLAS_H
#define TN_PLUGINS_CUDA_FP16_CUBLAS_H

#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fp16_cublas fp16_cublas;

/** Opens cuBLAS, with the device current; major: of its compute capability. Errors: TN_UNAVAILABLE,
 * the reason; TN_NO_MEMORY. */
tn_status fp16_cublas_open(const tn_host *host, int major, fp16_cublas **out, tn_error *err);
void fp16_cublas_close(fp16_cublas *cublas);
/** Bytes of workspace that a product needs. */
uint64_t fp16_cublas_workspace(const fp16_cublas *cublas);
/** Can it (NULL: no) compute this, or with act its two products? Not a bias, nor a residual
 * elsewhere than in y. */
int fp16_cublas_takes(const fp16_cublas *cublas, const fp16_linear_args *args);
/** As fp16_gemm. workspace: of fp16_cublas_workspace bytes. */
tn_status fp16_cublas_gemm(fp16_cublas *cublas, const fp16_linear_args *args, void *workspace,
                           void *stream, tn_error *err);

#ifdef __cplusplus
}
#endif

#endif
