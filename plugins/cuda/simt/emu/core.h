/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel sees of the emulator: its own index, barriers, and the functions of
 * libtn-simcuda.so behind every wrapper. Only plain data crosses that border, so each side may have
 * its own C++ runtime. Functions of a kernel carry the place of their call as default arguments,
 * for messages and counters.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_EMU_CORE_H
#define TN_PLUGINS_CUDA_SIMT_EMU_CORE_H

#include "plugins/cuda/simt/emu/types.h"

#define SIMT_API __attribute__((visibility("default")))
#define SIMT_AT  const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace simt
{

struct site {
    const char *what, *file;
    int line;
};

struct block_view {
    uint3 index;
    dim3 size, grid;
    void *dynamic_shared;
};

struct thread_view {
    uint3 index;
    int lane;
    const block_view *block;
};

enum class access { global_read, global_write, shared_read, shared_write, atomic };
enum class barrier_op { plain, count, all, any };
enum class vote { ballot, any, all, match_any };
enum class shuffle { index, up, down, exclusive_or };
enum class reduce {
    add,
    min_signed,
    max_signed,
    min_unsigned,
    max_unsigned,
    bit_and,
    bit_or,
    bit_xor
};
enum class mma_type { f16, bf16 };

} // namespace simt

extern "C" {
/* The calling thread of the kernel. It is the same during all of a kernel's body, hence the
 * attribute. */
SIMT_API const simt::thread_view *tn_simt_self(void) __attribute__((const));
SIMT_API void tn_simt_access(simt::access kind, const void *address, unsigned n_bytes,
                             unsigned alignment, const char *file, int line);
SIMT_API int tn_simt_barrier(simt::barrier_op op, int predicate, const char *file, int line);
SIMT_API void tn_simt_warp_barrier(uint32_t mask, const char *file, int line);
SIMT_API uint32_t tn_simt_shuffle(simt::shuffle how, uint32_t mask, uint32_t value, int argument,
                                  int width, const char *file, int line);
SIMT_API uint32_t tn_simt_vote(simt::vote how, uint32_t mask, uint32_t value, const char *file,
                               int line);
SIMT_API uint32_t tn_simt_reduce(simt::reduce how, uint32_t mask, uint32_t value, const char *file,
                                 int line);
SIMT_API void tn_simt_mma(simt::mma_type type, float *d, const uint32_t *a, const uint32_t *b,
                          const char *file, int line);
SIMT_API void tn_simt_ldmatrix(int n_matrices, int transposed, uint32_t *r, const void *row,
                               const char *file, int line);
SIMT_API void tn_simt_cp_async(void *dst, const void *src, int n_bytes, int n_src, const char *file,
                               int line);
SIMT_API void tn_simt_cp_commit(void);
SIMT_API void tn_simt_cp_wait(int n_pending);
SIMT_API void *tn_simt_shared(const void *key, size_t n_bytes);
SIMT_API void tn_simt_fence(void);
SIMT_API void tn_simt_trap(const char *file, int line);
}

#define threadIdx (tn_simt_self()->index)
#define blockIdx  (tn_simt_self()->block->index)
#define blockDim  (tn_simt_self()->block->size)
#define gridDim   (tn_simt_self()->block->grid)

static inline void __syncthreads(SIMT_AT)
{
    tn_simt_barrier(simt::barrier_op::plain, 0, file, line);
}
static inline int __syncthreads_count(int predicate, SIMT_AT)
{
    return tn_simt_barrier(simt::barrier_op::count, predicate, file, line);
}
static inline int __syncthreads_and(int predicate, SIMT_AT)
{
    return tn_simt_barrier(simt::barrier_op::all, predicate, file, line);
}
static inline int __syncthreads_or(int predicate, SIMT_AT)
{
    return tn_simt_barrier(simt::barrier_op::any, predicate, file, line);
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_AT)
{
    tn_simt_warp_barrier(mask, file, line);
}
static inline void __threadfence()
{
    tn_simt_fence();
}
static inline void __threadfence_block() {}
static inline void __trap(SIMT_AT)
{
    tn_simt_trap(file, line);
}

#endif
