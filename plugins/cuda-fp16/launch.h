/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The border between host code in C and kernels in .cu: one struct and one launcher a kernel
 * family. Pointers are device addresses, strides count elements, dtypes are TN_F32, TN_F16,
 * TN_BF16. A launcher enqueues and returns 0 or CUDA's error number, which fp16_error_text names.
 * All are called with the domain's context current.
 */
#ifndef TN_PLUGINS_CUDA_FP16_LAUNCH_H
#define TN_PLUGINS_CUDA_FP16_LAUNCH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- device.cu ---- */
typedef struct fp16_device {
    int n_sms, major, minor;
} fp16_device;
int fp16_device_read(int device, fp16_device *out);
const char *fp16_error_text(int error);

/* ---- embed.cu ---- */
typedef struct fp16_embed_args {
    const void *table; /* [vocab][stride] of dtype */
    const int32_t *tokens;
    float *out;
    int64_t table_stride, out_stride;
    int32_t rows, dim, vocab, dtype;
    float scale;
} fp16_embed_args;
int fp16_embed(const fp16_embed_args *args, void *stream);

/* ---- norm.cu ---- */
enum { FP16_MAX_NORM = 16384 };
typedef struct fp16_norm_args {
    const float *x, *weight;
    void *out;
    int64_t x_stride, out_stride;
    int32_t rows, dim, dtype; /* dtype: of out */
    float eps, offset;
} fp16_norm_args;
int fp16_rmsnorm(const fp16_norm_args *args, void *stream);

/* ---- rows.cu: a and b are read, out written ---- */
typedef struct fp16_rows_args {
    const void *a, *b;
    void *out;
    int64_t a_stride, b_stride, out_stride;
    int32_t rows, dim, dtype; /* dtype: of a for add; of a, b and out for glu */
    int32_t act;
    float scale;
    const int32_t *index; /* gather_rows: row of a */
} fp16_rows_args;
int fp16_add(const fp16_rows_args *args, void *stream);
int fp16_glu(const fp16_rows_args *args, void *stream);
int fp16_gather_rows(const fp16_rows_args *args, void *stream);

/* ---- argmax.cu: out[row * out_stride] = index of the largest of a row of f32 ---- */
int fp16_argmax(const float *x, int64_t x_stride, int32_t *out, int64_t out_stride, int32_t rows,
                int32_t dim, void *stream);

/* ---- gemv.cu, gemm.cu ---- */
enum { FP16_GEMV_ROWS = 4 }; /* most rows of x that fp16_gemv takes */
/* y = residual + out_scale * (x w^T + bias); with act, out_scale * act(gate) * up. */
typedef struct fp16_linear_args {
    const void *x, *weight;                      /* [rows][in]; [out][padded], zeros behind in */
    const float *bias, *residual;                /* [out]; [rows][out]; NULL: none */
    void *y;                                     /* [rows][out] */
    int64_t x_stride, y_stride, residual_stride; /* x rows begin at multiples of 16 bytes */
    int32_t rows, in, padded;                    /* padded: in, rounded up to 8 */
    int32_t out; /* columns of y; with act there are twice as many rows of weight, gates first */
    int32_t dtype, y_dtype; /* of x and weight; of y */
    int32_t act;            /* 0, or TN_ACT_* */
    float out_scale;
} fp16_linear_args;
int fp16_gemv(const fp16_linear_args *args, int n_sms, void *stream);
int fp16_gemm(const fp16_linear_args *args, int n_sms, void *stream);

/*
 * Each plugin with a KV cache has rope.cu, attention_decode.cu and attention_prefill.cu of its own:
 * cuda-fp16 for pages of f16, cuda-kvint8 for those of i8 and i8-static. Their host code is the
 * same.
 */
/* ---- rope.cu ---- */
/* What is done with each head of q, k and v; a pointer that is NULL leaves its part out. */
typedef struct fp16_rope_args {
    const void *q, *k, *v;
    void *q_out, *k_out; /* NULL k_out: k goes to the pool only */
    int64_t q_stride, k_stride, v_stride, q_out_stride, k_out_stride; /* from token to token */
    int32_t tokens, heads, kv_heads, head_dim, dtype;
    int32_t rotary_dim, pairing;      /* rotary_dim 0: no rotation */
    const float *q_weight, *k_weight; /* qk norm, [head_dim] */
    float eps, offset, mscale;
    const int32_t *pos, *slot, *q_start, *kv_len, *rope_index;
    const float *rope_table;
    int32_t n_seqs, block_tokens;
    uint8_t *kv; /* NULL: nothing is written to the pool */
    uint64_t kv_block_bytes;
    const float *kv_static; /* as those of attention */
    int32_t n_kv_static;
} fp16_rope_args;
int fp16_rope(const fp16_rope_args *args, void *stream);

/* ---- attention_decode.cu, attention_prefill.cu ---- */
enum { FP16_MAX_HEAD_DIM = 256, FP16_MAX_SPLITS = 64, FP16_DECODE_ROWS = 16 };
typedef struct fp16_attention_args {
    const void *q;
    void *out;
    int64_t q_stride, out_stride; /* from token to token; heads follow each other */
    const uint8_t *kv;
    uint64_t kv_block_bytes;
    const float *kv_static; /* i8-static: [n_kv_static][4] k_scale k_zp v_scale v_zp; else NULL */
    int32_t n_kv_static;    /* 1 or kv_heads */
    const int32_t *table, *q_start, *kv_len;
    int32_t table_stride, block_tokens; /* block_tokens: a power of two */
    int32_t first_seq, n_seqs;          /* sequences [first_seq, first_seq + n_seqs) */
    int32_t max_q, max_kv;              /* longest of them */
    int32_t heads, kv_heads, head_dim, dtype, window, logn_length;
    float scale, softcap;
    /* decode only: a split covers split_tokens positions from a multiple of it; a block has a
     * split, a kv head and FP16_DECODE_ROWS of its query heads */
    int32_t split_tokens, max_splits;
    float *sums;    /* [n_seqs][heads][max_splits][head_dim] */
    float *states;  /* [n_seqs][kv heads][row tiles][max_splits][FP16_DECODE_ROWS][2] */
    uint32_t *done; /* [n_seqs][kv_heads][row tiles], zero, left zero */
} fp16_attention_args;
/** Row tiles that the query heads of a kv head make. */
static inline int32_t fp16_decode_tiles(int32_t heads, int32_t kv_heads)
{
    return (heads / kv_heads + FP16_DECODE_ROWS - 1) / FP16_DECODE_ROWS;
}
int fp16_attention_decode(const fp16_attention_args *args, void *stream);
int fp16_attention_prefill(const fp16_attention_args *args, void *stream);

#ifdef __cplusplus
}
#endif

#endif
