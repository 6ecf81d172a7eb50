/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that do nothing but multiply and add, in enough independent chains to hide the latency of
 * the instruction: 4 to 5 cycles at 2 a cycle need 10, so 12 chains. Without the loop unrolled,
 * which -O2 does not do, chains would be in memory and half the peak would be measured. */
#include "apps/bench/roofline.h"

#include <stddef.h>

enum { CHAINS = 12 };

static float sum_of(const float *values, int n)
{
    float sum = 0.0f;
    for (int i = 0; i < n; i++)
        sum += values[i];
    return sum;
}

static float f32_plain(int64_t rounds)
{
    volatile float factor = 0.9999f;
    float chain[CHAINS];
    const float f = factor;
    for (int i = 0; i < CHAINS; i++) /* like chains would be computed once */
        chain[i] = f * (float)i;
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            chain[i] = chain[i] * f + f;
    return sum_of(chain, CHAINS);
}

static const tn_peak_kernels plain = { .isa = "plain C",
                                       .f32 = f32_plain,
                                       .f32_ops = 2.0 * CHAINS };

#if defined(__x86_64__)
#    include <immintrin.h>

#    define AVX2   __attribute__((target("avx2,fma")))
#    define AVX512 __attribute__((target("avx512f,avx512bw")))
#    define VNNI   __attribute__((target("avx512f,avx512bw,avx512vnni")))
#    define BF16   __attribute__((target("avx512f,avx512bw,avx512bf16")))

/* Every chain takes `step`, an expression of chain[i], in each round; the sum is in chain[0]. */
#    define RUN_CHAINS(chain, zero, step, add)                                                     \
        do {                                                                                       \
            for (int i = 0; i < CHAINS; i++)                                                       \
                (chain)[i] = (zero);                                                               \
            for (int64_t r = 0; r < rounds; r++)                                                   \
                _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++)(chain)[i] = (step);      \
            for (int i = 1; i < CHAINS; i++)                                                       \
                (chain)[0] = add((chain)[0], (chain)[i]);                                          \
        } while (0)

AVX2 static float f32_avx2(int64_t rounds)
{
    volatile float factor = 0.9999f;
    float out[8];
    const __m256 f = _mm256_set1_ps(factor);
    __m256 chain[CHAINS];
    RUN_CHAINS(chain, _mm256_setzero_ps(), _mm256_fmadd_ps(chain[i], f, f), _mm256_add_ps);
    _mm256_storeu_ps(out, chain[0]);
    return sum_of(out, 8);
}

/* The pair that stands for a dot product of bytes where there is no VNNI. */
AVX2 static inline __m256i add_products_avx2(__m256i sum, __m256i a)
{
    const __m256i pairs = _mm256_maddubs_epi16(a, _mm256_xor_si256(a, sum));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

AVX2 static int32_t int8_avx2(int64_t rounds)
{
    volatile char byte = 1;
    int32_t out[8];
    __m256i a = _mm256_set1_epi8(byte);
    __m256i chain[CHAINS];
    RUN_CHAINS(chain, _mm256_setzero_si256(), add_products_avx2(chain[i], a), _mm256_add_epi32);
    _mm256_storeu_si256((__m256i *)(void *)out, chain[0]);
    return out[0] ^ out[7];
}

AVX512 static float f32_avx512(int64_t rounds)
{
    volatile float factor = 0.9999f;
    const __m512 f = _mm512_set1_ps(factor);
    __m512 chain[CHAINS];
    RUN_CHAINS(chain, _mm512_setzero_ps(), _mm512_fmadd_ps(chain[i], f, f), _mm512_add_ps);
    return _mm512_reduce_add_ps(chain[0]);
}

BF16 static float bf16_avx512(int64_t rounds)
{
    volatile float factor = 0.9999f;
    const __m512bh f = (__m512bh)_mm512_set1_ps(factor);
    __m512 chain[CHAINS];
    RUN_CHAINS(chain, _mm512_setzero_ps(), _mm512_dpbf16_ps(chain[i], f, f), _mm512_add_ps);
    return _mm512_reduce_add_ps(chain[0]);
}

VNNI static int32_t int8_vnni(int64_t rounds)
{
    volatile char byte = 1;
    const __m512i a = _mm512_set1_epi8(byte);
    __m512i chain[CHAINS];
    RUN_CHAINS(chain, _mm512_setzero_si512(), _mm512_dpbusd_epi32(chain[i], a, a),
               _mm512_add_epi32);
    return _mm512_reduce_add_epi32(chain[0]);
}

#    define KERNELS(name, f32_kernel, lanes, bf16_kernel, int8_kernel, bytes)                      \
        {                                                                                          \
            .isa = name, .f32 = f32_kernel, .bf16 = bf16_kernel, .int8 = int8_kernel,              \
            .f32_ops = 2.0 * (lanes)*CHAINS, .bf16_ops = 4.0 * (lanes)*CHAINS,                     \
            .int8_ops = 2.0 * (bytes)*CHAINS                                                       \
        }
static const tn_peak_kernels avx2 = KERNELS("AVX2", f32_avx2, 8, NULL, int8_avx2, 32);
static const tn_peak_kernels avx512 = KERNELS("AVX-512", f32_avx512, 16, NULL, int8_avx2, 32);
static const tn_peak_kernels vnni = KERNELS("AVX-512 VNNI", f32_avx512, 16, NULL, int8_vnni, 64);
static const tn_peak_kernels bf16 =
    KERNELS("AVX-512 VNNI BF16", f32_avx512, 16, bf16_avx512, int8_vnni, 64);

const tn_peak_kernels *tn_peak_kernels_find(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return &plain;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
        return &avx2;
    if (!__builtin_cpu_supports("avx512vnni"))
        return &avx512;
    return __builtin_cpu_supports("avx512bf16") ? &bf16 : &vnni;
}
#else
const tn_peak_kernels *tn_peak_kernels_find(void)
{
    return &plain;
}
#endif
