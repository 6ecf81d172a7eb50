// SPDX-License-Identifier: Apache-2.0
// attention for sequences with several new tokens, over pages of f16.
#include "plugins/cuda-fp16/kernels/attention_prefill.cuh"
#include "plugins/cuda-fp16/kernels/f16_pages.cuh"

namespace fp16
{

// Operations: 4 * D a (row, position) seen. Bytes: K and V of what is seen, once a tile of 64 rows,
// from L2 after the first. Compute bound: 45-60 % of the tensor cores expected on sm_80 (reference,
// 2 v). Shared: 69 KB at D 128, 2 blocks a SM; 67 KB at 256.
template <class T, int HeadDim>
__global__ void __launch_bounds__(attention_threads) prefill_kernel(fp16_attention_args a)
{
    SHARED_DYN(unsigned char, shared);
    prefill_block<T, f16_pages<HeadDim>>(a, shared);
}

template <class T, int HeadDim> struct launch_prefill {
    static void run(const fp16_attention_args &a, cudaStream_t stream)
    {
        using pages = f16_pages<HeadDim>;
        LAUNCH((prefill_kernel<T, HeadDim>), prefill_grid<pages>(a), dim3(attention_threads),
               prefill_shape<pages>::shared_bytes, stream, a);
    }
};

} // namespace fp16

extern "C" int fp16_attention_prefill(const fp16_attention_args *args, void *stream)
{
    return fp16::launch_instance<fp16::launch_prefill>(*args, static_cast<cudaStream_t>(stream));
}
