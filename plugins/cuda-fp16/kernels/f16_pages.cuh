/* SPDX-License-Identifier: Apache-2.0 */
/* KV format f16 for attention.cuh: K[T][D] V[T][D] of each kv head. In shared memory rows have 16
 * bytes more than HeadDim halves: an odd number of 16-byte chunks, so that the 8 rows of an
 * ldmatrix meet every bank once. A stage has the rows of K, then those of V. */
#ifndef TN_PLUGINS_CUDA_FP16_KERNELS_F16_PAGES_CUH
#define TN_PLUGINS_CUDA_FP16_KERNELS_F16_PAGES_CUH

#include "plugins/cuda-fp16/kernels/attention.cuh"

namespace fp16
{

template <int HeadDim> struct f16_pages {
    static constexpr int head_dim = HeadDim, row = HeadDim + 8, pair = 4, step = 1;
    static constexpr int decode_stages = HeadDim > 128 ? 1 : 2;
    static constexpr int prefill_stages = HeadDim > 128 ? 1 : 2;
    using rows = softmax_rows<HeadDim>;

    static constexpr int position_bytes = 2 * row * 2;

    SIMT_DEVICE int64_t record_bytes(const fp16_attention_args &a)
    {
        return static_cast<int64_t>(4) * a.block_tokens * a.head_dim;
    }

    template <int Tokens>
    SIMT_DEVICE void fetch(const fp16_attention_args &a, const attention_place &at, int first,
                           int end, unsigned char *stage)
    {
        half *keys = reinterpret_cast<half *>(stage), *values = keys + Tokens * row;
        for (int i = static_cast<int>(threadIdx.x); i < Tokens * HeadDim / 8;
             i += attention_threads) {
            const chunk_place to = chunk_at<f16_pages>(i);
            const int position = first + to.row;
            const uint8_t *k = a.kv;
            int n_bytes = 0;
            if (position < end && to.column < a.head_dim) {
                k = record_of(a, at, position) +
                    ((position & (a.block_tokens - 1)) * a.head_dim + to.column) * 2;
                n_bytes = 16;
            }
            const uint8_t *v = k + (n_bytes ? a.block_tokens * a.head_dim * 2 : 0);
            cp_async16(keys + to.row * row + to.column, k, n_bytes);
            cp_async16(values + to.row * row + to.column, v, n_bytes);
        }
    }

    /* The four words of rows [row0, row0 + 16), columns [16 k16, 16 k16 + 16) of queries. */
    SIMT_DEVICE void query_fragment(half *queries, int row0, int k16, uint32_t *q)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        ldmatrix_x4(q, queries + (row0 + lane % 16) * row + (k16 * 2 + lane / 16) * 8);
    }

    SIMT_DEVICE void open(const fp16_attention_args &, const attention_place &, half *, int, rows *)
    {
    }

    /* Positions are the n of the product. */
    template <int Tokens>
    SIMT_DEVICE void score_step(uint32_t (*q)[4], unsigned char *stage, int row0, int k16,
                                float (*score)[4])
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        half *keys = reinterpret_cast<half *>(stage) + row0 * row;
        SIMT_UNROLL
        for (int n = 0; n < Tokens / 8; n += 2) {
            uint32_t k[4];
            ldmatrix_x4(k, keys + (n * 8 + lane / 16 * 8 + lane % 8) * row +
                               (k16 * 2 + lane / 8 % 2) * 8);
            mma_16816_f16(score[n], q[0], k);
            mma_16816_f16(score[n + 1], q[0], k + 2);
        }
    }

    template <int Tokens, int Stage>
    SIMT_DEVICE void end_scores(const fp16_attention_args &, unsigned char *, int, float (*)[4],
                                rows *)
    {
    }

    /* The weights' result fragments are the first operand as they lie, rounded to f16; V's rows are
     * the k of the product. */
    template <int Tokens, int Stage>
    SIMT_DEVICE void add_values(const fp16_attention_args &, unsigned char *stage, int row0,
                                float (*weight)[4], rows *s)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        half *values = reinterpret_cast<half *>(stage) + (Stage + row0) * row;
        scale_sums(s->shrink, s);
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
                ldmatrix_x4_trans(v, values + (k16 * 16 + lane % 16) * row + (n + lane / 16) * 8);
                mma_16816_f16(s->sum[n], p, v);
                mma_16816_f16(s->sum[n + 1], p, v + 2);
            }
        }
    }

    SIMT_DEVICE void end_values(rows *) {}

    /* The lane's columns of its row g + 8 h. */
    SIMT_DEVICE void put(const rows *s, int h, float *to)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        SIMT_UNROLL
        for (int n = 0; n < HeadDim / 8; n++)
            sts(reinterpret_cast<float2 *>(to + n * 8 + lane % 4 * 2),
                make_float2(s->sum[n][2 * h], s->sum[n][2 * h + 1]));
    }
    template <class T> SIMT_DEVICE void put_narrow(const rows *s, int h, T *to)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        SIMT_UNROLL
        for (int n = 0; n < HeadDim / 8; n++)
            sts(reinterpret_cast<uint32_t *>(to + n * 8 + lane % 4 * 2),
                value<T>::narrow2(s->sum[n][2 * h], s->sum[n][2 * h + 1]));
    }
};

} // namespace fp16

#endif
