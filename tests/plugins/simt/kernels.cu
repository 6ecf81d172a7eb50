// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/simt.h"
#include "tests/plugins/simt/kernels.h"

namespace simt_test
{

// Grid over n, a thread an element.
__global__ void __launch_bounds__(128)
    vector_add_kernel(const float *a, const float *b, float *sum, int n)
{
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        stg(&sum[i], ldg(&a[i]) + ldg(&b[i]));
}

void vector_add(const float *a, const float *b, float *sum, int n, CUstream_st *stream)
{
    LAUNCH(vector_add_kernel, dim3(static_cast<unsigned>(n + 127) / 128), dim3(128), 0, stream, a,
           b, sum, n);
}

// A block sums a part through shuffles and shared memory; the block that is last sums the parts.
// 128 threads.
SIMT_DEVICE float block_sum(float value)
{
    SHARED_ARRAY(float, of_warp, 4);
    SIMT_UNROLL
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, step);
    if (threadIdx.x % 32 == 0)
        sts(&of_warp[threadIdx.x / 32], value);
    __syncthreads();
    float sum = lds(&of_warp[0]) + lds(&of_warp[1]) + lds(&of_warp[2]) + lds(&of_warp[3]);
    __syncthreads();
    return sum;
}

__global__ void __launch_bounds__(128)
    reduce_sum_kernel(const float *x, int n, float *partial, unsigned *done, float *sum)
{
    float mine = 0.0f;
    for (unsigned i = blockIdx.x * 128 + threadIdx.x; i < static_cast<unsigned>(n);
         i += gridDim.x * 128)
        mine += ldg(&x[i]);
    float of_block = block_sum(mine);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = of_block;
    if (!block_is_last(done, gridDim.x))
        return;
    mine = 0.0f;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += 128)
        mine += partial[i];
    float all = block_sum(mine);
    if (threadIdx.x == 0)
        *sum = all;
}

void reduce_sum(const float *x, int n, float *partial, unsigned *done, float *sum, int n_blocks,
                CUstream_st *stream)
{
    LAUNCH(reduce_sum_kernel, dim3(static_cast<unsigned>(n_blocks)), dim3(128), 0, stream, x, n,
           partial, done, sum);
}

// A block of two warps gives 16 x 32 of c; a warp 16 x 16 of it. Stages of 32 columns of k, three
// in flight, with 16-byte chunks at chunk ^ (row / 2 & 3) of their 64-byte row, so that ldmatrix
// meets every bank once.
template <int Stages>
__global__ void __launch_bounds__(64)
    gemm_f16_kernel(const half *a, const half *b, float *c, int n, int k)
{
    constexpr int row_bytes = 64, a_bytes = 16 * row_bytes, stage_bytes = a_bytes + 32 * row_bytes;
    SHARED_DYN(unsigned char, stages);
    const int tid = static_cast<int>(threadIdx.x), warp = tid / 32, lane = tid % 32;
    const int row0 = static_cast<int>(blockIdx.y) * 16, column0 = static_cast<int>(blockIdx.x) * 32,
              n_steps = k / 32;
    auto place = [](int row, int chunk) { return row * row_bytes + (chunk ^ (row / 2 & 3)) * 16; };
    auto fetch = [&](int step) {
        if (step < n_steps) {
            unsigned char *stage = stages + step % Stages * stage_bytes;
            cp_async16(stage + place(tid / 4, tid % 4),
                       a + (row0 + tid / 4) * k + step * 32 + tid % 4 * 8);
            for (int i = tid; i < 128; i += 64)
                cp_async16(stage + a_bytes + place(i / 4, i % 4),
                           b + (column0 + i / 4) * k + step * 32 + i % 4 * 8);
        }
        cp_async_commit(); // also when empty, so that the waits count alike
    };
    float sum[2][4] = {};
    SIMT_UNROLL
    for (int s = 0; s < Stages - 1; s++)
        fetch(s);
    for (int step = 0; step < n_steps; step++) {
        cp_async_wait<Stages - 2>();
        __syncthreads();
        fetch(step + Stages - 1);
        const unsigned char *stage = stages + step % Stages * stage_bytes;
        SIMT_UNROLL
        for (int k16 = 0; k16 < 2; k16++) {
            uint32_t fa[4], fb[4];
            ldmatrix_x4(fa, stage + place(lane % 16, k16 * 2 + lane / 16));
            ldmatrix_x4(fb,
                        stage + a_bytes +
                            place(warp * 16 + lane / 16 * 8 + lane % 8, k16 * 2 + lane / 8 % 2));
            mma_16816_f16(sum[0], fa, fb);
            mma_16816_f16(sum[1], fa, fb + 2);
        }
    }
    cp_async_wait<0>();
    SIMT_UNROLL
    for (int tile = 0; tile < 2; tile++) {
        float *out = c + (row0 + lane / 4) * n + column0 + warp * 16 + tile * 8 + lane % 4 * 2;
        stg(reinterpret_cast<float2 *>(out), make_float2(sum[tile][0], sum[tile][1]));
        stg(reinterpret_cast<float2 *>(out + 8 * n), make_float2(sum[tile][2], sum[tile][3]));
    }
}

void gemm_f16(const void *a, const void *b, float *c, int m, int n, int k, CUstream_st *stream)
{
    dim3 grid(static_cast<unsigned>(n) / 32, static_cast<unsigned>(m) / 16);
    LAUNCH((gemm_f16_kernel<3>), grid, dim3(64), 3 * (16 + 32) * 64, stream,
           static_cast<const half *>(a), static_cast<const half *>(b), c, n, k);
}

} // namespace simt_test
