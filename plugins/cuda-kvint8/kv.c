/* SPDX-License-Identifier: Apache-2.0 */
/* KV formats i8 and i8-static: of each kv head K[T][D] V[T][D] of codes, then, of i8, {scale, zero}
 * of K[T] and V[T] in f16. docs/numerics.md, "KV cache". */
#include "plugins/cuda-kvint8/kv.h"

#include "plugins/cuda-fp16/fp16.h"

#include <string.h>

enum { PARAM_BYTES = 4 }; /* {scale, zero} of a token's K or V */

/* The kernels multiply by 1 / scale, which must be a normal number as well. */
static const float least_scale = 0x1p-100f, largest_scale = 0x1p100f;

static tn_status check_static(const tn_attention *attention, tn_error *why)
{
    int32_t n = attention->n_kv_static;
    if (!attention->kv_static || (n != 1 && n != attention->kv_heads))
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "i8-static has %d sets of parameters, it needs 1 or one for each of "
                              "%d kv heads (kv.params)",
                              attention->kv_static ? n : 0, attention->kv_heads);
    for (int32_t i = 0; i < n * 4; i += 2) {
        float scale = attention->kv_static[i];
        if (!(scale >= least_scale && scale <= largest_scale))
            return tn_plugin_fail(why, TN_UNSUPPORTED,
                                  "a scale of %g in kv.params, %g to %g are taken", (double)scale,
                                  (double)least_scale, (double)largest_scale);
    }
    return TN_OK;
}

tn_status fp16_check_kv(const tn_node *node, const tn_attention *attention, tn_error *why)
{
    const char *format = node->kvfmt ? node->kvfmt : "(none)";
    int is_static = strcmp(format, "i8-static") == 0;
    if (!is_static && strcmp(format, "i8") != 0)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "KV format %s, i8 and i8-static are taken",
                              format);
    TN_PLUGIN_TRY(fp16_check_heads(node, attention, why));
    return is_static ? check_static(attention, why) : TN_OK;
}

static tn_status block_bytes(const tn_attention *attention, int32_t block_tokens,
                             uint64_t param_bytes, uint64_t *out_bytes, tn_error *err)
{
    uint64_t record = 0; /* of a kv head */
    *out_bytes = 0;
    if (attention->head_dim < 1 || attention->kv_heads < 1 || block_tokens < 1 ||
        !tn_plugin_add_product(&record, 2 * (uint64_t)block_tokens,
                               (uint64_t)attention->head_dim + param_bytes) ||
        !tn_plugin_add_product(out_bytes, (uint64_t)attention->kv_heads, record))
        return tn_plugin_fail(err, TN_INVALID, "blocks of %d tokens of %d heads of size %d",
                              block_tokens, attention->kv_heads, attention->head_dim);
    return TN_OK;
}

static tn_status i8_bytes(void *self, const tn_attention *attention, int32_t block_tokens,
                          uint64_t *out_bytes, tn_error *err)
{
    (void)self;
    return block_bytes(attention, block_tokens, PARAM_BYTES, out_bytes, err);
}

static tn_status static_bytes(void *self, const tn_attention *attention, int32_t block_tokens,
                              uint64_t *out_bytes, tn_error *err)
{
    (void)self;
    return block_bytes(attention, block_tokens, 0, out_bytes, err);
}

/* The host reads their pages itself: both are in its catalogue. */
const tn_kv_format kvint8_i8 = { .size = sizeof(tn_kv_format),
                                 .name = "i8",
                                 .block_bytes = i8_bytes };
const tn_kv_format kvint8_i8_static = { .size = sizeof(tn_kv_format),
                                        .name = "i8-static",
                                        .block_bytes = static_bytes };
