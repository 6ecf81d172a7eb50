/* SPDX-License-Identifier: Apache-2.0 */
/*
 * half, half2, __nv_bfloat16 and __nv_bfloat162 with the intrinsics of cuda_fp16.h and cuda_bf16.h
 * that kernels use. +, - and * in f32, rounded once more, are exact for f16 (24 >= 2 * 11 + 2) and
 * bf16; a fused multiply-add goes through f64, where the product is exact.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_EMU_HALF_H
#define TN_PLUGINS_CUDA_SIMT_EMU_HALF_H

#include "plugins/common/half.h"
#include "plugins/cuda/simt/emu/types.h"

#include <cmath>
#include <cstring>

namespace simt
{

struct f16_format {
    static float widen(uint16_t bits)
    {
        return tn_half_f16_to_f32(bits);
    }
    static uint16_t narrow(float value)
    {
        return tn_half_f32_to_f16(value);
    }
};

struct bf16_format {
    static float widen(uint16_t bits)
    {
        return tn_half_bf16_to_f32(bits);
    }
    static uint16_t narrow(float value)
    {
        return tn_half_f32_to_bf16(value);
    }
};

template <class Format> struct narrow_float {
    uint16_t bits;
    narrow_float() = default;
    narrow_float(float value) : bits(Format::narrow(value)) /* implicit, as in CUDA */ {}
    operator float() const
    {
        return Format::widen(bits);
    }
};

template <class Format> struct alignas(4) narrow_pair {
    narrow_float<Format> x, y;
};

/* f64 holds the product exactly and the sum with 53 bits. Rounding that to f32 first would round
 * twice, so the f32 is made odd when it is not exact: then the last rounding sees what was lost. */
static inline float round_to_odd(double value)
{
    float rounded = static_cast<float>(value);
    uint32_t bits;
    std::memcpy(&bits, &rounded, sizeof bits);
    double exact = static_cast<double>(rounded);
    if (!std::isfinite(rounded) || exact == value || (bits & 1u))
        return rounded;
    bool too_far = std::fabs(exact) > std::fabs(value);
    bits = too_far ? bits - 1u : bits + 1u;
    std::memcpy(&rounded, &bits, sizeof bits);
    return rounded;
}

template <class F> using nf = narrow_float<F>;
template <class F> using np = narrow_pair<F>;

template <class F> static inline nf<F> fused(nf<F> a, nf<F> b, nf<F> c)
{
    double product = static_cast<double>(float(a)) * static_cast<double>(float(b));
    return nf<F>(round_to_odd(product + static_cast<double>(float(c))));
}

} // namespace simt

using half = simt::narrow_float<simt::f16_format>;
using half2 = simt::narrow_pair<simt::f16_format>;
using __half = half;
using __half2 = half2;
using __nv_bfloat16 = simt::narrow_float<simt::bf16_format>;
using __nv_bfloat162 = simt::narrow_pair<simt::bf16_format>;

/* Arithmetic, for both formats. */

template <class F> static inline simt::nf<F> __hadd(simt::nf<F> a, simt::nf<F> b)
{
    return simt::nf<F>(float(a) + float(b));
}
template <class F> static inline simt::nf<F> __hsub(simt::nf<F> a, simt::nf<F> b)
{
    return simt::nf<F>(float(a) - float(b));
}
template <class F> static inline simt::nf<F> __hmul(simt::nf<F> a, simt::nf<F> b)
{
    return simt::nf<F>(float(a) * float(b));
}
template <class F> static inline simt::nf<F> __hfma(simt::nf<F> a, simt::nf<F> b, simt::nf<F> c)
{
    return simt::fused(a, b, c);
}
/* A NaN gives way to a number, as in CUDA. */
template <class F> static inline simt::nf<F> __hmax(simt::nf<F> a, simt::nf<F> b)
{
    return simt::nf<F>(std::fmax(float(a), float(b)));
}
template <class F> static inline simt::nf<F> __hmin(simt::nf<F> a, simt::nf<F> b)
{
    return simt::nf<F>(std::fmin(float(a), float(b)));
}
template <class F> static inline simt::np<F> __hadd2(simt::np<F> a, simt::np<F> b)
{
    return { __hadd(a.x, b.x), __hadd(a.y, b.y) };
}
template <class F> static inline simt::np<F> __hsub2(simt::np<F> a, simt::np<F> b)
{
    return { __hsub(a.x, b.x), __hsub(a.y, b.y) };
}
template <class F> static inline simt::np<F> __hmul2(simt::np<F> a, simt::np<F> b)
{
    return { __hmul(a.x, b.x), __hmul(a.y, b.y) };
}
template <class F> static inline simt::np<F> __hfma2(simt::np<F> a, simt::np<F> b, simt::np<F> c)
{
    return { __hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y) };
}
template <class F> static inline simt::np<F> __hmax2(simt::np<F> a, simt::np<F> b)
{
    return { __hmax(a.x, b.x), __hmax(a.y, b.y) };
}
template <class F> static inline simt::np<F> __hmin2(simt::np<F> a, simt::np<F> b)
{
    return { __hmin(a.x, b.x), __hmin(a.y, b.y) };
}

#include "plugins/cuda/simt/emu/half_convert.h"

#endif
