/* SPDX-License-Identifier: Apache-2.0 */
/* What the GEMV and the GEMM share: codes become fragments of mma.m16n8k16, and sums in shared
 * memory become rows of y. */
#ifndef TN_PLUGINS_CUDA_W4A16_KERNELS_W4_CUH
#define TN_PLUGINS_CUDA_W4A16_KERNELS_W4_CUH

#include "plugins/cuda-fp16/kernels/linear.cuh"
#include "plugins/cuda-w4a16/launch.h"

namespace w4
{

constexpr int threads = 128;

SIMT_DEVICE half2 as_half2(uint32_t word)
{
    return *reinterpret_cast<const half2 *>(&word);
}
SIMT_DEVICE uint32_t as_word(half2 pair)
{
    return *reinterpret_cast<const uint32_t *>(&pair);
}

/* Parameters of one column in both halves of a word: a weight is (q - zero) * scale + offset. zero
 * is of 1024 + q; high of q + 64, which is where the upper nibbles come from. */
struct column {
    half2 scale, zero, high, offset;
};

/* param: {s, 1024 + z} or {s, b}. */
SIMT_DEVICE column open_column(uint32_t param, int has_offset)
{
    const half2 pair = as_half2(param), second = __half2half2(__high2half(pair));
    column c;
    c.scale = __half2half2(__low2half(pair));
    c.zero = has_offset ? as_half2(0x64006400u) : second; // 1024
    c.offset = has_offset ? second : as_half2(0);
    c.high = __hsub2(as_half2(0x63806380u), c.zero); // 960 - (1024 + z) = -(64 + z)
    return c;
}

/* Nibbles 0 and 4 of q become low, 1 and 5 high. 0x6400 is 1024 in f16, whose last bits count ones:
 * with a nibble there it is 1024 + q, with one 4 bits higher 1024 + 16 q. q - z is exact, and the
 * one rounding is that of the product. (The bit trick: Kim et al. 2022, arXiv:2211.10017.) */
SIMT_DEVICE void expand(uint32_t q, const column &c, uint32_t *low, uint32_t *high)
{
    const half2 ones = as_half2(lop3<0xea>(q, 0x000f000fu, 0x64006400u)); // (a & b) | c
    const half2 sixteens = as_half2(lop3<0xea>(q, 0x00f000f0u, 0x64006400u));
    *low = as_word(__hfma2(__hsub2(ones, c.zero), c.scale, c.offset));
    *high = as_word(
        __hfma2(__hfma2(sixteens, as_half2(0x2c002c00u), c.high), c.scale, c.offset)); // 1/16
}

/* 32 values of k of 16 columns, the columns on M: two fragments A. q: their two words of a lane;
 * params: of columns g and g + 8. */
SIMT_DEVICE void open_fragments(const uint32_t *q, uint2 params, int has_offset, uint32_t (*a)[4])
{
    const column first = open_column(params.x, has_offset),
                 second = open_column(params.y, has_offset);
    SIMT_UNROLL
    for (int s = 0; s < 2; s++) {
        expand(q[s], first, &a[s][0], &a[s][2]);
        expand(q[s] >> 8, second, &a[s][1], &a[s][3]);
    }
}

/* y^T += w x^T: 16 columns of y for 8 rows of x over those 32 values of k. x: 8 values of the
 * lane's row, which are two fragments B. */
SIMT_DEVICE void multiply(const uint32_t (*a)[4], uint4 x, float *sum)
{
    const uint32_t b[2][2] = { { x.x, x.y }, { x.z, x.w } };
    mma_16816_f16(sum, a[0], b[0]);
    mma_16816_f16(sum, a[1], b[1]);
}

/* Which record of parameters a chunk has: two groups of 32 values of k, or one. */
SIMT_DEVICE int record_of(const w4_matrix &w, int chunk)
{
    return w.group_shift <= 6 ? chunk : (chunk * W4_CHUNK) >> w.group_shift;
}
SIMT_DEVICE int record_bytes(const w4_matrix &w)
{
    return w.group_shift == 5 ? 2 * W4_STRIP * 4 : W4_STRIP * 4;
}

/* The i-th of n equal shares of k, in chunks; groups of 128 are not cut. */
SIMT_DEVICE int share_begin(const w4_matrix &w, int i, int n)
{
    const int unit = w.group_shift == 7 ? 2 : 1, units = (w.chunks + unit - 1) / unit;
    return min(w.chunks, static_cast<int>(static_cast<int64_t>(units) * i / n) * unit);
}

/* ---- sums ---- */

/* A row of x has its sums for all columns of a tile side by side; the pad makes the lanes of a
 * fragment meet every bank once. */
template <int Columns> constexpr int sum_stride = Columns + 4;

/* The fragment D of rows [row, row + 8) and columns [column, column + 16). */
template <int Columns>
SIMT_DEVICE void put_sums(float *sums, int row, int column, int lane, const float *d)
{
    float *to = sums + (row + lane % 4 * 2) * sum_stride<Columns> + column + lane / 4;
    sts(to, d[0]);
    sts(to + sum_stride<Columns>, d[1]);
    sts(to + 8, d[2]);
    sts(to + sum_stride<Columns> + 8, d[3]);
}

/* Sums of the other blocks of this tile are added, in the order of k, by the block that comes here
 * last: true there. Others leave theirs in memory. */
template <int Rows, int Columns>
SIMT_DEVICE bool join_splits(const w4_linear_args &a, int n_rows, float *sums)
{
    const int tile = static_cast<int>(blockIdx.y * gridDim.x + blockIdx.x);
    float *first = a.partial + static_cast<int64_t>(tile) * a.splits * (Rows * Columns);
    float *mine = first + static_cast<int64_t>(blockIdx.z) * (Rows * Columns);
    for (int i = static_cast<int>(threadIdx.x); i < n_rows * Columns; i += threads)
        stg(&mine[i], lds(&sums[i / Columns * sum_stride<Columns> + i % Columns]));
    if (!block_is_last(&a.done[tile], static_cast<unsigned>(a.splits)))
        return false;
    for (int i = static_cast<int>(threadIdx.x); i < n_rows * Columns; i += threads) {
        float sum = 0.0f;
        for (int s = 0; s < a.splits; s++)
            sum += ldg(&first[static_cast<int64_t>(s) * (Rows * Columns) + i]);
        sts(&sums[i / Columns * sum_stride<Columns> + i % Columns], sum);
    }
    __syncthreads();
    return true;
}

/* Sums of a tile, of all threads and behind a barrier, become y. With act a strip has 32 gates and
 * the 32 columns that they gate. */
template <int Rows, int Columns> SIMT_DEVICE void finish_tile(const w4_linear_args &a, float *sums)
{
    const fp16_linear_args &l = a.linear;
    const int row0 = static_cast<int>(blockIdx.y) * Rows, n_rows = min(Rows, l.rows - row0);
    if (a.splits > 1 && !join_splits<Rows, Columns>(a, n_rows, sums))
        return;
    const int strip = l.act ? W4_STRIP / 2 : W4_STRIP, width = Columns / W4_STRIP * strip;
    const int column0 = static_cast<int>(blockIdx.x) * width;
    for (int i = static_cast<int>(threadIdx.x); i < n_rows * width; i += threads) {
        const int row = i / width, column = i % width;
        const float *at =
            sums + row * sum_stride<Columns> + column / strip * W4_STRIP + column % strip;
        if (column0 + column < l.out)
            fp16::finish<half>(l, row0 + row, column0 + column, lds(at),
                               l.act ? lds(at + W4_STRIP / 2) : 0.0f);
    }
}

/* ---- launches ---- */

/* Blocks over k for each of `tiles`, so that all SMs have some; a block has 4 chunks at least. */
static inline int splits_of(const w4_linear_args &a, unsigned tiles, int n_sms)
{
    const int wanted = w4_max_split_tiles(n_sms) / static_cast<int>(tiles);
    return max(1, min(wanted, a.w.chunks / 4));
}

} // namespace w4

#endif
