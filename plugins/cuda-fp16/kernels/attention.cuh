/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decode and prefill attention share, whatever the pages hold: rows of a tile are (token,
 * query head) pairs of one kv head, so that grouped heads read K and V once; a warp has 16 rows.
 * Scores of a tile of positions by mma, an online softmax in f32 (Milakov and Gimelshein 2018), and
 * the products with V by mma again, with the scores' fragments as operands (FlashAttention-2, Dao
 * 2023). Queries become f16, whatever type activations have.
 *
 * Fragments (PTX ISA, mma.m16n8k16): lane 4 g + t holds rows g and g + 8 of the result, columns 2 t
 * and 2 t + 1 of each tile of 8.
 *
 * Pages is what knows a KV format at one head size: f16_pages.cuh, and i8_pages.cuh of cuda-kvint8.
 *
 *     head_dim                      of the instance; heads may be smaller
 *     row, pair                     elements from row to row of queries and results in shared
 *                                   memory, and how chunk_at pairs such rows at 96
 *     step                          columns of the head, by 16, that score_step takes at once
 *     decode_stages, prefill_stages
 *     position_bytes                a position of K and V in a stage
 *     rows                          softmax_rows, with what else a lane keeps
 *     record_bytes(a)               a kv head's part of a block
 *     fetch<Tokens>                 positions [first, first + Tokens) by cp.async; those from end
 *                                   on, and columns behind the head, become zero and are not read
 *     query_fragment, open          before the first tile; open sees all of a row's query
 *     score_step, end_scores        score += q k^T; what the sums lack to be scores
 *     add_values                    sums = shrink * sums + weights V
 *     end_values, put               sums as they are meant; a row of them to memory
 */
#ifndef TN_PLUGINS_CUDA_FP16_KERNELS_ATTENTION_CUH
#define TN_PLUGINS_CUDA_FP16_KERNELS_ATTENTION_CUH

#include "plugins/cuda-fp16/kernels/value.cuh"
#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

