/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attention for sequences with one new token, over pages of any format: positions are split over
 * blocks, within a block over the warps.
 */
#ifndef TN_PLUGINS_CUDA_FP16_KERNELS_ATTENTION_DECODE_CUH
#define TN_PLUGINS_CUDA_FP16_KERNELS_ATTENTION_DECODE_CUH

#include "plugins/cuda-fp16/kernels/attention.cuh"

namespace fp16
{

constexpr int decode_rows = FP16_DECODE_ROWS; // those that are not there are zero
constexpr int decode_warp_tokens = 16, decode_tokens = decode_warp_tokens * attention_warps;

template <class Pages> struct decode_shape {
    static constexpr int stages = Pages::decode_stages;
    static constexpr int stages_bytes = stages * decode_tokens * Pages::position_bytes;
    static constexpr int shared_bytes = stages_bytes + decode_rows * Pages::row * 2;
    static_assert(attention_warps * decode_rows * Pages::row * 4 <= stages_bytes,
                  "the warps' sums fit over the stages");
    static_assert(FP16_MAX_SPLITS * decode_rows * 8 <= stages_bytes,
                  "the splits' states fit over the stages");
};

// What a split leaves: head_dim sums of each head, and the largest score (in log2) and the total
// weight of each row of the block.
SIMT_DEVICE float *split_sums(const fp16_attention_args &a, int head, int split)
{
    const int64_t row = static_cast<int64_t>(blockIdx.z) * a.heads + head;
    return a.sums + (row * a.max_splits + split) * a.head_dim;
}
SIMT_DEVICE float2 *split_states(const fp16_attention_args &a, int split)
{
    const int64_t place = static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y;
    return reinterpret_cast<float2 *>(a.states) + (place * a.max_splits + split) * decode_rows;
}

// The state of a row for all four warps, of which each warp's sums count `weight` times.
// state: [warp][row].
SIMT_DEVICE float2 join_states(const float2 *state, int row, float *weight)
{
    float largest = -INFINITY, total = 0.0f;
    SIMT_UNROLL
    for (int w = 0; w < attention_warps; w++)
        largest = fmaxf(largest, lds(&state[w * decode_rows + row]).x);
    SIMT_UNROLL
    for (int w = 0; w < attention_warps; w++) {
        const float2 mine = lds(&state[w * decode_rows + row]);
        weight[w] = mine.x == -INFINITY ? 0.0f : exp2f(mine.x - largest);
        total += weight[w] * mine.y;
    }
    return make_float2(largest, total);
}

// The splits [first, first + n) of a block's rows, in ascending order, so that the result is the
// same each time: first each split's share of a row, in shares [n][decode_rows], then the sums.
template <class T>
SIMT_DEVICE void join_splits(const fp16_attention_args &a, int head0, int n_rows, int first, int n,
                             float2 *shares, T *out)
{
    const int thread = static_cast<int>(threadIdx.x);
    for (int i = thread; i < n * decode_rows; i += attention_threads)
        if (i % decode_rows < n_rows)
            sts(&shares[i], ldg(&split_states(a, first)[i]));
    __syncthreads();
    if (thread < n_rows) {
        float largest = -INFINITY, total = 0.0f;
        for (int k = 0; k < n; k++)
            largest = fmaxf(largest, lds(&shares[k * decode_rows + thread]).x);
        for (int k = 0; k < n; k++) {
            const float2 state = lds(&shares[k * decode_rows + thread]);
            total += exp2f(state.x - largest) * state.y;
        }
        for (int k = 0; k < n; k++) {
            float2 *share = &shares[k * decode_rows + thread];
            sts(share, make_float2(__fdividef(exp2f(lds(share).x - largest), total), 0.0f));
        }
    }
    __syncthreads();
    for (int i = thread; i < n_rows * a.head_dim; i += attention_threads) {
        const int row = i / a.head_dim, column = i % a.head_dim;
        float sum = 0.0f;
        for (int k = 0; k < n; k++)
            sum += lds(&shares[k * decode_rows + row]).x *
                   ldg(&split_sums(a, head0 + row, first + k)[column]);
        stg(&out[i], value<T>::narrow(sum));
    }
}

// The warps' state and sums into shared memory.
template <class Pages>
SIMT_DEVICE void leave_rows(typename Pages::rows *s, float *sums, float2 *state)
{
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    Pages::end_values(s);
    SIMT_UNROLL
    for (int h = 0; h < 2; h++) {
        const int row = warp * decode_rows + lane / 4 + 8 * h;
        const float total = quad_sum(s->total[h]);
        if (lane % 4 == 0)
            sts(&state[row], make_float2(s->largest[h], total));
        Pages::put(s, h, sums + row * Pages::row);
    }
}

// The block's part of the positions: [begin, end), begin at a tile; each warp takes 16 of a
// tile's 64. Queries lie behind the stages.
template <class T, class Pages>
SIMT_DEVICE void attend(const fp16_attention_args &a, const attention_place &at, int row0,
                        int begin, int end, unsigned char *shared, typename Pages::rows *s)
{
    using shape = decode_shape<Pages>;
    const int warp_row = static_cast<int>(threadIdx.x) / 32 * decode_warp_tokens;
    half *queries = reinterpret_cast<half *>(shared + shape::stages_bytes);
    auto ready = [&] {
        load_queries<T, Pages>(a, at, row0, decode_rows, queries);
        __syncthreads();
        Pages::open(a, at, queries, 0, s);
    };
    auto use = [&](int first, unsigned char *stage) {
        uint32_t q[Pages::step][4];
        attend_tile<Pages, decode_warp_tokens, decode_tokens, false>(a, first + warp_row, stage,
                                                                     warp_row, queries, 0, q, s);
    };
    over_tiles<Pages, decode_tokens, shape::stages>(a, at, begin, end, shared, ready, use);
}

// The result of the only split, or this split's share: from the warps' sums [warp][row][Pages::row]
// and states.
template <class T, class Pages>
SIMT_DEVICE void store_split(const fp16_attention_args &a, int head0, int n_rows, int split,
                             bool is_only, const float *sums, const float2 *state, T *out)
{
    const int thread = static_cast<int>(threadIdx.x);
    float weight[attention_warps];
    for (int i = thread; i < n_rows * a.head_dim; i += attention_threads) {
        const int row = i / a.head_dim, column = i % a.head_dim;
        const float2 all = join_states(state, row, weight);
        float sum = 0.0f;
        SIMT_UNROLL
        for (int w = 0; w < attention_warps; w++)
            sum += weight[w] * lds(&sums[(w * decode_rows + row) * Pages::row + column]);
        if (is_only)
            stg(&out[i], value<T>::narrow(__fdividef(sum, all.y)));
        else
            stg(&split_sums(a, head0 + row, split)[column], sum);
    }
    if (!is_only && thread < n_rows)
        stg(&split_states(a, split)[thread], join_states(state, thread, weight));
}

// Grid (splits, kv heads times their tiles of 16 query heads, sequences). A split covers
// split_tokens positions from a multiple of it, whatever the batch; blocks without positions leave
// at once, so the grid may be that of a bucket. The block that is last joins the splits; nobody
// waits.
template <class T, class Pages>
SIMT_DEVICE void decode_block(const fp16_attention_args &a, unsigned char *shared)
{
    SHARED_ARRAY(float2, state, attention_warps * decode_rows);
    const int thread = static_cast<int>(threadIdx.x), split = static_cast<int>(blockIdx.x);
    const int tiles = static_cast<int>(gridDim.y) / a.kv_heads;
    const int kv_head = static_cast<int>(blockIdx.y) / tiles;
    const int row0 = static_cast<int>(blockIdx.y) % tiles * decode_rows;
    const attention_place at =
        place_of<Pages>(a, a.first_seq + static_cast<int>(blockIdx.z), kv_head);
    const int n_rows = min(decode_rows, at.group - row0), head0 = kv_head * at.group + row0;
    T *out = static_cast<T *>(a.out) + at.q_first * a.out_stride + head0 * a.head_dim;
    if (at.kv_len <= 0) { // padding
        for (int i = thread; split == 0 && i < n_rows * a.head_dim; i += attention_threads)
            stg(&out[i], value<T>::narrow(0.0f));
        return;
    }
    const int begin = window_start(a, at.kv_len - 1);
    const int first_split = begin / a.split_tokens, last_split = (at.kv_len - 1) / a.split_tokens;
    if (split < first_split || split > last_split)
        return;

    typename Pages::rows s;
    open_rows<Pages::head_dim>(a, at, row0 + thread % 32 / 4, &s);
    attend<T, Pages>(a, at, row0,
                     max(split * a.split_tokens, begin / decode_tokens * decode_tokens),
                     min(at.kv_len, (split + 1) * a.split_tokens), shared, &s);
    float *sums = reinterpret_cast<float *>(shared);
    leave_rows<Pages>(&s, sums, state);
    __syncthreads();
    const int n_splits = last_split - first_split + 1;
    store_split<T, Pages>(a, head0, n_rows, split, n_splits == 1, sums, state, out);
    if (n_splits > 1 && block_is_last(&a.done[blockIdx.z * gridDim.y + blockIdx.y],
                                      static_cast<unsigned>(n_splits)))
        join_splits(a, head0, n_rows, first_split, n_splits, reinterpret_cast<float2 *>(shared),
                    out);
}

// The grid of a launch.
static inline dim3 decode_grid(const fp16_attention_args &a)
{
    const int tiles = fp16_decode_tiles(a.heads, a.kv_heads);
    return dim3(static_cast<unsigned>((a.max_kv + a.split_tokens - 1) / a.split_tokens),
                static_cast<unsigned>(a.kv_heads * tiles), static_cast<unsigned>(a.n_seqs));
}

} // namespace fp16

#endif
