/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoders of GGUF's super-block formats (Q2_K to Q6_K, Q8_K) and of the two with a table of
 * levels (IQ4_NL, IQ4_XS), for the table of weight formats. All give f32 values, each rounded as
 * ggml's dequantize_row_* rounds it: scale times sub-scale first, then times the code, then less
 * the minimum. Thread: pure.
 */
#ifndef TN_MODEL_FORMATS_WEIGHT_KQUANTS_H
#define TN_MODEL_FORMATS_WEIGHT_KQUANTS_H

#include "core/graph/weight_source.h"

#include <stddef.h>

/* Elements of a super-block (QK_K in ggml), of a block of IQ4_NL, and the bytes of each block. */
enum {
    TN_QK_K = 256,
    TN_QK_IQ4_NL = 32,
    TN_Q2_K_BYTES = 16 + 64 + 2 + 2,
    TN_Q3_K_BYTES = 32 + 64 + 12 + 2,
    TN_Q4_K_BYTES = 2 + 2 + 12 + 128,
    TN_Q5_K_BYTES = 2 + 2 + 12 + 32 + 128,
    TN_Q6_K_BYTES = 128 + 64 + 16 + 2,
    TN_Q8_K_BYTES = 4 + 256 + 32,
    TN_IQ4_NL_BYTES = 2 + 16,
    TN_IQ4_XS_BYTES = 2 + 2 + 4 + 128,
};

void tn_decode_q2_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out);
void tn_decode_q3_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out);
void tn_decode_q4_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out);
void tn_decode_q5_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out);
void tn_decode_q6_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out);
void tn_decode_q8_k(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out);
void tn_decode_iq4_nl(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out);
void tn_decode_iq4_xs(const uint8_t *bytes, size_t n_blocks, const tn_row_buffer *out);

#endif
