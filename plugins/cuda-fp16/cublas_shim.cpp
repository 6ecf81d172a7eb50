/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cuda-fp16/cublas.h"
#include "plugins/cuda/simt/cublas.h"

#include <climits>

struct fp16_cublas {
    const tn_host *host;
    tn_cublas call;
    cublasHandle_t handle;
    size_t workspace_bytes;
};

static tn_status failed(const fp16_cublas *cublas, const char *what, cublasStatus_t status,
                        tn_status code, tn_error *err)
{
    return tn_plugin_fail(err, code, "%s: %s", what, cublas->call.cublasGetStatusString(status));
}

static tn_status open_handle(fp16_cublas *cublas, tn_error *err)
{
    TN_PLUGIN_TRY(tn_cublas_open(&cublas->call, err));
    cublasStatus_t status = cublas->call.cublasCreate_v2(&cublas->handle);
    if (status != CUBLAS_STATUS_SUCCESS)
        return failed(cublas, "cublasCreate", status, TN_UNAVAILABLE, err);
    /* Sums that are split over k are joined in f32, as class f16acc has it. */
    status = cublas->call.cublasSetMathMode(cublas->handle,
                                            CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
    if (status != CUBLAS_STATUS_SUCCESS)
        return failed(cublas, "cublasSetMathMode", status, TN_UNAVAILABLE, err);
    return TN_OK;
}

tn_status fp16_cublas_open(const tn_host *host, int major, fp16_cublas **out, tn_error *err)
{
    *out = nullptr;
    fp16_cublas *cublas = static_cast<fp16_cublas *>(host->alloc(host->ctx, sizeof(fp16_cublas)));
    if (!cublas)
        return tn_plugin_fail(err, TN_NO_MEMORY, "cannot allocate %zu bytes for cuBLAS",
                              sizeof(fp16_cublas));
    *cublas = {};
    cublas->host = host;
    /* cuBLAS 13, "cublasSetWorkspace": 32 MiB from Hopper on, 4 MiB before. */
    cublas->workspace_bytes = static_cast<size_t>(major >= 9 ? 32 : 4) << 20;
    tn_status status = open_handle(cublas, err);
    if (status)
        fp16_cublas_close(cublas);
    else
        *out = cublas;
    return status;
}

void fp16_cublas_close(fp16_cublas *cublas)
{
    if (!cublas)
        return;
    if (cublas->handle)
        cublas->call.cublasDestroy_v2(cublas->handle);
    cublas->host->release(cublas->host->ctx, cublas);
}

uint64_t fp16_cublas_workspace(const fp16_cublas *cublas)
{
    return cublas->workspace_bytes;
}

int fp16_cublas_takes(const fp16_cublas *cublas, const fp16_linear_args *args)
{
    return cublas && !args->bias &&
           (!args->residual ||
            (args->residual == args->y && args->residual_stride == args->y_stride)) &&
           args->x_stride <= INT_MAX && args->y_stride <= INT_MAX;
}

static cudaDataType type_of(int32_t dtype)
{
    return dtype == TN_F32 ? CUDA_R_32F : dtype == TN_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

/* Matrices of cuBLAS are column-major: our rows are its columns, so it computes y^T = w x^T with w
 * transposed. */
tn_status fp16_cublas_gemm(fp16_cublas *cublas, const fp16_linear_args *a, void *workspace,
                           void *stream, tn_error *err)
{
    const float alpha = a->out_scale, beta = a->residual ? 1.0f : 0.0f;
    const cudaDataType type = type_of(a->dtype);
    cublasStatus_t status =
        cublas->call.cublasSetStream_v2(cublas->handle, static_cast<cudaStream_t>(stream));
    if (status == CUBLAS_STATUS_SUCCESS)
        status =
            cublas->call.cublasSetWorkspace_v2(cublas->handle, workspace, cublas->workspace_bytes);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublas->call.cublasGemmEx(cublas->handle, CUBLAS_OP_T, CUBLAS_OP_N, a->out,
                                           a->rows, a->in, &alpha, a->weight, type, a->padded, a->x,
                                           type, static_cast<int>(a->x_stride), &beta, a->y,
                                           type_of(a->y_dtype), static_cast<int>(a->y_stride),
                                           CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    if (status != CUBLAS_STATUS_SUCCESS)
        return failed(cublas, "cublasGemmEx", status, TN_DEVICE_LOST, err);
    return TN_OK;
}
