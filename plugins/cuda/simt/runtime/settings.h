/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TN_PLUGINS_CUDA_SIMT_RUNTIME_SETTINGS_H
#define TN_PLUGINS_CUDA_SIMT_RUNTIME_SETTINGS_H

#include "plugins/cuda/simt/emu/control.h"

namespace simt
{

const settings &current_settings();

/* Keeps the first fault since it was cleared, and prints it unless quiet. */
void set_fault(const char *kernel, const char *text);
bool has_fault();

} // namespace simt

#endif
