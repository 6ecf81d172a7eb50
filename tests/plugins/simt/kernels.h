/* SPDX-License-Identifier: Apache-2.0 */
/* Launchers of the kernels that the emulator's tests run. Pointers are device memory. */
#ifndef SIMT_TEST_KERNELS_H
#define SIMT_TEST_KERNELS_H

#include <cstdint>

struct CUstream_st;

namespace simt_test
{

/* kernels.cu: right ones. */
void vector_add(const float *a, const float *b, float *sum, int n, CUstream_st *stream);
/* partial: one float a block (n_blocks); done: 0. */
void reduce_sum(const float *x, int n, float *partial, unsigned *done, float *sum, int n_blocks,
                CUstream_st *stream);
/* c[m][n] = a[m][k] b[n][k]: f16 in, f32 out. m a multiple of 16, n of 32, k of 32. */
void gemm_f16(const void *a, const void *b, float *c, int m, int n, int k, CUstream_st *stream);

/* fragments.cu: one warp each; registers in and out as [lane][register]. c is added to. */
void mma_words(const uint32_t *a, const uint32_t *b, float *c, bool is_bf16, CUstream_st *stream);
/* 32 rows of 16 bytes, matrix i has rows 8 i to 8 i + 7. */
void ldmatrix_words(const uint32_t *rows, uint32_t *r, int n_matrices, bool is_transposed,
                    CUstream_st *stream);
/* out[lane][8]: up, down, xor, index of the lane number; ballot, match, sum, min. */
void collectives(int32_t *out, int width, int argument, CUstream_st *stream);

/* faults.cu: wrong ones, and some that only look wrong. */
enum class fault {
    divergent_barrier,
    barrier_in_one_warp,
    return_before_barrier,
    two_shuffle_sites,
    half_warp_skips_shuffle,
    shuffle_from_outside_mask,
    caller_outside_mask,
    mask_of_returned_lane,
    two_mma_sites,
    half_warp_skips_mma,
    mma_of_returned_lane,
    two_ldmatrix_sites,
    half_warp_skips_ldmatrix,
    ldmatrix_of_returned_lane,
    mma_meets_ldmatrix,
    barrier_meets_shuffle,
    global_load_behind_end,
    global_load_of_host_memory,
    plain_store_behind_end,
    shared_load_behind_end,
    plain_shared_store_behind_end,
    shared_load_unwritten,
    misaligned_load,
    copy_read_too_early,
    copy_wait_off_by_one,
    copy_not_waited_for,
    copy_misaligned,
    copy_from_behind_end,
    trap,
    too_much_static_shared,
    /* legal */
    half_warps_apart,
    copy_waited_for
};
void run_fault(fault which, float *x, int n, CUstream_st *stream);
/* A read of shared memory that a missing barrier does not order: wrong under some schedules. y[64]
 */
void missing_barrier(float *y, CUstream_st *stream);
/* A copy into a stage that other threads still read; with_barrier makes it right. y[128] from
 * x[256] */
void early_prefetch(const float *x, float *y, bool with_barrier, CUstream_st *stream);

/* races.cu: races that TSan sees. y[64], x[64], done 0. */
enum class race {
    missing_barrier,
    blocks_write_the_same_word,
    shuffle_for_a_barrier,
    copy_without_barrier,
    last_block_without_fence
};
void run_race(race which, const float *x, float *y, unsigned *done, CUstream_st *stream);

/* patterns.cu */
void global_stride(const float *x, float *y, int stride, CUstream_st *stream);
void shared_stride(float *y, int stride, CUstream_st *stream);
void shared_rows(float *y, int row_floats, CUstream_st *stream);

} // namespace simt_test

#endif
