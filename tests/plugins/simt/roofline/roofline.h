/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that do one thing as fast as a device can, so that others can be held against them. */
#ifndef SIMT_ROOFLINE_H
#define SIMT_ROOFLINE_H

#include <cstddef>
#include <cstdint>

struct CUstream_st;

namespace roofline
{

/* Reads n_bytes, a multiple of 16, once; sink keeps the loads alive. */
void read_memory(const void *p, size_t n_bytes, uint32_t *sink, int n_blocks, CUstream_st *stream);

/* n_blocks of 8 warps; each warp does mma_per_warp(n_rounds) products of 16 x 8 x 16 in f16. */
void multiply(float *sink, int n_rounds, int n_blocks, CUstream_st *stream);
long mma_per_warp(int n_rounds);
const int warps_per_block = 8;

} // namespace roofline

#endif
