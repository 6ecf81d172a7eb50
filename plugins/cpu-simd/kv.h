/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue's KV formats: layout of a block, and writing into it. */
#ifndef TN_PLUGINS_CPU_SIMD_KV_H
#define TN_PLUGINS_CPU_SIMD_KV_H

#include "plugins/cpu-simd/isa.h"

#include <tenon/plugin.h>

enum { SIMD_MAX_HEAD_DIM = 1024 };

typedef struct simd_kv {
    int32_t format; /* SIMD_KV_* */
    int32_t kv_heads, head_dim, block_tokens;
    const float *kv_static; /* [n_static][4] k_scale k_zp v_scale v_zp */
    int32_t n_static;
    uint64_t head_bytes; /* one head's K, V and parameters */
} simd_kv;

tn_status simd_kv_init(const char *kvfmt, const tn_attention *attention, int32_t block_tokens,
                       simd_kv *out, tn_error *why);
/** K and V of one kv head as attention reads them; table is left NULL. */
simd_pages simd_kv_pages(const simd_kv *kv, uint64_t pool, uint64_t block_bytes, int32_t head);
/** One token's K and V of a head into its block. */
void simd_kv_store(const simd_isa *isa, const simd_kv *kv, uint8_t *block, int32_t head,
                   int32_t offset, const float *k, const float *v);

#endif
