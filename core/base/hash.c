/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/hash.h"

#include <string.h>

/*
 * XXH64 (Yann Collet, xxHash specification 0.1.1, "XXH64 algorithm description"). Words are read in
 * the machine's order, so values differ between little and big endian machines; nothing stores them
 * across machines.
 */
static const uint64_t PRIME_1 = 0x9E3779B185EBCA87u;
static const uint64_t PRIME_2 = 0xC2B2AE3D27D4EB4Fu;
static const uint64_t PRIME_3 = 0x165667B19E3779F9u;
static const uint64_t PRIME_4 = 0x85EBCA77C2B2AE63u;
static const uint64_t PRIME_5 = 0x27D4EB2F165667C5u;

static uint64_t rotl64(uint64_t x, unsigned n)
{
    return (x << n) | (x >> (64 - n));
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof(x));
    return x;
}

static uint64_t xxh_round(uint64_t lane, uint64_t word)
{
    return rotl64(lane + word * PRIME_2, 31) * PRIME_1;
}

static uint64_t xxh_stripes(const uint8_t *p, size_t n_stripes, uint64_t seed)
{
    uint64_t lane[4] = { seed + PRIME_1 + PRIME_2, seed + PRIME_2, seed, seed - PRIME_1 };

    for (size_t s = 0; s < n_stripes; s++) {
        for (size_t i = 0; i < 4; i++)
            lane[i] = xxh_round(lane[i], load64(p + 32 * s + 8 * i));
    }
    uint64_t h =
        rotl64(lane[0], 1) + rotl64(lane[1], 7) + rotl64(lane[2], 12) + rotl64(lane[3], 18);
    for (size_t i = 0; i < 4; i++)
        h = (h ^ xxh_round(0, lane[i])) * PRIME_1 + PRIME_4;
    return h;
}

static uint64_t xxh_tail(const uint8_t *p, size_t n, uint64_t h)
{
    for (; n >= 8; n -= 8, p += 8)
        h = rotl64(h ^ xxh_round(0, load64(p)), 27) * PRIME_1 + PRIME_4;
    if (n >= 4) {
        uint32_t word;
        memcpy(&word, p, sizeof(word));
        h = rotl64(h ^ (word * PRIME_1), 23) * PRIME_2 + PRIME_3;
        n -= 4;
        p += 4;
    }
    for (; n > 0; n--, p++)
        h = rotl64(h ^ (*p * PRIME_5), 11) * PRIME_1;
    return h;
}

uint64_t tn_hash64(const void *bytes, size_t n, uint64_t seed)
{
    const uint8_t *p = bytes;
    size_t n_stripes = n / 32;
    uint64_t h = n_stripes > 0 ? xxh_stripes(p, n_stripes, seed) : seed + PRIME_5;

    h += n;
    if (n % 32 > 0)
        h = xxh_tail(p + 32 * n_stripes, n % 32, h);
    h = (h ^ (h >> 33)) * PRIME_2;
    h = (h ^ (h >> 29)) * PRIME_3;
    return h ^ (h >> 32);
}

/* FIPS 180-4, section 4.2.2. */
const uint32_t tn_sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr32(uint32_t x, unsigned n)
{
    return (x >> n) | (x << (32 - n));
}

/* One round: the letters move by one place, which the order of the arguments says. */
#define SHA256_ROUND(a, b, c, d, e, f, g, h, t)                                                    \
    do {                                                                                           \
        h += (rotr32(e, 6) ^ rotr32(e, 11) ^ rotr32(e, 25)) + (g ^ (e & (f ^ g))) + tn_sha256_k[t] +  \
             w[t];                                                                                 \
        d += h;                                                                                    \
        h += (rotr32(a, 2) ^ rotr32(a, 13) ^ rotr32(a, 22)) + ((a & b) | (c & (a | b)));           \
    } while (0)

/* FIPS 180-4, section 6.2.2; Ch and Maj in forms with one operation less. */
static void sha256_block(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

    for (size_t t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (size_t t = 16; t < 64; t++) {
        uint32_t s0 = rotr32(w[t - 15], 7) ^ rotr32(w[t - 15], 18) ^ (w[t - 15] >> 3);
        uint32_t s1 = rotr32(w[t - 2], 17) ^ rotr32(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    for (size_t t = 0; t < 64; t += 8) {
        SHA256_ROUND(a, b, c, d, e, f, g, h, t);
        SHA256_ROUND(h, a, b, c, d, e, f, g, t + 1);
        SHA256_ROUND(g, h, a, b, c, d, e, f, t + 2);
        SHA256_ROUND(f, g, h, a, b, c, d, e, t + 3);
        SHA256_ROUND(e, f, g, h, a, b, c, d, t + 4);
        SHA256_ROUND(d, e, f, g, h, a, b, c, t + 5);
        SHA256_ROUND(c, d, e, f, g, h, a, b, t + 6);
        SHA256_ROUND(b, c, d, e, f, g, h, a, t + 7);
    }
    const uint32_t after[8] = { a, b, c, d, e, f, g, h };
    for (size_t i = 0; i < 8; i++)
        state[i] += after[i];
}

void tn_sha256_init(tn_sha256 *h)
{
    *h = (tn_sha256){ .state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void tn_sha256_update(tn_sha256 *h, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    while (n > 0) {
        size_t used = (size_t)(h->n_bytes % 64);
        size_t take = 64 - used < n ? 64 - used : n;
        memcpy(h->block + used, p, take);
        h->n_bytes += take;
        p += take;
        n -= take;
        if (used + take == 64)
            sha256_block(h->state, h->block);
    }
}

void tn_sha256_hex(tn_sha256 *h, char out[65])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t n_bits = h->n_bytes * 8;
    uint8_t length[8];

    for (size_t i = 0; i < 8; i++)
        length[i] = (uint8_t)(n_bits >> (56 - 8 * i));
    tn_sha256_update(h, "\x80", 1);
    while (h->n_bytes % 64 != 56)
        tn_sha256_update(h, "", 1);
    tn_sha256_update(h, length, sizeof(length));
    for (size_t i = 0; i < 64; i++)
        out[i] = digits[h->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    out[64] = '\0';
}
