// SPDX-License-Identifier: Apache-2.0
// The launchers of cuda-kvint8 with one fault, FAULT, for activations of f16; all else is the
// plugin's own code. tests/e2e/test_cuda_kvint8.py has what a check must say of each.
#include "plugins/cuda-fp16/kernels/attention_decode.cuh"
#include "plugins/cuda-fp16/kernels/attention_prefill.cuh"
#include "plugins/cuda-kvint8/kernels/i8_pages.cuh"
#include "plugins/cuda-kvint8/kernels/i8_writer.cuh"

// A token's codes are read with the parameters of the token before it.
#define PREVIOUS_TOKEN 1
// V's codes are read with the parameters of K.
#define KEYS_FOR_VALUES 2
// i8-static: every kv head has the parameters of the first.
#define FIRST_HEAD 3
// A block's last token is written over the one before it.
#define END_OF_BLOCK 4

namespace broken
{

using namespace kvint8;

template <int HeadDim> struct pages : i8_pages<HeadDim> {
    using sound = i8_pages<HeadDim>;

    template <int Tokens>
    SIMT_DEVICE void fetch(const fp16_attention_args &a, const attention_place &at, int first,
                           int end, unsigned char *stage)
    {
        sound::template fetch_codes<Tokens>(a, at, first, end, stage);
        uint32_t *to = reinterpret_cast<uint32_t *>(stage + 2 * Tokens * sound::code_row);
        for (int i = static_cast<int>(threadIdx.x); !a.kv_static && i < 2 * Tokens;
             i += attention_threads) {
            const int position = first + i % Tokens;
            const int from = FAULT == PREVIOUS_TOKEN ? max(position - 1, 0) : position;
            const int which = FAULT == KEYS_FOR_VALUES ? 0 : i / Tokens;
            uint32_t word = 0;
            if (position < end)
                word = ldg(reinterpret_cast<const uint32_t *>(record_of(a, at, from) +
                                                              2 * a.block_tokens * a.head_dim) +
                           which * a.block_tokens + from % a.block_tokens);
            sts(&to[i], word);
        }
    }

    SIMT_DEVICE void open(const fp16_attention_args &a, const attention_place &at, half *queries,
                          int row0, typename sound::rows *s)
    {
        fp16_attention_args changed = a;
        if (FAULT == FIRST_HEAD)
            changed.n_kv_static = 1;
        sound::open(changed, at, queries, row0, s);
    }
};

struct writer {
    SIMT_DEVICE void write(const fp16_rope_args &a, head_job job, int slot, const float2 *x)
    {
        const bool is_last = slot % a.block_tokens == a.block_tokens - 1;
        i8_writer::write(a, job, slot - (FAULT == END_OF_BLOCK && is_last), x);
    }
};

template <int HeadDim>
__global__ void __launch_bounds__(attention_threads) decode_kernel(fp16_attention_args a)
{
    SHARED_DYN(unsigned char, shared);
    decode_block<half, pages<HeadDim>>(a, shared);
}

template <int HeadDim>
__global__ void __launch_bounds__(attention_threads) prefill_kernel(fp16_attention_args a)
{
    SHARED_DYN(unsigned char, shared);
    prefill_block<half, pages<HeadDim>>(a, shared);
}

__global__ void __launch_bounds__(rope_threads) rope_kernel(fp16_rope_args a)
{
    rope_block<half, writer>(a);
}

template <int HeadDim> static void decode(const fp16_attention_args &a, cudaStream_t stream)
{
    LAUNCH((decode_kernel<HeadDim>), decode_grid(a), dim3(attention_threads),
           decode_shape<pages<HeadDim>>::shared_bytes, stream, a);
}
template <int HeadDim> static void prefill(const fp16_attention_args &a, cudaStream_t stream)
{
    LAUNCH((prefill_kernel<HeadDim>), prefill_grid<pages<HeadDim>>(a), dim3(attention_threads),
           prefill_shape<pages<HeadDim>>::shared_bytes, stream, a);
}

} // namespace broken

extern "C" int fp16_rope(const fp16_rope_args *args, void *stream)
{
    if (args->dtype != TN_F16)
        return cudaErrorInvalidValue;
    LAUNCH(broken::rope_kernel, fp16::rope_grid(*args), dim3(fp16::rope_threads), 0,
           static_cast<cudaStream_t>(stream), *args);
    return cudaGetLastError();
}

extern "C" int fp16_attention_decode(const fp16_attention_args *args, void *stream)
{
    if (args->dtype != TN_F16 || args->head_dim > 96)
        return cudaErrorInvalidValue;
    if (args->head_dim <= 64)
        broken::decode<64>(*args, static_cast<cudaStream_t>(stream));
    else
        broken::decode<96>(*args, static_cast<cudaStream_t>(stream));
    return cudaGetLastError();
}

extern "C" int fp16_attention_prefill(const fp16_attention_args *args, void *stream)
{
    if (args->dtype != TN_F16 || args->head_dim > 96)
        return cudaErrorInvalidValue;
    if (args->head_dim <= 64)
        broken::prefill<64>(*args, static_cast<cudaStream_t>(stream));
    else
        broken::prefill<96>(*args, static_cast<cudaStream_t>(stream));
    return cudaGetLastError();
}
