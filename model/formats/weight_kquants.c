/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block layouts: ggml-common.h of ggml (block_q2_K ... block_q8_K, block_iq4_nl, block_iq4_xs);
 * meaning: ggml-quants.c (dequantize_row_*). A super-block is walked sub-block by sub-block, i of
 * them, each with its own scale: the inner loops have fixed lengths and no branch, so that
 * compilers vectorise them.
 */
#include "model/formats/weight_kquants.h"

#include "model/formats/little_endian.h"

/* Columns of a sub-block: 16 in Q2_K, Q3_K and Q6_K, 32 in Q4_K, Q5_K and IQ4_XS. */
enum { SUB16 = 16, SUB32 = 32, N_SUB16 = TN_QK_K / SUB16, N_SUB32 = TN_QK_K / SUB32 };

/* Sixteen bytes with scale (low 4 bits) and minimum (high 4 bits) of each sub-block; 64 bytes of
 * 2-bit codes; f16 d, f16 dmin. w = (d * scale) * q - dmin * minimum. */
void tn_decode_q2_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    float *restrict y = out->values;
    for (size_t b = 0; b < n_blocks; b++, bytes += TN_Q2_K_BYTES) {
        const uint8_t *scales = bytes;
        float d = tn_load_f16(bytes + 80);
        float dmin = tn_load_f16(bytes + 82);
        for (int i = 0; i < N_SUB16; i++, y += SUB16) {
            const uint8_t *q = bytes + 16 + i / 8 * 32 + i % 2 * 16;
            int shift = i / 2 % 4 * 2;
            float scale = d * (float)(scales[i] & 15);
            float minimum = dmin * (float)(scales[i] >> 4);
            for (int j = 0; j < SUB16; j++)
                y[j] = scale * (float)(q[j] >> shift & 3) - minimum;
        }
    }
}

/* The 6-bit scales of Q3_K, biased by 32, in 12 bytes: low 4 bits of scales 0..7 and 8..15 in the
 * low and high halves of bytes 0..7; high 2 bits of scales 4k..4k+3 in bits 2k of bytes 8..11. */
static int scale_q3_k(const uint8_t *packed, int i)
{
    int low = packed[i % 8] >> i / 8 * 4 & 15;
    int high = packed[8 + i % 4] >> i / 4 * 2 & 3;
    return (low | high << 4) - 32;
}

/* 32 bytes of high bits (set: nothing is taken off, clear: 4), 64 bytes of 2-bit codes, 12 bytes of
 * scales, f16 d. w = (d * scale) * q. */
void tn_decode_q3_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    float *restrict y = out->values;
    for (size_t b = 0; b < n_blocks; b++, bytes += TN_Q3_K_BYTES) {
        float d = tn_load_f16(bytes + 108);
        for (int i = 0; i < N_SUB16; i++, y += SUB16) {
            const uint8_t *high = bytes + i % 2 * 16;
            const uint8_t *q = bytes + 32 + i / 8 * 32 + i % 2 * 16;
            int shift = i / 2 % 4 * 2;
            float scale = d * (float)scale_q3_k(bytes + 96, i);
            for (int j = 0; j < SUB16; j++)
                y[j] = scale * (float)((q[j] >> shift & 3) + (high[j] >> i / 2 & 1) * 4 - 4);
        }
    }
}

/* The 6-bit scales and minimums of Q4_K and Q5_K in 12 bytes (get_scale_min_k4 of ggml): those of
 * sub-blocks 0..3 are bytes 0..3 and 4..7; those of 4..7 have their low 4 bits in the halves of
 * bytes 8..11 and their high 2 bits on top of the former. */
static void scale_min_q4_k(const uint8_t *packed, int i, float *scale, float *minimum)
{
    if (i < 4) {
        *scale = (float)(packed[i] & 63);
        *minimum = (float)(packed[i + 4] & 63);
        return;
    }
    *scale = (float)((packed[i + 4] & 15) | packed[i - 4] >> 6 << 4);
    *minimum = (float)(packed[i + 4] >> 4 | packed[i] >> 6 << 4);
}

/* f16 d, f16 dmin, 12 bytes of scales and minimums, 128 bytes of 4-bit codes.
 * w = (d * scale) * q - dmin * minimum. */
