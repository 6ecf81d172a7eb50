// SPDX-License-Identifier: Apache-2.0
// Kernels with a race that the default schedule hides: only TSan sees them.
#include "plugins/cuda/simt/simt.h"
#include "tests/plugins/simt/kernels.h"

namespace simt_test
{

// The first thread of each block writes the same sum.
__global__ void blocks_write_the_same_word_kernel(float *y)
{
    if (threadIdx.x == 0)
        y[0] += 1.0f;
}

// A warp's shuffle orders no memory: __syncwarp is missing between the write and the read.
__global__ void shuffle_for_a_barrier_kernel(float *y)
{
    SHARED_ARRAY(float, s, 32);
    s[threadIdx.x] = static_cast<float>(threadIdx.x);
    float ignored = __shfl_sync(0xffffffffu, 1.0f, 0);
    y[threadIdx.x] = s[31 - threadIdx.x] + ignored;
}

// All threads read what the first one copied, and wait for no barrier after its wait.
__global__ void copy_without_barrier_kernel(const float *x, float *y)
{
    SHARED_ARRAY(float, stage, 4);
    if (threadIdx.x == 0)
        cp_async16(stage, x);
    cp_async_commit();
    cp_async_wait<0>();
    y[threadIdx.x] = stage[threadIdx.x % 4];
}

// The sum of all blocks by the one that ends last, who does not know that it is last by a fence.
__global__ void last_block_without_fence_kernel(float *y, unsigned *done)
{
    y[1 + blockIdx.x] = 1.0f;
    if (atomicAdd(done, 1u) == gridDim.x - 1)
        y[0] = y[1] + y[2];
}

void run_race(race which, const float *x, float *y, unsigned *done, CUstream_st *stream)
{
    switch (which) {
    case race::blocks_write_the_same_word:
        LAUNCH(blocks_write_the_same_word_kernel, dim3(2), dim3(32), 0, stream, y);
        break;
    case race::shuffle_for_a_barrier:
        LAUNCH(shuffle_for_a_barrier_kernel, dim3(1), dim3(32), 0, stream, y);
        break;
    case race::copy_without_barrier:
        LAUNCH(copy_without_barrier_kernel, dim3(1), dim3(64), 0, stream, x, y);
        break;
    case race::last_block_without_fence:
        LAUNCH(last_block_without_fence_kernel, dim3(2), dim3(1), 0, stream, y, done);
        break;
    case race::missing_barrier:
        missing_barrier(y, stream);
        break;
    }
}

} // namespace simt_test
