/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one header of a kernel file, and the only PTX of the project. Under nvcc it is CUDA; under a
 * host compiler the same names run on the emulator of docs/cuda.md. Kernels write neither asm nor
 * <<<>>> nor __shared__:
 *
 *     __global__ void scale(float *x, float by, int n)
 *     {
 *         int i = blockIdx.x * blockDim.x + threadIdx.x;
 *         if (i < n)
 *             stg(&x[i], ldg(&x[i]) * by);
 *     }
 *     LAUNCH(scale, dim3(n_blocks), dim3(256), 0, stream, x, 2.0f, n);
 *     // then check cudaGetLastError
 */
#ifndef TN_PLUGINS_CUDA_SIMT_SIMT_H
#define TN_PLUGINS_CUDA_SIMT_SIMT_H

#ifdef __CUDACC__

#    include <cuda_bf16.h>
#    include <cuda_fp16.h>
#    include <cuda_runtime.h>
#    include <stdint.h>

#    define SIMT_UNROLL              _Pragma("unroll")
#    define SIMT_DEVICE              static __device__ __forceinline__
#    define SHARED_ARRAY(T, name, n) __shared__ __align__(16) T name[n]
#    define SHARED_DYN(T, name)                                                                    \
        extern __shared__ __align__(128) unsigned char simt_dynamic_[];                            \
        T *name = reinterpret_cast<T *>(simt_dynamic_)
/* More than 48 KB of dynamic shared memory needs a permission per kernel. */
#    define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                 \
        do {                                                                                       \
            auto kernel_ = (kernel);                                                               \
            size_t bytes_ = (shared_bytes);                                                        \
            if (bytes_ > 48 * 1024)                                                                \
                cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel_),                      \
                                     cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes_);    \
            kernel_<<<(grid), (block), bytes_, (stream)>>>(__VA_ARGS__);                           \
        } while (0)

SIMT_DEVICE uint32_t simt_shared_address(const void *p)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/* Loads and stores that the emulator checks and counts. */
template <class T> SIMT_DEVICE T ldg(const T *p)
{
    return *p;
}
template <class T> struct simt_same {
    using type = T;
};
template <class T> SIMT_DEVICE void stg(T *p, typename simt_same<T>::type value)
{
    *p = value;
}
template <class T> SIMT_DEVICE T lds(const T *p)
{
    return *p;
}
template <class T> SIMT_DEVICE void sts(T *p, typename simt_same<T>::type value)
{
    *p = value;
}
SIMT_DEVICE uint4 ldg128(const void *p)
{
    return *reinterpret_cast<const uint4 *>(p);
}
/* For weights: read once, by nobody written in this kernel, not kept in L1. */
SIMT_DEVICE uint4 ldg128_stream(const void *p)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}
SIMT_DEVICE void stg128(void *p, uint4 value)
{
    *reinterpret_cast<uint4 *>(p) = value;
}
SIMT_DEVICE uint4 lds128(const void *p)
{
    return *reinterpret_cast<const uint4 *>(p);
}
SIMT_DEVICE void sts128(void *p, uint4 value)
{
    *reinterpret_cast<uint4 *>(p) = value;
}

/* PTX ISA, cp.async: 16, 8 or 4 bytes; bytes from n_src on become zero. Only 16 may bypass L1. */
#    define SIMT_CP_ASYNC(bytes, cache)                                                            \
        SIMT_DEVICE void cp_async##bytes(void *dst, const void *src, int n_src = bytes)            \
        {                                                                                          \
            asm volatile("cp.async." cache ".shared.global [%0], [%1], " #bytes                    \
                         ", %2;" ::"r"(simt_shared_address(dst)),                                  \
                         "l"(src), "r"(n_src)                                                      \
                         : "memory");                                                              \
        }
SIMT_CP_ASYNC(16, "cg")
SIMT_CP_ASYNC(8, "ca")
SIMT_CP_ASYNC(4, "ca")
SIMT_DEVICE void cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int Pending> SIMT_DEVICE void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

