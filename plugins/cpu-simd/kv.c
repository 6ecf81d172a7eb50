/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cpu-simd/kv.h"

#include "plugins/common/half.h"
#include "plugins/common/plugin_util.h"
#include "plugins/cpu-simd/ops.h"

#include <string.h>

static const struct {
    const char *name;
    int32_t element_bytes, param_bytes; /* of one value; of one token's K (or V) */
} formats[SIMD_N_KV] = {
    [SIMD_KV_F32] = { "f32", 4, 0 },
    [SIMD_KV_F16] = { "f16", 2, 0 },
    [SIMD_KV_I8] = { "i8", 1, 4 },
    [SIMD_KV_I8_STATIC] = { "i8-static", 1, 0 },
};

tn_status simd_kv_init(const char *kvfmt, const tn_attention *attention, int32_t block_tokens,
                       simd_kv *out, tn_error *why)
{
    const tn_attention *a = attention;
    int32_t format = 0, n = a->n_kv_static;
    while (format < SIMD_N_KV && (!kvfmt || strcmp(kvfmt, formats[format].name) != 0))
        format++;
    if (format == SIMD_N_KV)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "KV format %s: cpu-simd has f32 f16 i8 i8-static",
                              kvfmt ? kvfmt : "(none)");
    if (a->kv_heads < 1 || a->heads < 1 || a->heads % a->kv_heads)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "%d heads are not a multiple of %d kv heads",
                              a->heads, a->kv_heads);
    if (a->head_dim < 1 || a->head_dim > SIMD_MAX_HEAD_DIM)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "head size %d, cpu-simd takes 1 to %d",
                              a->head_dim, SIMD_MAX_HEAD_DIM);
    if (block_tokens != 16 && block_tokens != 32 && block_tokens != 64 && block_tokens != 128)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "KV blocks of %d tokens, 16, 32, 64 and 128 are allowed",
                              block_tokens);
    if (format == SIMD_KV_I8_STATIC && (!a->kv_static || (n != 1 && n != a->kv_heads)))
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "i8-static has %d sets of parameters, it needs 1 or one for each of "
                              "%d kv heads (kv.params)",
                              a->kv_static ? n : 0, a->kv_heads);
    uint64_t token = (uint64_t)a->head_dim * (uint64_t)formats[format].element_bytes +
                     (uint64_t)formats[format].param_bytes;
    *out = (simd_kv){ .format = format,
                      .kv_heads = a->kv_heads,
                      .head_dim = a->head_dim,
                      .block_tokens = block_tokens,
                      .kv_static = a->kv_static,
                      .n_static = n,
                      .head_bytes = 2 * (uint64_t)block_tokens * token };
    return TN_OK;
}

simd_pages simd_kv_pages(const simd_kv *kv, uint64_t pool, uint64_t block_bytes, int32_t head)
{
    uint64_t tokens = (uint64_t)kv->block_tokens;
    uint64_t values = tokens * (uint64_t)kv->head_dim * (uint64_t)formats[kv->format].element_bytes;
    simd_pages pages = { .pool = (const uint8_t *)(uintptr_t)pool + (uint64_t)head * kv->head_bytes,
                         .block_bytes = block_bytes,
                         .v_offset = values,
                         .k_params = 2 * values,
                         .v_params = 2 * values + 4 * tokens,
                         .format = kv->format,
                         .block_tokens = kv->block_tokens,
                         .head_dim = kv->head_dim,
                         .k_scale = 1.0f,
                         .v_scale = 1.0f };
    if (kv->format == SIMD_KV_I8_STATIC) { /* (code - 128) * scale + zp */
        const float *p = kv->kv_static + (kv->n_static == 1 ? 0 : head) * 4;
        pages.k_scale = p[0];
        pages.k_zero = p[1] - 128.0f * p[0];
        pages.v_scale = p[2];
        pages.v_zero = p[3] - 128.0f * p[2];
    }
    return pages;
}

static void store_row(const simd_isa *isa, const simd_kv *kv, uint8_t *head, int32_t offset,
                      int32_t which, const float *x)
{
    const float *p = kv->kv_static;
    int32_t n = kv->head_dim;
    size_t row = (size_t)which * (size_t)kv->block_tokens + (size_t)offset;
    uint8_t *values = head + row * (size_t)n * (size_t)formats[kv->format].element_bytes;
    uint16_t params[2];
    switch (kv->format) {
    case SIMD_KV_F32:
        memcpy(values, x, (size_t)n * sizeof *x);
        break;
    case SIMD_KV_F16:
        isa->store_f16(x, n, (uint16_t *)(void *)values);
        break;
    case SIMD_KV_I8:
        isa->store_i8(x, n, values, params);
        memcpy(head + 2 * (size_t)kv->block_tokens * (size_t)n + row * 4, params, 4);
        break;
    default:
        isa->store_static(x, n, p[2 * which], p[2 * which + 1], values);
        break;
    }
}

