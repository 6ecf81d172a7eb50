/* SPDX-License-Identifier: Apache-2.0 */
/* A whole domain provider whose device is not there: open() says TN_UNAVAILABLE, nothing else is
 * ever called. */
#include "plugins/common/plugin_util.h"
#include "tests/plugins/broken-load/parts.h"

static tn_status gone(tn_error *err)
{
    return tn_plugin_fail(err, TN_UNAVAILABLE, "the device has left the building");
}

static tn_status open_plugin(const tn_host *host, void **self, tn_error *err)
{
    (void)host;
    (void)self;
    return gone(err);
}

static tn_status devices(void *self, int32_t *n, tn_error *err)
{
    (void)self;
    *n = 0;
    return gone(err);
}

static tn_status describe(void *self, int32_t dev, char *name, uint64_t cap, uint64_t *free_b,
                          uint64_t *total_b, tn_error *err)
{
    (void)self;
    (void)dev;
    (void)name;
    (void)cap;
    *free_b = *total_b = 0;
    return gone(err);
}

static tn_status attach(void *self, int32_t dev, tn_error *err)
{
    (void)self;
    (void)dev;
    return gone(err);
}

static tn_status alloc(void *self, int32_t dev, uint64_t bytes, uint64_t *addr, tn_error *err)
{
    (void)self;
    (void)dev;
    (void)bytes;
    *addr = 0;
    return gone(err);
}

static void release(void *self, int32_t dev, uint64_t addr)
{
    (void)self;
    (void)dev;
    (void)addr;
}

static tn_status host_alloc(void *self, uint64_t bytes, void **out, tn_error *err)
{
    (void)self;
    (void)bytes;
    *out = NULL;
    return gone(err);
}

static void release_pointer(void *self, void *pointer)
{
    (void)self;
    (void)pointer;
}

static tn_status copy(void *self, uint64_t dst, uint64_t src, uint64_t n, int32_t direction,
                      void *stream, tn_error *err)
{
    (void)self;
    (void)dst;
    (void)src;
    (void)n;
    (void)direction;
    (void)stream;
    return gone(err);
}

static tn_status fill(void *self, uint64_t dst, uint8_t byte, uint64_t n, void *stream,
                      tn_error *err)
{
    (void)self;
    (void)dst;
    (void)byte;
    (void)n;
    (void)stream;
    return gone(err);
}

static tn_status stream_new(void *self, int32_t dev, void **stream, tn_error *err)
{
    (void)self;
    (void)dev;
    *stream = NULL;
    return gone(err);
}

static tn_status stream_wait(void *self, void *stream, tn_error *err)
{
    (void)self;
    (void)stream;
    return gone(err);
}

static const tn_domain domain = {
    .size = sizeof(tn_domain),
    .name = "gone",
    .native = "none",
    .resid_dtype = TN_F32,
    .act_dtype = TN_F16,
    .devices = devices,
    .describe = describe,
    .attach = attach,
    .alloc = alloc,
    .release = release,
    .host_alloc = host_alloc,
    .host_release = release_pointer,
    .copy = copy,
    .fill = fill,
    .stream_new = stream_new,
    .stream_release = release_pointer,
    .stream_wait = stream_wait,
};

const tn_plugin tn_plugin_v1 = { PART_PLUGIN, .name = "gone", .open = open_plugin,
                                 .provides = &domain };
