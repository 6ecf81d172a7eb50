/* SPDX-License-Identifier: Apache-2.0 */
/* Scalar intrinsics of CUDA as plain C++. The approximate ones (__expf, rsqrtf) are exact here:
 * kernels are compared with a tolerance. */
#ifndef TN_PLUGINS_CUDA_SIMT_EMU_MATH_H
#define TN_PLUGINS_CUDA_SIMT_EMU_MATH_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace simt
{
template <class To, class From> static inline To bit_copy(From from)
{
    static_assert(sizeof(To) == sizeof(From), "both sides have the same size");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
} // namespace simt

static inline float __uint_as_float(unsigned u)
{
    return simt::bit_copy<float>(u);
}
static inline unsigned __float_as_uint(float f)
{
    return simt::bit_copy<unsigned>(f);
}
static inline float __int_as_float(int i)
{
    return simt::bit_copy<float>(i);
}
static inline int __float_as_int(float f)
{
    return simt::bit_copy<int>(f);
}
static inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
/* Macros, because glibc declares functions of these names. */
#define __expf(x) expf(x)
#define __logf(x) logf(x)
static inline float __fdividef(float x, float y)
{
    return x / y;
}
static inline float __frcp_rn(float x)
{
    return 1.0f / x;
}
static inline float __fadd_rn(float x, float y)
{
    return x + y;
}
static inline float __fmul_rn(float x, float y)
{
    return x * y;
}
static inline float __fmaf_rn(float x, float y, float z)
{
    return fmaf(x, y, z);
}
static inline int __float2int_rn(float x)
{
    return static_cast<int>(rintf(x));
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz(static_cast<unsigned>(x)) : 32;
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
static inline unsigned __umulhi(unsigned x, unsigned y)
{
    return static_cast<unsigned>(static_cast<uint64_t>(x) * y >> 32);
}
static inline int min(int x, int y)
{
    return x < y ? x : y;
}
static inline int max(int x, int y)
{
    return x > y ? x : y;
}
static inline unsigned min(unsigned x, unsigned y)
{
    return x < y ? x : y;
}
static inline unsigned max(unsigned x, unsigned y)
{
    return x > y ? x : y;
}

/* PTX ISA, prmt: each nibble of the selector picks one of 8 bytes; its top bit repeats that byte's
 * sign. */
static inline uint32_t prmt(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
    uint32_t result = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t nibble = selector >> (4 * i) & 15u;
        uint32_t byte = static_cast<uint32_t>(bytes >> (8 * (nibble & 7u))) & 0xffu;
        if (nibble & 8u)
            byte = byte & 0x80u ? 0xffu : 0u;
        result |= byte << (8 * i);
    }
    return result;
}

/* __byte_perm reads three bits of each nibble. */
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector)
{
    return prmt(a, b, selector & 0x7777u);
}

/* PTX ISA, lop3: bit (a, b, c) of the table, a the most significant. */
template <int Table> static inline uint32_t lop3(uint32_t a, uint32_t b, uint32_t c)
{
    static_assert(Table >= 0 && Table < 256, "the truth table has eight bits");
    uint32_t result = 0;
    for (int i = 0; i < 8; i++)
        if (Table >> i & 1)
            result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
    return result;
}

static inline int __dp4a(int a, int b, int c)
{
    for (int i = 0; i < 4; i++)
        c += static_cast<int8_t>(a >> (8 * i)) * static_cast<int8_t>(b >> (8 * i));
    return c;
}

#endif
