/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoders, after ggml's reference quantisers (ggml-quants.c: quantize_row_q4_0_ref,
 * quantize_row_q4_1_ref, _q5_0_ref, _q5_1_ref, _q8_0_ref): codes are made with the unrounded f32
 * scale, which is then stored as f16.
 */
#include "model/formats/little_endian.h"
#include "model/formats/weight_format.h"

#include <math.h>

enum { QK = 32 };

void tn_encode_f32(const float *values, size_t n_blocks, uint8_t *bytes)
{
    for (size_t i = 0; i < n_blocks; i++)
        tn_store_u32(bytes + i * 4, tn_f32_bits(values[i]));
}

void tn_encode_f16(const float *values, size_t n_blocks, uint8_t *bytes)
{
    for (size_t i = 0; i < n_blocks; i++)
        tn_store_u16(bytes + i * 2, tn_f32_to_f16(values[i]));
}

void tn_encode_bf16(const float *values, size_t n_blocks, uint8_t *bytes)
{
    for (size_t i = 0; i < n_blocks; i++)
        tn_store_u16(bytes + i * 2, tn_f32_to_bf16(values[i]));
}

/* Codes are floor(x + half) cut to 0..largest. */
static uint8_t code_of(float x, uint8_t largest)
{
    return x >= (float)largest ? largest : x > 0.0f ? (uint8_t)x : 0;
}

/* Rounded half away from zero, cut to -127..127; what is no number (an inverse past f32's range) is
 * 0. */
static uint8_t code8(float x)
{
    float rounded = roundf(x);
    if (!(fabsf(rounded) <= 127.0f))
        rounded = rounded > 0.0f ? 127.0f : rounded < 0.0f ? -127.0f : 0.0f;
    return (uint8_t)(int8_t)rounded;
}

static void pack_nibbles(const uint8_t *codes, uint8_t *packed)
{
    for (int i = 0; i < QK / 2; i++)
        packed[i] = (uint8_t)((codes[i] & 15) | (codes[i + QK / 2] & 15) << 4);
}

void tn_pack_q4_0(const uint8_t *codes, float d, uint8_t *block)
{
    tn_store_u16(block, tn_f32_to_f16(d));
    pack_nibbles(codes, block + 2);
}

void tn_pack_q4_1(const uint8_t *codes, float d, float m, uint8_t *block)
{
    tn_store_u16(block, tn_f32_to_f16(d));
    tn_store_u16(block + 2, tn_f32_to_f16(m));
    pack_nibbles(codes, block + 4);
}

/* The fifth bits of the codes, as the bits of a little-endian u32. */
static void pack_fifth_bits(const uint8_t *codes, uint8_t *packed)
{
    uint32_t bits = 0;
    for (int i = 0; i < QK; i++)
        bits |= (uint32_t)(codes[i] >> 4) << i;
    tn_store_u32(packed, bits);
}

/* Codes of a symmetric format and its scale: the value of largest magnitude, with its sign, becomes
 * code 0, and zero the middle, `half`. */
static float codes_around_zero(const float *values, uint8_t half, uint8_t *codes)
{
    float extreme = 0.0f;
    for (int i = 0; i < QK; i++)
        if (fabsf(values[i]) > fabsf(extreme))
            extreme = values[i];
    float d = extreme / -(float)half;
    float inverse = d != 0.0f ? 1.0f / d : 0.0f;
    float bias = (float)half + 0.5f; /* added at once: one rounding */
    for (int i = 0; i < QK; i++)
        codes[i] = code_of(values[i] * inverse + bias, (uint8_t)(2 * half - 1));
    return d;
}

/* Codes of a format with an offset, its scale, and the offset: code 0 is the smallest value, code
 * `largest` the largest. */
static float codes_from_minimum(const float *values, uint8_t largest, uint8_t *codes,
                                float *out_min)
{
    float min = values[0];
    float max = values[0];
    for (int i = 1; i < QK; i++) {
        min = values[i] < min ? values[i] : min;
        max = values[i] > max ? values[i] : max;
    }
    float d = (max - min) / (float)largest;
    float inverse = d != 0.0f ? 1.0f / d : 0.0f;
    for (int i = 0; i < QK; i++)
        codes[i] = code_of((values[i] - min) * inverse + 0.5f, largest);
    *out_min = min;
    return d;
}

void tn_encode_q4_0(const float *values, size_t n_blocks, uint8_t *bytes)
{
    for (size_t b = 0; b < n_blocks; b++, values += QK, bytes += 2 + QK / 2) {
        uint8_t codes[QK];
        const float d = codes_around_zero(values, 8, codes);
        tn_pack_q4_0(codes, d, bytes);
    }
}

void tn_encode_q4_1(const float *values, size_t n_blocks, uint8_t *bytes)
{
    for (size_t b = 0; b < n_blocks; b++, values += QK, bytes += 4 + QK / 2) {
        uint8_t codes[QK];
        float min;
        const float d = codes_from_minimum(values, 15, codes, &min);
        tn_pack_q4_1(codes, d, min, bytes);
    }
}

void tn_encode_q5_0(const float *values, size_t n_blocks, uint8_t *bytes)
{
    for (size_t b = 0; b < n_blocks; b++, values += QK, bytes += 6 + QK / 2) {
        uint8_t codes[QK];
        tn_store_u16(bytes, tn_f32_to_f16(codes_around_zero(values, 16, codes)));
        pack_fifth_bits(codes, bytes + 2);
        pack_nibbles(codes, bytes + 6);
    }
}

void tn_encode_q5_1(const float *values, size_t n_blocks, uint8_t *bytes)
{
    for (size_t b = 0; b < n_blocks; b++, values += QK, bytes += 8 + QK / 2) {
        uint8_t codes[QK];
        float min;
        tn_store_u16(bytes, tn_f32_to_f16(codes_from_minimum(values, 31, codes, &min)));
        tn_store_u16(bytes + 2, tn_f32_to_f16(min));
        pack_fifth_bits(codes, bytes + 4);
        pack_nibbles(codes, bytes + 8);
    }
}

void tn_encode_q8_0(const float *values, size_t n_blocks, uint8_t *bytes)
{
    for (size_t b = 0; b < n_blocks; b++, values += QK, bytes += 2 + QK) {
        float largest = 0.0f;
        for (int i = 0; i < QK; i++)
            largest = fmaxf(largest, fabsf(values[i]));
        float d = largest / 127.0f;
        float inverse = d != 0.0f ? 1.0f / d : 0.0f;
        tn_store_u16(bytes, tn_f32_to_f16(d));
        for (int i = 0; i < QK; i++)
            bytes[2 + i] = code8(values[i] * inverse);
    }
}
