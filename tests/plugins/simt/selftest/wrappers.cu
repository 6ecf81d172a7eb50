// SPDX-License-Identifier: Apache-2.0
// One kernel a wrapper: tests also count the PTX of each.
#include "plugins/cuda/simt/simt.h"
#include "tests/plugins/simt/selftest/cases.h"

#define SELFTEST_KERNEL(name)                                                                      \
    __global__ void __launch_bounds__(32) name##_kernel(const uint32_t *in, uint32_t *out)
#define LANE   const unsigned lane = threadIdx.x
#define INPUT  const uint32_t *mine = in + lane * WORDS_IN
#define OUTPUT uint32_t *to = out + lane * WORDS_OUT

static const unsigned all_lanes = 0xffffffffu;

SIMT_DEVICE void put128(uint32_t *to, uint4 v)
{
    to[0] = v.x;
    to[1] = v.y;
    to[2] = v.z;
    to[3] = v.w;
}

// ---- loads and copies ----

SELFTEST_KERNEL(ldg128_stream)
{
    LANE;
    INPUT;
    OUTPUT;
    put128(to, ldg128_stream(mine + 4));
}

SELFTEST_KERNEL(vectors_through_shared)
{
    SHARED_ARRAY(uint4, tile, LANES);
    LANE;
    INPUT;
    OUTPUT;
    sts128(&tile[lane], ldg128(mine));
    __syncwarp();
    stg128(to, lds128(&tile[31 - lane]));
}

template <int Bytes> SIMT_DEVICE void copy_some(unsigned char *dst, const void *src, int n_src)
{
    if (Bytes == 16)
        cp_async16(dst, src, n_src);
    else if (Bytes == 8)
        cp_async8(dst, src, n_src);
    else
        cp_async4(dst, src, n_src);
}

// Every number of source bytes, from 0 to all.
template <int Bytes> SIMT_DEVICE void copy_words(const uint32_t *in, uint32_t *out)
{
    SHARED_ARRAY(uint4, tile, LANES);
    LANE;
    INPUT;
    OUTPUT;
    copy_some<Bytes>(reinterpret_cast<unsigned char *>(&tile[lane]), mine,
                     static_cast<int>(lane % (Bytes + 1)));
    cp_async_commit();
    cp_async_wait<0>();
    __syncwarp();
    const uint32_t *from = reinterpret_cast<const uint32_t *>(&tile[31 - lane]);
    for (int i = 0; i < Bytes / 4; i++)
        to[i] = from[i];
}

SELFTEST_KERNEL(cp_async16)
{
    copy_words<16>(in, out);
}
SELFTEST_KERNEL(cp_async8)
{
    copy_words<8>(in, out);
}
SELFTEST_KERNEL(cp_async4)
{
    copy_words<4>(in, out);
}

SELFTEST_KERNEL(cp_async_groups)
{
    SHARED_ARRAY(uint4, stage, 3 * LANES);
    LANE;
    INPUT;
    OUTPUT;
    for (unsigned s = 0; s < 3; s++) {
        cp_async16(&stage[s * LANES + lane], mine + 4 * s);
        cp_async_commit();
    }
    cp_async_wait<1>();
    __syncwarp();
    put128(to, stage[31 - lane]);
    put128(to + 4, stage[LANES + 31 - lane]);
    cp_async_wait<0>();
    __syncwarp();
    put128(to + 8, stage[2 * LANES + 31 - lane]);
}

// ---- matrices ----

#define LDMATRIX_KERNEL(name, n)                                                                   \
    SELFTEST_KERNEL(name)                                                                          \
    {                                                                                              \
        SHARED_ARRAY(uint4, tile, LANES);                                                          \
        LANE;                                                                                      \
        INPUT;                                                                                     \
        OUTPUT;                                                                                    \
        sts128(&tile[lane], ldg128(mine));                                                         \
        __syncwarp();                                                                              \
        uint32_t r[n];                                                                             \
        name(r, &tile[lane ^ 5]);                                                                  \
        for (int i = 0; i < n; i++)                                                                \
            to[i] = r[i];                                                                          \
    }
LDMATRIX_KERNEL(ldmatrix_x1, 1)
LDMATRIX_KERNEL(ldmatrix_x2, 2)
LDMATRIX_KERNEL(ldmatrix_x4, 4)
LDMATRIX_KERNEL(ldmatrix_x1_trans, 1)
LDMATRIX_KERNEL(ldmatrix_x2_trans, 2)
LDMATRIX_KERNEL(ldmatrix_x4_trans, 4)

#define MMA_KERNEL(name)                                                                           \
    SELFTEST_KERNEL(name)                                                                          \
    {                                                                                              \
        LANE;                                                                                      \
        INPUT;                                                                                     \
        OUTPUT;                                                                                    \
        float d[4];                                                                                \
        for (int i = 0; i < 4; i++)                                                                \
            d[i] = __uint_as_float(mine[8 + i]);                                                   \
        name(d, mine, mine + 4);                                                                   \
        for (int i = 0; i < 4; i++)                                                                \
            to[i] = __float_as_uint(d[i]);                                                         \
    }
