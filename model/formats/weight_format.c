/* SPDX-License-Identifier: Apache-2.0 */
/* Block layouts: ggml-common.h (block_q4_0, block_q4_1, block_q5_0, block_q5_1, block_q8_0) of
 * ggml.
 */
#include "model/formats/weight_format.h"

#include "model/formats/little_endian.h"
#include "model/formats/weight_kquants.h"

#include <string.h>

/* Elements of one block of Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 (QK4_0 and its like in ggml). */
enum { QK = 32 };

static void decode_f32(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t i = 0; i < n_blocks; i++)
        out->values[i] = tn_load_f32(bytes + i * 4);
}

static void decode_f16(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t i = 0; i < n_blocks; i++)
        out->values[i] = tn_load_f16(bytes + i * 2);
}

static void decode_bf16(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t i = 0; i < n_blocks; i++)
        out->values[i] = tn_bf16_to_f32(tn_load_u16(bytes + i * 2));
}

/* Rounded to f32, the widest that canonical rows have. */
static void decode_f64(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t i = 0; i < n_blocks; i++)
        out->values[i] = (float)tn_load_f64(bytes + i * 8);
}

/* 16 bytes: low nibbles are elements 0..15, high nibbles 16..31. */
static void unpack_nibbles(const uint8_t *restrict packed, uint8_t *restrict codes)
{
    for (int i = 0; i < QK / 2; i++) {
        codes[i] = packed[i] & 15;
        codes[i + QK / 2] = packed[i] >> 4;
    }
}

/* w = (q - 8) * d */
static void decode_q4_0(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t i = 0; i < n_blocks; i++, bytes += 2 + QK / 2) {
        out->scale[i] = tn_load_f16(bytes);
        out->zero[i] = 8.0f;
        unpack_nibbles(bytes + 2, out->codes + i * QK);
    }
}

/* w = q * d + m */
static void decode_q4_1(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t i = 0; i < n_blocks; i++, bytes += 4 + QK / 2) {
        out->scale[i] = tn_load_f16(bytes);
        out->zero[i] = tn_load_f16(bytes + 2);
        unpack_nibbles(bytes + 4, out->codes + i * QK);
    }
}

/* w = q * d, q signed; canonical codes are biased by 128, which is the sign bit flipped. */
static void decode_q8_0(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t i = 0; i < n_blocks; i++, bytes += 2 + QK) {
        uint8_t *restrict codes = out->codes + i * QK;
        out->scale[i] = tn_load_f16(bytes);
        for (int j = 0; j < QK; j++)
            codes[j] = bytes[2 + j] ^ 0x80;
    }
}

/* Codes of 5 bits: nibbles as above, and their fifth bits as the bits of a u32. */
static void unpack_5_bits(const uint8_t *restrict fifth, const uint8_t *restrict packed,
                          uint8_t *restrict codes)
{
    unpack_nibbles(packed, codes);
    for (int i = 0; i < QK; i++)
        codes[i] |= (uint8_t)((fifth[i / 8] >> i % 8 & 1) << 4);
}

/* f16 d, fifth bits, nibbles: w = (q - 16) * d, rounded to f32 as dequantize_row_q5_0 does. */
static void decode_q5_0(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t i = 0; i < n_blocks; i++, bytes += 6 + QK / 2) {
        float *restrict values = out->values + i * QK;
        uint8_t codes[QK];
        float d = tn_load_f16(bytes);
        unpack_5_bits(bytes + 2, bytes + 6, codes);
        for (int j = 0; j < QK; j++)
            values[j] = (float)(codes[j] - 16) * d;
    }
}

/* f16 d, f16 m, fifth bits, nibbles: w = q * d + m, each step rounded as in dequantize_row_q5_1. */
static void decode_q5_1(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out)
{
    for (size_t i = 0; i < n_blocks; i++, bytes += 8 + QK / 2) {
        float *restrict values = out->values + i * QK;
        uint8_t codes[QK];
        float d = tn_load_f16(bytes);
        float m = tn_load_f16(bytes + 2);
        unpack_5_bits(bytes + 4, bytes + 8, codes);
        for (int j = 0; j < QK; j++)
            values[j] = (float)codes[j] * d + m;
    }
}

