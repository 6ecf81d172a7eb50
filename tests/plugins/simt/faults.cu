// SPDX-License-Identifier: Apache-2.0
// Kernels with one fault each, which the emulator has to name, and two that only look wrong. A
// block of 64 threads, x has n floats.
#include "plugins/cuda/simt/simt.h"
#include "tests/plugins/simt/kernels.h"

namespace simt_test
{

SIMT_DEVICE void barrier_fault(fault which, unsigned tid)
{
    if (which == fault::divergent_barrier) {
        if (tid < 40)
            __syncthreads();
        else
            __syncthreads();
    }
    if (which == fault::barrier_in_one_warp && tid < 32)
        __syncthreads();
    if (which == fault::return_before_barrier && tid < 60)
        __syncthreads();
    if (which == fault::barrier_meets_shuffle) {
        if (tid % 32 < 16)
            __syncthreads();
        else
            __shfl_xor_sync(0xffffffffu, tid, 1);
    }
    if (which == fault::trap && tid == 5)
        __trap();
}

SIMT_DEVICE unsigned warp_fault(fault which, unsigned tid)
{
    const unsigned lane = tid % 32, all = 0xffffffffu, low = 0xffffu;
    if (which == fault::two_shuffle_sites) {
        if (lane < 16)
            return __shfl_xor_sync(all, tid, 1);
        return __shfl_xor_sync(all, tid, 2);
    }
    if (which == fault::half_warp_skips_shuffle && lane < 16)
        return __shfl_xor_sync(all, tid, 1);
    if (which == fault::shuffle_from_outside_mask && lane < 16)
        return __shfl_xor_sync(low, tid, 16);
    if (which == fault::caller_outside_mask)
        return __shfl_sync(low, tid, 0);
    if (which == fault::half_warps_apart) {
        const unsigned mask = lane < 16 ? low : ~low;
        unsigned value = tid;
        for (int i = 0; i < (lane < 16 ? 1 : 3); i++)
            value = __shfl_xor_sync(mask, value, 1);
        return value;
    }
    return 0;
}

// Operations of a whole warp, each on zeros, by lanes that are not together. They have no mask of
// their own: all 32 lanes are meant.
SIMT_DEVICE float matrix_fault(fault which, unsigned tid)
{
    SHARED_ARRAY(uint4, tile, 64);
    const unsigned lane = tid % 32;
    const uint32_t a[4] = {}, b[2] = {};
    uint32_t r[4] = {};
    float d[4] = {};
    sts128(&tile[tid], make_uint4(0, 0, 0, 0));
    __syncthreads();
    if (which == fault::mma_of_returned_lane || which == fault::ldmatrix_of_returned_lane) {
        if (lane == 3)
            return 0.0f;
        __syncwarp(0xffffffffu & ~8u); // the others are still here
    }
    if (which == fault::two_mma_sites) {
        if (lane < 16)
            mma_16816_f16(d, a, b);
        else
            mma_16816_f16(d, a, b);
    }
    if (which == fault::two_ldmatrix_sites) {
        if (lane < 16)
            ldmatrix_x4(r, &tile[tid]);
        else
            ldmatrix_x4(r, &tile[tid]);
    }
    if (which == fault::mma_meets_ldmatrix) {
        if (lane < 16)
            mma_16816_f16(d, a, b);
        else
            ldmatrix_x4(r, &tile[tid]);
    }
    if (which == fault::mma_of_returned_lane || (which == fault::half_warp_skips_mma && lane < 16))
        mma_16816_f16(d, a, b);
    if (which == fault::ldmatrix_of_returned_lane ||
        (which == fault::half_warp_skips_ldmatrix && lane < 16))
        ldmatrix_x4(r, &tile[tid]);
    __syncthreads(); // here wait those that skipped it
    return d[0] + static_cast<float>(r[0]);
}

SIMT_DEVICE void memory_fault(fault which, float *x, int n, unsigned tid)
{
    SHARED_ARRAY(float, s, 64);
    if (which == fault::global_load_behind_end)
        sts(&s[tid], ldg(x + n - 32 + tid));
    if (which == fault::plain_store_behind_end && tid == 0)
        x[n + 3] = 1.0f;
    if (which == fault::shared_load_behind_end) {
        s[tid] = 0.0f;
        __syncthreads();
        x[tid] = lds(s + tid + 1);
    }
    if (which == fault::plain_shared_store_behind_end) {
        float *p = s + 32 + tid;
        *p = 0.0f;
    }
    if (which == fault::shared_load_unwritten) {
        if (tid < 32)
            s[tid] = 1.0f;
        __syncthreads();
        x[tid] = lds(&s[tid]);
    }
    if (which == fault::misaligned_load)
        stg128(x, ldg128(x + 1));
}

SIMT_DEVICE void copy_fault(fault which, float *x, int n, unsigned tid)
{
    SHARED_ARRAY(float, first, 256);
    SHARED_ARRAY(float, second, 256);
    const float *from = which == fault::copy_from_behind_end ? x + n - 128 + tid * 4 : x + tid * 4;
    cp_async16(first + tid * 4, which == fault::copy_misaligned ? from + 1 : from);
    cp_async_commit();
    cp_async16(second + tid * 4, x + tid * 4);
    cp_async_commit();
    if (which == fault::copy_not_waited_for)
        return;
    if (which == fault::copy_read_too_early) {
        stg128(x + tid * 4, lds128(first + tid * 4));
    } else if (which == fault::copy_wait_off_by_one) {
        cp_async_wait<1>();
        stg128(x + tid * 4, lds128(second + tid * 4));
    } else {
        cp_async_wait<1>();
        stg128(x + tid * 4, lds128(first + tid * 4));
    }
    cp_async_wait<0>();
}

SIMT_DEVICE void too_much_shared(float *x)
{
    SHARED_ARRAY(float, one, 8 * 1024);
#ifdef __CUDACC__
    x[0] = one[threadIdx.x]; // nvcc refuses 64 KB itself
#else
    SHARED_ARRAY(float, two, 8 * 1024);
    x[0] = one[0] + two[0];
#endif
}

__global__ void fault_kernel(fault which, float *x, int n)
{
    const unsigned tid = threadIdx.x;
    if (which == fault::mask_of_returned_lane) {
        if (tid % 32 == 3)
            return;
        __syncwarp(0xffffffffu & ~8u); // the others are still here
        x[tid] = __shfl_sync(0xffffffffu, 1.0f, 0);
        return;
    }
    if (which >= fault::two_mma_sites && which <= fault::mma_meets_ldmatrix) {
        x[tid] = matrix_fault(which, tid);
        return;
    }
    if (which == fault::global_load_of_host_memory) {
        float on_stack = 1.0f;
        x[tid] = ldg(&on_stack);
        return;
    }
    if (which == fault::too_much_static_shared) {
        too_much_shared(x);
        return;
    }
    barrier_fault(which, tid);
    x[tid] = static_cast<float>(warp_fault(which, tid));
    memory_fault(which, x, n, tid);
    if (which >= fault::copy_read_too_early && which != fault::trap &&
        which != fault::half_warps_apart)
        copy_fault(which, x, n, tid);
}

void run_fault(fault which, float *x, int n, CUstream_st *stream)
{
    LAUNCH(fault_kernel, dim3(1), dim3(64), 0, stream, which, x, n);
}

__global__ void missing_barrier_kernel(float *y)
{
    SHARED_ARRAY(float, s, 64);
    s[threadIdx.x] = static_cast<float>(threadIdx.x);
    y[threadIdx.x] = s[63 - threadIdx.x];
}

void missing_barrier(float *y, CUstream_st *stream)
{
    LAUNCH(missing_barrier_kernel, dim3(1), dim3(64), 0, stream, y);
}

// Warp 1 may still read the stage that warp 0 fills again.
__global__ void early_prefetch_kernel(const float *x, float *y, bool with_barrier)
{
    SHARED_ARRAY(float, stage, 128);
    const unsigned tid = threadIdx.x;
    if (tid < 32)
        cp_async16(stage + tid * 4, x + tid * 4);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    if (tid >= 32)
        stg128(y + (tid - 32) * 4, *reinterpret_cast<const uint4 *>(stage + (tid - 32) * 4));
    if (with_barrier)
        __syncthreads();
    if (tid < 32)
        cp_async16(stage + tid * 4, x + 128 + tid * 4);
    cp_async_commit();
    cp_async_wait<0>();
}

void early_prefetch(const float *x, float *y, bool with_barrier, CUstream_st *stream)
{
    LAUNCH(early_prefetch_kernel, dim3(1), dim3(64), 0, stream, x, y, with_barrier);
}

} // namespace simt_test