MMA_KERNEL(mma_16816_f16)
MMA_KERNEL(mma_16816_bf16)

// ---- words ----

SELFTEST_KERNEL(prmt)
{
    LANE;
    INPUT;
    OUTPUT;
    to[0] = prmt(mine[0], mine[1], mine[2] & 0xffffu);
    to[1] = prmt(mine[3], 0x64006400u, 0x7170u);
    to[2] = __byte_perm(mine[4], mine[5], mine[6]);
}

SELFTEST_KERNEL(lop3)
{
    LANE;
    INPUT;
    OUTPUT;
    to[0] = lop3<0xea>(mine[0], mine[1], mine[2]); // (a & b) | c
    to[1] = lop3<0x96>(mine[0], mine[1], mine[2]); // a ^ b ^ c
    to[2] = lop3<0xca>(mine[0], mine[1], mine[2]); // a ? b : c
    to[3] = lop3<0x1b>(mine[0], mine[1], mine[2]);
}

SELFTEST_KERNEL(integers)
{
    LANE;
    INPUT;
    OUTPUT;
    const int a = static_cast<int>(mine[0]), b = static_cast<int>(mine[1]);
    to[0] = static_cast<uint32_t>(__dp4a(a, b, static_cast<int>(mine[2] & 0xffffu)));
    to[1] = static_cast<uint32_t>(__popc(mine[3]));
    to[2] = static_cast<uint32_t>(__clz(static_cast<int>(mine[4] >> lane)));
    to[3] = static_cast<uint32_t>(__ffs(static_cast<int>(mine[5] << lane)));
    to[4] = __umulhi(mine[6], mine[7]);
}

// ---- warps ----

template <int Width> SIMT_DEVICE void shuffle_width(uint32_t *to, uint32_t value, unsigned by)
{
    to[0] = __shfl_sync(all_lanes, value, static_cast<int>(by), Width);
    to[1] = __shfl_up_sync(all_lanes, value, by, Width);
    to[2] = __shfl_down_sync(all_lanes, value, by, Width);
    to[3] = __shfl_xor_sync(all_lanes, value, static_cast<int>(by), Width);
}

SELFTEST_KERNEL(shuffles)
{
    LANE;
    INPUT;
    OUTPUT;
    const unsigned by = in[0] % 31 + 1; // the same in all lanes
    shuffle_width<1>(to, mine[1], by);
    shuffle_width<2>(to + 4, mine[1], by);
    shuffle_width<4>(to + 8, mine[1], by);
    shuffle_width<8>(to + 12, mine[1], by);
    shuffle_width<16>(to + 16, mine[1], by);
    shuffle_width<32>(to + 20, mine[1], by);
    to[24] = __shfl_sync(all_lanes, mine[1], static_cast<int>(mine[2] % 32));
}

SELFTEST_KERNEL(votes)
{
    LANE;
    INPUT;
    OUTPUT;
    const int predicate = static_cast<int>(mine[0] & 1u);
    to[0] = __ballot_sync(all_lanes, predicate);
    to[1] = static_cast<uint32_t>(__any_sync(all_lanes, lane == 7));
    to[2] = static_cast<uint32_t>(__all_sync(all_lanes, lane != 7));
    to[3] = __match_any_sync(all_lanes, mine[1] % 4);
    if (lane % 2)
        to[4] = __ballot_sync(0xaaaaaaaau, predicate);
    else
        to[4] = __ballot_sync(0x55555555u, predicate);
}

SELFTEST_KERNEL(reductions)
{
    LANE;
    INPUT;
    OUTPUT;
    const int value = static_cast<int>(mine[0]);
    to[0] = __reduce_add_sync(all_lanes, mine[0]);
    to[1] = __reduce_min_sync(all_lanes, mine[0]);
    to[2] = __reduce_max_sync(all_lanes, mine[0]);
    to[3] = __reduce_and_sync(all_lanes, mine[0] | 0xff0000ffu);
    to[4] = __reduce_or_sync(all_lanes, mine[0] & 0x00ffff00u);
    to[5] = __reduce_xor_sync(all_lanes, mine[0]);
    to[6] = static_cast<uint32_t>(__reduce_min_sync(all_lanes, value));
    to[7] = static_cast<uint32_t>(__reduce_max_sync(all_lanes, value));
}

// Operations that give the same in any order; floats are integers.
SELFTEST_KERNEL(atomics)
{
    LANE;
    INPUT;
    atomicAdd(out + 0, mine[0]);
    atomicMax(out + 1, mine[1]);
    atomicOr(out + 2, mine[2] & 0x01010101u << lane % 8);
    atomicXor(out + 3, mine[3]);
    atomicAdd(reinterpret_cast<float *>(out + 4), static_cast<float>(mine[4] % 1000));
    atomicInc(out + 5, 20);
    atomicAdd(reinterpret_cast<half2 *>(out + 6), __floats2half2_rn(1.0f, 2.0f));
    if (atomicCAS(out + 7, 0u, 9u) == 0u)
        atomicAdd(out + 8, 1u);
    atomicMin(reinterpret_cast<int *>(out + 9), static_cast<int>(mine[5] >> 1) * -1);
}

