/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions of f16 and bf16 under their CUDA names; the rest is in half.h, which includes this.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_EMU_HALF_CONVERT_H
#define TN_PLUGINS_CUDA_SIMT_EMU_HALF_CONVERT_H

#include "plugins/cuda/simt/emu/half.h"

static inline float __half2float(half h)
{
    return h;
}
static inline half __float2half_rn(float f)
{
    return half(f);
}
static inline half __float2half(float f)
{
    return half(f);
}
static inline half2 __floats2half2_rn(float x, float y)
{
    return { half(x), half(y) };
}
static inline half2 __float22half2_rn(float2 f)
{
    return { half(f.x), half(f.y) };
}
static inline float2 __half22float2(half2 h)
{
    return { h.x, h.y };
}
static inline half2 __half2half2(half h)
{
    return { h, h };
}
static inline half2 __halves2half2(half x, half y)
{
    return { x, y };
}
static inline half __low2half(half2 h)
{
    return h.x;
}
static inline half __high2half(half2 h)
{
    return h.y;
}
static inline float __low2float(half2 h)
{
    return h.x;
}
static inline float __high2float(half2 h)
{
    return h.y;
}
static inline unsigned short __half_as_ushort(half h)
{
    return h.bits;
}
static inline half __ushort_as_half(unsigned short bits)
{
    half h;
    h.bits = bits;
    return h;
}

static inline float __bfloat162float(__nv_bfloat16 h)
{
    return h;
}
static inline __nv_bfloat16 __float2bfloat16_rn(float f)
{
    return __nv_bfloat16(f);
}
static inline __nv_bfloat16 __float2bfloat16(float f)
{
    return __nv_bfloat16(f);
}
static inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y)
{
    return { __nv_bfloat16(x), __nv_bfloat16(y) };
}
static inline __nv_bfloat162 __float22bfloat162_rn(float2 f)
{
    return { __nv_bfloat16(f.x), __nv_bfloat16(f.y) };
}
static inline float2 __bfloat1622float2(__nv_bfloat162 h)
{
    return { h.x, h.y };
}
static inline __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 h)
{
    return { h, h };
}
static inline float __low2float(__nv_bfloat162 h)
{
    return h.x;
}
static inline float __high2float(__nv_bfloat162 h)
{
    return h.y;
}
static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 h)
{
    return h.bits;
}
static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits)
{
    __nv_bfloat16 h;
    h.bits = bits;
    return h;
}

#endif
