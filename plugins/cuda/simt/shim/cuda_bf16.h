/* SPDX-License-Identifier: Apache-2.0 */
/* Stands for CUDA's header of this name on the emulator. */
#ifndef TN_PLUGINS_CUDA_SIMT_SHIM_CUDA_BF16_H
#define TN_PLUGINS_CUDA_SIMT_SHIM_CUDA_BF16_H

#include "plugins/cuda/simt/emu/half.h"

#endif
