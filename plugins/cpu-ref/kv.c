/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cpu-ref/kv.h"

#include "plugins/common/half.h"
#include "plugins/cpu-ref/ops.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    int32_t element_bytes, param_bytes; /* of one value; of one token's K (or V) */
} formats[REF_N_KV_FORMATS] = {
    [REF_KV_F32] = { "f32", 4, 0 },
    [REF_KV_F16] = { "f16", 2, 0 },
    [REF_KV_I8] = { "i8", 1, 4 },
    [REF_KV_I8_STATIC] = { "i8-static", 1, 0 },
};

static tn_status check_static(const tn_attention *attention, tn_error *why)
{
    int32_t n = attention->n_kv_static;
    if (!attention->kv_static || (n != 1 && n != attention->kv_heads))
        return tn_plugin_fail(
            why, TN_UNSUPPORTED,
            "i8-static has %d sets of parameters, it needs 1 or one for each of %d "
            "kv heads (kv.params)",
            attention->kv_static ? n : 0, attention->kv_heads);
    return TN_OK;
}

static tn_status check_shape(const tn_attention *attention, int32_t block_tokens, tn_error *why)
{
    if (attention->kv_heads < 1 || attention->heads < 1 || attention->heads % attention->kv_heads)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "%d heads are not a multiple of %d kv heads",
                              attention->heads, attention->kv_heads);
    if (attention->head_dim < 1 || attention->head_dim > REF_MAX_HEAD_DIM)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "head size %d, cpu-ref takes 1 to %d",
                              attention->head_dim, REF_MAX_HEAD_DIM);
    if (block_tokens != 16 && block_tokens != 32 && block_tokens != 64 && block_tokens != 128)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "KV blocks of %d tokens, 16, 32, 64 and 128 are allowed",
                              block_tokens);
    return TN_OK;
}

tn_status ref_kv_init(const char *kvfmt, const tn_attention *attention, int32_t block_tokens,
                      ref_kv *out, tn_error *why)
{
    int32_t format = 0;
    while (format < REF_N_KV_FORMATS && (!kvfmt || strcmp(kvfmt, formats[format].name) != 0))
        format++;
    if (format == REF_N_KV_FORMATS)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "KV format %s: cpu-ref has f32 f16 i8 i8-static",
                              kvfmt ? kvfmt : "(none)");
    TN_PLUGIN_TRY(check_shape(attention, block_tokens, why));
    if (format == REF_KV_I8_STATIC)
        TN_PLUGIN_TRY(check_static(attention, why));
    *out = (ref_kv){ .format = format,
                     .kv_heads = attention->kv_heads,
                     .head_dim = attention->head_dim,
                     .block_tokens = block_tokens,
                     .kv_static = attention->kv_static,
                     .n_static = attention->n_kv_static };
    return TN_OK;
}

static uint64_t record_bytes(const ref_kv *kv)
{
    uint64_t token = (uint64_t)kv->head_dim * (uint64_t)formats[kv->format].element_bytes +
                     (uint64_t)formats[kv->format].param_bytes;
    return 2 * (uint64_t)kv->block_tokens * token;
}

uint64_t ref_kv_block_bytes(const ref_kv *kv)
{
    return (uint64_t)kv->kv_heads * record_bytes(kv);
}

/* Offset in a block of one token's K or V of a head. */
static uint64_t values_at(const ref_kv *kv, int32_t head, int32_t offset, int32_t which)
{
    uint64_t row = (uint64_t)which * (uint64_t)kv->block_tokens + (uint64_t)offset;
    return (uint64_t)head * record_bytes(kv) +
           row * (uint64_t)kv->head_dim * (uint64_t)formats[kv->format].element_bytes;
}

/* Offset in a block of one token's {scale, zero} (i8). */
static uint64_t params_at(const ref_kv *kv, int32_t head, int32_t offset, int32_t which)
{
    uint64_t row = (uint64_t)which * (uint64_t)kv->block_tokens + (uint64_t)offset;
    uint64_t codes = 2 * (uint64_t)kv->block_tokens * (uint64_t)kv->head_dim;
    return (uint64_t)head * record_bytes(kv) + codes + row * 4;
}

static const float *static_params(const ref_kv *kv, int32_t head, int32_t which)
{
    return kv->kv_static + (kv->n_static == 1 ? 0 : head) * 4 + which * 2;
}

/* To nearest even, then saturated to 0..255; NaN gives 0. */
static uint8_t saturate(float code)
{
    float rounded = rintf(code);
    if (!(rounded > 0.0f))
        return 0;
    return rounded >= 255.0f ? 255 : (uint8_t)rounded;
}

/* f16 bits of a parameter; beyond the largest finite f16 it stays there, so that no code decodes to
 * infinity or NaN. */
static uint16_t finite_f16(float value)
{
    const float limit = 65504.0f;
    if (isnan(value)) /* the range of infinities */
        return 0;
    if (value > limit)
        value = limit;
    if (value < -limit)
        value = -limit;
    return tn_half_f32_to_f16(value);
}

