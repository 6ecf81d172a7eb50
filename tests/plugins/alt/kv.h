/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue's KV blocks (docs/plugin-abi.md): one token's K or V of one head, in and out. */
#ifndef TN_TESTS_ALT_KV_H
#define TN_TESTS_ALT_KV_H

#include "tests/plugins/alt/alt.h"

enum { ALT_KV_F32 = 0, ALT_KV_F16, ALT_KV_I8, ALT_KV_I8_STATIC, ALT_N_KV };
enum { ALT_K = 0, ALT_V = 1 };

typedef struct alt_kv {
    const tn_attention *attention;
    int32_t format, tokens; /* ALT_KV_*, of a block */
} alt_kv;

/** One token's K or V in a block. */
typedef struct alt_kv_at {
    int32_t head, offset, which;
} alt_kv_at;

tn_status alt_kv_init(const void *self, const char *kvfmt, const tn_attention *attention,
                      int32_t block_tokens, alt_kv *out, tn_error *why);
void alt_kv_store(const alt_kv *kv, uint8_t *block, alt_kv_at at, const float *x);
void alt_kv_load(const alt_kv *kv, const uint8_t *block, alt_kv_at at, float *out);

#endif
