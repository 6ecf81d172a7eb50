/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attention for sequences with several new tokens, over pages of any format: a block takes 64 rows
 * of (token, query head) of one kv head through all positions they see.
 */
#ifndef TN_PLUGINS_CUDA_FP16_KERNELS_ATTENTION_PREFILL_CUH
#define TN_PLUGINS_CUDA_FP16_KERNELS_ATTENTION_PREFILL_CUH

#include "plugins/cuda-fp16/kernels/attention.cuh"

namespace fp16
{

// Heads of up to 128: 64 positions a tile, queries in registers. 256: 32 positions, queries in
// shared memory, or the sums of 16 x 256 would not fit beside them.
template <class Pages> struct prefill_shape {
    static constexpr bool is_wide = Pages::head_dim > 128;
    static constexpr int rows = 16 * attention_warps, tokens = is_wide ? 32 : 64;
    static constexpr int stages = Pages::prefill_stages;
    static constexpr int stages_bytes = stages * tokens * Pages::position_bytes;
    static constexpr int query_bytes = rows * Pages::row * 2;
    // Queries that are kept in registers lie where stages will be; so do the results.
    static constexpr int query_place = is_wide ? stages_bytes : 0;
    static constexpr int shared_bytes = stages_bytes + (is_wide ? query_bytes : 0);
    static_assert(query_bytes <= shared_bytes, "a row of results is as long as one of queries");
};

// Each warp writes its 16 rows, whole sectors at a time, through its part of shared memory.
template <class T, class Pages>
SIMT_DEVICE void store_rows(const fp16_attention_args &a, const attention_place &at, int row0,
                            typename Pages::rows *s, T *rows)
{
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float inverse[2];
    Pages::end_values(s);
    SIMT_UNROLL
    for (int h = 0; h < 2; h++) {
        const float total = quad_sum(s->total[h]);
        inverse[h] = total > 0.0f ? __fdividef(1.0f, total) : 0.0f;
    }
    scale_sums(inverse, s);
    SIMT_UNROLL
    for (int h = 0; h < 2; h++)
        Pages::put_narrow(s, h, rows + (lane / 4 + 8 * h) * Pages::row);
    __syncwarp();
    for (int i = lane; i < 16 * Pages::head_dim / 8; i += 32) {
        const chunk_place from = chunk_at<Pages>(i);
        const int r = row0 + from.row;
        if (r < at.q_len * at.group && from.column < a.head_dim)
            stg128(static_cast<T *>(a.out) + (at.q_first + r / at.group) * a.out_stride +
                       (at.kv_head * at.group + r % at.group) * a.head_dim + from.column,
                   lds128(rows + from.row * Pages::row + from.column));
    }
}

// Padding: rows of a sequence without positions are zero.
template <class T>
SIMT_DEVICE void clear_rows(const fp16_attention_args &a, const attention_place &at, int row0,
                            int n_rows)
{
    const int chunks = a.head_dim / 8;
    for (int i = static_cast<int>(threadIdx.x); i < n_rows * chunks; i += attention_threads) {
        const int r = row0 + i / chunks;
        if (r < at.q_len * at.group)
            stg128(static_cast<T *>(a.out) + (at.q_first + r / at.group) * a.out_stride +
                       (at.kv_head * at.group + r % at.group) * a.head_dim + i % chunks * 8,
                   make_uint4(0, 0, 0, 0));
    }
}

// Grid (row tiles of the longest sequence, last first as they are the heaviest; kv heads;
// sequences): blocks without work leave at once, so the grid may be that of a bucket.
template <class T, class Pages>
SIMT_DEVICE void prefill_block(const fp16_attention_args &a, unsigned char *shared)
{
    using shape = prefill_shape<Pages>;
    constexpr int kept = shape::is_wide ? Pages::step : Pages::head_dim / 16;
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int row0 = static_cast<int>(gridDim.x - 1 - blockIdx.x) * shape::rows;
    const attention_place at = place_of<Pages>(a, a.first_seq + static_cast<int>(blockIdx.z),
                                               static_cast<int>(blockIdx.y));
    if (row0 >= at.q_len * at.group)
        return;
    if (at.kv_len <= 0) {
        clear_rows<T>(a, at, row0, shape::rows);
        return;
    }
    half *queries = reinterpret_cast<half *>(shared + shape::query_place);
    typename Pages::rows s;
    uint32_t q[kept][4];
    open_rows<Pages::head_dim>(a, at, row0 + warp * 16 + lane / 4, &s);
    load_queries<T, Pages>(a, at, row0, shape::rows, queries);
    __syncthreads();
    Pages::open(a, at, queries, warp * 16, &s);
    if (!shape::is_wide) {
        SIMT_UNROLL
        for (int k16 = 0; k16 < kept; k16++)
            Pages::query_fragment(queries, warp * 16, k16, q[k16]);
        __syncthreads(); // stages come over them
    }

    const int past = at.kv_len - at.q_len;
    const int last_row = min(row0 + shape::rows, at.q_len * at.group) - 1;
    const int end = past + last_row / at.group + 1;
    const int begin = window_start(a, past + row0 / at.group) / shape::tokens * shape::tokens;
    auto use = [&](int first, unsigned char *stage) {
        attend_tile<Pages, shape::tokens, shape::tokens, !shape::is_wide>(
            a, first, stage, 0, queries, warp * 16, q, &s);
    };
    over_tiles<Pages, shape::tokens, shape::stages>(
        a, at, begin, end, shared, [] {}, use);
    T *rows = reinterpret_cast<T *>(shared) + warp * 16 * Pages::row;
    store_rows<T, Pages>(a, at, row0 + warp * 16, &s, rows);
}

// The grid of a launch.
template <class Pages> static dim3 prefill_grid(const fp16_attention_args &a)
{
    const int64_t most_rows = static_cast<int64_t>(a.max_q) * (a.heads / a.kv_heads);
    constexpr int rows = prefill_shape<Pages>::rows;
    return dim3(static_cast<unsigned>((most_rows + rows - 1) / rows),
                static_cast<unsigned>(a.kv_heads), static_cast<unsigned>(a.n_seqs));
}

} // namespace fp16

#endif