static void store_i8(const float *x, int32_t n, uint8_t *codes, uint8_t *params)
{
    float low = INFINITY, high = -INFINITY; /* NaN is left out of both */
    for (int32_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    int known = low <= high;
    uint16_t half[2] = { finite_f16(known ? (high - low) / 255.0f : 0.0f),
                         finite_f16(known ? low : 0.0f) };
    float scale = tn_half_f16_to_f32(half[0]), zero = tn_half_f16_to_f32(half[1]);
    for (int32_t i = 0; i < n; i++)
        codes[i] = scale == 0.0f ? 0 : saturate((x[i] - zero) / scale);
    memcpy(params, half, sizeof half);
}

static void store_i8_static(const float *x, int32_t n, const float *param, uint8_t *codes)
{
    float scale = param[0], zero = param[1];
    for (int32_t i = 0; i < n; i++)
        codes[i] = scale == 0.0f ? 128 : saturate(rintf((x[i] - zero) / scale) + 128.0f);
}

static void store_row(const ref_kv *kv, uint8_t *block, int32_t head, int32_t offset, int32_t which,
                      const float *x)
{
    uint8_t *values = block + values_at(kv, head, offset, which);
    int32_t n = kv->head_dim;
    switch (kv->format) {
    case REF_KV_F32:
        memcpy(values, x, (size_t)n * sizeof *x);
        break;
    case REF_KV_F16:
        for (int32_t i = 0; i < n; i++) {
            uint16_t half = tn_half_f32_to_f16(x[i]);
            memcpy(values + (size_t)i * 2, &half, 2);
        }
        break;
    case REF_KV_I8:
        store_i8(x, n, values, block + params_at(kv, head, offset, which));
        break;
    default:
        store_i8_static(x, n, static_params(kv, head, which), values);
        break;
    }
}

void ref_kv_store(const ref_kv *kv, uint8_t *block, int32_t head, int32_t offset, const float *k,
                  const float *v)
{
    store_row(kv, block, head, offset, REF_K, k);
    store_row(kv, block, head, offset, REF_V, v);
}

void ref_kv_load(const ref_kv *kv, const uint8_t *block, int32_t head, int32_t offset,
                 int32_t which, float *out)
{
    const uint8_t *values = block + values_at(kv, head, offset, which);
    int32_t n = kv->head_dim;
    if (kv->format == REF_KV_F32) {
        memcpy(out, values, (size_t)n * sizeof *out);
        return;
    }
    if (kv->format == REF_KV_F16) {
        for (int32_t i = 0; i < n; i++) {
            uint16_t half;
            memcpy(&half, values + (size_t)i * 2, 2);
            out[i] = tn_half_f16_to_f32(half);
        }
        return;
    }
    int32_t middle = 128;
    float param[2];
    if (kv->format == REF_KV_I8) {
        uint16_t half[2];
        memcpy(half, block + params_at(kv, head, offset, which), sizeof half);
        param[0] = tn_half_f16_to_f32(half[0]);
        param[1] = tn_half_f16_to_f32(half[1]);
        middle = 0;
    } else {
        memcpy(param, static_params(kv, head, which), sizeof param);
    }
    for (int32_t i = 0; i < n; i++)
        out[i] = (float)(values[i] - middle) * param[0] + param[1];
}

/* ---- descriptors ---- */

static tn_status block_bytes(const char *name, const tn_attention *attention, int32_t block_tokens,
                             uint64_t *bytes, tn_error *err)
{
    ref_kv kv;
    *bytes = 0;
    TN_PLUGIN_TRY(ref_kv_init(name, attention, block_tokens, &kv, err));
    *bytes = ref_kv_block_bytes(&kv);
    return TN_OK;
}

/* k, v: [kv_heads][block_tokens][head_dim]. */
static tn_status to_f32(const char *name, const tn_attention *attention, int32_t block_tokens,
                        const void *block, float *k, float *v, tn_error *err)
{
    ref_kv kv;
    TN_PLUGIN_TRY(ref_kv_init(name, attention, block_tokens, &kv, err));
    for (int32_t head = 0; head < kv.kv_heads; head++)
        for (int32_t t = 0; t < block_tokens; t++) {
            size_t at = ((size_t)head * (size_t)block_tokens + (size_t)t) * (size_t)kv.head_dim;
            ref_kv_load(&kv, block, head, t, REF_K, k + at);
            ref_kv_load(&kv, block, head, t, REF_V, v + at);
        }
    return TN_OK;
}

/* The ABI's functions do not get the format's name, so each format has its own pair. */
#define KV_FORMAT(symbol, text)                                                                    \
    static tn_status symbol##_bytes(void *self, const tn_attention *attention, int32_t tokens,     \
                                    uint64_t *bytes, tn_error *err)                                \
    {                                                                                              \
        (void)self;                                                                                \
        return block_bytes(text, attention, tokens, bytes, err);                                   \
    }                                                                                              \
    static tn_status symbol##_to_f32(void *self, const tn_attention *attention, int32_t tokens,    \
                                     const void *block, float *k, float *v, tn_error *err)         \
    {                                                                                              \
        (void)self;                                                                                \
        return to_f32(text, attention, tokens, block, k, v, err);                                  \
    }                                                                                              \
    const tn_kv_format symbol = { .size = sizeof(tn_kv_format),                                    \
                                  .name = (text),                                                  \
                                  .block_bytes = symbol##_bytes,                                   \
                                  .to_f32 = symbol##_to_f32 }

KV_FORMAT(ref_kv_f32, "f32");
KV_FORMAT(ref_kv_f16, "f16");
KV_FORMAT(ref_kv_i8, "i8");
KV_FORMAT(ref_kv_i8_static, "i8-static");
