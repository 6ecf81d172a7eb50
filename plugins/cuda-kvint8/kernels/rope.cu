// SPDX-License-Identifier: Apache-2.0
// qk_norm, rope, kv_write and all three at once, with pages of i8 and i8-static.
#include "plugins/cuda-kvint8/kernels/i8_writer.cuh"

namespace kvint8
{

// Bytes: 2 * tokens * D * 2 a head of q in and out, D * 2 in and D + 4 out of k and v, and D/2
// frequencies from L2. Operations: some 40 a pair, and 20 for its codes. Memory bound; a decode
// step is latency. No shared memory.
template <class T> __global__ void __launch_bounds__(rope_threads) rope_kernel(fp16_rope_args a)
{
    rope_block<T, i8_writer>(a);
}

} // namespace kvint8

extern "C" int fp16_rope(const fp16_rope_args *args, void *stream)
{
    const dim3 grid = fp16::rope_grid(*args), block(fp16::rope_threads);
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (args->dtype == TN_BF16)
        LAUNCH((kvint8::rope_kernel<__nv_bfloat16>), grid, block, 0, s, *args);
    else
        LAUNCH((kvint8::rope_kernel<half>), grid, block, 0, s, *args);
    return cudaGetLastError();
}
