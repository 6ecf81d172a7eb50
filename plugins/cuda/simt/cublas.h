/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuBLAS, opened by name where it is there: a plugin that uses it links none of it. With its own
 * stream and workspace it may be captured; cublasSetStream_v2 comes first, since it takes the
 * workspace away.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_CUBLAS_H
#define TN_PLUGINS_CUDA_SIMT_CUBLAS_H

#include "plugins/common/shared_library.h"
#include "plugins/cuda/simt/shim/cublas_v2.h"

typedef struct tn_cublas {
#define TN_CUBLAS_POINTER(name, parameters) cublasStatus_t(CUBLASWINAPI *name) parameters;
    TN_CUBLAS_CALLS(TN_CUBLAS_POINTER)
#undef TN_CUBLAS_POINTER
    const char *(CUBLASWINAPI *cublasGetStatusString)(cublasStatus_t status);
} tn_cublas;

/** Errors: TN_UNAVAILABLE, what is missing. */
static inline tn_status tn_cublas_open(tn_cublas *cublas, tn_error *err)
{
#if TN_CUDA_SIM
    static const char *const names[] = { "libtn-simcuda.so", NULL };
#else
    static const char *const names[] = { "libcublas.so.13", "libcublas.so.12", NULL };
#endif
    const tn_symbol symbols[] = {
#define TN_CUBLAS_SYMBOL(name, parameters) { #name, &cublas->name },
        TN_CUBLAS_CALLS(TN_CUBLAS_SYMBOL)
#undef TN_CUBLAS_SYMBOL
            { "cublasGetStatusString", &cublas->cublasGetStatusString },
    };

    return tn_shared_library(names, symbols, (int32_t)(sizeof symbols / sizeof *symbols), err);
}

#endif
