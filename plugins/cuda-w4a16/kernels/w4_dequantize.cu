// SPDX-License-Identifier: Apache-2.0
// Packed weights as rows of f16, for cuBLAS.
#include "plugins/cuda-w4a16/kernels/w4.cuh"

namespace w4
{

// Values [k, k + 8) of one column, which are what a lane has of it in 32 values of k. words: of the
// column.
SIMT_DEVICE void put_values(const w4_dequantize_args &a, int column, int k, const uint32_t (*w)[4],
                            int second)
{
    const int half_strip = W4_STRIP / 2, strip = column / W4_STRIP, at = column % W4_STRIP;
    const int y = a.is_glu ? strip * half_strip + at % half_strip : column;
    const int64_t row = y + (a.is_glu ? at / half_strip * a.columns : 0);
    if (y < a.columns && k < a.width)
        stg128(static_cast<half *>(a.out) + row * a.width + k,
               make_uint4(w[0][second], w[0][2 + second], w[1][second], w[1][2 + second]));
}

// Grid (chunks, strips), a warp 16 columns: 4 lanes write 64 bytes of a column.
// Bytes: codes and parameters once, 2 a weight written, which L2 keeps for the product: a slice is
// at most 16 MB (linear.c). In flight: 2.5 KB a block, 16 blocks a SM.
__global__ void __launch_bounds__(threads) dequantize_kernel(w4_dequantize_args a, int strip0)
{
    const int tile = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int chunk = static_cast<int>(blockIdx.x), strip = static_cast<int>(blockIdx.y);
    const int64_t records = record_of(a.w, a.w.chunks - 1) + 1;
    const unsigned char *codes = static_cast<const unsigned char *>(a.w.codes),
                        *params = static_cast<const unsigned char *>(a.w.params);
    codes +=
        (static_cast<int64_t>(strip0 + strip) * a.w.chunks + chunk) * (W4_STRIP * W4_CHUNK / 2) +
        tile * 512 + lane * 16;
    params += ((strip0 + strip) * records + record_of(a.w, chunk)) * record_bytes(a.w) + tile * 64 +
              lane / 4 * 8;
    const uint4 words = ldg128_stream(codes);
    const uint32_t q[2][2] = { { words.x, words.y }, { words.z, words.w } };
    uint2 two[2];
    two[0] = two[1] = ldg(reinterpret_cast<const uint2 *>(params));
    if (a.w.group_shift == 5)
        two[1] = ldg(reinterpret_cast<const uint2 *>(params + W4_STRIP * 4));
    SIMT_UNROLL
    for (int h = 0; h < 2; h++) {
        const int k = chunk * W4_CHUNK + h * 32 + lane % 4 * 8;
        const int column = strip * W4_STRIP + tile * 16 + lane / 4;
        uint32_t w[2][4];
        open_fragments(q[h], two[h], a.w.has_offset, w);
        put_values(a, column, k, w, 0);
        put_values(a, column + 8, k, w, 1);
    }
}

} // namespace w4

extern "C" int w4_dequantize(const w4_dequantize_args *args, void *stream)
{
    const int strip = args->is_glu ? W4_STRIP / 2 : W4_STRIP;
    const dim3 grid(static_cast<unsigned>(args->w.chunks),
                    static_cast<unsigned>((args->columns + strip - 1) / strip));
    LAUNCH(w4::dequantize_kernel, grid, dim3(w4::threads), 0, static_cast<cudaStream_t>(stream),
           *args, args->first / strip);
    return cudaGetLastError();
}
