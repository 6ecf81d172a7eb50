/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qk_norm, rope, kv_write and all three at once: each head of q, k and v goes through the steps
 * that its op has. Pages is what writes a head to the pool, by its format: f16 in rope.cu, i8 in
 * that of cuda-kvint8.
 */
#ifndef TN_PLUGINS_CUDA_FP16_KERNELS_ROPE_CUH
#define TN_PLUGINS_CUDA_FP16_KERNELS_ROPE_CUH

#include "plugins/cuda-fp16/kernels/value.cuh"
#include "plugins/cuda-fp16/launch.h"

#include <tenon/plugin.h>

namespace fp16
{

constexpr int rope_threads = 128, rope_warps = 4;
constexpr int rope_pairs = FP16_MAX_HEAD_DIM / 2 / 32; // most pairs of a lane

// Sine and cosine of an f32 angle below some 2^20: Cody and Waite 1980, pi/2 in three parts (those
// of CUDA's own sinf), then the polynomials of Cephes' sinf and cosf on [-pi/4, pi/4]: within 2
// units of f32. CUDA's sincosf reduces large angles through local memory, which would be stack.
SIMT_DEVICE void sine_cosine(float angle, float *sine, float *cosine)
{
    const float k = rintf(angle * 0.636619772f);
    float r = __fmaf_rn(k, -1.57079601e+00f, angle);
    r = __fmaf_rn(k, -3.13916473e-07f, r);
    r = __fmaf_rn(k, -5.39030253e-15f, r);
    const float z = r * r;
    const float s = r + r * z * (-1.6666654611e-1f + z * (8.3321608736e-3f - z * 1.9515295891e-4f));
    const float c =
        1.0f - 0.5f * z +
        z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
    const int quadrant = static_cast<int>(k) & 3;
    const float first = quadrant & 1 ? c : s, second = quadrant & 1 ? s : c;
    *sine = quadrant & 2 ? -first : first;
    *cosine = (quadrant + 1) & 2 ? -second : second;
}

// Sequence of a token, or -1 for padding: q_start ascends.
SIMT_DEVICE int sequence_of(const fp16_rope_args &a, int token)
{
    int low = 0, high = a.n_seqs;
    if (high < 1 || token < ldg(&a.q_start[0]) || token >= ldg(&a.q_start[high]))
        return -1;
    while (high - low > 1) {
        const int middle = low + (high - low) / 2;
        if (ldg(&a.q_start[middle]) <= token)
            low = middle;
        else
            high = middle;
    }
    return ldg(&a.kv_len[low]) > 0 ? low : -1;
}

// Where the two elements of pair p of a head lie: the rotated ones first, then the rest by twos.
struct pair_place {
    int first, second;
};
SIMT_DEVICE pair_place place_of(const fp16_rope_args &a, int p)
{
    const int half_rotary = a.rotary_dim / 2;
    if (p < half_rotary && a.pairing == TN_ROPE_HALVES)
        return { p, p + half_rotary };
    return { 2 * p, 2 * p + 1 };
}

template <class T> SIMT_DEVICE float2 load_pair(const T *head, pair_place at)
{
    if (at.second == at.first + 1 && at.first % 2 == 0)
        return value<T>::widen2(ldg(reinterpret_cast<const uint32_t *>(head + at.first)));
    return make_float2(value<T>::widen(ldg(&head[at.first])),
                       value<T>::widen(ldg(&head[at.second])));
}

template <class T> SIMT_DEVICE void store_pair(T *head, pair_place at, float2 x)
{
    if (at.second == at.first + 1 && at.first % 2 == 0) {
        stg(reinterpret_cast<uint32_t *>(head + at.first), value<T>::narrow2(x.x, x.y));
        return;
    }
    stg(&head[at.first], value<T>::narrow(x.x));
    stg(&head[at.second], value<T>::narrow(x.y));
}

struct head_job {
    int which, head; // 0 q, 1 k, 2 v
};

template <class T>
SIMT_DEVICE const T *head_input(const fp16_rope_args &a, head_job job, int64_t token)
{
    const void *base = job.which == 0 ? a.q : job.which == 1 ? a.k : a.v;
    const int64_t stride = job.which == 0 ? a.q_stride : job.which == 1 ? a.k_stride : a.v_stride;
    return static_cast<const T *>(base) + token * stride + job.head * a.head_dim;
}

SIMT_DEVICE uint8_t *block_of(const fp16_rope_args &a, int slot)
{
    return a.kv + static_cast<uint64_t>(slot / a.block_tokens) * a.kv_block_bytes;
}

// Norm (w, or NULL; squares: sum of the head's) and rotation (frequencies, or NULL) of the lane's
// pairs.
SIMT_DEVICE void turn_pairs(const fp16_rope_args &a, const float *w, float squares,
                            const float *frequencies, float position, float2 *x)
{
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const float inverse = rsqrtf(__fdividef(squares, static_cast<float>(a.head_dim)) + a.eps);
    SIMT_UNROLL
    for (int i = 0; i < rope_pairs; i++) {
        const int p = lane + 32 * i;
        if (p >= a.head_dim / 2)
            break;
        if (w) {
            const pair_place at = place_of(a, p);
            x[i].x *= inverse * (ldg(&w[at.first]) + a.offset);
            x[i].y *= inverse * (ldg(&w[at.second]) + a.offset);
        }
        if (frequencies && p < a.rotary_dim / 2) {
            float sine, cosine;
            sine_cosine(position * ldg(&frequencies[p]), &sine, &cosine);
            sine *= a.mscale;
            cosine *= a.mscale;
            x[i] = make_float2(x[i].x * cosine - x[i].y * sine, x[i].x * sine + x[i].y * cosine);
        }
    }
}

// A warp a head of a token: grid (tokens, heads / 4), heads of q, then k, then v as far as the op
// has them. A lane owns pairs p = lane, lane + 32, ..., reads them all before it writes, so that
// output may be input.
template <class T, class Pages> SIMT_DEVICE void rope_block(const fp16_rope_args &a)
{
    const int token = static_cast<int>(blockIdx.x), lane = static_cast<int>(threadIdx.x) % 32;
    const int n_q = a.q ? a.heads : 0, n_k = a.k ? a.kv_heads : 0, n_v = a.v ? a.kv_heads : 0;
    int index = static_cast<int>(blockIdx.y) * rope_warps + static_cast<int>(threadIdx.x) / 32;
    if (index >= n_q + n_k + n_v)
        return;
    const head_job job = index < n_q         ? head_job{ 0, index }
                         : index < n_q + n_k ? head_job{ 1, index - n_q }
                                             : head_job{ 2, index - n_q - n_k };
    const T *from = head_input<T>(a, job, token);
    const int n_pairs = a.head_dim / 2;
    float2 x[rope_pairs];
    SIMT_UNROLL
    for (int i = 0; i < rope_pairs; i++)
        x[i] = lane + 32 * i < n_pairs ? load_pair(from, place_of(a, lane + 32 * i))
                                       : make_float2(0.0f, 0.0f);
    float squares = 0.0f;
    SIMT_UNROLL
    for (int i = 0; i < rope_pairs; i++)
        squares += x[i].x * x[i].x + x[i].y * x[i].y;
    squares = warp_sum(squares); // of use to norms only, but outside of every branch
    if (job.which < 2) {
        const float *frequencies = nullptr;
        float position = 0.0f;
        const int sequence = a.rotary_dim ? sequence_of(a, token) : -1;
        if (sequence >= 0) {
            frequencies = a.rope_table +
                          static_cast<int64_t>(ldg(&a.rope_index[sequence])) * (a.rotary_dim / 2);
            position = static_cast<float>(ldg(&a.pos[token]));
        }
        turn_pairs(a, job.which ? a.k_weight : a.q_weight, squares, frequencies, position, x);
    }
    T *to = static_cast<T *>(job.which == 0 ? a.q_out : job.which == 1 ? a.k_out : nullptr);
    if (to)
        to += token * (job.which ? a.k_out_stride : a.q_out_stride) + job.head * a.head_dim;
    SIMT_UNROLL
    for (int i = 0; i < rope_pairs; i++)
        if (to && lane + 32 * i < n_pairs)
            store_pair(to, place_of(a, lane + 32 * i), x[i]);
    const int slot = a.kv && job.which ? ldg(&a.slot[token]) : -1;
    if (slot >= 0)
        Pages::write(a, job, slot, x);
}

static inline dim3 rope_grid(const fp16_rope_args &a)
{
    const int heads = (a.q ? a.heads : 0) + (a.k ? a.kv_heads : 0) + (a.v ? a.kv_heads : 0);
    return dim3(static_cast<unsigned>(a.tokens),
                static_cast<unsigned>((heads + rope_warps - 1) / rope_warps));
}

} // namespace fp16

#endif
