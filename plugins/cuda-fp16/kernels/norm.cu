// SPDX-License-Identifier: Apache-2.0
// rmsnorm: out = x / sqrt(mean x^2 + eps) * (w + offset), Zhang and Sennrich 2019, eq. 4.
#include "plugins/cuda-fp16/kernels/value.cuh"
#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

namespace fp16
{

constexpr int norm_threads = 256;

// A block a row; a thread keeps Vectors times 4 columns in registers, so x is read once.
// Bytes: rows * dim * (4 + 2), and 4 dim of weights from L2. Operations: 4 a column. Memory bound;
// at one row of 4096 it is latency (reference: 60-80 % of HBM from 256 rows on). Shared: 32 bytes.
template <class T, int Vectors>
__global__ void __launch_bounds__(norm_threads) rmsnorm_kernel(fp16_norm_args a)
{
    SHARED_ARRAY(float, of_warp, norm_threads / 32);
    const int thread = static_cast<int>(threadIdx.x);
    const float *x = a.x + static_cast<int64_t>(blockIdx.x) * a.x_stride;
    T *out = static_cast<T *>(a.out) + static_cast<int64_t>(blockIdx.x) * a.out_stride;
    float kept[Vectors][4];
    float sum = 0.0f;
    SIMT_UNROLL
    for (int v = 0; v < Vectors; v++) {
        const int column = (v * norm_threads + thread) * 4;
        float4 four = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (column + 4 <= a.dim)
            four = ldg(reinterpret_cast<const float4 *>(x + column));
        kept[v][0] = four.x;
        kept[v][1] = four.y;
        kept[v][2] = four.z;
        kept[v][3] = four.w;
        if (column < a.dim && column + 4 > a.dim)
            for (int i = 0; i < 3; i++)
                kept[v][i] = column + i < a.dim ? ldg(&x[column + i]) : 0.0f;
        SIMT_UNROLL
        for (int i = 0; i < 4; i++)
            sum += kept[v][i] * kept[v][i];
    }
    sum = warp_sum(sum);
    if (thread % 32 == 0)
        sts(&of_warp[thread / 32], sum);
    __syncthreads();
    sum = 0.0f;
    SIMT_UNROLL
    for (int w = 0; w < norm_threads / 32; w++)
        sum += lds(&of_warp[w]);
    const float inverse = rsqrtf(__fdividef(sum, static_cast<float>(a.dim)) + a.eps);
    SIMT_UNROLL
    for (int v = 0; v < Vectors; v++) {
        const int column = (v * norm_threads + thread) * 4;
        if (column + 4 <= a.dim) {
            const float4 w = ldg(reinterpret_cast<const float4 *>(a.weight + column));
            stg(reinterpret_cast<uint2 *>(out + column),
                make_uint2(value<T>::narrow2(kept[v][0] * inverse * (w.x + a.offset),
                                             kept[v][1] * inverse * (w.y + a.offset)),
                           value<T>::narrow2(kept[v][2] * inverse * (w.z + a.offset),
                                             kept[v][3] * inverse * (w.w + a.offset))));
        } else {
            for (int i = 0; i < 3 && column + i < a.dim; i++)
                stg(&out[column + i], value<T>::narrow(kept[v][i] * inverse *
                                                       (ldg(&a.weight[column + i]) + a.offset)));
        }
    }
}

template <class T> static void launch_rmsnorm(const fp16_norm_args &a, cudaStream_t stream)
{
    const dim3 grid(static_cast<unsigned>(a.rows)), block(norm_threads);
    const int vectors = (a.dim + 4 * norm_threads - 1) / (4 * norm_threads);
    if (vectors <= 1)
        LAUNCH((rmsnorm_kernel<T, 1>), grid, block, 0, stream, a);
    else if (vectors <= 4)
        LAUNCH((rmsnorm_kernel<T, 4>), grid, block, 0, stream, a);
    else
        LAUNCH((rmsnorm_kernel<T, FP16_MAX_NORM / (4 * norm_threads)>), grid, block, 0, stream, a);
}

} // namespace fp16

extern "C" int fp16_rmsnorm(const fp16_norm_args *args, void *stream)
{
    if (args->dtype == TN_BF16)
        fp16::launch_rmsnorm<__nv_bfloat16>(*args, static_cast<cudaStream_t>(stream));
    else
        fp16::launch_rmsnorm<half>(*args, static_cast<cudaStream_t>(stream));
    return cudaGetLastError();
}