/* Type ids: enum ggml_type of ggml.h; 4, 5 and 31 to 33, 36 to 38 were removed there. */
static const tn_weight_format formats[] = {
    { "F32", 0, 1, 4, "f32", 0, 1, decode_f32, tn_encode_f32 },
    { "F16", 1, 1, 2, "f16", 0, 1, decode_f16, tn_encode_f16 },
    { "BF16", 30, 1, 2, "bf16", 0, 1, decode_bf16, tn_encode_bf16 },
    { "F64", 28, 1, 8, "f32", 0, 1, decode_f64, NULL },
    { "Q8_0", 8, QK, 2 + QK, "q8.g32", QK, 0, decode_q8_0, tn_encode_q8_0 },
    { "Q4_0", 2, QK, 2 + QK / 2, "u4z.g32", QK, 0, decode_q4_0, tn_encode_q4_0 },
    { "Q4_1", 3, QK, 4 + QK / 2, "u4b.g32", QK, 0, decode_q4_1, tn_encode_q4_1 },
    { "Q5_0", 6, QK, 6 + QK / 2, "q5_0", QK, 1, decode_q5_0, tn_encode_q5_0 },
    { "Q5_1", 7, QK, 8 + QK / 2, "q5_1", QK, 1, decode_q5_1, tn_encode_q5_1 },
    { "Q2_K", 10, TN_QK_K, TN_Q2_K_BYTES, "q2_k", 16, 1, tn_decode_q2_k, NULL },
    { "Q3_K", 11, TN_QK_K, TN_Q3_K_BYTES, "q3_k", 16, 1, tn_decode_q3_k, NULL },
    { "Q4_K", 12, TN_QK_K, TN_Q4_K_BYTES, "q4_k", 32, 1, tn_decode_q4_k, NULL },
    { "Q5_K", 13, TN_QK_K, TN_Q5_K_BYTES, "q5_k", 32, 1, tn_decode_q5_k, NULL },
    { "Q6_K", 14, TN_QK_K, TN_Q6_K_BYTES, "q6_k", 16, 1, tn_decode_q6_k, NULL },
    { "Q8_K", 15, TN_QK_K, TN_Q8_K_BYTES, "q8_k", TN_QK_K, 1, tn_decode_q8_k, NULL },
    { "IQ4_NL", 20, TN_QK_IQ4_NL, TN_IQ4_NL_BYTES, "iq4_nl", 32, 1, tn_decode_iq4_nl, NULL },
    { "IQ4_XS", 23, TN_QK_K, TN_IQ4_XS_BYTES, "iq4_xs", 32, 1, tn_decode_iq4_xs, NULL },
    /* Known by name only. */
    { .name = "Q4_2", .ggml_type = 4 },
    { .name = "Q4_3", .ggml_type = 5 },
    { .name = "Q8_1", .ggml_type = 9 },
    { .name = "IQ2_XXS", .ggml_type = 16 },
    { .name = "IQ2_XS", .ggml_type = 17 },
    { .name = "IQ3_XXS", .ggml_type = 18 },
    { .name = "IQ1_S", .ggml_type = 19 },
    { .name = "IQ3_S", .ggml_type = 21 },
    { .name = "IQ2_S", .ggml_type = 22 },
    { .name = "I8", .ggml_type = 24 },
    { .name = "I16", .ggml_type = 25 },
    { .name = "I32", .ggml_type = 26 },
    { .name = "I64", .ggml_type = 27 },
    { .name = "IQ1_M", .ggml_type = 29 },
    { .name = "Q4_0_4_4", .ggml_type = 31 },
    { .name = "Q4_0_4_8", .ggml_type = 32 },
    { .name = "Q4_0_8_8", .ggml_type = 33 },
    { .name = "TQ1_0", .ggml_type = 34 },
    { .name = "TQ2_0", .ggml_type = 35 },
    { .name = "IQ4_NL_4_4", .ggml_type = 36 },
    { .name = "IQ4_NL_4_8", .ggml_type = 37 },
    { .name = "IQ4_NL_8_8", .ggml_type = 38 },
    { .name = "MXFP4", .ggml_type = 39 },
};
enum { N_FORMATS = (int)(sizeof(formats) / sizeof(formats[0])) };

const tn_weight_format *tn_weight_format_of_type(uint32_t ggml_type)
{
    for (int i = 0; i < N_FORMATS; i++)
        if (formats[i].ggml_type == ggml_type)
            return &formats[i];
    return NULL;
}

const tn_weight_format *tn_weight_format_of_name(const char *name)
{
    for (int i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const tn_weight_format *tn_weight_format_of_wfmt(const char *wfmt)
{
    for (int i = 0; i < N_FORMATS; i++)
        if (formats[i].wfmt && strcmp(formats[i].wfmt, wfmt) == 0)
            return &formats[i];
    return NULL;
}

void tn_weight_format_list(tn_strbuf *out)
{
    const char *separator = "";
    for (int i = 0; i < N_FORMATS; i++) {
        if (!formats[i].decode)
            continue;
        tn_strbuf_printf(out, "%s%s", separator, formats[i].name);
        separator = ", ";
    }
}