void simd_kv_store(const simd_isa *isa, const simd_kv *kv, uint8_t *block, int32_t head,
                   int32_t offset, const float *k, const float *v)
{
    simd_kv of_head = *kv;
    if (kv->kv_static && kv->n_static > 1)
        of_head.kv_static += 4 * head;
    store_row(isa, &of_head, block + (uint64_t)head * kv->head_bytes, offset, 0, k);
    store_row(isa, &of_head, block + (uint64_t)head * kv->head_bytes, offset, 1, v);
}

/* ---- descriptors ---- */

static tn_status block_bytes(const char *name, const tn_attention *attention, int32_t block_tokens,
                             uint64_t *out_bytes, tn_error *err)
{
    simd_kv kv = { 0 };
    TN_PLUGIN_TRY(simd_kv_init(name, attention, block_tokens, &kv, err));
    *out_bytes = (uint64_t)kv.kv_heads * kv.head_bytes;
    return TN_OK;
}

static float value_at(const simd_kv *kv, const simd_pages *p, int32_t offset, int32_t which,
                      int32_t d)
{
    size_t row = (size_t)offset * (size_t)kv->head_dim + (size_t)d;
    const uint8_t *values = p->pool + (which ? p->v_offset : 0);
    float scale = which ? p->v_scale : p->k_scale, zero = which ? p->v_zero : p->k_zero, f32;
    uint16_t half[2];
    if (kv->format == SIMD_KV_F32) {
        memcpy(&f32, values + row * 4, 4);
        return f32;
    }
    if (kv->format == SIMD_KV_F16) {
        memcpy(half, values + row * 2, 2);
        return tn_half_f16_to_f32(half[0]);
    }
    if (kv->format == SIMD_KV_I8) {
        memcpy(half, p->pool + (which ? p->v_params : p->k_params) + (size_t)offset * 4, 4);
        scale = tn_half_f16_to_f32(half[0]);
        zero = tn_half_f16_to_f32(half[1]);
    }
    return (float)values[row] * scale + zero;
}

static tn_status to_f32(const char *name, const tn_attention *attention, int32_t block_tokens,
                        const void *block, float *k, float *v, tn_error *err)
{
    simd_kv kv = { 0 };
    TN_PLUGIN_TRY(simd_kv_init(name, attention, block_tokens, &kv, err));
    for (int32_t head = 0; head < kv.kv_heads; head++) {
        simd_pages pages = simd_kv_pages(&kv, (uint64_t)(uintptr_t)block, 0, head);
        for (int32_t t = 0; t < block_tokens; t++)
            for (int32_t d = 0; d < kv.head_dim; d++) {
                *k++ = value_at(&kv, &pages, t, 0, d);
                *v++ = value_at(&kv, &pages, t, 1, d);
            }
    }
    return TN_OK;
}

#define KV_FORMAT(id, text)                                                                        \
    static tn_status id##_bytes(void *self, const tn_attention *attention, int32_t block_tokens,   \
                                uint64_t *out_bytes, tn_error *err)                                \
    {                                                                                              \
        (void)self;                                                                                \
        return block_bytes(text, attention, block_tokens, out_bytes, err);                         \
    }                                                                                              \
    static tn_status id##_to_f32(void *self, const tn_attention *attention, int32_t block_tokens,  \
                                 const void *block, float *k, float *v, tn_error *err)             \
    {                                                                                              \
        (void)self;                                                                                \
        return to_f32(text, attention, block_tokens, block, k, v, err);                            \
    }                                                                                              \
    const tn_kv_format simd_kv_##id = { .size = sizeof(tn_kv_format),                              \
                                        .name = text,                                              \
                                        .block_bytes = id##_bytes,                                 \
                                        .to_f32 = id##_to_f32 };

KV_FORMAT(f32, "f32")
KV_FORMAT(f16, "f16")
KV_FORMAT(i8, "i8")
KV_FORMAT(i8_static, "i8-static")
