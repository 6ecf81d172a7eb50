// SPDX-License-Identifier: Apache-2.0
// embed: out[t] = scale * table[tokens[t]].
#include "plugins/cuda-fp16/kernels/value.cuh"
#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

namespace fp16
{

constexpr int embed_threads = 128, embed_columns = 4 * embed_threads;

// Grid (tokens, chunks of 512 columns), 128 threads of 4 columns: 8 bytes in, 16 out.
// Bytes: rows * dim * (2 + 4). A copy, so the roofline is memory; a decode step's few kilobytes are
// latency only. A token outside the table gives zeros: tokens are checked before they come here.
template <class T> __global__ void __launch_bounds__(embed_threads) embed_kernel(fp16_embed_args a)
{
    const int row = static_cast<int>(blockIdx.x);
    const int column = static_cast<int>(blockIdx.y * embed_threads + threadIdx.x) * 4;
    if (column >= a.dim)
        return;
    const int token = ldg(&a.tokens[row]);
    uint2 words = make_uint2(0, 0); // the table's rows are padded, so whole words may be read
    if (token >= 0 && token < a.vocab)
        words = ldg(reinterpret_cast<const uint2 *>(static_cast<const T *>(a.table) +
                                                    token * a.table_stride + column));
    const float2 low = value<T>::widen2(words.x), high = value<T>::widen2(words.y);
    const float x[4] = { low.x * a.scale, low.y * a.scale, high.x * a.scale, high.y * a.scale };
    float *out = a.out + row * a.out_stride + column;
    if (column + 4 <= a.dim)
        stg(reinterpret_cast<float4 *>(out), make_float4(x[0], x[1], x[2], x[3]));
    SIMT_UNROLL
    for (int i = 0; i < 3; i++)
        if (column + 4 > a.dim && column + i < a.dim)
            stg(&out[i], x[i]);
}

} // namespace fp16

extern "C" int fp16_embed(const fp16_embed_args *args, void *stream)
{
    const dim3 grid(
        static_cast<unsigned>(args->rows),
        static_cast<unsigned>((args->dim + fp16::embed_columns - 1) / fp16::embed_columns));
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (args->dtype == TN_BF16)
        LAUNCH((fp16::embed_kernel<__nv_bfloat16>), grid, dim3(fp16::embed_threads), 0, s, *args);
    else
        LAUNCH((fp16::embed_kernel<half>), grid, dim3(fp16::embed_threads), 0, s, *args);
    return cudaGetLastError();
}
