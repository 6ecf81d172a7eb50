/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes inside a KV block: G heads follow each other, each a record of T tokens. Formulas:
 * docs/numerics.md, "KV cache".
 *
 *   f32, f16    K[T][D] V[T][D]
 *   i8          K[T][D] V[T][D] u8, Kparam[T]{scale, zero} Vparam[T]{scale, zero} f16
 *   i8-static   K[T][D] V[T][D] u8; scale and zero point are parameters of the node
 */
#ifndef TN_PLUGINS_CPU_REF_KV_H
#define TN_PLUGINS_CPU_REF_KV_H

#include "plugins/cpu-ref/ref.h"

enum { REF_KV_F32 = 0, REF_KV_F16, REF_KV_I8, REF_KV_I8_STATIC, REF_N_KV_FORMATS };
enum { REF_K = 0, REF_V = 1 };

typedef struct ref_kv {
    int32_t format; /* REF_KV_* */
    int32_t kv_heads, head_dim, block_tokens;
    const float *kv_static; /* [n_static][4]: k_scale k_zp v_scale v_zp */
    int32_t n_static;       /* 1 or kv_heads */
} ref_kv;

/** Checks names and shapes. TN_UNSUPPORTED with the reason. */
tn_status ref_kv_init(const char *kvfmt, const tn_attention *attention, int32_t block_tokens,
                      ref_kv *out, tn_error *why);
uint64_t ref_kv_block_bytes(const ref_kv *kv);
/** Code one token's K and V (head_dim values each) of a head into the block. */
void ref_kv_store(const ref_kv *kv, uint8_t *block, int32_t head, int32_t offset, const float *k,
                  const float *v);
/** The f32 values of one token's K (REF_K) or V (REF_V) of a head. */
void ref_kv_load(const ref_kv *kv, const uint8_t *block, int32_t head, int32_t offset,
                 int32_t which, float *out);

#endif
