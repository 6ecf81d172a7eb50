/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decode and prefill attention share: rows of a tile are (token, query head) pairs of one kv
 * head, so that grouped heads read K and V once; a warp has 16 rows. Scores of a tile of positions
 * by mma, an online softmax in f32 (Milakov and Gimelshein 2018), and the products with V by mma
 * again, with the scores' fragments as operands (FlashAttention-2, Dao 2023). K and V are f16 in
 * the pool; queries become f16 too, whatever type activations have.
 *
 * Fragments (PTX ISA, mma.m16n8k16): lane 4 g + t holds rows g and g + 8 of the result, columns 2 t
 * and 2 t + 1 of each tile of 8.
 */
#ifndef TN_PLUGINS_CUDA_FP16_KERNELS_ATTENTION_CUH
#define TN_PLUGINS_CUDA_FP16_KERNELS_ATTENTION_CUH

#include "plugins/cuda-fp16/kernels/value.cuh"
#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

namespace fp16
{

constexpr int attention_threads = 128, attention_warps = 4;

/* Rows in shared memory have 16 bytes more than HeadDim halves: an odd number of 16-byte chunks, so
 * that the 8 rows of an ldmatrix meet every bank once. */
template <int HeadDim> SIMT_DEVICE half *shared_row(half *rows, int row)
{
    return rows + row * (HeadDim + 8);
}
template <int HeadDim> constexpr int shared_row_bytes()
{
    return (HeadDim + 8) * 2;
}

/* Row and column (of halves) of the i-th 16-byte chunk of rows, as neighbouring lanes take them. At
 * 96, whose rows are 13 chunks apart, 8 lanes take 4 chunks of rows r and r + 4: so they meet every
 * bank once too. */
struct chunk_place {
    int row, column;
};
template <int HeadDim> SIMT_DEVICE chunk_place chunk_at(int i)
{
    constexpr int chunks = HeadDim / 8;
    if (chunks % 8 == 0)
        return { i / chunks, i % chunks * 8 };
    static_assert(chunks % 8 == 0 || chunks == 12, "64, 96, 128, 256");
    const int group = i % 96 / 8;
    return { i / 96 * 8 + group / 3 + i % 8 / 4 * 4, (group % 3 * 4 + i % 4) * 8 };
}

/* One sequence and kv head, as a block sees it. */
struct attention_place {
    const int32_t *table;
    const uint8_t *head;               /* the kv head's record of block 0 */
    int kv_len, q_len, q_first, group; /* group: query heads a kv head */
    int block_log2;                    /* of the tokens of a block */
};

SIMT_DEVICE attention_place place_of(const fp16_attention_args &a, int sequence, int kv_head)
{
    attention_place at;
    at.table = a.table + static_cast<int64_t>(sequence) * a.table_stride;
    at.head = a.kv + static_cast<int64_t>(kv_head) * 4 * a.block_tokens * a.head_dim;
    at.kv_len = ldg(&a.kv_len[sequence]);
    at.q_first = ldg(&a.q_start[sequence]);
    at.q_len = ldg(&a.q_start[sequence + 1]) - at.q_first;
    at.group = a.heads / a.kv_heads;
    at.block_log2 = __ffs(a.block_tokens) - 1;
    return at;
}

/* First position that a query at `position` sees. */
SIMT_DEVICE int window_start(const fp16_attention_args &a, int position)
{
    return a.window > 0 ? max(0, position - a.window + 1) : 0;
}

/* Positions [first, first + Tokens) of K and V into shared rows; those from end on, and columns
 * behind the head, become zero and are not read. */
template <int HeadDim, int Tokens>
SIMT_DEVICE void fetch_kv(const fp16_attention_args &a, const attention_place &at, int first,
                          int end, half *keys, half *values)
{
    for (int i = static_cast<int>(threadIdx.x); i < Tokens * HeadDim / 8; i += attention_threads) {
        const chunk_place to = chunk_at<HeadDim>(i);
        const int position = first + to.row;
        const uint8_t *k = a.kv;
        int n_bytes = 0;
        if (position < end && to.column < a.head_dim) {
            const uint64_t block = static_cast<uint64_t>(ldg(&at.table[position >> at.block_log2]));
            k = at.head + block * a.kv_block_bytes +
                ((position & (a.block_tokens - 1)) * a.head_dim + to.column) * 2;
            n_bytes = 16;
        }
        const uint8_t *v = k + (n_bytes ? a.block_tokens * a.head_dim * 2 : 0);
        cp_async16(shared_row<HeadDim>(keys, to.row) + to.column, k, n_bytes);
        cp_async16(shared_row<HeadDim>(values, to.row) + to.column, v, n_bytes);
    }
}

/* Rows [row0, row0 + n_rows) of (token, query head) as f16 into shared rows; rows from the
 * sequence's end on become zero. */
template <class T, int HeadDim>
SIMT_DEVICE void load_queries(const fp16_attention_args &a, const attention_place &at, int kv_head,
                              int row0, int n_rows, half *queries)
{
    for (int i = static_cast<int>(threadIdx.x); i < n_rows * HeadDim / 8; i += attention_threads) {
        const chunk_place to = chunk_at<HeadDim>(i);
        const int row = row0 + to.row;
        uint4 words = make_uint4(0, 0, 0, 0);
        if (row < at.q_len * at.group && to.column < a.head_dim) {
            float q[8];
            widen8<T>(ldg128(static_cast<const T *>(a.q) +
                             (at.q_first + row / at.group) * a.q_stride +
                             (kv_head * at.group + row % at.group) * a.head_dim + to.column),
                      q);
            words = narrow8<half>(q);
        }
        sts128(shared_row<HeadDim>(queries, to.row) + to.column, words);
    }
}

/* What a lane knows of its rows g and g + 8: the positions they see, factors of scores, and the
 * state of their softmax. `largest` and `total` are in units of log2. */
template <int HeadDim> struct softmax_rows {
    int first[2], last[2];
    float scale[2], largest[2], total[2];
    float sum[HeadDim / 8][4];
};

constexpr float log2_e = 1.44269504f;

/* row: of the lane's g; it sees nothing when it lies behind the last one. */
template <int HeadDim>
SIMT_DEVICE void open_rows(const fp16_attention_args &a, const attention_place &at, int row,
                           softmax_rows<HeadDim> *s)
{
    SIMT_UNROLL
    for (int half_tile = 0; half_tile < 2; half_tile++) {
        const int r = row + 8 * half_tile;
        const int position = at.kv_len - at.q_len + r / at.group;
        const bool is_there = r < at.q_len * at.group;
        s->last[half_tile] = is_there ? position : -1;
        s->first[half_tile] = is_there ? window_start(a, position) : 0;
        float scale = a.scale;
        if (a.logn_length && position + 1 > a.logn_length)
            scale *= __fdividef(logf(static_cast<float>(position + 1)),
                                logf(static_cast<float>(a.logn_length)));
        s->scale[half_tile] = scale;
        s->largest[half_tile] = -INFINITY;
        s->total[half_tile] = 0.0f;
    }
    SIMT_UNROLL
    for (int n = 0; n < HeadDim / 8; n++) {
        SIMT_UNROLL
        for (int i = 0; i < 4; i++)
            s->sum[n][i] = 0.0f;
    }
}

/* The four words of rows [row, row + 16), columns [16 k16, 16 k16 + 16) of queries. */
template <int HeadDim> SIMT_DEVICE void query_fragment(half *queries, int row, int k16, uint32_t *q)
{
    const int lane = static_cast<int>(threadIdx.x) % 32;
    ldmatrix_x4(q, shared_row<HeadDim>(queries, row + lane % 16) + (k16 * 2 + lane / 16) * 8);
}

/* score += q k^T for 16 columns of the head: positions are the n of the product. */
template <int HeadDim, int Tokens>
SIMT_DEVICE void score_step(const uint32_t *q, half *keys, int k16, float (*score)[4])
{
    const int lane = static_cast<int>(threadIdx.x) % 32;
    SIMT_UNROLL
    for (int n = 0; n < Tokens / 8; n += 2) {
        uint32_t k[4];
        ldmatrix_x4(k, shared_row<HeadDim>(keys, n * 8 + lane / 16 * 8 + lane % 8) +
                           (k16 * 2 + lane / 8 % 2) * 8);
        mma_16816_f16(score[n], q, k);
        mma_16816_f16(score[n + 1], q, k + 2);
    }
}

/* Largest and sum over the four lanes that share rows. */
SIMT_DEVICE float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
SIMT_DEVICE float quad_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/* Scores of positions first, first + 1, ... become weights: scale, soft cap, mask (unless all rows
 * of the warp see all positions), then powers of two relative to the largest so far; what was
 * summed before is scaled to match. */
template <int HeadDim, int Tokens, bool Masked>
SIMT_DEVICE void softmax_tile(const fp16_attention_args &a, int first, float (*score)[4],
                              softmax_rows<HeadDim> *s)
{
    const int lane = static_cast<int>(threadIdx.x) % 32;
    SIMT_UNROLL
    for (int h = 0; h < 2; h++) {
        float largest = s->largest[h];
        SIMT_UNROLL
        for (int n = 0; n < Tokens / 8; n++) {
            SIMT_UNROLL
            for (int i = 2 * h; i < 2 * h + 2; i++) {
                const int position = first + n * 8 + lane % 4 * 2 + i % 2;
                float x = score[n][i] * s->scale[h];
                if (a.softcap > 0.0f)
                    x = a.softcap * tanhf(__fdividef(x, a.softcap));
                const bool is_seen = !Masked || (position >= s->first[h] && position <= s->last[h]);
                x = is_seen ? x * log2_e : -INFINITY;
                score[n][i] = x;
                largest = fmaxf(largest, x);
            }
        }
        largest = quad_max(largest);
        /* A row that has seen nothing yet: any finite number keeps its weights 0. */
        const float base = largest == -INFINITY ? 0.0f : largest;
        const float shrink = exp2f(s->largest[h] - base);
        float total = 0.0f;
        SIMT_UNROLL
        for (int n = 0; n < Tokens / 8; n++) {
            SIMT_UNROLL
            for (int i = 2 * h; i < 2 * h + 2; i++) {
                score[n][i] = exp2f(score[n][i] - base);
                total += score[n][i];
            }
        }
        s->largest[h] = largest;
        s->total[h] = s->total[h] * shrink + total; /* of this lane's columns; joined at the end */
        SIMT_UNROLL
        for (int n = 0; n < HeadDim / 8; n++) {
            s->sum[n][2 * h] *= shrink;
            s->sum[n][2 * h + 1] *= shrink;
        }
    }
}

template <int HeadDim, int Tokens>
SIMT_DEVICE void softmax_step(const fp16_attention_args &a, int first, float (*score)[4],
                              softmax_rows<HeadDim> *s)
{
    const bool sees_all =
        first >= max(s->first[0], s->first[1]) && first + Tokens - 1 <= min(s->last[0], s->last[1]);
    if (__all_sync(0xffffffffu, sees_all))
        softmax_tile<HeadDim, Tokens, false>(a, first, score, s);
    else
        softmax_tile<HeadDim, Tokens, true>(a, first, score, s);
}

/* sum += weights V: the weights' result fragments are the first operand as they lie, rounded to
 * f16; V's rows are the k of the product. */
template <int HeadDim, int Tokens>
SIMT_DEVICE void value_step(float (*weight)[4], half *values, softmax_rows<HeadDim> *s)
{
    const int lane = static_cast<int>(threadIdx.x) % 32;
    SIMT_UNROLL
    for (int k16 = 0; k16 < Tokens / 16; k16++) {
        float(*w)[4] = weight + 2 * k16;
        const uint32_t p[4] = { value<half>::narrow2(w[0][0], w[0][1]),
                                value<half>::narrow2(w[0][2], w[0][3]),
                                value<half>::narrow2(w[1][0], w[1][1]),
                                value<half>::narrow2(w[1][2], w[1][3]) };
        SIMT_UNROLL
        for (int n = 0; n < HeadDim / 8; n += 2) {
            uint32_t v[4];
            ldmatrix_x4_trans(v, shared_row<HeadDim>(values, k16 * 16 + lane % 16) +
                                     (n + lane / 16) * 8);
            mma_16816_f16(s->sum[n], p, v);
            mma_16816_f16(s->sum[n + 1], p, v + 2);
        }
    }
}

} // namespace fp16

#endif
