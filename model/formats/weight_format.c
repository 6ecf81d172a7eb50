/* SPDX-License-Identifier: Apache-2.0 */
/* Block layouts: ggml-common.h (block_q4_0, block_q4_1, block_q8_0) of ggml. */
#include "model/formats/weight_format.h"

#include "model/formats/little_endian.h"

#include <string.h>

/* Elements of one block of Q4_0, Q4_1 and Q8_0 (QK4_0 and its like in ggml). */
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

/* Type ids: enum ggml_type of ggml.h; 4, 5 and 31 to 33, 36 to 38 were removed there. */
static const tn_weight_format formats[] = {
    { "F32", 0, 1, 4, "f32", 0, 1, decode_f32, tn_encode_f32 },
    { "F16", 1, 1, 2, "f16", 0, 1, decode_f16, tn_encode_f16 },
    { "BF16", 30, 1, 2, "bf16", 0, 1, decode_bf16, tn_encode_bf16 },
    { "Q8_0", 8, QK, 2 + QK, "q8.g32", QK, 0, decode_q8_0, tn_encode_q8_0 },
    { "Q4_0", 2, QK, 2 + QK / 2, "u4z.g32", QK, 0, decode_q4_0, tn_encode_q4_0 },
    { "Q4_1", 3, QK, 4 + QK / 2, "u4b.g32", QK, 0, decode_q4_1, tn_encode_q4_1 },
    /* Known by name only. */
    { .name = "Q4_2", .ggml_type = 4 },
    { .name = "Q4_3", .ggml_type = 5 },
    { .name = "Q5_0", .ggml_type = 6 },
    { .name = "Q5_1", .ggml_type = 7 },
    { .name = "Q8_1", .ggml_type = 9 },
    { .name = "Q2_K", .ggml_type = 10 },
    { .name = "Q3_K", .ggml_type = 11 },
    { .name = "Q4_K", .ggml_type = 12 },
    { .name = "Q5_K", .ggml_type = 13 },
    { .name = "Q6_K", .ggml_type = 14 },
    { .name = "Q8_K", .ggml_type = 15 },
    { .name = "IQ2_XXS", .ggml_type = 16 },
    { .name = "IQ2_XS", .ggml_type = 17 },
    { .name = "IQ3_XXS", .ggml_type = 18 },
    { .name = "IQ1_S", .ggml_type = 19 },
    { .name = "IQ4_NL", .ggml_type = 20 },
    { .name = "IQ3_S", .ggml_type = 21 },
    { .name = "IQ2_S", .ggml_type = 22 },
    { .name = "IQ4_XS", .ggml_type = 23 },
    { .name = "I8", .ggml_type = 24 },
    { .name = "I16", .ggml_type = 25 },
    { .name = "I32", .ggml_type = 26 },
    { .name = "I64", .ggml_type = 27 },
    { .name = "F64", .ggml_type = 28 },
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
