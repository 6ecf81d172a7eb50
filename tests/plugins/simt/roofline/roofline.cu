// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/simt.h"
#include "tests/plugins/simt/roofline/roofline.h"

namespace roofline
{

static const int read_threads = 256, loads_in_flight = 4, mma_chains = 8;

// Grid-stride over 16-byte words, four loads of a thread on their way: 16 KB a block.
__global__ void __launch_bounds__(256)
    read_memory_kernel(const uint4 *p, size_t n_words, uint32_t *sink)
{
    const size_t stride = static_cast<size_t>(gridDim.x) * read_threads;
    uint32_t sum = 0;
    size_t i = static_cast<size_t>(blockIdx.x) * read_threads + threadIdx.x;
    for (; i + (loads_in_flight - 1) * stride < n_words; i += loads_in_flight * stride) {
        uint4 v[loads_in_flight];
        SIMT_UNROLL
        for (int j = 0; j < loads_in_flight; j++)
            v[j] = ldg128_stream(p + i + static_cast<size_t>(j) * stride);
        SIMT_UNROLL
        for (int j = 0; j < loads_in_flight; j++)
            sum ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
    }
    for (; i < n_words; i += stride) {
        const uint4 v = ldg128_stream(p + i);
        sum ^= v.x ^ v.y ^ v.z ^ v.w;
    }
    if (sum == 0x9e3779b9u) // never known to the compiler
        *sink = sum;
}

void read_memory(const void *p, size_t n_bytes, uint32_t *sink, int n_blocks, CUstream_st *stream)
{
    LAUNCH(read_memory_kernel, dim3(static_cast<unsigned>(n_blocks)), dim3(read_threads), 0, stream,
           static_cast<const uint4 *>(p), n_bytes / 16, sink);
}

// Independent chains, so that the tensor core never waits for its own sum.
__global__ void __launch_bounds__(32 * warps_per_block) multiply_kernel(float *sink, int n_rounds)
{
    const uint32_t one = 0x3c003c00u * (threadIdx.x < 2048); // two f16 ones
    const uint32_t a[4] = { one, one, one, one }, b[2] = { one, one };
    float sum[mma_chains][4] = {};
    for (int round = 0; round < n_rounds; round++) {
        SIMT_UNROLL
        for (int chain = 0; chain < mma_chains; chain++)
            mma_16816_f16(sum[chain], a, b);
    }
    float all = 0.0f;
    SIMT_UNROLL
    for (int chain = 0; chain < mma_chains; chain++)
        all += sum[chain][0] + sum[chain][1] + sum[chain][2] + sum[chain][3];
    if (threadIdx.x == 0)
        sink[blockIdx.x] = all;
}

long mma_per_warp(int n_rounds)
{
    return static_cast<long>(n_rounds) * mma_chains;
}

void multiply(float *sink, int n_rounds, int n_blocks, CUstream_st *stream)
{
    LAUNCH(multiply_kernel, dim3(static_cast<unsigned>(n_blocks)), dim3(32 * warps_per_block), 0,
           stream, sink, n_rounds);
}

} // namespace roofline
