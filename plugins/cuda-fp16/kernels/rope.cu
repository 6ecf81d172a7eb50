// SPDX-License-Identifier: Apache-2.0
// qk_norm, rope, kv_write and all three at once, with pages of f16.
#include "plugins/cuda-fp16/kernels/rope.cuh"

namespace fp16
{

struct f16_writer {
    // K[T][D] V[T][D] of each kv head follow each other: docs/numerics.md, "KV cache".
    SIMT_DEVICE void write(const fp16_rope_args &a, head_job job, int slot, const float2 *x)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        const int64_t row =
            (static_cast<int64_t>(job.head) * 2 + (job.which == 2)) * a.block_tokens +
            slot % a.block_tokens;
        half *to = reinterpret_cast<half *>(block_of(a, slot)) + row * a.head_dim;
        SIMT_UNROLL
        for (int i = 0; i < rope_pairs; i++)
            if (lane + 32 * i < a.head_dim / 2)
                store_pair(to, place_of(a, lane + 32 * i), x[i]);
    }
};

// Bytes: 2 * tokens * D * 2 a head in and out, and D/2 frequencies from L2. Operations: some 40 a
// pair. Memory bound; a decode step is latency. No shared memory.
template <class T> __global__ void __launch_bounds__(rope_threads) rope_kernel(fp16_rope_args a)
{
    rope_block<T, f16_writer>(a);
}

} // namespace fp16

extern "C" int fp16_rope(const fp16_rope_args *args, void *stream)
{
    const dim3 grid = fp16::rope_grid(*args), block(fp16::rope_threads);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (args->dtype == TN_BF16)
        LAUNCH((fp16::rope_kernel<__nv_bfloat16>), grid, block, 0, s, *args);
    else
        LAUNCH((fp16::rope_kernel<half>), grid, block, 0, s, *args);
    return cudaGetLastError();
}
