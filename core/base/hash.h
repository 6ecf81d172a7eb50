/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes: tn_hash64 (fast, seeded, not cryptographic; for tables and the prefix index) and SHA-256 (FIPS 180-4; pins and cache keys). */
#ifndef TN_CORE_BASE_HASH_H
#define TN_CORE_BASE_HASH_H

#include "core/base/status.h"

#include <stddef.h>

uint64_t tn_hash64(const void *bytes, size_t n, uint64_t seed);

typedef struct tn_sha256 {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64];
} tn_sha256;

/* The round constants. */
extern const uint32_t tn_sha256_k[64];

void tn_sha256_init(tn_sha256 *h);
void tn_sha256_update(tn_sha256 *h, const void *bytes, size_t n);
/** 64 lower-case hex digits and NUL. */
void tn_sha256_hex(tn_sha256 *h, char out[65]);

#endif
