/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IEEE binary16 and bfloat16 as uint16_t, to and from f32; rounding to nearest, ties to even; NaN
 * stays NaN. plugins/common has its own copy on purpose: plugins include nothing of the core.
 * Source of the method: F. Giesen, "float->half variants" (public domain), checked exhaustively in
 * tests/core/test_float16.c.
 */
#ifndef TN_CORE_BASE_FLOAT16_H
#define TN_CORE_BASE_FLOAT16_H

#include <stdint.h>
#include <string.h>

static inline uint32_t tn_f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static inline float tn_f32_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline float tn_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t bits = (uint32_t)(half & 0x7fffu) << 13;
    uint32_t exponent = bits & 0x0f800000u;
    bits += (127u - 15u) << 23;
    if (exponent == 0x0f800000u) /* Inf, NaN */
        bits += (128u - 16u) << 23;
    else if (exponent == 0) /* zero, subnormal: one exponent too high, minus the implicit one */
        bits = tn_f32_bits(tn_f32_from_bits(bits + (1u << 23)) - tn_f32_from_bits(113u << 23));
    return tn_f32_from_bits(bits | sign);
}

static inline uint16_t tn_f32_to_f16(float value)
{
    uint32_t bits = tn_f32_bits(value);
    uint32_t sign = bits & 0x80000000u;
    bits ^= sign;
    uint32_t half;
    if (bits >= (127u + 16u) << 23) /* 65536 and more, Inf, NaN */
        half = bits > 0x7f800000u ? 0x7e00u : 0x7c00u;
    else if (bits < 113u << 23) /* below 2^-14: adding 0.5 makes the FPU round at the subnormal's
                                   last bit */
        half = tn_f32_bits(tn_f32_from_bits(bits) + 0.5f) - tn_f32_bits(0.5f);
    else
        half = (bits - (112u << 23) + 0xfffu + ((bits >> 13) & 1u)) >> 13;
    return (uint16_t)(half | sign >> 16);
}

static inline float tn_bf16_to_f32(uint16_t half)
{
    return tn_f32_from_bits((uint32_t)half << 16);
}

static inline uint16_t tn_f32_to_bf16(float value)
{
    uint32_t bits = tn_f32_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u); /* quiet NaN: rounding could carry into Inf */
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#endif
