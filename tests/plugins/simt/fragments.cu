// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/simt.h"
#include "tests/plugins/simt/kernels.h"

namespace simt_test
{

__global__ void mma_kernel(const uint32_t *a, const uint32_t *b, float *c, bool is_bf16)
{
    const unsigned lane = threadIdx.x;
    uint32_t fa[4], fb[2];
    float sum[4];
    for (int i = 0; i < 4; i++)
        sum[i] = c[lane * 4 + i];
    for (int i = 0; i < 4; i++)
        fa[i] = a[lane * 4 + i];
    for (int i = 0; i < 2; i++)
        fb[i] = b[lane * 2 + i];
    if (is_bf16)
        mma_16816_bf16(sum, fa, fb);
    else
        mma_16816_f16(sum, fa, fb);
    for (int i = 0; i < 4; i++)
        c[lane * 4 + i] = sum[i];
}

void mma_words(const uint32_t *a, const uint32_t *b, float *c, bool is_bf16, CUstream_st *stream)
{
    LAUNCH(mma_kernel, dim3(1), dim3(32), 0, stream, a, b, c, is_bf16);
}

__global__ void ldmatrix_kernel(const uint32_t *rows, uint32_t *r, int n_matrices,
                                bool is_transposed)
{
    SHARED_ARRAY(uint4, tile, 32);
    const unsigned lane = threadIdx.x;
    sts(&tile[lane], ldg128(rows + lane * 4));
    __syncwarp();
    uint32_t got[4] = {};
    if (n_matrices == 1)
        is_transposed ? ldmatrix_x1_trans(got, &tile[lane]) : ldmatrix_x1(got, &tile[lane]);
    if (n_matrices == 2)
        is_transposed ? ldmatrix_x2_trans(got, &tile[lane]) : ldmatrix_x2(got, &tile[lane]);
    if (n_matrices == 4)
        is_transposed ? ldmatrix_x4_trans(got, &tile[lane]) : ldmatrix_x4(got, &tile[lane]);
    for (int i = 0; i < 4; i++)
        r[lane * 4 + i] = got[i];
}

void ldmatrix_words(const uint32_t *rows, uint32_t *r, int n_matrices, bool is_transposed,
                    CUstream_st *stream)
{
    LAUNCH(ldmatrix_kernel, dim3(1), dim3(32), 0, stream, rows, r, n_matrices, is_transposed);
}

__global__ void collectives_kernel(int32_t *out, int width, int argument)
{
    const unsigned all = 0xffffffffu;
    const int lane = static_cast<int>(threadIdx.x);
    int32_t *mine = out + lane * 8;
    mine[0] = __shfl_up_sync(all, lane, static_cast<unsigned>(argument), width);
    mine[1] = __shfl_down_sync(all, lane, static_cast<unsigned>(argument), width);
    mine[2] = __shfl_xor_sync(all, lane, argument, width);
    mine[3] = __shfl_sync(all, lane, argument, width);
    mine[4] = static_cast<int32_t>(__ballot_sync(all, lane % 3 == 0));
    mine[5] = __syncthreads_count(lane % 3 == 0);
    mine[6] = __reduce_add_sync(all, lane);
    mine[7] = __reduce_min_sync(all, lane - 5);
}

void collectives(int32_t *out, int width, int argument, CUstream_st *stream)
{
    LAUNCH(collectives_kernel, dim3(1), dim3(32), 0, stream, out, width, argument);
}

} // namespace simt_test
