/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/kv_values.h"

#include "core/base/float16.h"
#include "core/exec/executor.h"

#include <string.h>

typedef struct kv_shape {
    int32_t heads, tokens, dim;
    const tn_attention *attention;
} kv_shape;

static void read_plain(const kv_shape *s, int32_t dtype, const char *block, float *k, float *v)
{
    const int32_t n = s->tokens * s->dim;
    const size_t bytes = (size_t)n * tn_dtype_bytes(dtype);
    for (int32_t h = 0; h < s->heads; h++) {
        const char *head = block + (size_t)h * 2 * bytes;
        tn_convert_rows(head, dtype, n, k + (size_t)h * (size_t)n, TN_F32, n, 1, n);
        tn_convert_rows(head + bytes, dtype, n, v + (size_t)h * (size_t)n, TN_F32, n, 1, n);
    }
}

/* f = code * scale + zero with the token's parameters. */
static void read_i8(const kv_shape *s, const uint8_t *codes, const uint8_t *params, float *out)
{
    for (int32_t t = 0; t < s->tokens; t++) {
        uint16_t half[2];
        memcpy(half, params + (size_t)t * sizeof(half), sizeof(half));
        float scale = tn_f16_to_f32(half[0]);
        float zero = tn_f16_to_f32(half[1]);
        for (int32_t i = 0; i < s->dim; i++)
            out[t * s->dim + i] = (float)codes[t * s->dim + i] * scale + zero;
    }
}

static void read_i8_heads(const kv_shape *s, const uint8_t *block, float *k, float *v)
{
    const size_t n = (size_t)s->tokens * (size_t)s->dim;
    const size_t params = (size_t)s->tokens * 2 * sizeof(uint16_t);
    for (int32_t h = 0; h < s->heads; h++) {
        const uint8_t *head = block + (size_t)h * 2 * (n + params);
        read_i8(s, head, head + 2 * n, k + (size_t)h * n);
        read_i8(s, head + n, head + 2 * n + params, v + (size_t)h * n);
    }
}

/* f = (code - 128) * scale + zp with the layer's or the head's parameters. */
static void read_i8_static(const kv_shape *s, const uint8_t *block, float *k, float *v)
{
    const size_t n = (size_t)s->tokens * (size_t)s->dim;
    for (int32_t h = 0; h < s->heads; h++) {
        const uint8_t *head = block + (size_t)h * 2 * n;
        const float *p = s->attention->kv_static + (s->attention->n_kv_static > 1 ? 4 * h : 0);
        for (size_t i = 0; i < n; i++) {
            k[(size_t)h * n + i] = (float)(head[i] - 128) * p[0] + p[1];
            v[(size_t)h * n + i] = (float)(head[n + i] - 128) * p[2] + p[3];
        }
    }
}

tn_status tn_kv_block_values(const char *format, const tn_attention *attention,
                             int32_t block_tokens, const void *block, float *k, float *v,
                             tn_error *err)
{
    const kv_shape shape = { attention->kv_heads, block_tokens, attention->head_dim, attention };
    if (strcmp(format, "f32") == 0)
        read_plain(&shape, TN_F32, block, k, v);
    else if (strcmp(format, "f16") == 0)
        read_plain(&shape, TN_F16, block, k, v);
    else if (strcmp(format, "i8") == 0)
        read_i8_heads(&shape, block, k, v);
    else if (strcmp(format, "i8-static") == 0 && attention->kv_static)
        read_i8_static(&shape, block, k, v);
    else
        return tn_fail(err, TN_UNSUPPORTED, "KV format %s cannot be read as f32", format);
    return TN_OK;
}
