// SPDX-License-Identifier: Apache-2.0
// linear, linear_add, linear_glu for 1 to 16 rows of x: weights go from memory to registers, each
// lane's as the fragments that it multiplies.
#include "plugins/cuda-w4a16/kernels/w4.cuh"

namespace w4
{

constexpr int tiles = W4_STRIP / 16;

// Values [k, k + 8) of a row of x, zeros where there are none.
SIMT_DEVICE uint4 load_x(const fp16_linear_args &a, int row, int k)
{
    uint4 x = make_uint4(0, 0, 0, 0);
    if (row < a.rows && k < a.in)
        x = ldg128(static_cast<const half *>(a.x) + row * a.x_stride + k);
    return x;
}

// The parameters of columns 16 j + g and 16 j + 8 + g, of both groups of a chunk.
SIMT_DEVICE void load_params(const w4_matrix &w, int record, int lane, uint2 (*params)[2])
{
    const unsigned char *from =
        static_cast<const unsigned char *>(w.params) +
        (static_cast<int64_t>(blockIdx.x) * (record_of(w, w.chunks - 1) + 1) + record) *
            record_bytes(w) +
        lane / 4 * 8;
    SIMT_UNROLL
    for (int j = 0; j < tiles; j++) {
        params[j][0] = ldg(reinterpret_cast<const uint2 *>(from + j * 64));
        params[j][1] = params[j][0];
        if (w.group_shift == 5)
            params[j][1] = ldg(reinterpret_cast<const uint2 *>(from + W4_STRIP * 4 + j * 64));
    }
}

// Grid (strips, 1, splits over k); a warp has a share of k and all 64 columns of the strip. 1 to 8
// rows of x fill one side of an mma, so tensor cores do not care how many there are.
// Bytes: a strip of codes and parameters once; x comes from L2 for every strip. Operations: 2 *
// rows * out * in, and 1.7 instructions a weight to expand it. In flight: 64 bytes of codes a lane,
// 8 KB a block, and parameters; some 4 blocks a SM: above the 11 to 17 KB that HBM needs. Expected:
// 75-85 % of HBM where strips * splits give two blocks a SM. Shared: the warps' sums.
template <int Rows> __global__ void __launch_bounds__(threads) gemv_kernel(w4_linear_args a)
{
    constexpr int warps = threads / 32, n_tiles = Rows / 8;
    SHARED_ARRAY(float, sums, warps *Rows *sum_stride<W4_STRIP>);
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int share = static_cast<int>(blockIdx.z) * warps + warp, shares = a.splits * warps;
    const int end = share_begin(a.w, share + 1, shares);
    float sum[tiles][n_tiles][4] = {};
    uint2 params[tiles][2] = {};
    int record = -1;
    for (int chunk = share_begin(a.w, share, shares); chunk < end; chunk++) {
        const unsigned char *from =
            static_cast<const unsigned char *>(a.w.codes) +
            (static_cast<int64_t>(blockIdx.x) * a.w.chunks + chunk) * (W4_STRIP * W4_CHUNK / 2) +
            lane * 16;
        uint4 codes[tiles], x[2][n_tiles];
        if (record_of(a.w, chunk) != record) {
            record = record_of(a.w, chunk);
            load_params(a.w, record, lane, params);
        }
        SIMT_UNROLL
        for (int j = 0; j < tiles; j++)
            codes[j] = ldg128_stream(from + j * 512);
        SIMT_UNROLL
        for (int i = 0; i < 2 * n_tiles; i++)
            x[i % 2][i / 2] = load_x(a.linear, i / 2 * 8 + lane / 4,
                                     chunk * W4_CHUNK + i % 2 * 32 + lane % 4 * 8);
        SIMT_UNROLL
        for (int j = 0; j < tiles; j++) {
            const uint32_t q[2][2] = { { codes[j].x, codes[j].y }, { codes[j].z, codes[j].w } };
            SIMT_UNROLL
            for (int h = 0; h < 2; h++) {
                uint32_t w[2][4];
                open_fragments(q[h], params[j][h], a.w.has_offset, w);
                SIMT_UNROLL
                for (int n = 0; n < n_tiles; n++)
                    multiply(w, x[h][n], sum[j][n]);
            }
        }
    }
    SIMT_UNROLL
    for (int i = 0; i < tiles * n_tiles; i++)
        put_sums<W4_STRIP>(sums + warp * Rows * sum_stride<W4_STRIP>, i % n_tiles * 8,
                           i / n_tiles * 16, lane, sum[i / n_tiles][i % n_tiles]);
    __syncthreads();
    for (int i = thread; i < Rows * W4_STRIP; i += threads) {
        float *at = sums + i / W4_STRIP * sum_stride<W4_STRIP> + i % W4_STRIP, whole = 0.0f;
        SIMT_UNROLL
        for (int w = 0; w < warps; w++)
            whole += lds(at + w * Rows * sum_stride<W4_STRIP>);
        sts(at, whole);
    }
    __syncthreads();
    finish_tile<Rows, W4_STRIP>(a, sums);
}

template <int Rows> static void launch_gemv(w4_linear_args a, int n_sms, cudaStream_t stream)
{
    const unsigned strips = static_cast<unsigned>(a.w.strips);
    a.splits = splits_of(a, strips, n_sms);
    LAUNCH((gemv_kernel<Rows>), dim3(strips, 1, static_cast<unsigned>(a.splits)), dim3(threads), 0,
           stream, a);
}

} // namespace w4

extern "C" int w4_gemv(const w4_linear_args *args, int n_sms, void *stream)
{
    if (args->linear.rows <= 8)
        w4::launch_gemv<8>(*args, n_sms, static_cast<cudaStream_t>(stream));
    else
        w4::launch_gemv<W4_GEMV_ROWS>(*args, n_sms, static_cast<cudaStream_t>(stream));
    return cudaGetLastError();
}
