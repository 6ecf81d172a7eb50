// SPDX-License-Identifier: Apache-2.0
// embed: out[t] = scale * table[tokens[t]].
#include "plugins/cuda-fp16/kernels/value.cuh"
#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

namespace fp16
{

// Grid (tokens, chunks of 1024 columns), 128 threads of 8 columns: 16 bytes in, 32 out.
// Bytes: rows * dim * (2 + 4). A copy, so the roofline is memory; a decode step's few kilobytes are
// latency only. A token outside the table gives zeros: tokens are checked before they come here.
template <class T> __global__ void __launch_bounds__(128) embed_kernel(fp16_embed_args a)
{
    const int row = static_cast<int>(blockIdx.x);
    const int column = static_cast<int>(blockIdx.y * 128 + threadIdx.x) * 8;
    if (column >= a.dim)
        return;
    const int token = ldg(&a.tokens[row]);
    float x[8] = {};
    if (token >= 0 && token < a.vocab)
        widen8<T>(ldg128(static_cast<const T *>(a.table) + token * a.table_stride + column), x);
    float *out = a.out + row * a.out_stride + column;
    SIMT_UNROLL
    for (int i = 0; i < 8; i++)
        x[i] *= a.scale;
    SIMT_UNROLL
    for (int i = 0; i < 8; i += 4) {
        if (column + i + 4 <= a.dim)
            stg(reinterpret_cast<float4 *>(out + i),
                make_float4(x[i], x[i + 1], x[i + 2], x[i + 3]));
        else
            for (int j = i; j < i + 4 && column + j < a.dim; j++)
                stg(&out[j], x[j]);
    }
}

} // namespace fp16

extern "C" int fp16_embed(const fp16_embed_args *args, void *stream)
{
    const dim3 grid(static_cast<unsigned>(args->rows),
                    static_cast<unsigned>((args->dim + 1023) / 1024));
    cudaStream_t s = static_cast<cudaStream_t>(stream);
    if (args->dtype == TN_BF16)
        LAUNCH((fp16::embed_kernel<__nv_bfloat16>), grid, dim3(128), 0, s, *args);
    else
        LAUNCH((fp16::embed_kernel<half>), grid, dim3(128), 0, s, *args);
    return cudaGetLastError();
}
