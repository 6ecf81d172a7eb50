/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f16 and bf16 as uint16_t bits: conversions that are exact towards f32 (subnormals, infinities and
 * NaN included) and round to nearest even from f32. Plain integer code, so that every plugin rounds
 * alike on every machine. A NaN stays a NaN (made quiet). Source: IEEE 754-2008, binary16; bfloat16
 * is the upper half of binary32.
 */
#ifndef TN_PLUGINS_COMMON_HALF_H
#define TN_PLUGINS_COMMON_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t tn_half_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float tn_half_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* No branch and no subnormal f32, so that loops over it vectorise and a thread that flushes
 * subnormals gives the same bits. */
static inline float tn_half_f16_to_f32(uint16_t half)
{
    uint32_t magnitude = ((uint32_t)half & 0x7fffu) << 13;
    uint32_t sign = ((uint32_t)half & 0x8000u) << 16;
    uint32_t subnormal = magnitude < (0x400u << 13) ? ~0u : 0u;
    uint32_t special = magnitude >= (0x7c00u << 13) ? ~0u : 0u; /* infinity, NaN */
    /* A subnormal is read as 2^-14 + m*2^-24, less 2^-14: exact. All others have 0 taken away. */
    float value = tn_half_float(magnitude + (112u << 23) + (subnormal & (1u << 23))) -
                  tn_half_float(subnormal & (113u << 23));
    return tn_half_float(tn_half_bits(value) | (special & 0x7f800000u) | sign);
}

static inline uint16_t tn_half_f32_to_f16(float value)
{
    uint32_t bits = tn_half_bits(value);
    uint32_t sign = (bits >> 16) & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | ((bits >> 13) & 0x1ffu));
    if (bits >=
        0x477ff000u) /* 65520 and up: halfway to the next power of two, rounds to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (bits >= 0x38800000u) { /* 2^-14 and up: normal */
        uint32_t rounded = bits + 0xfffu + ((bits >> 13) & 1u);
        return (uint16_t)(sign | ((rounded - (112u << 23)) >> 13));
    }
    if (bits < 0x33000000u) /* below 2^-25, half of the smallest subnormal */
        return (uint16_t)sign;
    uint32_t mantissa = (bits & 0x7fffffu) | 0x800000u;
    uint32_t shift = 126u - (bits >> 23); /* 14..24: the unit becomes 2^-24 */
    uint32_t result = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u);
    uint32_t half = 1u << (shift - 1u);
    if (rest > half || (rest == half && (result & 1u)))
        result++;
    return (uint16_t)(sign | result);
}

static inline float tn_half_bf16_to_f32(uint16_t half)
{
    return tn_half_float((uint32_t)half << 16);
}

static inline uint16_t tn_half_f32_to_bf16(float value)
{
    uint32_t bits = tn_half_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#endif
