/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cpu-simd/isa.h"

#include <stddef.h>

extern const simd_isa simd_isa_plain;
#if defined(__x86_64__)
extern const simd_isa simd_isa_bf16, simd_isa_vnni, simd_isa_avx512, simd_isa_avxvnni,
    simd_isa_avx2;

const simd_isa *const simd_isas[] = { &simd_isa_bf16,
                                      &simd_isa_vnni,
                                      &simd_isa_avx512,
                                      &simd_isa_avxvnni,
                                      &simd_isa_avx2,
                                      &simd_isa_plain,
                                      NULL };

#    include <cpuid.h>

/* CPUID leaf 7, subleaf 1, EAX bit 4; gcc 12 has no name for it in __builtin_cpu_supports. */
static int has_avx_vnni(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

/* __builtin_cpu_supports also asks XGETBV whether the system saves the registers. */
int32_t simd_isa_runs(const simd_isa *isa)
{
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("f16c");
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    int vnni = avx512 && __builtin_cpu_supports("avx512vnni");
    if (isa == &simd_isa_bf16)
        return vnni && __builtin_cpu_supports("avx512bf16");
    if (isa == &simd_isa_vnni)
        return vnni;
    if (isa == &simd_isa_avx512)
        return avx512;
    if (isa == &simd_isa_avxvnni)
        return avx2 && has_avx_vnni();
    return isa == &simd_isa_avx2 ? avx2 : 1;
}

/* Dot products of bf16 do twice the work of fused multiply-adds at the same rate on Zen 4
 * (https://github.com/iree-org/iree/pull/15089), but at a quarter of it on Emerald Rapids, measured
 * at 0.70 against 0.17 ns, where AMX is meant to have that work. */
int32_t simd_isa_pays(const simd_isa *isa)
{
    __builtin_cpu_init();
    return isa != &simd_isa_bf16 || __builtin_cpu_is("amd");
}
#else
const simd_isa *const simd_isas[] = { &simd_isa_plain, NULL };

int32_t simd_isa_runs(const simd_isa *isa)
{
    (void)isa;
    return 1;
}

int32_t simd_isa_pays(const simd_isa *isa)
{
    (void)isa;
    return 1;
}
#endif
