// SPDX-License-Identifier: Apache-2.0
// Access patterns whose cost is known: one warp, one request.
#include "plugins/cuda/simt/simt.h"
#include "tests/plugins/simt/kernels.h"

namespace simt_test
{

__global__ void global_stride_kernel(const float *x, float *y, int stride)
{
    y[threadIdx.x] = ldg(x + static_cast<int>(threadIdx.x) * stride);
}

void global_stride(const float *x, float *y, int stride, CUstream_st *stream)
{
    LAUNCH(global_stride_kernel, dim3(1), dim3(32), 0, stream, x, y, stride);
}

__global__ void shared_stride_kernel(float *y, int stride)
{
    SHARED_ARRAY(float, s, 1024);
    for (unsigned i = threadIdx.x; i < 1024; i += 32)
        s[i] = 0.0f;
    __syncthreads();
    y[threadIdx.x] = lds(s + static_cast<int>(threadIdx.x) * stride);
}

void shared_stride(float *y, int stride, CUstream_st *stream)
{
    LAUNCH(shared_stride_kernel, dim3(1), dim3(32), 0, stream, y, stride);
}

// ldmatrix of 16-byte rows that lie row_floats apart.
__global__ void shared_rows_kernel(float *y, int row_floats)
{
    SHARED_ARRAY(float, s, 1024);
    for (unsigned i = threadIdx.x; i < 1024; i += 32)
        s[i] = 0.0f;
    __syncthreads();
    uint32_t r[4];
    ldmatrix_x4(r, s + static_cast<int>(threadIdx.x) % 8 * row_floats);
    y[threadIdx.x] = static_cast<float>(r[0]);
}

void shared_rows(float *y, int row_floats, CUstream_st *stream)
{
    LAUNCH(shared_rows_kernel, dim3(1), dim3(32), 0, stream, y, row_floats);
}

} // namespace simt_test