// ---- halves ----

template <class Pair> SIMT_DEVICE Pair pair_of(uint32_t word)
{
    return *reinterpret_cast<const Pair *>(&word);
}
template <class Pair> SIMT_DEVICE uint32_t word_of(Pair pair)
{
    return *reinterpret_cast<const uint32_t *>(&pair);
}

template <class Pair> SIMT_DEVICE void arithmetic(const uint32_t *mine, uint32_t *to)
{
    const Pair a = pair_of<Pair>(mine[0]), b = pair_of<Pair>(mine[1]), c = pair_of<Pair>(mine[2]);
    to[0] = word_of(__hadd2(a, b));
    to[1] = word_of(__hsub2(a, b));
    to[2] = word_of(__hmul2(a, b));
    to[3] = word_of(__hfma2(a, b, c));
    to[4] = word_of(__hmax2(a, b));
    to[5] = word_of(__hmin2(a, b));
    to[6] = __float_as_uint(__low2float(a));
    to[7] = __float_as_uint(__high2float(a));
}

SELFTEST_KERNEL(f16_arithmetic)
{
    LANE;
    INPUT;
    OUTPUT;
    arithmetic<half2>(mine, to);
}
SELFTEST_KERNEL(bf16_arithmetic)
{
    LANE;
    INPUT;
    OUTPUT;
    arithmetic<__nv_bfloat162>(mine, to);
}

SELFTEST_KERNEL(narrowing)
{
    LANE;
    INPUT;
    OUTPUT;
    for (int i = 0; i < WORDS_IN / 2; i++) {
        const float x = __uint_as_float(mine[2 * i]), y = __uint_as_float(mine[2 * i + 1]);
        to[2 * i] = word_of(__floats2half2_rn(x, y));
        to[2 * i + 1] = word_of(__floats2bfloat162_rn(x, y));
    }
}

// Four blocks; the last one sums what all wrote. out[0..3]: theirs, out[4]: the counter, out[5]:
// the sum.
SELFTEST_KERNEL(block_is_last)
{
    if (threadIdx.x == 0)
        out[blockIdx.x] = in[blockIdx.x];
    if (!block_is_last(out + 4, gridDim.x))
        return;
    if (threadIdx.x == 0)
        out[5] = out[0] + out[1] + out[2] + out[3];
}

// ---- launches ----

#define SELFTEST_LAUNCH(name, blocks)                                                              \
    static const char *launch_##name(const uint32_t *in, uint32_t *out)                            \
    {                                                                                              \
        LAUNCH(name##_kernel, dim3(blocks), dim3(LANES), 0, nullptr, in, out);                     \
        const cudaError_t error = cudaGetLastError();                                              \
        return error == cudaSuccess ? nullptr : cudaGetErrorString(error);                         \
    }
#define SELFTEST_CASES(X)                                                                          \
    X(ldg128_stream, any_words)                                                                    \
    X(vectors_through_shared, any_words)                                                           \
    X(cp_async16, any_words)                                                                       \
    X(cp_async8, any_words)                                                                        \
    X(cp_async4, any_words)                                                                        \
    X(cp_async_groups, any_words)                                                                  \
    X(ldmatrix_x1, any_words)                                                                      \
    X(ldmatrix_x2, any_words)                                                                      \
    X(ldmatrix_x4, any_words)                                                                      \
    X(ldmatrix_x1_trans, any_words)                                                                \
    X(ldmatrix_x2_trans, any_words)                                                                \
    X(ldmatrix_x4_trans, any_words)                                                                \
    X(mma_16816_f16, f16_integers)                                                                 \
    X(mma_16816_bf16, bf16_integers)                                                               \
    X(prmt, any_words)                                                                             \
    X(lop3, any_words)                                                                             \
    X(integers, any_words)                                                                         \
    X(shuffles, any_words)                                                                         \
    X(votes, any_words)                                                                            \
    X(reductions, any_words)                                                                       \
    X(atomics, any_words)                                                                          \
    X(f16_arithmetic, f16_pairs)                                                                   \
    X(bf16_arithmetic, bf16_pairs)                                                                 \
    X(narrowing, floats)
#define LAUNCH_ONE_BLOCK(name, inputs) SELFTEST_LAUNCH(name, 1)
SELFTEST_CASES(LAUNCH_ONE_BLOCK)
SELFTEST_LAUNCH(block_is_last, 4)

#define CASE_ROW(name, inputs) { #name, inputs, launch_##name },
const selftest_case selftest_cases[] = { SELFTEST_CASES(CASE_ROW){ "block_is_last", any_words,
                                                                   launch_block_is_last },
                                         { nullptr, any_words, nullptr } };
