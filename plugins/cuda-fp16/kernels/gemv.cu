// SPDX-License-Identifier: Apache-2.0
// linear, linear_add, linear_glu for 1 to 4 rows of x: weights stream through registers once.
#include "plugins/cuda-fp16/kernels/linear.cuh"

namespace fp16
{

constexpr int gemv_chunk = 2048; // columns of x in shared memory at a time

// A block's columns of y are 8 at Columns 1 and 16 otherwise: a sector of f32, or of 16 bits.
template <int Columns> constexpr int gemv_warps = Columns == 4 ? 4 : 8;

// Of blocks a SM, for ptxas: left alone (0) it gives 16 sums of a bf16 product 64 registers on
// sm_100, and spills.
constexpr int gemv_min_blocks(int n_sums, bool is_gated)
{
    return n_sums == 16 && !is_gated ? 4 : 0;
}

// x[m][k0 .. k0 + columns), as 16-byte words; what lies behind a row is zero.
template <class T, int Rows, int Threads>
SIMT_DEVICE void load_x(const fp16_linear_args &a, int k0, int n_words, uint4 *x)
{
    for (int i = static_cast<int>(threadIdx.x); i < Rows * n_words; i += Threads) {
        const int m = i / n_words, k = k0 + (i % n_words) * 8;
        const T *from = static_cast<const T *>(a.x) + m * a.x_stride + k;
        uint4 words = make_uint4(0, 0, 0, 0);
        if (m < a.rows && k + 8 <= a.in) {
            words = ldg128(from);
        } else if (m < a.rows) {
            float tail[8] = {};
            for (int j = 0; j < 8 && k + j < a.in; j++)
                tail[j] = value<T>::widen(ldg(&from[j]));
            words = narrow8<T>(tail);
        }
        sts128(&x[m * (gemv_chunk / 8) + i % n_words], words);
    }
}

// A warp makes Columns columns of y (with Glu, those of both matrices) over all of k, a lane 8 k of
// 16 bytes at a time; the lanes' sums meet in shuffles. No split over k: its order is fixed,
// whatever Columns is. The block's sums go through shared memory, so that y is written in whole
// sectors.
// Bytes: out * padded * 2 of weights (twice with Glu), read once; x comes from L2 for every 8 or 16
// columns. Operations: 2 * rows * out * in. In flight: 16 bytes * Columns a lane, 4 to 8 KB a
// block (twice with Glu), 4 to 12 blocks a SM: above the 11 to 17 KB that HBM needs (reference,
// section 2). Expected: 80-88 % of HBM. Shared: 4 KB a row of x and the sums.
template <class T, int Rows, int Columns, bool Glu>
__global__ void __launch_bounds__(32 * gemv_warps<Columns>, gemv_min_blocks(Rows *Columns, Glu))
    gemv_kernel(fp16_linear_args a)
{
    constexpr int matrices = Glu ? 2 : 1, threads = 32 * gemv_warps<Columns>,
                  block_columns = gemv_warps<Columns> * Columns;
    SHARED_ARRAY(uint4, x, Rows * gemv_chunk / 8);
    SHARED_ARRAY(float, sums, matrices *Rows *block_columns);
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int column0 = static_cast<int>(blockIdx.x) * block_columns;
    const T *weight = static_cast<const T *>(a.weight);
    float sum[matrices * Columns][Rows] = {};
    for (int k0 = 0; k0 < a.padded; k0 += gemv_chunk) {
        const int n_words = min(gemv_chunk, a.padded - k0) / 8;
        if (k0)
            __syncthreads();
        load_x<T, Rows, threads>(a, k0, n_words, x);
        __syncthreads();
        for (int i = lane; i < n_words; i += 32) {
            uint4 words[matrices * Columns];
            SIMT_UNROLL
            for (int c = 0; c < matrices * Columns; c++) {
                const int column = column0 + warp * Columns + c % Columns;
                const int64_t row = column + (c / Columns) * a.out;
                words[c] = make_uint4(0, 0, 0, 0);
                if (column < a.out)
                    words[c] = ldg128_stream(weight + row * a.padded + k0 + i * 8);
            }
            SIMT_UNROLL
            for (int m = 0; m < Rows; m++) {
                float xs[8], ws[8];
                widen8<T>(lds128(&x[m * (gemv_chunk / 8) + i]), xs);
                SIMT_UNROLL
                for (int c = 0; c < matrices * Columns; c++) {
                    widen8<T>(words[c], ws);
                    SIMT_UNROLL
                    for (int j = 0; j < 8; j++)
                        sum[c][m] += ws[j] * xs[j];
                }
            }
        }
    }
    SIMT_UNROLL
    for (int c = 0; c < matrices * Columns; c++) {
        SIMT_UNROLL
        for (int m = 0; m < Rows; m++) {
            const float whole = warp_sum(sum[c][m]);
            if (lane == 0)
                sts(&sums[((c / Columns) * Rows + m) * block_columns + warp * Columns +
                          c % Columns],
                    whole);
        }
    }
    __syncthreads();
    for (int i = thread; i < Rows * block_columns; i += threads) {
        const int m = i / block_columns, column = column0 + i % block_columns;
        if (m < a.rows && column < a.out)
            finish<T>(a, m, column, lds(&sums[i]), Glu ? lds(&sums[Rows * block_columns + i]) : 0);
    }
}

template <class T, int Rows, int Columns, bool Glu>
static void launch_gemv(const fp16_linear_args &a, cudaStream_t stream)
{
    constexpr int warps = gemv_warps<Columns>, columns = warps * Columns;
    LAUNCH((gemv_kernel<T, Rows, Columns, Glu>),
           dim3(static_cast<unsigned>((a.out + columns - 1) / columns)), dim3(32 * warps), 0,
           stream, a);
}

// Narrow outputs take fewer columns a warp, so that more warps share them, and no more a block than
// are a sector.
template <class T, int Rows>
static void launch_rows(const fp16_linear_args &a, int n_sms, cudaStream_t stream)
{
    const bool is_wide = a.out >= 2 * 4 * gemv_warps<4> * n_sms; // two blocks a SM
    if (a.act)
        is_wide ? launch_gemv<T, Rows, 4, true>(a, stream)
                : launch_gemv<T, Rows, 2, true>(a, stream);
    else if (is_wide)
        launch_gemv<T, Rows, 4, false>(a, stream);
    else if (a.y_dtype == TN_F32)
        launch_gemv<T, Rows, 1, false>(a, stream);
    else
        launch_gemv<T, Rows, 2, false>(a, stream);
}

template <class T>
static void launch_type(const fp16_linear_args &a, int n_sms, cudaStream_t stream)
{
    if (a.rows == 1)
        launch_rows<T, 1>(a, n_sms, stream);
    else if (a.rows == 2)
        launch_rows<T, 2>(a, n_sms, stream);
    else
        launch_rows<T, FP16_GEMV_ROWS>(a, n_sms, stream);
}

} // namespace fp16

extern "C" int fp16_gemv(const fp16_linear_args *args, int n_sms, void *stream)
{
    if (args->dtype == TN_BF16)
        fp16::launch_type<__nv_bfloat16>(*args, n_sms, static_cast<cudaStream_t>(stream));
    else
        fp16::launch_type<half>(*args, n_sms, static_cast<cudaStream_t>(stream));
    return cudaGetLastError();
}
