// SPDX-License-Identifier: Apache-2.0
// attention for sequences with one new token, over pages of i8 and i8-static.
#include "plugins/cuda-fp16/kernels/attention_decode.cuh"
#include "plugins/cuda-kvint8/kernels/i8_pages.cuh"

namespace kvint8
{

// Bytes: kv_len * (2 * D + 8) a kv head, read once (2 * D of i8-static): 0.52 of f16's at D 128,
// 0.53 at 64; partial results as with f16. Operations: as with f16, and a prmt and a half2
// subtraction for two codes. In flight: 2 stages of 19 KB a block at D 128, 2 blocks a SM. 70-80 %
// of HBM expected from 64k positions times kv heads on (reference, 2 iv). Shared: 61 KB at D 128,
// 79 KB at 256.
template <class T, int HeadDim>
__global__ void __launch_bounds__(attention_threads, 2) decode_kernel(fp16_attention_args a)
{
    SHARED_DYN(unsigned char, shared);
    decode_block<T, i8_pages<HeadDim>>(a, shared);
}

template <class T, int HeadDim> struct launch_decode {
    static void run(const fp16_attention_args &a, cudaStream_t stream)
    {
        LAUNCH((decode_kernel<T, HeadDim>), decode_grid(a), dim3(attention_threads),
               decode_shape<i8_pages<HeadDim>>::shared_bytes, stream, a);
    }
};

} // namespace kvint8

extern "C" int fp16_attention_decode(const fp16_attention_args *args, void *stream)
{
    return fp16::launch_instance<kvint8::launch_decode>(*args, static_cast<cudaStream_t>(stream));
}
