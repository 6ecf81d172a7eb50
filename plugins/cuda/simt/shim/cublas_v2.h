/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of cuBLAS that plugins use: names, numbers and signatures of the real header (cuBLAS
 * 13.0). Plugins include this one in both builds, since they only ever meet cuBLAS by name
 * (simt/cublas.h); libtn-simcuda.so has the same calls. After the real header only the calls are
 * declared, so a compiler can compare.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_SHIM_CUBLAS_V2_H
#define TN_PLUGINS_CUDA_SIMT_SHIM_CUBLAS_V2_H

#ifndef CUBLAS_API_H_ /* the real header's guard */

#    include <cuda_runtime.h>

#    define CUBLASWINAPI

typedef enum {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_ARCH_MISMATCH = 8,
    CUBLAS_STATUS_MAPPING_ERROR = 11,
    CUBLAS_STATUS_EXECUTION_FAILED = 13,
    CUBLAS_STATUS_INTERNAL_ERROR = 14,
    CUBLAS_STATUS_NOT_SUPPORTED = 15,
    CUBLAS_STATUS_LICENSE_ERROR = 16
} cublasStatus_t;
typedef enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1, CUBLAS_OP_C = 2 } cublasOperation_t;
typedef enum { CUBLAS_GEMM_DEFAULT = -1, CUBLAS_GEMM_DEFAULT_TENSOR_OP = 99 } cublasGemmAlgo_t;
typedef enum {
    CUBLAS_DEFAULT_MATH = 0,
    CUBLAS_PEDANTIC_MATH = 2,
    CUBLAS_TF32_TENSOR_OP_MATH = 3,
    CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16
} cublasMath_t;
typedef enum {
    CUBLAS_COMPUTE_16F = 64,
    CUBLAS_COMPUTE_32F = 68,
    CUBLAS_COMPUTE_32F_PEDANTIC = 69,
    CUBLAS_COMPUTE_32F_FAST_TF32 = 77,
    CUBLAS_COMPUTE_32I = 72
} cublasComputeType_t;
typedef struct cublasContext *cublasHandle_t;

#endif

/* X(name, parameters): all of them return a cublasStatus_t. */
#define TN_CUBLAS_CALLS(X)                                                                         \
    X(cublasCreate_v2, (cublasHandle_t * handle))                                                  \
    X(cublasDestroy_v2, (cublasHandle_t handle))                                                   \
    X(cublasGetVersion_v2, (cublasHandle_t handle, int *version))                                  \
    X(cublasSetStream_v2, (cublasHandle_t handle, cudaStream_t stream))                            \
    X(cublasGetStream_v2, (cublasHandle_t handle, cudaStream_t * stream))                          \
    X(cublasSetWorkspace_v2, (cublasHandle_t handle, void *workspace, size_t n_bytes))             \
    X(cublasSetMathMode, (cublasHandle_t handle, cublasMath_t mode))                               \
    X(cublasGetMathMode, (cublasHandle_t handle, cublasMath_t * mode))                             \
    X(cublasGemmEx,                                                                                \
      (cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,    \
       int k, const void *alpha, const void *a, cudaDataType a_type, int lda, const void *b,       \
       cudaDataType b_type, int ldb, const void *beta, void *c, cudaDataType c_type, int ldc,      \
       cublasComputeType_t compute, cublasGemmAlgo_t algorithm))                                   \
    X(cublasGemmStridedBatchedEx,                                                                  \
      (cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,    \
       int k, const void *alpha, const void *a, cudaDataType a_type, int lda,                      \
       long long int a_stride, const void *b, cudaDataType b_type, int ldb,                        \
       long long int b_stride, const void *beta, void *c, cudaDataType c_type, int ldc,            \
       long long int c_stride, int n_batches, cublasComputeType_t compute,                         \
       cublasGemmAlgo_t algorithm))

#ifdef __cplusplus
extern "C" {
#endif
#define TN_CUBLAS_DECLARE(name, parameters)                                                        \
    __attribute__((visibility("default"))) cublasStatus_t CUBLASWINAPI name parameters;
TN_CUBLAS_CALLS(TN_CUBLAS_DECLARE)
#undef TN_CUBLAS_DECLARE
__attribute__((visibility("default"))) const char *CUBLASWINAPI
cublasGetStatusString(cublasStatus_t status);
#ifdef __cplusplus
}
#endif

#endif
