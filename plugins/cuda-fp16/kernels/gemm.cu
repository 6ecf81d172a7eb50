// SPDX-License-Identifier: Apache-2.0
// linear, linear_add, linear_glu for many rows of x, by tensor cores: y = x w^T.
#include "plugins/cuda-fp16/kernels/linear.cuh"

namespace fp16
{

constexpr int gemm_threads = 128;
constexpr int gemm_k = 64; // columns of k in a stage: rows of 128 bytes in shared memory

// A block gives Rows x Columns of y; its 4 warps lie WarpsM x (4 / WarpsM) over that.
template <int Rows, int Columns, int WarpsM, int Stages> struct gemm_shape {
    static constexpr int rows = Rows, columns = Columns, stages = Stages;
    static constexpr int warp_rows = Rows / WarpsM, warp_columns = Columns / (4 / WarpsM);
    static constexpr int warps_m = WarpsM;
    static constexpr int m_tiles = warp_rows / 16, n_tiles = warp_columns / 8;
    static constexpr int stage_bytes = (Rows + Columns) * gemm_k * 2;
    static constexpr int sum_stride =
        Columns + 8; // floats; the pad keeps fragments off each other's banks
    static constexpr int sum_bytes = Rows * sum_stride * 4;
    static constexpr int shared_bytes =
        Stages * stage_bytes > sum_bytes ? Stages *stage_bytes : sum_bytes;
    static_assert(m_tiles >= 1 && n_tiles >= 2 && n_tiles % 2 == 0, "whole fragments");
};
// Few rows: as many bytes in flight as a GEMV. Many: two shapes, the smaller one where the larger
// has less than a block for every SM.
using gemm_16 = gemm_shape<16, 64, 1, 4>;
using gemm_32 = gemm_shape<32, 64, 1, 4>;
using gemm_64 = gemm_shape<64, 64, 2, 3>;
using gemm_wide = gemm_shape<64, 128, 2, 3>;

// Chunk c of 16 bytes of row r lies at chunk c ^ (r & 7), so that the 8 rows of an ldmatrix meet
// every bank once.
SIMT_DEVICE int gemm_place(int row, int chunk)
{
    return row * gemm_k * 2 + ((chunk ^ (row & 7)) * 16);
}

// What a thread copies in every stage: chunk thread % 8 of rows thread / 8, thread / 8 + 16, ...,
// first those of x, then those of the weights. NULL: a row outside, which becomes zero and is not
// read.
template <class T, class Shape> struct gemm_source {
    static constexpr int x_rows = Shape::rows / 16, w_rows = Shape::columns / 16;
    const T *x[x_rows], *w[w_rows];
};

// With act the second half of a block's columns has the rows of the other matrix.
template <class T, class Shape>
SIMT_DEVICE void gemm_open(const fp16_linear_args &a, int row0, gemm_source<T, Shape> *source)
{
    const int first = static_cast<int>(threadIdx.x) / 8;
    const int width = a.act ? Shape::columns / 2 : Shape::columns;
    SIMT_UNROLL
    for (int i = 0; i < source->x_rows; i++) {
        const int row = row0 + first + 16 * i;
        source->x[i] = row < a.rows ? static_cast<const T *>(a.x) + row * a.x_stride : nullptr;
    }
    SIMT_UNROLL
    for (int i = 0; i < source->w_rows; i++) {
        const int column = first + 16 * i, is_up = column >= width;
        const int y_column = static_cast<int>(blockIdx.x) * width + column - is_up * width;
        const int64_t row = y_column + is_up * a.out;
        source->w[i] =
            y_column < a.out ? static_cast<const T *>(a.weight) + row * a.padded : nullptr;
    }
}

// Columns [k0, k0 + 64) of the thread's rows.
template <class T, class Shape>
SIMT_DEVICE void gemm_fetch(const fp16_linear_args &a, const gemm_source<T, Shape> &source, int k0,
                            unsigned char *stage)
{
    const int chunk = static_cast<int>(threadIdx.x) % 8, k = k0 + chunk * 8;
    const int x_bytes = max(0, min(8, a.in - k)) * 2, w_bytes = k < a.padded ? 16 : 0;
    unsigned char *to = stage + gemm_place(static_cast<int>(threadIdx.x) / 8, chunk);
    SIMT_UNROLL
    for (int i = 0; i < source.x_rows; i++, to += gemm_place(16, 0)) {
        const int n_bytes = source.x[i] ? x_bytes : 0;
        cp_async16(to, n_bytes ? source.x[i] + k : static_cast<const T *>(a.x), n_bytes);
    }
    SIMT_UNROLL
    for (int i = 0; i < source.w_rows; i++, to += gemm_place(16, 0)) {
        const int n_bytes = source.w[i] ? w_bytes : 0;
        cp_async16(to, n_bytes ? source.w[i] + k : static_cast<const T *>(a.weight), n_bytes);
    }
}

template <class T, class Shape>
SIMT_DEVICE void gemm_multiply(const unsigned char *stage, int warp_row, int warp_column, int lane,
                               float (*sum)[Shape::n_tiles][4])
{
    SIMT_UNROLL
    for (int k16 = 0; k16 < gemm_k / 16; k16++) {
        uint32_t x[Shape::m_tiles][4], w[Shape::n_tiles / 2][4];
        SIMT_UNROLL
        for (int m = 0; m < Shape::m_tiles; m++)
            ldmatrix_x4(x[m],
                        stage + gemm_place(warp_row + m * 16 + lane % 16, k16 * 2 + lane / 16));
        SIMT_UNROLL
        for (int n = 0; n < Shape::n_tiles / 2; n++)
            ldmatrix_x4(w[n], stage + gemm_place(Shape::rows + warp_column + n * 16 +
                                                     lane / 16 * 8 + lane % 8,
                                                 k16 * 2 + lane / 8 % 2));
        SIMT_UNROLL
        for (int m = 0; m < Shape::m_tiles; m++) {
            SIMT_UNROLL
            for (int n = 0; n < Shape::n_tiles; n++)
                value<T>::mma(sum[m][n], x[m], w[n / 2] + n % 2 * 2);
        }
    }
}

// The fragments become rows of f32 in shared memory, so that stores are whole sectors.
template <class T, class Shape>
SIMT_DEVICE void gemm_finish(const fp16_linear_args &a, int row0, int warp_row, int warp_column,
                             int lane, float (*sum)[Shape::n_tiles][4], float *sums)
{
    SIMT_UNROLL
    for (int m = 0; m < Shape::m_tiles; m++) {
        SIMT_UNROLL
        for (int n = 0; n < Shape::n_tiles; n++) {
            float *to = sums + (warp_row + m * 16 + lane / 4) * Shape::sum_stride + warp_column +
                        n * 8 + lane % 4 * 2;
            sts(reinterpret_cast<float2 *>(to), make_float2(sum[m][n][0], sum[m][n][1]));
            sts(reinterpret_cast<float2 *>(to + 8 * Shape::sum_stride),
                make_float2(sum[m][n][2], sum[m][n][3]));
        }
    }
    __syncthreads();
    const int width = a.act ? Shape::columns / 2 : Shape::columns;
    const int column0 = static_cast<int>(blockIdx.x) * width;
    for (int i = static_cast<int>(threadIdx.x); i < Shape::rows * width; i += gemm_threads) {
        const int row = i / width, column = i % width;
        const float *at = sums + row * Shape::sum_stride + column;
        if (row0 + row < a.rows && column0 + column < a.out)
            finish<T>(a, row0 + row, column0 + column, lds(at), a.act ? lds(at + width) : 0.0f);
    }
}

// Grid (column blocks, row blocks). Stages - 1 stages of cp.async are in flight while one is
// multiplied; one barrier a stage.
// Bytes: out * padded * 2 of weights for every row block, and x for every column block from L2.
// Operations: 2 * rows * out * in. Up to 32 rows it is a memory kernel: 30 to 36 KB in flight a
// block, 40 to 48 KB shared, 3 or 4 blocks a SM of sm_80; 80 % of HBM expected where out / 64
// blocks fill half of the SMs. gemm_wide reads 24 KB for 64 * 128 * 64 multiply-adds, 43 operations
// a byte, at L2's rate: 72 KB shared, 2 blocks a SM; 50-60 % of the tensor cores expected, and
// cuBLAS is preferred.
template <class T, class Shape>
__global__ void __launch_bounds__(gemm_threads) gemm_kernel(fp16_linear_args a)
{
    SHARED_DYN(unsigned char, stages);
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int row0 = static_cast<int>(blockIdx.y) * Shape::rows;
    const int warp_row = warp % Shape::warps_m * Shape::warp_rows;
    const int warp_column = warp / Shape::warps_m * Shape::warp_columns;
    const int n_steps = (a.padded + gemm_k - 1) / gemm_k;
    float sum[Shape::m_tiles][Shape::n_tiles][4] = {};
    gemm_source<T, Shape> source;
    gemm_open(a, row0, &source);
    auto fetch = [&](int step) {
        if (step < n_steps)
            gemm_fetch<T, Shape>(a, source, step * gemm_k,
                                 stages + step % Shape::stages * Shape::stage_bytes);
        cp_async_commit(); // also when empty, so that the waits count alike
    };
    for (int s = 0; s < Shape::stages - 1; s++)
        fetch(s);
    for (int step = 0; step < n_steps; step++) {
        cp_async_wait<Shape::stages - 2>();
        __syncthreads();
        fetch(step + Shape::stages - 1);
        gemm_multiply<T, Shape>(stages + step % Shape::stages * Shape::stage_bytes, warp_row,
                                warp_column, lane, sum);
    }
    cp_async_wait<0>();
    __syncthreads();
    gemm_finish<T, Shape>(a, row0, warp_row, warp_column, lane, sum,
                          reinterpret_cast<float *>(stages));
}

template <class Shape> static dim3 gemm_grid(const fp16_linear_args &a)
{
    const int width = a.act ? Shape::columns / 2 : Shape::columns;
    return dim3(static_cast<unsigned>((a.out + width - 1) / width),
                static_cast<unsigned>((a.rows + Shape::rows - 1) / Shape::rows));
}

template <class T, class Shape>
static void launch_gemm(const fp16_linear_args &a, cudaStream_t stream)
{
    LAUNCH((gemm_kernel<T, Shape>), gemm_grid<Shape>(a), dim3(gemm_threads), Shape::shared_bytes,
           stream, a);
}

template <class T>
static void launch_rows(const fp16_linear_args &a, int n_sms, cudaStream_t stream)
{
    const dim3 wide = gemm_grid<gemm_wide>(a);
    if (a.rows <= gemm_16::rows)
        launch_gemm<T, gemm_16>(a, stream);
    else if (a.rows <= gemm_32::rows)
        launch_gemm<T, gemm_32>(a, stream);
    else if (wide.x * wide.y < static_cast<unsigned>(n_sms))
        launch_gemm<T, gemm_64>(a, stream);
    else
        launch_gemm<T, gemm_wide>(a, stream);
}

} // namespace fp16

extern "C" int fp16_gemm(const fp16_linear_args *args, int n_sms, void *stream)
{
    if (args->dtype == TN_BF16)
        fp16::launch_rows<__nv_bfloat16>(*args, n_sms, static_cast<cudaStream_t>(stream));
    else
        fp16::launch_rows<half>(*args, n_sms, static_cast<cudaStream_t>(stream));
    return cudaGetLastError();
}
