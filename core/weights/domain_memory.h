/* SPDX-License-Identifier: Apache-2.0 */
/* Zeroed memory of a device. On the host it is pages that the system hands out when they are
 * touched. Thread: any, one a block. */
#ifndef TN_CORE_WEIGHTS_DOMAIN_MEMORY_H
#define TN_CORE_WEIGHTS_DOMAIN_MEMORY_H

#include "core/plugin/domain.h"

typedef struct tn_domain_memory {
    uint64_t addr, bytes; /* 0, 0: nothing */
    tn_device device;
} tn_domain_memory;

/**
 * bytes of zeroed memory on the device, attached to the calling thread; `what` names it in the
 * error ("the KV pool of layer 3"). On a device the fill is enqueued on stream. bytes 0 gives
 * address 0.
 */
tn_status tn_domain_memory_alloc(const tn_device *device, void *stream, uint64_t bytes,
                                 const char *what, tn_domain_memory *out,
                                 tn_error *err) TN_MUST_USE;
void tn_domain_memory_release(tn_domain_memory *memory);

#endif
