/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/plugins/alt/kv.h"

#include "plugins/common/half.h"

#include <math.h>

static const struct {
    const char *name;
    uint32_t value_bytes, param_bytes; /* of an element; of a token's K or V */
} formats[ALT_N_KV] = { { "f32", 4, 0 }, { "f16", 2, 0 }, { "i8", 1, 4 }, { "i8-static", 1, 0 } };

tn_status alt_kv_init(const void *self, const char *kvfmt, const tn_attention *attention,
                      int32_t block_tokens, alt_kv *out, tn_error *why)
{
    int32_t format = 0, n = attention->n_kv_static;
    while (format < ALT_N_KV && (!kvfmt || strcmp(kvfmt, formats[format].name) != 0))
        format++;
    if (format == ALT_N_KV ||
        (format != ALT_KV_F16 && ((const alt_plugin *)self)->variant == ALT_F16))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "KV format %s is not taken",
                              kvfmt ? kvfmt : "(none)");
    if (attention->kv_heads < 1 || attention->heads < 1 || attention->heads % attention->kv_heads ||
        attention->head_dim < 1 || attention->head_dim > ALT_MAX_HEAD_DIM)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "%d heads, %d kv heads of size %d",
                              attention->heads, attention->kv_heads, attention->head_dim);
    if (block_tokens != 16 && block_tokens != 32 && block_tokens != 64 && block_tokens != 128)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "KV blocks of %d tokens, 16, 32, 64 and 128 are taken", block_tokens);
    if (format == ALT_KV_I8_STATIC &&
        (!attention->kv_static || (n != 1 && n != attention->kv_heads)))
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "i8-static needs parameters (kv.params) for all heads or for each");
    *out = (alt_kv){ .attention = attention, .format = format, .tokens = block_tokens };
    return TN_OK;
}

static uint64_t head_bytes(const alt_kv *kv)
{
    uint64_t token = (uint64_t)kv->attention->head_dim * formats[kv->format].value_bytes +
                     formats[kv->format].param_bytes;
    return 2 * (uint64_t)kv->tokens * token;
}

static uint64_t row_of(const alt_kv *kv, alt_kv_at at)
{
    return (uint64_t)at.which * (uint64_t)kv->tokens + (uint64_t)at.offset;
}

static uint64_t values_at(const alt_kv *kv, alt_kv_at at)
{
    return (uint64_t)at.head * head_bytes(kv) +
           row_of(kv, at) * (uint64_t)kv->attention->head_dim * formats[kv->format].value_bytes;
}

/* scale, zero f16 of a token (i8): behind the codes of K and V. */
static uint64_t params_at(const alt_kv *kv, alt_kv_at at)
{
    return (uint64_t)at.head * head_bytes(kv) +
           2 * (uint64_t)kv->tokens * (uint64_t)kv->attention->head_dim + row_of(kv, at) * 4;
}

/* scale, zp of i8-static. */
static const float *static_at(const alt_kv *kv, alt_kv_at at)
{
    int32_t head = kv->attention->n_kv_static == 1 ? 0 : at.head;
    return kv->attention->kv_static + head * 4 + at.which * 2;
}

static uint8_t code_of(float rounded)
{
    if (!(rounded > 0.0f))
        return 0;
    return rounded < 255.0f ? (uint8_t)rounded : 255;
}

/* f16 of a parameter, within f16's finite range; NaN gives 0. */
static uint16_t finite_half(float value)
{
    if (isnan(value))
        return 0;
    return tn_half_f32_to_f16(fmaxf(-65504.0f, fminf(65504.0f, value)));
}

/* docs/numerics.md, "KV cache": parameters are rounded to f16 before the codes are made with them.
 */
