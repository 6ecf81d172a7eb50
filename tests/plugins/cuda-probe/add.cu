// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/simt.h"
#include "tests/plugins/cuda-probe/probe.h"

// Grid over n, a thread an element.
__global__ void __launch_bounds__(256)
    add_kernel(const float *a, const float *b, float *sum, int64_t n)
{
    int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n)
        stg(&sum[i], ldg(&a[i]) + ldg(&b[i]));
}

extern "C" const char *probe_add(const float *a, const float *b, float *sum, int64_t n,
                                 void *stream)
{
    LAUNCH(add_kernel, dim3(static_cast<unsigned>((n + 255) / 256)), dim3(256), 0,
           static_cast<cudaStream_t>(stream), a, b, sum, n);
    cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

extern "C" const char *probe_usable(void)
{
    int n = 0;
    cudaError_t error = cudaGetDeviceCount(&n);
    return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}
