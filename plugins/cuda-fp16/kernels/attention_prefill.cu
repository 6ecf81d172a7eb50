// SPDX-License-Identifier: Apache-2.0
// attention for sequences with several new tokens: a block takes 64 rows of (token, query head) of
// one kv head through all positions they see.
#include "plugins/cuda-fp16/kernels/attention.cuh"

namespace fp16
{

// Heads of up to 128: 64 positions a tile, two stages, queries in registers. 256: 32 positions, one
// stage, queries in shared memory, or the sums of 16 x 256 would not fit beside them.
template <int HeadDim> struct prefill_shape {
    static constexpr bool is_wide = HeadDim > 128;
    static constexpr int rows = 16 * attention_warps, tokens = is_wide ? 32 : 64;
    static constexpr int stages = is_wide ? 1 : 2;
    static constexpr int stage_rows = 2 * tokens;         // K and V
    static constexpr int query_rows = is_wide ? rows : 0; // else where stage 1 will be
    static constexpr int shared_bytes =
        (stages * stage_rows + query_rows) * shared_row_bytes<HeadDim>();
    static constexpr int query_row0 = is_wide ? stages * stage_rows : stage_rows;
};

// Each warp writes its 16 rows, whole sectors at a time, through its part of shared memory.
template <class T, int HeadDim>
SIMT_DEVICE void store_rows(const fp16_attention_args &a, const attention_place &at, int kv_head,
                            int row0, softmax_rows<HeadDim> *s, T *rows)
{
    const int lane = static_cast<int>(threadIdx.x) % 32;
    constexpr int stride = HeadDim + 8;
    SIMT_UNROLL
    for (int h = 0; h < 2; h++) {
        const float total = quad_sum(s->total[h]);
        const float inverse = total > 0.0f ? __fdividef(1.0f, total) : 0.0f;
        SIMT_UNROLL
        for (int n = 0; n < HeadDim / 8; n++)
            sts(reinterpret_cast<uint32_t *>(rows + (lane / 4 + 8 * h) * stride + n * 8 +
                                             lane % 4 * 2),
                value<T>::narrow2(s->sum[n][2 * h] * inverse, s->sum[n][2 * h + 1] * inverse));
    }
    __syncwarp();
    for (int i = lane; i < 16 * HeadDim / 8; i += 32) {
        const chunk_place from = chunk_at<HeadDim>(i);
        const int r = row0 + from.row;
        if (r < at.q_len * at.group && from.column < a.head_dim)
            stg128(static_cast<T *>(a.out) + (at.q_first + r / at.group) * a.out_stride +
                       (kv_head * at.group + r % at.group) * a.head_dim + from.column,
                   lds128(rows + from.row * stride + from.column));
    }
}

// Padding: rows of a sequence without positions are zero.
template <class T>
SIMT_DEVICE void clear_rows(const fp16_attention_args &a, const attention_place &at, int kv_head,
                            int row0, int n_rows)
{
    const int chunks = a.head_dim / 8;
    for (int i = static_cast<int>(threadIdx.x); i < n_rows * chunks; i += attention_threads) {
        const int r = row0 + i / chunks;
        if (r < at.q_len * at.group)
            stg128(static_cast<T *>(a.out) + (at.q_first + r / at.group) * a.out_stride +
                       (kv_head * at.group + r % at.group) * a.head_dim + i % chunks * 8,
                   make_uint4(0, 0, 0, 0));
    }
}

// A warp's 16 rows against one tile of positions. q: its queries' fragments; at head size 256 they
// are read again from shared memory.
template <int HeadDim>
SIMT_DEVICE void attend_tile(const fp16_attention_args &a, int first, half *keys, half *queries,
                             uint32_t (*q)[4], softmax_rows<HeadDim> *s)
{
    using shape = prefill_shape<HeadDim>;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    float score[shape::tokens / 8][4] = {};
    SIMT_UNROLL
    for (int k16 = 0; k16 < HeadDim / 16; k16++) {
        if (shape::is_wide)
            query_fragment<HeadDim>(queries, warp * 16, k16, q[0]);
        score_step<HeadDim, shape::tokens>(q[shape::is_wide ? 0 : k16], keys, k16, score);
    }
    softmax_step<HeadDim, shape::tokens>(a, first, score, s);
    value_step<HeadDim, shape::tokens>(score, shared_row<HeadDim>(keys, shape::tokens), s);
}

// Grid (row tiles of the longest sequence, last first as they are the heaviest; kv heads;
// sequences): blocks without work leave at once, so the grid may be that of a bucket.
// Operations: 4 * D a (row, position) seen. Bytes: K and V of what is seen, once a tile of 64 rows,
// from L2 after the first. Compute bound: 45-60 % of the tensor cores expected on sm_80 (reference,
// 2 v). Shared: 69 KB at D 128, 2 blocks a SM; 67 KB at 256.
template <class T, int HeadDim>
__global__ void __launch_bounds__(attention_threads) prefill_kernel(fp16_attention_args a)
{
    using shape = prefill_shape<HeadDim>;
    SHARED_DYN(half, rows);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int kv_head = static_cast<int>(blockIdx.y);
    const int row0 = static_cast<int>(gridDim.x - 1 - blockIdx.x) * shape::rows;
    const attention_place at = place_of(a, a.first_seq + static_cast<int>(blockIdx.z), kv_head);
    if (row0 >= at.q_len * at.group)
        return;
    if (at.kv_len <= 0) {
        clear_rows<T>(a, at, kv_head, row0, shape::rows);
        return;
    }
    half *queries = shared_row<HeadDim>(rows, shape::query_row0);
    load_queries<T, HeadDim>(a, at, kv_head, row0, shape::rows, queries);
    __syncthreads();
    uint32_t q[shape::is_wide ? 1 : HeadDim / 16][4];
    if (!shape::is_wide) {
        SIMT_UNROLL
        for (int k16 = 0; k16 < HeadDim / 16; k16++)
            query_fragment<HeadDim>(queries, warp * 16, k16, q[shape::is_wide ? 0 : k16]);
        __syncthreads(); // stage 1 comes over them
    }
    softmax_rows<HeadDim> s;
    open_rows<HeadDim>(a, at, row0 + warp * 16 + lane / 4, &s);

    const int past = at.kv_len - at.q_len;
    const int last_row = min(row0 + shape::rows, at.q_len * at.group) - 1;
    const int end = past + last_row / at.group + 1;
    const int begin = window_start(a, past + row0 / at.group) / shape::tokens * shape::tokens;
    auto fetch = [&](int first) {
        half *stage =
            shared_row<HeadDim>(rows, first / shape::tokens % shape::stages * shape::stage_rows);
        if (first < end)
            fetch_kv<HeadDim, shape::tokens>(a, at, first, end, stage,
                                             shared_row<HeadDim>(stage, shape::tokens));
        cp_async_commit(); // also when empty, so that the waits count alike
    };
    fetch(begin);
    for (int first = begin; first < end; first += shape::tokens) {
        if (shape::stages > 1)
            fetch(first + shape::tokens);
        cp_async_wait<shape::stages - 1>();
        __syncthreads();
        half *keys =
            shared_row<HeadDim>(rows, first / shape::tokens % shape::stages * shape::stage_rows);
        attend_tile<HeadDim>(a, first, keys, queries, q, &s);
        __syncthreads();
        if (shape::stages == 1)
            fetch(first + shape::tokens);
    }
    cp_async_wait<0>();
    store_rows<T, HeadDim>(a, at, kv_head, row0 + warp * 16, &s,
                           reinterpret_cast<T *>(shared_row<HeadDim>(rows, warp * 16)));
}

template <class T, int HeadDim>
static void launch_prefill(const fp16_attention_args &a, cudaStream_t stream)
{
    using shape = prefill_shape<HeadDim>;
    const int64_t most_rows = static_cast<int64_t>(a.max_q) * (a.heads / a.kv_heads);
    const dim3 grid(static_cast<unsigned>((most_rows + shape::rows - 1) / shape::rows),
                    static_cast<unsigned>(a.kv_heads), static_cast<unsigned>(a.n_seqs));
    LAUNCH((prefill_kernel<T, HeadDim>), grid, dim3(attention_threads), shape::shared_bytes, stream,
           a);
}

template <class T> static void launch_type(const fp16_attention_args &a, cudaStream_t stream)
{
    if (a.head_dim <= 64)
        launch_prefill<T, 64>(a, stream);
    else if (a.head_dim <= 96)
        launch_prefill<T, 96>(a, stream);
    else if (a.head_dim <= 128)
        launch_prefill<T, 128>(a, stream);
    else
        launch_prefill<T, 256>(a, stream);
}

} // namespace fp16

extern "C" int fp16_attention_prefill(const fp16_attention_args *args, void *stream)
{
    if (args->dtype == TN_BF16)
        fp16::launch_type<__nv_bfloat16>(*args, static_cast<cudaStream_t>(stream));
    else
        fp16::launch_type<half>(*args, static_cast<cudaStream_t>(stream));
    return cudaGetLastError();
}