namespace fp16
{

constexpr int attention_threads = 128, attention_warps = 4;

/* Row and column of the i-th 16-byte chunk of rows of halves, as neighbouring lanes take them. At
 * 96, 8 lanes take 4 chunks of rows r and r + pair, half a turn of the banks away: so they meet
 * every bank once too. */
struct chunk_place {
    int row, column;
};
template <class Pages> SIMT_DEVICE chunk_place chunk_at(int i)
{
    constexpr int chunks = Pages::head_dim / 8, pair = Pages::pair;
    if (chunks % 8 == 0)
        return { i / chunks, i % chunks * 8 };
    static_assert(chunks % 8 == 0 || (chunks == 12 && pair * Pages::row * 2 % 128 == 64),
                  "64, 96, 128, 256");
    const int group = i % 96 / 8, row = group / 3;
    return { i / 96 * 8 + row / pair * 2 * pair + row % pair + i % 8 / 4 * pair,
             (group % 3 * 4 + i % 4) * 8 };
}

/* One sequence and kv head, as a block sees it. */
struct attention_place {
    const int32_t *table;
    const uint8_t *head; /* the kv head's record of block 0 */
    int kv_head;
    int kv_len, q_len, q_first, group; /* group: query heads a kv head */
    int block_log2;                    /* of the tokens of a block */
};

template <class Pages>
SIMT_DEVICE attention_place place_of(const fp16_attention_args &a, int sequence, int kv_head)
{
    attention_place at;
    at.table = a.table + static_cast<int64_t>(sequence) * a.table_stride;
    at.head = a.kv + static_cast<int64_t>(kv_head) * Pages::record_bytes(a);
    at.kv_head = kv_head;
    at.kv_len = ldg(&a.kv_len[sequence]);
    at.q_first = ldg(&a.q_start[sequence]);
    at.q_len = ldg(&a.q_start[sequence + 1]) - at.q_first;
    at.group = a.heads / a.kv_heads;
    at.block_log2 = __ffs(a.block_tokens) - 1;
    return at;
}

/* Where the kv head's record of a position's block begins. */
SIMT_DEVICE const uint8_t *record_of(const fp16_attention_args &a, const attention_place &at,
                                     int position)
{
    const uint64_t block = static_cast<uint64_t>(ldg(&at.table[position >> at.block_log2]));
    return at.head + block * a.kv_block_bytes;
}

/* First position that a query at `position` sees. */
SIMT_DEVICE int window_start(const fp16_attention_args &a, int position)
{
    return a.window > 0 ? max(0, position - a.window + 1) : 0;
}

/* Rows [row0, row0 + n_rows) of (token, query head) as f16 into shared rows; rows from the
 * sequence's end on become zero. */
template <class T, class Pages>
SIMT_DEVICE void load_queries(const fp16_attention_args &a, const attention_place &at, int row0,
                              int n_rows, half *queries)
{
    constexpr int chunks = Pages::head_dim / 8;
    for (int i = static_cast<int>(threadIdx.x); i < n_rows * chunks; i += attention_threads) {
        const chunk_place to = chunk_at<Pages>(i);
        const int row = row0 + to.row;
        uint4 words = make_uint4(0, 0, 0, 0);
        if (row < at.q_len * at.group && to.column < a.head_dim) {
            float q[8];
            widen8<T>(ldg128(static_cast<const T *>(a.q) +
                             (at.q_first + row / at.group) * a.q_stride +
                             (at.kv_head * at.group + row % at.group) * a.head_dim + to.column),
                      q);
            words = narrow8<half>(q);
        }
        sts128(queries + to.row * Pages::row + to.column, words);
    }
}

/* What a lane knows of its rows g and g + 8: the positions they see, factors of scores, and the
 * state of their softmax. `largest` is in units of log2; what `sum` and `total` had before the last
 * tile counts `shrink` times. */
template <int HeadDim> struct softmax_rows {
    int first[2], last[2];
    float scale[2], largest[2], total[2], shrink[2];
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
 * of the warp see all positions), then powers of two relative to the largest so far. */
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
        s->shrink[h] = shrink;
        s->total[h] = s->total[h] * shrink + total; /* of this lane's columns; joined at the end */
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

template <int HeadDim> SIMT_DEVICE void scale_sums(const float *by, softmax_rows<HeadDim> *s)
{
    SIMT_UNROLL
    for (int n = 0; n < HeadDim / 8; n++) {
        SIMT_UNROLL
        for (int i = 0; i < 4; i++)
            s->sum[n][i] *= by[i / 2];
    }
}

/* The warp's rows against Tokens positions from `first`, which lie from row `row` on in a stage for
 * Stage. Queries' fragments: q, or, where they are not KeptQ, read again from row query_row. */
template <class Pages, int Tokens, int Stage, bool KeptQ>
SIMT_DEVICE void attend_tile(const fp16_attention_args &a, int first, unsigned char *stage, int row,
                             half *queries, int query_row, uint32_t (*q)[4],
                             typename Pages::rows *s)
{
    float score[Tokens / 8][4] = {};
    SIMT_UNROLL
    for (int k16 = 0; k16 < Pages::head_dim / 16; k16 += Pages::step) {
        SIMT_UNROLL
        for (int i = 0; i < Pages::step && !KeptQ; i++)
            Pages::query_fragment(queries, query_row, k16 + i, q[i]);
        Pages::template score_step<Tokens>(q + (KeptQ ? k16 : 0), stage, row, k16, score);
    }
    Pages::template end_scores<Tokens, Stage>(a, stage, row, score, s);
    softmax_step<Pages::head_dim, Tokens>(a, first, score, s);
    Pages::template add_values<Tokens, Stage>(a, stage, row, score, s);
}

/* Tiles of Tokens positions from begin, a multiple of Tokens, through the stages in shared memory:
 * ready() once the first ones are on their way, use(first, stage) for each. */
template <class Pages, int Tokens, int Stages, class Ready, class Use>
SIMT_DEVICE void over_tiles(const fp16_attention_args &a, const attention_place &at, int begin,
                            int end, unsigned char *stages, Ready ready, Use use)
{
    constexpr int ahead = Stages > 1 ? Stages - 1 : 1;
    auto stage_of = [&](int first) {
        return stages + first / Tokens % Stages * (Tokens * Pages::position_bytes);
    };
    auto fetch = [&](int first) {
        if (first < end)
            Pages::template fetch<Tokens>(a, at, first, end, stage_of(first));
        cp_async_commit(); // also when empty, so that the waits count alike
    };
    for (int i = 0; i < ahead; i++)
        fetch(begin + i * Tokens);
    ready();
    for (int first = begin; first < end; first += Tokens) {
        if (Stages > 1)
            fetch(first + ahead * Tokens);
        cp_async_wait<Stages - 1>();
        __syncthreads();
        use(first, stage_of(first));
        __syncthreads();
        if (Stages == 1)
            fetch(first + Tokens);
    }
    cp_async_wait<0>();
}

/* The instance of a launcher for the type of the activations and the smallest head size that holds
 * the model's. */
template <template <class, int> class Launch, class T>
static void launch_head_size(const fp16_attention_args &a, cudaStream_t stream)
{
    if (a.head_dim <= 64)
        Launch<T, 64>::run(a, stream);
    else if (a.head_dim <= 96)
        Launch<T, 96>::run(a, stream);
    else if (a.head_dim <= 128)
        Launch<T, 128>::run(a, stream);
    else
        Launch<T, 256>::run(a, stream);
}

template <template <class, int> class Launch>
static int launch_instance(const fp16_attention_args &a, cudaStream_t stream)
{
    if (a.dtype == TN_BF16)
        launch_head_size<Launch, __nv_bfloat16>(a, stream);
    else
        launch_head_size<Launch, half>(a, stream);
    return cudaGetLastError();
}

} // namespace fp16

#endif
