/* SPDX-License-Identifier: Apache-2.0 */
/* The rendezvous behind every warp operation: lanes of a mask meet at one place and the last one
 * computes for all. */
#ifndef TN_PLUGINS_CUDA_SIMT_RUNTIME_WARP_H
#define TN_PLUGINS_CUDA_SIMT_RUNTIME_WARP_H

#include "plugins/cuda/simt/runtime/block.h"

namespace simt
{

/* Words that a lane brings and takes. compute(warp, mask, context) fills warp->out from warp->in,
 * on the last lane. */
struct meeting_args {
    site at;
    uint32_t mask;
    const uint32_t *in;
    int n_in, n_out;
    uint32_t *out;
    void (*compute)(warp *w, uint32_t mask, const void *context);
    const void *context;
};

void meet(const meeting_args &args);

} // namespace simt

#endif
