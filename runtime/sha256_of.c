/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sha256_of.h"

#include "core/base/hash.h"

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)

#    include <cpuid.h>
#    include <immintrin.h>

#    define SHA __attribute__((target("sha,sse4.1,ssse3")))

/* Intel SDM, CPUID: leaf 7, EBX bit 29. */
static bool has_instructions(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

SHA static __m128i load(const void *at)
{
    return _mm_loadu_si128(at);
}

/* W[t..t+3] from the sixteen words before, oldest first (FIPS 180-4, section 6.2.2, step 1). */
SHA static __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    return _mm_sha256msg2_epu32(sum, w3);
}

/* Gulley et al., "Intel SHA Extensions" (2013): the state as the words ABEF and CDGH; one
 * instruction does two rounds and gives the new ABEF, the old one being the new CDGH. */
SHA static void hash_blocks(uint32_t state[8], const uint8_t *bytes, size_t n_blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i cdab = _mm_shuffle_epi32(load(state), 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(load(state + 4), 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (; n_blocks > 0; n_blocks--, bytes += 64) {
        const __m128i abef0 = abef, cdgh0 = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(load(bytes + 16 * i), swap);
#    pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const __m128i wk = _mm_add_epi32(w[i % 4], load(tn_sha256_k + 4 * i));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
            w[i % 4] = next_words(w[i % 4], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
        }
        abef = _mm_add_epi32(abef, abef0);
        cdgh = _mm_add_epi32(cdgh, cdgh0);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#else

static bool has_instructions(void)
{
    return false;
}

static void hash_blocks(uint32_t state[8], const uint8_t *bytes, size_t n_blocks)
{
    (void)state, (void)bytes, (void)n_blocks;
}

#endif

void tn_sha256_of(const void *bytes, size_t n, char out[65])
{
    const uint8_t *p = bytes;
    const size_t n_blocks = has_instructions() ? n / 64 : 0;
    tn_sha256 h;
    tn_sha256_init(&h);
    hash_blocks(h.state, p, n_blocks);
    h.n_bytes = 64 * (uint64_t)n_blocks;
    tn_sha256_update(&h, p + 64 * n_blocks, n - 64 * n_blocks);
    tn_sha256_hex(&h, out);
}
