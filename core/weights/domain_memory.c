/* SPDX-License-Identifier: Apache-2.0 */
#include "core/weights/domain_memory.h"

#include "core/base/alloc.h"

#include <inttypes.h>

tn_status tn_domain_memory_alloc(const tn_device *device, void *stream, uint64_t bytes,
                                 const char *what, tn_domain_memory *out, tn_error *err)
{
    uint64_t addr = 0;
    *out = (tn_domain_memory){ 0 };
    if (bytes == 0)
        return TN_OK;
    if (tn_device_is_host(device)) {
        void *pages = bytes <= SIZE_MAX / 2 ? tn_pages_alloc((size_t)bytes) : NULL;
        if (!pages)
            return tn_fail(err, TN_NO_MEMORY, "cannot allocate %" PRIu64 " bytes for %s", bytes,
                           what);
        *out = (tn_domain_memory){ (uint64_t)(uintptr_t)pages, bytes, *device };
        return TN_OK;
    }
    tn_status st = device->domain->alloc(device->self, device->index, bytes, &addr, err);
    if (st)
        return tn_error_wrap(err, st, "%" PRIu64 " bytes of %s for %s", bytes, device->domain->name,
                             what);
    *out = (tn_domain_memory){ addr, bytes, *device };
    st = device->domain->fill(device->self, addr, 0, bytes, stream, err);
    if (st)
        tn_domain_memory_release(out);
    return st;
}

void tn_domain_memory_release(tn_domain_memory *memory)
{
    if (memory->bytes == 0)
        return;
    if (tn_device_is_host(&memory->device))
        tn_pages_release((void *)(uintptr_t)memory->addr, (size_t)memory->bytes);
    else
        memory->device.domain->release(memory->device.self, memory->device.index, memory->addr);
    *memory = (tn_domain_memory){ 0 };
}
