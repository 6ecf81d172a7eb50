/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the blocks of one launch on the worker threads, which live as long as the process. One
 * launch at a time. */
#ifndef TN_PLUGINS_CUDA_SIMT_RUNTIME_GRID_H
#define TN_PLUGINS_CUDA_SIMT_RUNTIME_GRID_H

#include "plugins/cuda/simt/runtime/block.h"

namespace simt
{

/* False: a fault, kept by set_fault. Returns when all blocks are done. */
bool run_grid(const grid_job &job);

} // namespace simt

#endif
