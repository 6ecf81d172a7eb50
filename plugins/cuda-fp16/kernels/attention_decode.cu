// SPDX-License-Identifier: Apache-2.0
// attention for sequences with one new token, over pages of f16.
#include "plugins/cuda-fp16/kernels/attention_decode.cuh"
#include "plugins/cuda-fp16/kernels/f16_pages.cuh"

namespace fp16
{

// Bytes: kv_len * D * 4 a kv head, read once; with s splits s * heads * D * 8 of partial results,
// 1.6 % at D 128, 4 heads a kv head and 256 positions a split. Operations: 64 * D a position, of
// which 4 * D * (query heads a kv head) are of use: 16 a byte, a tenth of what sm_80's tensor cores
// do at HBM speed. In flight: a stage of 33 KB a block at D 128, 2 blocks a SM. 75-85 % of HBM
// expected from 64k positions times kv heads on (reference, 2 iii). Shared: 74 KB at D 128.
template <class T, int HeadDim>
__global__ void __launch_bounds__(attention_threads, 2) decode_kernel(fp16_attention_args a)
{
    SHARED_DYN(unsigned char, shared);
    decode_block<T, f16_pages<HeadDim>>(a, shared);
}

template <class T, int HeadDim> struct launch_decode {
    static void run(const fp16_attention_args &a, cudaStream_t stream)
    {
        LAUNCH((decode_kernel<T, HeadDim>), decode_grid(a), dim3(attention_threads),
               decode_shape<f16_pages<HeadDim>>::shared_bytes, stream, a);
    }
};

} // namespace fp16

extern "C" int fp16_attention_decode(const fp16_attention_args *args, void *stream)
{
    return fp16::launch_instance<fp16::launch_decode>(*args, static_cast<cudaStream_t>(stream));
}