static void store_i8(const float *x, int32_t n, uint8_t *codes, uint8_t *params)
{
    float low = INFINITY, high = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float range = low <= high ? (high - low) / 255.0f : 0.0f;
    uint16_t half[2] = { finite_half(range), finite_half(low <= high ? low : 0.0f) };
    float scale = tn_half_f16_to_f32(half[0]), zero = tn_half_f16_to_f32(half[1]);
    for (int32_t i = 0; i < n; i++)
        codes[i] = scale > 0.0f ? code_of(rintf((x[i] - zero) / scale)) : 0;
    memcpy(params, half, sizeof half);
}

static void store_static(const float *x, int32_t n, const float *param, uint8_t *codes)
{
    for (int32_t i = 0; i < n; i++) {
        float steps =
            param[0] < 0.0f || param[0] > 0.0f ? rintf((x[i] - param[1]) / param[0]) : 0.0f;
        codes[i] = code_of(steps + 128.0f);
    }
}

void alt_kv_store(const alt_kv *kv, uint8_t *block, alt_kv_at at, const float *x)
{
    uint8_t *values = block + values_at(kv, at);
    int32_t n = kv->attention->head_dim;
    if (kv->format == ALT_KV_I8) {
        store_i8(x, n, values, block + params_at(kv, at));
        return;
    }
    if (kv->format == ALT_KV_I8_STATIC) {
        store_static(x, n, static_at(kv, at), values);
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        uint16_t half = tn_half_f32_to_f16(x[i]);
        if (kv->format == ALT_KV_F32)
            memcpy(values + (size_t)i * 4, &x[i], 4);
        else
            memcpy(values + (size_t)i * 2, &half, 2);
    }
}

static void load_codes(const uint8_t *codes, int32_t n, const float *param, int32_t middle,
                       float *out)
{
    for (int32_t i = 0; i < n; i++)
        out[i] = (float)(codes[i] - middle) * param[0] + param[1];
}

void alt_kv_load(const alt_kv *kv, const uint8_t *block, alt_kv_at at, float *out)
{
    const uint8_t *values = block + values_at(kv, at);
    int32_t n = kv->attention->head_dim;
    if (kv->format == ALT_KV_I8) {
        uint16_t half[2];
        memcpy(half, block + params_at(kv, at), sizeof half);
        const float param[2] = { tn_half_f16_to_f32(half[0]), tn_half_f16_to_f32(half[1]) };
        load_codes(values, n, param, 0, out);
        return;
    }
    if (kv->format == ALT_KV_I8_STATIC) {
        load_codes(values, n, static_at(kv, at), 128, out);
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, values + (size_t)i * 2, 2);
        out[i] = tn_half_f16_to_f32(half);
        if (kv->format == ALT_KV_F32)
            memcpy(&out[i], values + (size_t)i * 4, 4);
    }
}

/* ---- descriptors: the ABI's functions do not get the format's name ---- */

static tn_status block_bytes(void *self, const char *name, const tn_attention *attention,
                             int32_t block_tokens, uint64_t *out_bytes, tn_error *err)
{
    alt_kv kv;
    *out_bytes = 0;
    TN_PLUGIN_TRY(alt_kv_init(self, name, attention, block_tokens, &kv, err));
    *out_bytes = (uint64_t)attention->kv_heads * head_bytes(&kv);
    return TN_OK;
}

#define KV_FORMAT(symbol, text)                                                                    \
    static tn_status symbol##_bytes(void *self, const tn_attention *attention,                     \
                                    int32_t block_tokens, uint64_t *out_bytes, tn_error *err)      \
    {                                                                                              \
        return block_bytes(self, text, attention, block_tokens, out_bytes, err);                   \
    }                                                                                              \
    const tn_kv_format symbol = { .size = sizeof(tn_kv_format),                                    \
                                  .name = (text),                                                  \
                                  .block_bytes = symbol##_bytes }

KV_FORMAT(alt_kv_f32, "f32");
KV_FORMAT(alt_kv_f16, "f16");
KV_FORMAT(alt_kv_i8, "i8");
KV_FORMAT(alt_kv_i8_static, "i8-static");