void tn_decode_q4_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    float *restrict y = out->values;
    for (size_t b = 0; b < n_blocks; b++, bytes += TN_Q4_K_BYTES) {
        float d = tn_load_f16(bytes);
        float dmin = tn_load_f16(bytes + 2);
        for (int i = 0; i < N_SUB32; i++, y += SUB32) {
            const uint8_t *q = bytes + 16 + i / 2 * 32;
            int shift = i % 2 * 4;
            float scale, minimum;
            scale_min_q4_k(bytes + 4, i, &scale, &minimum);
            scale *= d;
            minimum *= dmin;
            for (int j = 0; j < SUB32; j++)
                y[j] = scale * (float)(q[j] >> shift & 15) - minimum;
        }
    }
}

/* As Q4_K, with 32 bytes before the codes: bit i of byte j is the fifth bit of code j of sub-block
 * i. */
void tn_decode_q5_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    float *restrict y = out->values;
    for (size_t b = 0; b < n_blocks; b++, bytes += TN_Q5_K_BYTES) {
        float d = tn_load_f16(bytes);
        float dmin = tn_load_f16(bytes + 2);
        const uint8_t *high = bytes + 16;
        for (int i = 0; i < N_SUB32; i++, y += SUB32) {
            const uint8_t *q = bytes + 48 + i / 2 * 32;
            int shift = i % 2 * 4;
            float scale, minimum;
            scale_min_q4_k(bytes + 4, i, &scale, &minimum);
            scale *= d;
            minimum *= dmin;
            for (int j = 0; j < SUB32; j++)
                y[j] = scale * (float)((q[j] >> shift & 15) + (high[j] >> i & 1) * 16) - minimum;
        }
    }
}

/* 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed scales, f16 d; each half of the
 * super-block has its own half of the first three. w = (d * scale) * (q - 32). */
void tn_decode_q6_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    float *restrict y = out->values;
    for (size_t b = 0; b < n_blocks; b++, bytes += TN_Q6_K_BYTES) {
        const uint8_t *scales = bytes + 192;
        float d = tn_load_f16(bytes + 208);
        for (int i = 0; i < N_SUB16; i++, y += SUB16) {
            int pair = i % 8 / 2; /* of sub-blocks, in its half: they share their shifts */
            const uint8_t *low = bytes + i / 8 * 64 + pair % 2 * 32 + i % 2 * 16;
            const uint8_t *high = bytes + 128 + i / 8 * 32 + i % 2 * 16;
            float scale = d * (float)(int8_t)scales[i];
            for (int j = 0; j < SUB16; j++)
                y[j] = scale *
                       (float)((low[j] >> pair / 2 * 4 & 15) + (high[j] >> pair * 2 & 3) * 16 - 32);
        }
    }
}

/* f32 d, 256 signed codes, then sums of 16 codes each for dot products, which are not read.
 * w = d * q. */
void tn_decode_q8_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    float *restrict y = out->values;
    for (size_t b = 0; b < n_blocks; b++, bytes += TN_Q8_K_BYTES, y += TN_QK_K) {
        float d = tn_load_f32(bytes);
        const uint8_t *q = bytes + 4;
        for (int j = 0; j < TN_QK_K; j++)
            y[j] = d * (float)(int8_t)q[j];
    }
}

/* kvalues_iq4nl of ggml-common.h. */
static const int8_t levels[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113 };

/* 16 bytes: low halves are elements 0..15, high halves 16..31. */
static void levels_of(const uint8_t *restrict packed, float scale, float *restrict y)
{
    for (int j = 0; j < 16; j++) {
        y[j] = scale * (float)levels[packed[j] & 15];
        y[j + 16] = scale * (float)levels[packed[j] >> 4];
    }
}

/* f16 d, 16 bytes of codes. w = d * level. */
void tn_decode_iq4_nl(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t b = 0; b < n_blocks; b++, bytes += TN_IQ4_NL_BYTES)
        levels_of(bytes + 2, tn_load_f16(bytes), out->values + b * TN_QK_IQ4_NL);
}

/* f16 d; the 6-bit scales of 8 sub-blocks, biased by 32: high 2 bits in a u16, low 4 bits in 4
 * bytes; 128 bytes of codes. w = (d * scale) * level. */
void tn_decode_iq4_xs(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    float *restrict y = out->values;
    for (size_t b = 0; b < n_blocks; b++, bytes += TN_IQ4_XS_BYTES) {
        float d = tn_load_f16(bytes);
        int high = tn_load_u16(bytes + 2);
        for (int i = 0; i < N_SUB32; i++, y += SUB32) {
            int scale = (bytes[4 + i / 2] >> i % 2 * 4 & 15) | (high >> i * 2 & 3) << 4;
            levels_of(bytes + 8 + i * 16, d * (float)(scale - 32), y);
        }
    }
}
