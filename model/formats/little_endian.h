/* SPDX-License-Identifier: Apache-2.0 */
/* Unaligned little-endian loads and stores; compilers make one instruction of each on a
 * little-endian machine. */
#ifndef TN_MODEL_FORMATS_LITTLE_ENDIAN_H
#define TN_MODEL_FORMATS_LITTLE_ENDIAN_H

#include "core/base/float16.h"

#include <stdint.h>

static inline uint16_t tn_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t tn_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t tn_load_u64(const uint8_t *p)
{
    return (uint64_t)tn_load_u32(p) | (uint64_t)tn_load_u32(p + 4) << 32;
}

static inline float tn_load_f32(const uint8_t *p)
{
    return tn_f32_from_bits(tn_load_u32(p));
}

static inline double tn_load_f64(const uint8_t *p)
{
    uint64_t bits = tn_load_u64(p);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline float tn_load_f16(const uint8_t *p)
{
    return tn_f16_to_f32(tn_load_u16(p));
}

static inline void tn_store_u16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void tn_store_u32(uint8_t *p, uint32_t value)
{
    tn_store_u16(p, (uint16_t)value);
    tn_store_u16(p + 2, (uint16_t)(value >> 16));
}

static inline void tn_store_u64(uint8_t *p, uint64_t value)
{
    tn_store_u32(p, (uint32_t)value);
    tn_store_u32(p + 4, (uint32_t)(value >> 32));
}

#endif
