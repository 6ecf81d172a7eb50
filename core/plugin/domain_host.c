/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in domain: addresses are host pointers and every call is done when it returns. */
#include "core/base/alloc.h"
#include "core/plugin/domain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* More than any machine has; a larger wish is a mistake in arithmetic and never reaches the
 * allocator. */
static const uint64_t MAX_ALLOC_BYTES = (UINT64_C(1) << 40) - 1;

static tn_status host_devices(void *self, int32_t *n, tn_error *err)
{
    (void)self, (void)err;
    *n = 1;
    return TN_OK;
}

/* Memory that can be had without swapping (proc(5), meminfo); 0 when the system does not say. */
static uint64_t available_bytes(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    uint64_t kib = 0;

    if (!f)
        return 0;
    while (!kib && fgets(line, sizeof(line), f))
        if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) != 1)
            kib = 0;
    fclose(f);
    return kib * 1024;
}

static tn_status host_describe(void *self, int32_t dev, char *name, uint64_t cap, uint64_t *free_b,
                               uint64_t *total_b, tn_error *err)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    (void)self, (void)dev, (void)err;
    if (cap)
        snprintf(name, (size_t)cap, "host");
    *free_b = available_bytes();
    *total_b = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    return TN_OK;
}

static tn_status host_attach(void *self, int32_t dev, tn_error *err)
{
    (void)self, (void)dev, (void)err;
    return TN_OK;
}

static tn_status host_alloc_device(void *self, int32_t dev, uint64_t bytes, uint64_t *addr,
                                   tn_error *err)
{
    (void)self, (void)dev;
    *addr = 0;
    void *block = bytes <= MAX_ALLOC_BYTES ? tn_alloc_aligned((size_t)bytes) : NULL;
    if (!block)
        return tn_fail(err, TN_NO_MEMORY, "cannot allocate %" PRIu64 " bytes of host memory",
                       bytes);
    *addr = (uint64_t)(uintptr_t)block;
    return TN_OK;
}

static void host_release_device(void *self, int32_t dev, uint64_t addr)
{
    (void)self, (void)dev;
    tn_free((void *)(uintptr_t)addr);
}

static tn_status host_alloc(void *self, uint64_t bytes, void **out, tn_error *err)
{
    uint64_t addr;
    tn_status status = host_alloc_device(self, 0, bytes, &addr, err);

    *out = (void *)(uintptr_t)addr;
    return status;
}

static void host_release(void *self, void *block)
{
    (void)self;
    tn_free(block);
}

static tn_status host_copy(void *self, uint64_t dst, uint64_t src, uint64_t n, int32_t direction,
                           void *stream, tn_error *err)
{
    (void)self, (void)direction, (void)stream, (void)err;
    if (n)
        memmove((void *)(uintptr_t)dst, (const void *)(uintptr_t)src, (size_t)n);
    return TN_OK;
}

static tn_status host_fill(void *self, uint64_t dst, uint8_t byte, uint64_t n, void *stream,
                           tn_error *err)
{
    (void)self, (void)stream, (void)err;
    if (n)
        memset((void *)(uintptr_t)dst, byte, (size_t)n);
    return TN_OK;
}

static tn_status host_stream_new(void *self, int32_t dev, void **out, tn_error *err)
{
    (void)self, (void)dev, (void)err;
    *out = NULL;
    return TN_OK;
}

static tn_status host_stream_wait(void *self, void *stream, tn_error *err)
{
    (void)self, (void)stream, (void)err;
    return TN_OK;
}

static const tn_domain host_domain = {
    .size = sizeof(tn_domain),
    .name = "host",
    .native = "none",
    .resid_dtype = TN_F32,
    .act_dtype = TN_F32,
    .devices = host_devices,
    .describe = host_describe,
    .attach = host_attach,
    .alloc = host_alloc_device,
    .release = host_release_device,
    .host_alloc = host_alloc,
    .host_release = host_release,
    .copy = host_copy,
    .fill = host_fill,
    .stream_new = host_stream_new,
    .stream_release = host_release, /* a stream is NULL, and so is what is released */
    .stream_wait = host_stream_wait,
};

const tn_domain *tn_host_domain(void)
{
    return &host_domain;
}

int32_t tn_device_is_host(const tn_device *device)
{
    return device->domain == &host_domain;
}
