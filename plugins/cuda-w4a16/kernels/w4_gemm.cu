// SPDX-License-Identifier: Apache-2.0
// linear, linear_add, linear_glu for many rows of x: x, codes and parameters come by cp.async.
#include "plugins/cuda-w4a16/kernels/w4.cuh"

namespace w4
{

// A block gives Rows x 64 Strips of y; a warp has 16 Strips columns of that for all rows, so that
// each weight is expanded once in a block.
template <int Rows, int Strips, int Stages> struct gemm_shape {
    static constexpr int rows = Rows, strips = Strips, stages = Stages;
    static constexpr int columns = Strips * W4_STRIP, n_tiles = Rows / 8;
    static constexpr int x_bytes = Rows * W4_CHUNK * 2, w_bytes = W4_STRIP * W4_CHUNK / 2;
    static constexpr int stage_bytes = x_bytes + Strips * w_bytes;
    static constexpr int record_bytes = 2 * W4_STRIP * 4; // at most, of a strip
    static constexpr int ring_bytes = Stages * (stage_bytes + Strips * record_bytes);
    static constexpr int sum_bytes = Rows * sum_stride<columns> * 4;
    static constexpr int shared_bytes = ring_bytes > sum_bytes ? ring_bytes : sum_bytes;
    static_assert(Strips == 1 || Strips == 2, "a warp's columns begin at multiples of 16");
};
using gemm_32 = gemm_shape<32, 1, 6>;
using gemm_64 = gemm_shape<64, 1, 4>;
using gemm_wide = gemm_shape<64, 2, 3>;
static_assert(gemm_64::rows <= W4_SPLIT_TILE && gemm_64::columns <= W4_SPLIT_TILE, "partial sums");

// Chunk c of 16 bytes of row r of x: lanes read 4 chunks of 2 rows at once, which lie in unlike
// halves of the banks.
SIMT_DEVICE int x_place(int row, int chunk)
{
    return row * W4_CHUNK * 2 + ((chunk ^ (row % 2 * 4)) * 16);
}

// Chunk `chunk` of x and codes into a stage.
template <class Shape>
SIMT_DEVICE void fetch_chunk(const w4_linear_args &a, int chunk, unsigned char *stage)
{
    const fp16_linear_args &l = a.linear;
    const int thread = static_cast<int>(threadIdx.x), row0 = static_cast<int>(blockIdx.y);
    const int k = chunk * W4_CHUNK + thread % 8 * 8;
    SIMT_UNROLL
    for (int i = 0; i < Shape::rows / 16; i++) {
        const int r = thread / 8 + 16 * i, row = row0 * Shape::rows + r;
        const int is_there = row < l.rows && k < l.in;
        const half *x = static_cast<const half *>(l.x);
        cp_async16(stage + x_place(r, thread % 8), is_there ? x + row * l.x_stride + k : x,
                   is_there ? 16 : 0);
    }
    SIMT_UNROLL
    for (int s = 0; s < Shape::strips; s++) {
        const int strip = static_cast<int>(blockIdx.x) * Shape::strips + s;
        const unsigned char *codes = static_cast<const unsigned char *>(a.w.codes);
        const int is_there = strip < a.w.strips;
        if (is_there)
            codes +=
                (static_cast<int64_t>(strip) * a.w.chunks + chunk) * Shape::w_bytes + thread * 16;
        cp_async16(stage + Shape::x_bytes + s * Shape::w_bytes + thread * 16, codes,
                   is_there ? 16 : 0);
    }
}

// Record `record` of parameters of the block's strips.
template <class Shape>
SIMT_DEVICE void fetch_params(const w4_linear_args &a, int record, unsigned char *to)
{
    const int n_bytes = record_bytes(a.w), at = static_cast<int>(threadIdx.x) * 16;
    const int records = record_of(a.w, a.w.chunks - 1) + 1;
    SIMT_UNROLL
    for (int s = 0; s < Shape::strips; s++) {
        const int strip = static_cast<int>(blockIdx.x) * Shape::strips + s;
        const unsigned char *params = static_cast<const unsigned char *>(a.w.params);
        const int is_there = strip < a.w.strips;
        if (is_there)
            params += (static_cast<int64_t>(strip) * records + record) * n_bytes + at;
        if (at < n_bytes)
            cp_async16(to + s * Shape::record_bytes + at, params, is_there ? 16 : 0);
    }
}

template <class Shape>
SIMT_DEVICE void multiply_chunk(const w4_matrix &m, const unsigned char *stage,
                                const unsigned char *params, int warp, int lane,
                                float (*sum)[Shape::n_tiles][4])
{
    const int second = m.group_shift == 5 ? W4_STRIP * 4 : 0;
    uint4 codes[Shape::strips];
    SIMT_UNROLL
    for (int i = 0; i < Shape::strips; i++)
        codes[i] = lds128(stage + Shape::x_bytes + (warp * Shape::strips + i) * 512 + lane * 16);
    SIMT_UNROLL
    for (int h = 0; h < 2; h++) {
        uint32_t w[Shape::strips][2][4];
        SIMT_UNROLL
        for (int i = 0; i < Shape::strips; i++) {
            const int tile = warp * Shape::strips + i;
            const uint32_t q[2] = { h ? codes[i].z : codes[i].x, h ? codes[i].w : codes[i].y };
            const uint2 two =
                lds(reinterpret_cast<const uint2 *>(params + tile / 4 * Shape::record_bytes +
                                                    h * second + tile % 4 * 64 + lane / 4 * 8));
            open_fragments(q, two, m.has_offset, w[i]);
        }
        SIMT_UNROLL
        for (int n = 0; n < Shape::n_tiles; n++) {
            const uint4 x = lds128(stage + x_place(n * 8 + lane / 4, h * 4 + lane % 4));
            SIMT_UNROLL
            for (int i = 0; i < Shape::strips; i++)
                multiply(w[i], x, sum[i][n]);
        }
    }
}

// Grid (blocks of columns, blocks of rows, splits over k). Stages - 1 chunks of k are in flight
// while one is multiplied; one barrier a chunk. A record of parameters goes into a ring of its own
// when its first chunk is fetched; the ring has a record a stage, and a chunk begins one at most,
// so that a record is not overwritten before the chunks that need it are done.
// Bytes: codes and parameters for every block of rows, x for every block of columns from L2.
// Operations: 2 * rows * out * in. Up to 32 rows it is a memory kernel: 30 KB in flight a block, 39
// KB shared, 4 blocks a SM of sm_80; 75-80 % of HBM expected where tiles * splits give two blocks a
// SM. gemm_wide reads 13 KB for 64 * 128 * 64 multiply-adds, at two fragments of weights for one
// read of x; 40-50 % of the tensor cores expected, and from 257 rows on cuBLAS is preferred.
template <class Shape> __global__ void __launch_bounds__(threads) gemm_kernel(w4_linear_args a)
{
    SHARED_DYN(unsigned char, stages);
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int split = static_cast<int>(blockIdx.z);
    const int first = share_begin(a.w, split, a.splits);
    const int n_steps = share_begin(a.w, split + 1, a.splits) - first;
    const int first_record = record_of(a.w, first);
    auto params_of = [&](int chunk) {
        return stages + Shape::stages * Shape::stage_bytes +
               (record_of(a.w, chunk) - first_record) % Shape::stages *
                   (Shape::strips * Shape::record_bytes);
    };
    auto stage_of = [&](int step) { return stages + step % Shape::stages * Shape::stage_bytes; };
    auto fetch = [&](int step) {
        const int chunk = first + step;
        if (step < n_steps) {
            fetch_chunk<Shape>(a, chunk, stage_of(step));
            if (!step || record_of(a.w, chunk) != record_of(a.w, chunk - 1))
                fetch_params<Shape>(a, record_of(a.w, chunk), params_of(chunk));
        }
        cp_async_commit(); // also when empty, so that the waits count alike
    };
    float sum[Shape::strips][Shape::n_tiles][4] = {};
    for (int s = 0; s < Shape::stages - 1; s++)
        fetch(s);
    for (int step = 0; step < n_steps; step++) {
        cp_async_wait<Shape::stages - 2>();
        __syncthreads();
        fetch(step + Shape::stages - 1);
        multiply_chunk<Shape>(a.w, stage_of(step), params_of(first + step), warp, lane, sum);
    }
    cp_async_wait<0>();
    __syncthreads();
    float *sums = reinterpret_cast<float *>(stages);
    SIMT_UNROLL
    for (int i = 0; i < Shape::strips * Shape::n_tiles; i++)
        put_sums<Shape::columns>(sums, i % Shape::n_tiles * 8,
                                 (warp * Shape::strips + i / Shape::n_tiles) * 16, lane,
                                 sum[i / Shape::n_tiles][i % Shape::n_tiles]);
    __syncthreads();
    finish_tile<Shape::rows, Shape::columns>(a, sums);
}

template <class Shape> static dim3 gemm_grid(const w4_linear_args &a)
{
    return dim3(static_cast<unsigned>((a.w.strips + Shape::strips - 1) / Shape::strips),
                static_cast<unsigned>((a.linear.rows + Shape::rows - 1) / Shape::rows));
}

// is_split: sums may be.
template <class Shape>
static void launch_gemm(w4_linear_args a, int n_sms, bool is_split, cudaStream_t stream)
{
    dim3 grid = gemm_grid<Shape>(a);
    a.splits = is_split ? splits_of(a, grid.x * grid.y, n_sms) : 1;
    grid.z = static_cast<unsigned>(a.splits);
    LAUNCH((gemm_kernel<Shape>), grid, dim3(threads), Shape::shared_bytes, stream, a);
}

} // namespace w4

extern "C" int w4_gemm(const w4_linear_args *args, int n_sms, void *stream)
{
    const dim3 wide = w4::gemm_grid<w4::gemm_wide>(*args);
    cudaStream_t on = static_cast<cudaStream_t>(stream);
    if (args->linear.rows <= w4::gemm_32::rows)
        w4::launch_gemm<w4::gemm_32>(*args, n_sms, true, on);
    else if (wide.x * wide.y < static_cast<unsigned>(n_sms))
        w4::launch_gemm<w4::gemm_64>(*args, n_sms, true, on);
    else
        w4::launch_gemm<w4::gemm_wide>(*args, n_sms, false, on);
    return cudaGetLastError();
}