/* PTX ISA, ldmatrix: lane 8 i + j gives the address of row j of matrix i. */
#    define SIMT_LDMATRIX_1(suffix, trans)                                                         \
        SIMT_DEVICE void ldmatrix_x1##suffix(uint32_t *r, const void *row)                         \
        {                                                                                          \
            asm volatile("ldmatrix.sync.aligned.m8n8.x1" trans ".shared.b16 {%0}, [%1];"           \
                         : "=r"(r[0])                                                              \
                         : "r"(simt_shared_address(row))                                           \
                         : "memory");                                                              \
        }
#    define SIMT_LDMATRIX_2(suffix, trans)                                                         \
        SIMT_DEVICE void ldmatrix_x2##suffix(uint32_t *r, const void *row)                         \
        {                                                                                          \
            asm volatile("ldmatrix.sync.aligned.m8n8.x2" trans ".shared.b16 {%0,%1}, [%2];"        \
                         : "=r"(r[0]), "=r"(r[1])                                                  \
                         : "r"(simt_shared_address(row))                                           \
                         : "memory");                                                              \
        }
#    define SIMT_LDMATRIX_4(suffix, trans)                                                         \
        SIMT_DEVICE void ldmatrix_x4##suffix(uint32_t *r, const void *row)                         \
        {                                                                                          \
            asm volatile("ldmatrix.sync.aligned.m8n8.x4" trans ".shared.b16 {%0,%1,%2,%3}, [%4];"  \
                         : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                          \
                         : "r"(simt_shared_address(row))                                           \
                         : "memory");                                                              \
        }
SIMT_LDMATRIX_1(, "")
SIMT_LDMATRIX_2(, "")
SIMT_LDMATRIX_4(, "")
SIMT_LDMATRIX_1(_trans, ".trans")
SIMT_LDMATRIX_2(_trans, ".trans")
SIMT_LDMATRIX_4(_trans, ".trans")

/* PTX ISA, mma.m16n8k16: d += a b. a has 4 words, b 2, d 4 floats. */
#    define SIMT_MMA(name, type)                                                                   \
        SIMT_DEVICE void mma_16816_##name(float *d, const uint32_t *a, const uint32_t *b)          \
        {                                                                                          \
            asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 "            \
                         "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                   \
                         : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                          \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));      \
        }
SIMT_MMA(f16, "f16")
SIMT_MMA(bf16, "bf16")

SIMT_DEVICE uint32_t prmt(uint32_t a, uint32_t b, uint32_t selector)
{
    uint32_t r;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(selector));
    return r;
}
template <int Table> SIMT_DEVICE uint32_t lop3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t r;
    asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(r) : "r"(a), "r"(b), "r"(c), "n"(Table));
    return r;
}

#else

#    include "plugins/cuda/simt/emu/launch.h"
#    include "plugins/cuda/simt/emu/math.h"
#    include "plugins/cuda/simt/emu/memory.h"
#    include "plugins/cuda/simt/emu/warp.h"
#    include "plugins/cuda/simt/shim/cuda_runtime.h"

#    define SIMT_UNROLL
#    define SIMT_DEVICE static inline
#    define SHARED_ARRAY(T, name, n)                                                               \
        SIMT_SHARED_KEY(name);                                                                     \
        T(&name)[n] = *static_cast<T(*)[n]>(tn_simt_shared(&name##_key, sizeof(T) * (n)))
#    define SHARED_DYN(T, name) T *name = static_cast<T *>(tn_simt_self()->block->dynamic_shared)

#endif

/*
 * True, in all threads, in the block of the grid that comes here last: it may read what the others
 * wrote. All threads call it. *done is 0 before the first block and is left 0. Nobody waits, so it
 * cannot hang when blocks run one by one. The fences and the barrier are those of CUDA C++
 * Programming Guide, "Memory Fence Functions", with one more before the reads.
 */
SIMT_DEVICE bool block_is_last(unsigned *done, unsigned n_blocks)
{
    SHARED_ARRAY(unsigned, is_last, 1);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0)
        is_last[0] = atomicInc(done, n_blocks - 1) == n_blocks - 1;
    __syncthreads();
    __threadfence();
    return is_last[0] != 0;
}

#endif
