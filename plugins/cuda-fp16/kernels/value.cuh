/* SPDX-License-Identifier: Apache-2.0 */
/* The two 16-bit types of activations, half and __nv_bfloat16, behind one set of names; and sums
 * over a warp. */
#ifndef TN_PLUGINS_CUDA_FP16_KERNELS_VALUE_CUH
#define TN_PLUGINS_CUDA_FP16_KERNELS_VALUE_CUH

#include "plugins/cuda/simt/simt.h"

namespace fp16
{

template <class T> struct value;

template <> struct value<half> {
    SIMT_DEVICE float widen(half x)
    {
        return __half2float(x);
    }
    SIMT_DEVICE half narrow(float x)
    {
        return __float2half_rn(x);
    }
    SIMT_DEVICE float2 widen2(uint32_t word)
    {
        return __half22float2(*reinterpret_cast<const half2 *>(&word));
    }
    SIMT_DEVICE uint32_t narrow2(float x, float y)
    {
        half2 pair = __floats2half2_rn(x, y);
        return *reinterpret_cast<const uint32_t *>(&pair);
    }
    SIMT_DEVICE void mma(float *d, const uint32_t *a, const uint32_t *b)
    {
        mma_16816_f16(d, a, b);
    }
};

template <> struct value<__nv_bfloat16> {
    SIMT_DEVICE float widen(__nv_bfloat16 x)
    {
        return __bfloat162float(x);
    }
    SIMT_DEVICE __nv_bfloat16 narrow(float x)
    {
        return __float2bfloat16_rn(x);
    }
    SIMT_DEVICE float2 widen2(uint32_t word)
    {
        return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162 *>(&word));
    }
    SIMT_DEVICE uint32_t narrow2(float x, float y)
    {
        __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
        return *reinterpret_cast<const uint32_t *>(&pair);
    }
    SIMT_DEVICE void mma(float *d, const uint32_t *a, const uint32_t *b)
    {
        mma_16816_bf16(d, a, b);
    }
};

/* Eight values of 16 bits, as one 16-byte access has them. */
template <class T> SIMT_DEVICE void widen8(uint4 words, float *out)
{
    const uint32_t word[4] = { words.x, words.y, words.z, words.w };
    SIMT_UNROLL
    for (int i = 0; i < 4; i++) {
        float2 pair = value<T>::widen2(word[i]);
        out[2 * i] = pair.x;
        out[2 * i + 1] = pair.y;
    }
}

template <class T> SIMT_DEVICE uint4 narrow8(const float *x)
{
    return make_uint4(value<T>::narrow2(x[0], x[1]), value<T>::narrow2(x[2], x[3]),
                      value<T>::narrow2(x[4], x[5]), value<T>::narrow2(x[6], x[7]));
}

/* In every lane. */
SIMT_DEVICE float warp_sum(float x)
{
    SIMT_UNROLL
    for (int step = 16; step > 0; step /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

/* Activation of a gate; act is TN_ACT_*. docs/numerics.md. */
SIMT_DEVICE float activate(int act, float g)
{
    if (act == 2) /* TN_ACT_GELU */
        return 0.5f * g * (1.0f + erff(g * 0.70710678f));
    if (act == 3) /* TN_ACT_GELU_TANH */
        return 0.5f * g * (1.0f + tanhf(0.79788456f * (g + 0.044715f * g * g * g)));
    return __fdividef(g, 1.0f + __expf(-g)); /* 0 where e^-g is beyond f32 */
}

} // namespace fp16

#endif
