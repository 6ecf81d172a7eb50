/* SPDX-License-Identifier: Apache-2.0 */
/* KV format f16: K[T][D] V[T][D] of each kv head, one head after another. */
#include "plugins/common/half.h"
#include "plugins/cuda-fp16/fp16.h"

#include <string.h>

tn_status fp16_check_kv(const tn_node *node, const tn_attention *attention, tn_error *why)
{
    if (!node->kvfmt || strcmp(node->kvfmt, "f16") != 0)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "KV format %s, f16 is taken",
                              node->kvfmt ? node->kvfmt : "(none)");
    return fp16_check_heads(node, attention, why);
}

static tn_status block_bytes(void *self, const tn_attention *attention, int32_t block_tokens,
                             uint64_t *out_bytes, tn_error *err)
{
    uint64_t bytes = 0;
    (void)self;
    if (attention->head_dim < 1 || attention->kv_heads < 1 || block_tokens < 1 ||
        !tn_plugin_add_product(&bytes, (uint64_t)attention->kv_heads * (uint64_t)block_tokens,
                               4 * (uint64_t)attention->head_dim))
        return tn_plugin_fail(err, TN_INVALID, "blocks of %d tokens of %d heads of size %d",
                              block_tokens, attention->kv_heads, attention->head_dim);
    *out_bytes = bytes;
    return TN_OK;
}

static tn_status to_f32(void *self, const tn_attention *attention, int32_t block_tokens,
                        const void *block, float *k, float *v, tn_error *err)
{
    const uint16_t *from = block;
    size_t n = (size_t)block_tokens * (size_t)attention->head_dim;
    (void)self;
    (void)err;
    for (int32_t head = 0; head < attention->kv_heads; head++, from += 2 * n)
        for (size_t i = 0; i < n; i++) {
            k[(size_t)head * n + i] = tn_half_f16_to_f32(from[i]);
            v[(size_t)head * n + i] = tn_half_f16_to_f32(from[n + i]);
        }
    return TN_OK;
}

const tn_kv_format fp16_kv_f16 = {
    .size = sizeof(tn_kv_format), .name = "f16", .block_bytes = block_bytes, .to_f32 = to_f32
};
