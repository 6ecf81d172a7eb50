/* SPDX-License-Identifier: Apache-2.0 */
/* KV formats i8 and i8-static for cuda-fp16's rope: what writes a head to the pool. */
#ifndef TN_PLUGINS_CUDA_KVINT8_KERNELS_I8_WRITER_CUH
#define TN_PLUGINS_CUDA_KVINT8_KERNELS_I8_WRITER_CUH

#include "plugins/cuda-fp16/kernels/rope.cuh"

namespace kvint8
{

using namespace fp16;

constexpr float largest_f16 = 65504.0f;

// x / y as division rounds it, for y and 1 / y that are normal numbers: the quotient by the rounded
// reciprocal, and one correction (Markstein 1990). Plain division is a call on a GPU.
SIMT_DEVICE float divide(float x, float y, float inverse)
{
    const float quotient = x * inverse;
    if (!(fabsf(quotient) <= 3.4e38f)) // there is nothing to correct
        return quotient;
    return __fmaf_rn(__fmaf_rn(-quotient, y, x), inverse, quotient);
}

SIMT_DEVICE uint8_t saturate(float code)
{
    return static_cast<uint8_t>(fminf(fmaxf(rintf(code), 0.0f), 255.0f)); // NaN: 0
}

// An f16 without infinities; NaN, the range of infinities, becomes 0.
SIMT_DEVICE half finite(float x)
{
    return __float2half_rn(x == x ? fminf(fmaxf(x, -largest_f16), largest_f16) : 0.0f);
}

SIMT_DEVICE float warp_max(float x)
{
    SIMT_UNROLL
    for (int step = 16; step > 0; step /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    return x;
}

// K[T][D] V[T][D] of codes, then {scale, zero} of K[T] and V[T] (i8), of each kv head: docs/
// numerics.md, "KV cache".
struct i8_writer {
    // A warp writes a head, so all of its lanes are here.
    SIMT_DEVICE void write(const fp16_rope_args &a, head_job job, int slot, const float2 *x)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32, is_value = job.which == 2;
        const int tokens = a.block_tokens, row = is_value * tokens + slot % tokens;
        uint8_t *record = block_of(a, slot) + static_cast<int64_t>(job.head) * 2 * tokens *
                                                  (a.head_dim + (a.kv_static ? 0 : 4));
        float scale, zero, middle = 0.0f;
        if (a.kv_static) {
            const int set = a.n_kv_static == 1 ? 0 : job.head;
            const float *from = a.kv_static + set * 4 + is_value * 2;
            scale = ldg(&from[0]);
            zero = ldg(&from[1]);
            middle = 128.0f;
        } else {
            const half2 word = measure(a, x);
            scale = __low2float(word);
            zero = __high2float(word);
            if (lane == 0)
                stg(reinterpret_cast<half2 *>(record + 2 * tokens * a.head_dim) + row, word);
        }
        const float inverse = scale == 0.0f ? 0.0f : __frcp_rn(scale);
        SIMT_UNROLL
        for (int i = 0; i < rope_pairs; i++) {
            const int p = lane + 32 * i;
            if (p >= a.head_dim / 2)
                break;
            const uint8_t first = saturate(rintf(divide(x[i].x - zero, scale, inverse)) + middle);
            const uint8_t second = saturate(rintf(divide(x[i].y - zero, scale, inverse)) + middle);
            put_pair(record + row * a.head_dim, place_of(a, p), first, second);
        }
    }

    // {scale, zero} of a head; NaN is left out, and a head of nothing else has 0.
    SIMT_DEVICE half2 measure(const fp16_rope_args &a, const float2 *x)
    {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        float low = INFINITY, high = -INFINITY;
        SIMT_UNROLL
        for (int i = 0; i < rope_pairs; i++)
            if (lane + 32 * i < a.head_dim / 2) {
                low = fminf(low, fminf(x[i].x, x[i].y));
                high = fmaxf(high, fmaxf(x[i].x, x[i].y));
            }
        low = -warp_max(-low);
        high = warp_max(high);
        if (!(low <= high))
            low = high = 0.0f;
        const float scale = divide(high - low, 255.0f, 1.0f / 255.0f);
        return __halves2half2(finite(scale), finite(low));
    }

    SIMT_DEVICE void put_pair(uint8_t *head, pair_place at, uint8_t first, uint8_t second)
    {
        if (at.second == at.first + 1 && at.first % 2 == 0) {
            stg(reinterpret_cast<uint16_t *>(head + at.first),
                static_cast<uint16_t>(first | second << 8));
            return;
        }
        stg(&head[at.first], first);
        stg(&head[at.second], second);
    }
};

} // namespace kvint8

#endif
