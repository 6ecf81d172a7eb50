/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KV formats i8 and i8-static for cuda-fp16's attention. No value of K or V is ever made: with u' =
 * code - 128, an integer that f16 holds exactly, and z' = zero + 128 scale (i8) or zp (i8-static),
 * a value is scale u' + z', so that
 *
 *     q k = scale_k (sum q u') + z'_k (sum q)            sum q once a row
 *     sum p v = sum (p scale_v) u' + sum p z'_v          the last one the same for all columns
 *
 * p scale_v becomes an operand in f16 relative to `unit`, the tile's largest scale_v, which the
 * sums carry in f32: scales of some 1e-3 times weights of some 1e-3 would underflow.
 *
 * Codes become halves two at a time: the byte under 0x64 is 1024 + code (TurboMind's
 * quantization.h; NVIDIA's FasterTransformer before it), less 1152.
 *
 * Fragments: an ldmatrix takes codes two by two, as if they were halves. Of K, lane 4 g + t gets
 * columns 4 t ... 4 t + 3 of row g where the product's k has 2 t, 2 t + 1, 2 t + 8, 2 t + 9: a sum
 * may be taken in any order, so the queries' fragments have the same columns there. Of V,
 * transposed, it gets columns 2 g and 2 g + 1 of rows 2 t and 2 t + 1: even columns make one
 * product and odd ones another, so that of 16 columns a lane's results are 4 t ... 4 t + 3.
 *
 * A stage has K[Tokens][HeadDim + 16] V[Tokens][HeadDim + 16] of codes, an odd number of 16-byte
 * chunks a row for ldmatrix, then {scale, zero} of K and of V (i8).
 */
#ifndef TN_PLUGINS_CUDA_KVINT8_KERNELS_I8_PAGES_CUH
#define TN_PLUGINS_CUDA_KVINT8_KERNELS_I8_PAGES_CUH

#include "plugins/cuda-fp16/kernels/attention.cuh"

namespace kvint8
{

using namespace fp16;

/* Two codes less 128, as halves; Selector: prmt's, of the two bytes and 0x64 between. */
template <uint32_t Selector> SIMT_DEVICE uint32_t centred(uint32_t codes)
{
    const uint32_t raised = prmt(codes, 0x64646464u, Selector), middle = 0x64806480u; /* 1152 */
    const half2 difference = __hsub2(*reinterpret_cast<const half2 *>(&raised),
                                     *reinterpret_cast<const half2 *>(&middle));
    return *reinterpret_cast<const uint32_t *>(&difference);
}
enum : uint32_t { bytes_01 = 0x4140, bytes_23 = 0x4342, bytes_02 = 0x4240, bytes_13 = 0x4341 };

/* chunk_at for rows of codes: 8 lanes take a whole row of 128, 4 chunks of rows r and r + 4 at 64,
 * 2 of each other row of 8 at 96, and so meet every bank once. */
template <int HeadDim> SIMT_DEVICE chunk_place codes_at(int i)
{
    constexpr int chunks = HeadDim / 16;
    static_assert(chunks % 8 == 0 || chunks == 4 || chunks == 6, "64, 96, 128, 256");
    const int group = i % (8 * chunks) / 8, row0 = i / (8 * chunks) * 8;
    if (chunks == 4)
        return { row0 + group + i % 8 / 4 * 4, i % 4 * 16 };
    if (chunks == 6)
        return { row0 + group / 3 + i % 8 / 2 * 2, (group % 3 * 2 + i % 2) * 16 };
    return { i / chunks, i % chunks * 16 };
}

template <int HeadDim> struct i8_pages {
    static constexpr int head_dim = HeadDim, row = HeadDim + 16, pair = 2, step = 2;
    static constexpr int decode_stages = HeadDim > 128 ? 2 : 3, prefill_stages = 2;
    static constexpr int code_row = HeadDim + 16, position_bytes = 2 * code_row + 8;

    struct rows : softmax_rows<HeadDim> {
        float query_sum[2], zero_sum[2]; /* zero_sum: of this lane's positions */
        float unit;
        float4 fixed; /* i8-static: scale and zp of K, of V */
    };

    SIMT_DEVICE int64_t record_bytes(const fp16_attention_args &a)
    {
        return static_cast<int64_t>(2 * a.block_tokens) * (a.head_dim + (a.kv_static ? 0 : 4));
    }

    template <int Tokens>
    SIMT_DEVICE void fetch(const fp16_attention_args &a, const attention_place &at, int first,
                           int end, unsigned char *stage)
    {
        fetch_codes<Tokens>(a, at, first, end, stage);
        if (!a.kv_static)
            fetch_params<Tokens>(a, at, first, end, stage);
    }

    template <int Tokens>
    SIMT_DEVICE void fetch_codes(const fp16_attention_args &a, const attention_place &at, int first,
                                 int end, unsigned char *stage)
    {
        const int thread = static_cast<int>(threadIdx.x), values = a.block_tokens * a.head_dim;
        for (int i = thread; i < Tokens * HeadDim / 16; i += attention_threads) {
            const chunk_place from = codes_at<HeadDim>(i);
            const int position = first + from.row;
            const uint8_t *k = a.kv;
            int n_bytes = 0, to_values = 0;
            if (position < end && from.column < a.head_dim) {
                k = record_of(a, at, position) + (position & (a.block_tokens - 1)) * a.head_dim +
                    from.column;
                n_bytes = min(16, a.head_dim - from.column);
                to_values = values;
            }
            unsigned char *to = stage + from.row * code_row + from.column;
            copy_chunk(a, to, k, n_bytes);
            copy_chunk(a, to + Tokens * code_row, k + to_values, n_bytes);
        }
    }

    /* {scale, zero} of the positions, of K and of V. */
    template <int Tokens>
    SIMT_DEVICE void fetch_params(const fp16_attention_args &a, const attention_place &at,
                                  int first, int end, unsigned char *stage)
    {
        const int thread = static_cast<int>(threadIdx.x), values = a.block_tokens * a.head_dim;
        /* K's by one warp, V's by the next; a lane's 1 or 2 tokens are of one block. */
        constexpr int a_lane = Tokens / 32;
        static_assert(a_lane == 1 || a_lane == 2, "4 or 8 bytes");
        const int which = thread / 32, token = thread % 32 * a_lane, position = first + token;
        if (which > 1)
            return;
        const uint8_t *from = a.kv;
        int n_bytes = 0;
        if (position < end) {
            from = record_of(a, at, position) + 2 * values +
                   (which * a.block_tokens + (position & (a.block_tokens - 1))) * 4;
            n_bytes = min(a_lane, end - position) * 4;
        }
        unsigned char *to = stage + 2 * Tokens * code_row + (which * Tokens + token) * 4;
        if (a_lane == 2)
            cp_async8(to, from, n_bytes);
        else
            cp_async4(to, from, n_bytes);
    }

    /* Rows of a head size that is an odd multiple of 8 begin at multiples of 8 bytes. */
    SIMT_DEVICE void copy_chunk(const fp16_attention_args &a, unsigned char *to,
                                const uint8_t *from, int n_bytes)
    {
        if (a.head_dim % 16 == 0) {
            cp_async16(to, from, n_bytes);
            return;
        }
        cp_async8(to, from, min(n_bytes, 8));
        cp_async8(to + 8, n_bytes > 8 ? from + 8 : from, max(n_bytes - 8, 0));
    }

    SIMT_DEVICE void query_fragment(half *queries, int row0, int k16, uint32_t *q)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        half *from = queries + (row0 + lane / 4) * row + k16 * 16 + lane % 4 * 4;
        const uint2 upper = lds(reinterpret_cast<const uint2 *>(from));
        const uint2 lower = lds(reinterpret_cast<const uint2 *>(from + 8 * row));
        q[0] = upper.x;
        q[1] = lower.x;
        q[2] = upper.y;
        q[3] = lower.y;
    }

    SIMT_DEVICE void open(const fp16_attention_args &a, const attention_place &at, half *queries,
                          int row0, rows *s)
    {
        float sum[2] = { 0.0f, 0.0f };
        SIMT_UNROLL
        for (int k16 = 0; k16 < HeadDim / 16; k16++) {
            uint32_t q[4];
            query_fragment(queries, row0, k16, q);
            SIMT_UNROLL
            for (int i = 0; i < 4; i++) {
                const float2 two = value<half>::widen2(q[i]);
                sum[i % 2] += two.x + two.y;
            }
        }
        SIMT_UNROLL
        for (int h = 0; h < 2; h++) {
            s->query_sum[h] = quad_sum(sum[h]);
            s->zero_sum[h] = 0.0f;
        }
        s->unit = 1.0f;
        s->fixed = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (a.kv_static) {
            const int set = a.n_kv_static == 1 ? 0 : at.kv_head;
            s->fixed = ldg(reinterpret_cast<const float4 *>(a.kv_static) + set);
        }
    }

    /* Scales and z' of the lane's columns 2 t and 2 t + 1 of a tile of 8 positions from row on. */
    struct params {
        float scale[2], zero[2];
    };
    template <int Stage>
    SIMT_DEVICE params params_of(const fp16_attention_args &a, unsigned char *stage, bool is_value,
                                 int row0, const rows *s)
    {
        if (a.kv_static) {
            const float scale = is_value ? s->fixed.z : s->fixed.x;
            const float zero = is_value ? s->fixed.w : s->fixed.y;
            return { { scale, scale }, { zero, zero } };
        }
        const int lane = static_cast<int>(threadIdx.x) % 32;
        const uint2 words = lds(reinterpret_cast<const uint2 *>(
            stage + 2 * Stage * code_row + (is_value * Stage + row0 + lane % 4 * 2) * 4));
        const float2 first = value<half>::widen2(words.x), second = value<half>::widen2(words.y);
        return { { first.x, second.x },
                 { first.y + 128.0f * first.x, second.y + 128.0f * second.x } };
    }

    template <int Tokens>
    SIMT_DEVICE void score_step(uint32_t (*q)[4], unsigned char *stage, int row0, int k16,
                                float (*score)[4])
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        SIMT_UNROLL
        for (int n = 0; n < Tokens / 8; n += 2) {
            uint32_t k[4]; /* of two tiles of positions, then 16 columns on */
            ldmatrix_x4(k, stage + (row0 + n * 8 + lane % 16) * code_row + (k16 + lane / 16) * 16);
            SIMT_UNROLL
            for (int i = 0; i < 4; i++) {
                const uint32_t b[2] = { centred<bytes_01>(k[i]), centred<bytes_23>(k[i]) };
                mma_16816_f16(score[n + i % 2], q[i / 2], b);
            }
        }
    }

    template <int Tokens, int Stage>
    SIMT_DEVICE void end_scores(const fp16_attention_args &a, unsigned char *stage, int row0,
                                float (*score)[4], rows *s)
    {
        SIMT_UNROLL
        for (int n = 0; n < Tokens / 8; n++) {
            const params k = params_of<Stage>(a, stage, false, row0 + n * 8, s);
            SIMT_UNROLL
            for (int i = 0; i < 4; i++)
                score[n][i] = k.scale[i % 2] * score[n][i] + k.zero[i % 2] * s->query_sum[i / 2];
        }
    }

    /* Largest scale_v of the tile. */
    template <int Tokens, int Stage>
    SIMT_DEVICE float largest_scale(const fp16_attention_args &a, unsigned char *stage, int row0,
                                    const rows *s)
    {
        float largest = 0.0f;
        SIMT_UNROLL
        for (int n = 0; n < Tokens / 8; n++) {
            const params v = params_of<Stage>(a, stage, true, row0 + n * 8, s);
            largest = fmaxf(largest, fmaxf(v.scale[0], v.scale[1]));
        }
        return quad_max(largest);
    }

    /* The sums follow to another unit. */
    SIMT_DEVICE void shrink_to(float unit, float inverse, rows *s)
    {
        float shrink[2];
        SIMT_UNROLL
        for (int h = 0; h < 2; h++) {
            s->zero_sum[h] *= s->shrink[h];
            shrink[h] = s->shrink[h] * (s->unit * inverse);
        }
        scale_sums(shrink, s);
        s->unit = unit;
    }

    /* Two weights p become w = p scale / unit in f16. What that rounding is off by in units of p is
     * added to p in the sum of z' as well, so that it counts times the value, not times its two
     * parts, which may be far larger; but not where w is subnormal and p hardly depends on it.
     * by_p: unit / scale. */
    SIMT_DEVICE uint32_t fold(const float *p, const params &v, const float *by_p, float inverse,
                              float *zero_sum)
    {
        const float w[2] = { p[0] * (v.scale[0] * inverse), p[1] * (v.scale[1] * inverse) };
        const uint32_t word = value<half>::narrow2(w[0], w[1]);
        const float2 rounded = value<half>::widen2(word);
        const float off[2] = { rounded.x - w[0], rounded.y - w[1] };
        SIMT_UNROLL
        for (int i = 0; i < 2; i++)
            *zero_sum += (w[i] >= 0x1p-14f ? p[i] + off[i] * by_p[i] : p[i]) * v.zero[i];
        return word;
    }

    template <int Tokens, int Stage>
    SIMT_DEVICE void add_values(const fp16_attention_args &a, unsigned char *stage, int row0,
                                float (*weight)[4], rows *s)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        unsigned char *values = stage + (Stage + row0) * code_row;
        const float largest = largest_scale<Tokens, Stage>(a, stage, row0, s);
        const float unit = largest > 0.0f ? largest : 1.0f, inverse = __fdividef(1.0f, unit);
        shrink_to(unit, inverse, s);
        SIMT_UNROLL
        for (int k16 = 0; k16 < Tokens / 16; k16++) {
            uint32_t p[4];
            SIMT_UNROLL
            for (int i = 0; i < 2; i++) {
                const int n = 2 * k16 + i;
                const params v = params_of<Stage>(a, stage, true, row0 + n * 8, s);
                const float by_p[2] = { __fdividef(unit, v.scale[0]),
                                        __fdividef(unit, v.scale[1]) };
                SIMT_UNROLL
                for (int h = 0; h < 2; h++)
                    p[2 * i + h] = fold(&weight[n][2 * h], v, by_p, inverse, &s->zero_sum[h]);
            }
            SIMT_UNROLL
            for (int n16 = 0; n16 < HeadDim / 16; n16 += 2) {
                uint32_t v[4]; /* of 8 positions, the 8 after them, and 16 columns on */
                ldmatrix_x4_trans(v, values + (k16 * 16 + lane % 16) * code_row +
                                         (n16 + lane / 16) * 16);
                SIMT_UNROLL
                for (int i = 0; i < 2; i++) {
                    const uint32_t even[2] = { centred<bytes_02>(v[2 * i]),
                                               centred<bytes_02>(v[2 * i + 1]) };
                    const uint32_t odd[2] = { centred<bytes_13>(v[2 * i]),
                                              centred<bytes_13>(v[2 * i + 1]) };
                    mma_16816_f16(s->sum[2 * (n16 + i)], p, even);
                    mma_16816_f16(s->sum[2 * (n16 + i) + 1], p, odd);
                }
            }
        }
    }

    SIMT_DEVICE void end_values(rows *s)
    {
        float zero[2];
        SIMT_UNROLL
        for (int h = 0; h < 2; h++)
            zero[h] = quad_sum(s->zero_sum[h]);
        SIMT_UNROLL
        for (int n = 0; n < HeadDim / 8; n++) {
            SIMT_UNROLL
            for (int i = 0; i < 4; i++)
                s->sum[n][i] = s->sum[n][i] * s->unit + zero[i / 2];
        }
    }

    SIMT_DEVICE void put(const rows *s, int h, float *to)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        SIMT_UNROLL
        for (int n = 0; n < HeadDim / 8; n += 2)
            sts(reinterpret_cast<float4 *>(to + n * 8 + lane % 4 * 4),
                make_float4(s->sum[n][2 * h], s->sum[n + 1][2 * h], s->sum[n][2 * h + 1],
                            s->sum[n + 1][2 * h + 1]));
    }
    template <class T> SIMT_DEVICE void put_narrow(const rows *s, int h, T *to)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        SIMT_UNROLL
        for (int n = 0; n < HeadDim / 8; n += 2)
            sts(reinterpret_cast<uint2 *>(to + n * 8 + lane % 4 * 4),
                make_uint2(value<T>::narrow2(s->sum[n][2 * h], s->sum[n + 1][2 * h]),
                           value<T>::narrow2(s->sum[n][2 * h + 1], s->sum[n + 1][2 * h + 1])));
    }
};

} // namespace kvint8

#endif
