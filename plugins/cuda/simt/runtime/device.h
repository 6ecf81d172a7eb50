/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pretended device: its properties and its memory. Memory is mapped with a page that nobody may
 * touch on either side, counted against the quota and filled with NaN. The table may be read by the
 * threads of a block while it runs.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_RUNTIME_DEVICE_H
#define TN_PLUGINS_CUDA_SIMT_RUNTIME_DEVICE_H

#include "plugins/cuda/simt/emu/control.h"

#include <cstddef>
#include <cstdint>

namespace simt
{

struct device_properties {
    const char *name;
    int major, minor, n_multiprocessors, clock_khz, memory_clock_khz, bus_bits;
    size_t memory_bytes, l2_bytes, shared_multiprocessor_bytes, shared_block_optin_bytes;
};

const device_properties *properties_of(device d);

enum class memory_kind { device, pinned_host };

struct allocation {
    unsigned char *low, *high; /* what was asked for */
    memory_kind kind;
    unsigned char *mapped;
    size_t mapped_bytes;
};

/* NULL: over the quota, or 0 bytes. Aligned to 256 bytes. */
void *allocate(memory_kind kind, size_t n_bytes);
/* False: p is not the start of an allocation of that kind. */
bool release(memory_kind kind, void *p);
/* The allocation that holds p; false if none does. */
bool find_allocation(const void *p, allocation *out);
/* Changes with every allocation and release, never 0. */
uint64_t memory_epoch();
size_t device_bytes_used();
/* Somebody wrote just behind an allocation: its address and size. Reported once. */
bool find_overrun(const void **out_low, size_t *out_bytes);

} // namespace simt

#endif
