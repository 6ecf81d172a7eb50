// SPDX-License-Identifier: Apache-2.0
// The kernels of cuda-w4a16 with the fault FAULT, if it is one of kernels.
#include "tests/plugins/cuda-w4a16/broken/faults.h"

#define open_fragments sound_fragments
#include "plugins/cuda-w4a16/kernels/w4.cuh"
#undef open_fragments

namespace w4
{

SIMT_DEVICE void open_fragments(const uint32_t *q, uint2 params, int has_offset, uint32_t (*a)[4])
{
    uint32_t taken[2] = { q[0], q[1] };
    if (FAULT == NIBBLE_ORDER)
        for (uint32_t &word : taken)
            word = (word & 0x0f0f0f0fu) << 4 | (word >> 4 & 0x0f0f0f0fu);
    if (FAULT == NEIGHBOUR_COLUMN)
        params.x = (params.x & 0xffffu) | (params.y & 0xffff0000u);
    sound_fragments(taken, params, has_offset, a);
}

} // namespace w4

#include "plugins/cuda-w4a16/kernels/w4_dequantize.cu"
#include "plugins/cuda-w4a16/kernels/w4_gemm.cu"
#include "plugins/cuda-w4a16/kernels/w4_gemv.cu"
