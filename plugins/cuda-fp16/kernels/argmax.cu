// SPDX-License-Identifier: Apache-2.0
// argmax: the lowest index of the largest value of a row; a NaN never wins, a row of NaN gives 0.
#include "plugins/cuda-fp16/kernels/value.cuh"
#include "plugins/cuda-fp16/launch.h"

namespace fp16
{

constexpr int argmax_threads = 512;

struct best {
    float value;
    int index; // -1: none yet
};

// Comparisons are false for NaN, so it is never taken.
SIMT_DEVICE best better(best a, best b)
{
    const bool take_b = b.index >= 0 && (a.index < 0 || b.value > a.value ||
                                         (b.value == a.value && b.index < a.index));
    return take_b ? b : a;
}

SIMT_DEVICE best best_of_warp(best mine)
{
    SIMT_UNROLL
    for (int step = 16; step > 0; step /= 2) {
        best other;
        other.value = __shfl_xor_sync(0xffffffffu, mine.value, step);
        other.index = __shfl_xor_sync(0xffffffffu, mine.index, step);
        mine = better(mine, other);
    }
    return mine;
}

// A block a row, 16 bytes a load. Bytes: rows * dim * 4, and 4 back to the host. One row of 152,000
// values is 608 KB through one SM: some 10 us, beside a head of 1.2 GB that takes 600.
__global__ void __launch_bounds__(argmax_threads)
    argmax_kernel(const float *x, int64_t x_stride, int32_t *out, int64_t out_stride, int dim)
{
    SHARED_ARRAY(best, of_warp, argmax_threads / 32);
    const int thread = static_cast<int>(threadIdx.x);
    const float *row = x + static_cast<int64_t>(blockIdx.x) * x_stride;
    best mine = { 0.0f, -1 };
    auto look = [&](float value, int index) {
        if (value == value)
            mine = better(mine, { value, index });
    };
    for (int i = thread * 4; i < dim; i += argmax_threads * 4) {
        if (i + 4 <= dim) {
            const float4 four = ldg(reinterpret_cast<const float4 *>(row + i));
            look(four.x, i);
            look(four.y, i + 1);
            look(four.z, i + 2);
            look(four.w, i + 3);
        } else {
            for (int j = i; j < dim; j++)
                look(ldg(&row[j]), j);
        }
    }
    mine = best_of_warp(mine);
    if (thread % 32 == 0)
        sts(&of_warp[thread / 32], mine);
    __syncthreads();
    if (thread >= 32)
        return;
    mine = { 0.0f, -1 };
    if (thread < argmax_threads / 32)
        mine = lds(&of_warp[thread]);
    mine = best_of_warp(mine);
    if (thread == 0)
        stg(&out[static_cast<int64_t>(blockIdx.x) * out_stride], max(mine.index, 0));
}

} // namespace fp16

extern "C" int fp16_argmax(const float *x, int64_t x_stride, int32_t *out, int64_t out_stride,
                           int32_t rows, int32_t dim, void *stream)
{
    LAUNCH((fp16::argmax_kernel), dim3(static_cast<unsigned>(rows)), dim3(fp16::argmax_threads), 0,
           static_cast<cudaStream_t>(stream), x, x_stride, out, out_stride, dim);
    return cudaGetLastError();
}
