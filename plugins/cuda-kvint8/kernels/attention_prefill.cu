// SPDX-License-Identifier: Apache-2.0
// attention for sequences with several new tokens, over pages of i8 and i8-static.
#include "plugins/cuda-fp16/kernels/attention_prefill.cuh"
#include "plugins/cuda-kvint8/kernels/i8_pages.cuh"

namespace kvint8
{

// Operations: those of f16, 4 * D a (row, position) seen, and 2 a code for each warp. Bytes: half
// of f16's, from L2 after the first tile of rows. Compute bound: some 10 % below f16's share of the
// tensor cores expected. Shared: 38 KB at D 128, 70 KB at 256.
template <class T, int HeadDim>
__global__ void __launch_bounds__(attention_threads, 2) prefill_kernel(fp16_attention_args a)
{
    SHARED_DYN(unsigned char, shared);
    prefill_block<T, i8_pages<HeadDim>>(a, shared);
}

template <class T, int HeadDim> struct launch_prefill {
    static void run(const fp16_attention_args &a, cudaStream_t stream)
    {
        using pages = i8_pages<HeadDim>;
        LAUNCH((prefill_kernel<T, HeadDim>), prefill_grid<pages>(a), dim3(attention_threads),
               prefill_shape<pages>::shared_bytes, stream, a);
    }
};

} // namespace kvint8

extern "C" int fp16_attention_prefill(const fp16_attention_args *args, void *stream)
{
    return fp16::launch_instance<kvint8::launch_prefill>(*args, static_cast<cudaStream_t>(stream));
}
