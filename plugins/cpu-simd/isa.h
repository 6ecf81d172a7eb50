/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels that exist once for each instruction set, as a table. Every set compiles the same
 * sources (dot.inc, rows_kernels.inc, attend.inc) over its own vectors (vec_*.inc) into one
 * isa_*.c; open() picks a table by CPUID and OS state. Packed weights do not depend on the set.
 *
 * Results are the same bits for any number of rows, threads and chunks on one set; sets may differ
 * in the last bits.
 */
#ifndef TN_PLUGINS_CPU_SIMD_ISA_H
#define TN_PLUGINS_CPU_SIMD_ISA_H

#include <stdint.h>

enum {
    SIMD_TILE = 16,  /* weight rows that lie interleaved */
    SIMD_GROUP = 32, /* input columns that share a quantisation scale */
};

/* Kinds of packed weights (weights.h); those from SIMD_W_U4Z on are codes with scales. */
enum { SIMD_W_F32 = 0, SIMD_W_F16, SIMD_W_BF16, SIMD_W_U4Z, SIMD_W_U4B, SIMD_W_Q8, SIMD_N_KINDS };

/** SIMD_GROUP columns of a quantised input row: x is about scale * code. */
typedef struct simd_step {
    float scale;
    int32_t sum; /* of the codes */
} simd_step;

/**
 * Input rows in the order in which the dot products read them. They are cut into blocks
 * (simd_block_rows), and in a block of R rows the R values of each column, of each pair of columns
 * for bf16 or of each quad for codes, lie together. The block that starts at row m starts m strides
 * into each array.
 */
typedef struct simd_input {
    const void *x;         /* f32 [K][R], bf16 [K / 2][R][2] or int8 codes [K / 4][R][4]; 0 from K
                              to the padded K */
    const simd_step *step; /* [K / 32][R]; int8 codes only */
    const float *sum;      /* [groups][R] of x over each group of the weights; u4 only */
    int64_t x_stride, step_stride, sum_stride; /* elements a row */
} simd_input;

/** Rows of the next block when `left` are left: `most` while there are, then 8, 4, 2, 1. */
static inline int32_t simd_block_rows(int64_t left, int32_t most)
{
    int32_t rows = 8;
    if (left >= most)
        return most;
    while (rows > left || rows >= most)
        rows /= 2;
    return rows;
}

/** One tile of 16 weight rows against n input rows: out[n][16]. */
typedef struct simd_dot {
    const uint8_t *tile;
    simd_input in; /* of the first of the n rows */
    int32_t cols;  /* K as packed: padded to 2 for bf16, to SIMD_GROUP for codes */
    int32_t group; /* columns a weight group, a multiple of SIMD_GROUP */
    int32_t n;
    float *out;
} simd_dot;

/** What happens to a [n][16] result on its way out. */
typedef struct simd_tail {
    const float *bias, *bias_up; /* [16] padded, or NULL */
    const float *add;            /* [n] rows add_stride apart, or NULL */
    float *out;                  /* [n] rows out_stride apart */
    int64_t add_stride, out_stride;
    float scale;
    int32_t width; /* columns that exist, 1..16 */
    int32_t act;   /* TN_ACT_*: gate and up; 0: none */
} simd_tail;

/** K and V of one kv head in the paged pool. */
typedef struct simd_pages {
    const uint8_t *pool; /* K of the head in block 0; V, and the parameters of i8, lie beyond */
    const int32_t *table;
    uint64_t block_bytes, v_offset, k_params, v_params;
    int32_t format, block_tokens, head_dim; /* format: SIMD_KV_* */
    float k_scale, k_zero, v_scale, v_zero; /* of every token; 1 and 0 but for i8-static */
} simd_pages;

/** Attention of query rows that share a kv head, over positions [p0, p1), p0 a multiple of
 * SIMD_SPAN. Each row sees first[r]..last[r]. */
typedef struct simd_attend {
    simd_pages pages;
    const float *q;     /* [n_rows][head_dim], times the attention scale */
    const float *q_sum; /* [n_rows] sum of each */
    const int32_t *first, *last;
    int32_t n_rows, p0, p1;
    float softcap;                  /* 0: none */
    float *k_tile, *v_tile, *score; /* scratch: SIMD_SPAN * head_dim each; n_rows * SIMD_SPAN */
    float *out, *max, *sum;         /* [n_rows][head_dim] not divided by sum; [n_rows] */
} simd_attend;

enum { SIMD_KV_F32 = 0, SIMD_KV_F16, SIMD_KV_I8, SIMD_KV_I8_STATIC, SIMD_N_KV };
enum { SIMD_SPAN = 64 }; /* positions a step of the online softmax; starts at multiples of it */

typedef struct simd_isa {
    const char *name, *build; /* "avx2", and what it uses */
    int32_t block;            /* rows of a full block of inputs; divides 192 */
    /** y = x / sqrt(mean x^2 + eps) * (w + offset). y may be x. */
    void (*norm)(const float *x, const float *w, int32_t n, float eps, float offset, float *y);
    /** One row of n columns, padded to `padded`, to its place in a block of `rows`. */
    void (*quantise)(const float *x, int32_t n, int32_t padded, int32_t group, int32_t rows,
                     int8_t *codes, simd_step *step, float *sum);
    /** The same as f32: the input of exact coded weights and, with sum NULL, of plain ones. */
    void (*widen)(const float *x, int32_t n, int32_t padded, int32_t group, int32_t rows,
                  float *out, float *sum);
    /** The same as bf16, the input of dot[SIMD_W_BF16]; NULL where that takes f32. */
    void (*narrow)(const float *x, int32_t n, int32_t padded, int32_t rows, uint16_t *out);
    void (*dot[SIMD_N_KINDS])(const simd_dot *d);
    void (*exact[SIMD_N_KINDS])(const simd_dot *d); /* f32 inputs; f32 and f16: as dot */
    void (*tail)(const simd_tail *t, int32_t n, const float *y, const float *up);
    void (*glu)(const float *gate, const float *up, int64_t n, int32_t act, float scale, float *y);
    void (*add)(const float *a, const float *b, int64_t n, float *y);
    /** Fills a->out, a->max and a->sum. */
    void (*attend)(const simd_attend *a);
    /** into = into and part: two partial results [dim] with their maxima and sums. */
    void (*merge)(float *into, float *into_max, float *into_sum, const float *part, float part_max,
                  float part_sum, int32_t dim);
    void (*turn)(const float *inv_freq, int32_t pos, float mscale, int32_t half, float *cosine,
                 float *sine);
    void (*rotate)(const float *x, const float *cosine, const float *sine, int32_t half,
                   int32_t pairing, float *y);
    void (*store_f16)(const float *x, int32_t n, uint16_t *out);
    void (*store_i8)(const float *x, int32_t n, uint8_t *codes, uint16_t *params);
    void (*store_static)(const float *x, int32_t n, float scale, float zero, uint8_t *codes);
    int32_t (*argmax)(const float *x, int32_t n);
} simd_isa;

/** NULL-terminated, best first; all that were compiled for this architecture. */
extern const simd_isa *const simd_isas[];
/** 1 when this machine and its system can run the table. */
int32_t simd_isa_runs(const simd_isa *isa);
/** 0 for a table that runs on this machine but is slower there than the next one. */
int32_t simd_isa_pays(const simd_isa *isa);

#endif
