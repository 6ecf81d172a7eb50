/* SPDX-License-Identifier: Apache-2.0 */
/* The domain simdev and the plugin around it. */
#include "plugins/common/sanitizer.h"
#include "plugins/cpu-ref/kernels.h"
#include "tests/plugins/domain-sim/sim.h"

#include <stdio.h>
#include <string.h>

static tn_status devices(void *self, int32_t *n, tn_error *err)
{
    (void)self;
    (void)err;
    *n = 1;
    return TN_OK;
}

static tn_status describe(void *self, int32_t dev, char *name, uint64_t cap, uint64_t *free_b,
                          uint64_t *total_b, tn_error *err)
{
    sim *s = self;

    (void)dev;
    (void)err;
    if (cap)
        snprintf(name, (size_t)cap, "simulated device");
    *free_b = sim_memory_free_bytes(&s->memory);
    *total_b = s->memory.size;
    return TN_OK;
}

static tn_status attach(void *self, int32_t dev, tn_error *err)
{
    (void)self;
    (void)dev;
    (void)err;
    return TN_OK;
}

static tn_status alloc(void *self, int32_t dev, uint64_t bytes, uint64_t *addr, tn_error *err)
{
    sim *s = self;

    (void)dev;
    return sim_memory_alloc(&s->memory, bytes, addr, err);
}

static void release(void *self, int32_t dev, uint64_t addr)
{
    sim *s = self;

    (void)dev;
    if (addr && !sim_memory_release(&s->memory, addr))
        s->host->log(s->host->ctx, 0, "release of an address that is not allocated");
}

static tn_status host_alloc(void *self, uint64_t bytes, void **out, tn_error *err)
{
    sim *s = self;

    *out = s->host->alloc(s->host->ctx, bytes);
    return *out ? TN_OK : tn_plugin_fail(err, TN_NO_MEMORY, "simdev: no host memory");
}

static void host_release(void *self, void *block)
{
    sim *s = self;

    s->host->release(s->host->ctx, block);
}

static tn_status copy(void *self, uint64_t dst, uint64_t src, uint64_t n, int32_t direction,
                      void *stream, tn_error *err)
{
    const sim_task task = {
        .kind = SIM_COPY, .dst = dst, .src = src, .n = n, .direction = direction
    };

    (void)self;
    if (!stream || direction < TN_TO_DEVICE || direction > TN_ON_DEVICE)
        return tn_plugin_fail(err, TN_INVALID, "simdev: a copy without stream or direction");
    sim_stream_push(stream, &task);
    return TN_OK;
}

static tn_status fill(void *self, uint64_t dst, uint8_t byte, uint64_t n, void *stream,
                      tn_error *err)
{
    const sim_task task = { .kind = SIM_FILL, .dst = dst, .byte = byte, .n = n };

    (void)self;
    if (!stream)
        return tn_plugin_fail(err, TN_INVALID, "simdev: a fill without stream");
    sim_stream_push(stream, &task);
    return TN_OK;
}

static tn_status stream_new(void *self, int32_t dev, void **out, tn_error *err)
{
    sim_stream *stream;
    tn_status status = sim_stream_new(self, &stream, err);

    (void)dev;
    *out = stream;
    return status;
}

static void stream_release(void *self, void *stream)
{
    (void)self;
    if (stream)
        sim_stream_release(stream);
}

static tn_status stream_wait(void *self, void *stream, tn_error *err)
{
    (void)self;
    if (!stream)
        return tn_plugin_fail(err, TN_INVALID, "simdev: a wait without stream");
    return sim_stream_wait(stream, err);
}

static tn_status open_plugin(const tn_host *host, void **self, tn_error *err)
{
    sim *s = host->alloc(host->ctx, sizeof(*s));

    if (!s)
        return tn_plugin_fail(err, TN_NO_MEMORY, "simdev: no memory");
    memset(s, 0, sizeof(*s));
    s->host = host;
    tn_status status = sim_memory_init(&s->memory, err);
    if (status == TN_OK) {
        status = tn_cpu_ref_open(host, &s->ref, err);
        if (status)
            sim_memory_deinit(&s->memory);
    }
    if (status) {
        host->release(host->ctx, s);
        return status;
    }
    *self = s;
    return TN_OK;
}

static void close_plugin(void *self)
{
    sim *s = self;
    const tn_host *host = s->host;

    if (s->memory.n_live)
        host->log(host->ctx, 1, "device memory is still allocated at close");
    tn_cpu_ref_close(s->ref);
    sim_memory_deinit(&s->memory);
    host->release(host->ctx, s);
}

static tn_status kv_bytes(void *self, const char *name, const tn_attention *attention,
                          int32_t block_tokens, uint64_t *out, tn_error *err)
{
    sim *s = self;

    for (const tn_kv_format *const *f = tn_cpu_ref_kv_formats; *f; f++)
        if (strcmp((*f)->name, name) == 0)
            return (*f)->block_bytes(s->ref, attention, block_tokens, out, err);
    return tn_plugin_fail(err, TN_UNSUPPORTED, "cpu-ref has no KV format %s", name);
}

static tn_status kv_values(void *self, const char *name, const tn_attention *attention,
                           int32_t block_tokens, const void *block, float *k, float *v,
                           tn_error *err)
{
    sim *s = self;

    for (const tn_kv_format *const *f = tn_cpu_ref_kv_formats; *f; f++)
        if (strcmp((*f)->name, name) == 0 && (*f)->to_f32)
            return (*f)->to_f32(s->ref, attention, block_tokens, block, k, v, err);
    return tn_plugin_fail(err, TN_UNSUPPORTED, "cpu-ref does not read KV format %s", name);
}

/* A KV format of cpu-ref, with simdev's self in front. */
#define KV_FORMAT(id, text)                                                                        \
    static tn_status id##_bytes(void *self, const tn_attention *a, int32_t t, uint64_t *out,       \
                                tn_error *err)                                                     \
    {                                                                                              \
        return kv_bytes(self, text, a, t, out, err);                                               \
    }                                                                                              \
    static tn_status id##_values(void *self, const tn_attention *a, int32_t t, const void *block,  \
                                 float *k, float *v, tn_error *err)                                \
    {                                                                                              \
        return kv_values(self, text, a, t, block, k, v, err);                                      \
    }                                                                                              \
    static const tn_kv_format id = { .size = sizeof(tn_kv_format),                                 \
                                     .name = text,                                                 \
                                     .block_bytes = id##_bytes,                                    \
                                     .to_f32 = id##_values }
KV_FORMAT(kv_f32, "f32");
KV_FORMAT(kv_f16, "f16");
KV_FORMAT(kv_i8, "i8");
KV_FORMAT(kv_i8_static, "i8-static");

static const tn_kv_format *const kv_formats[] = { &kv_f32, &kv_f16, &kv_i8, &kv_i8_static, NULL };

static const tn_domain domain = {
    .size = sizeof(tn_domain),
    .name = "simdev",
    .native = "sim_stream",
    .resid_dtype = TN_F32,
    .act_dtype = TN_F32, /* as on the host, so that bits can be compared */
    .devices = devices,
    .describe = describe,
    .attach = attach,
    .alloc = alloc,
    .release = release,
    .host_alloc = host_alloc,
    .host_release = host_release,
    .copy = copy,
    .fill = fill,
    .stream_new = stream_new,
    .stream_release = stream_release,
    .stream_wait = stream_wait,
};

const tn_plugin tn_plugin_v1 = { .size = sizeof(tn_plugin),
                                 .minor = TN_ABI_MINOR,
                                 .sanitizer = TN_SANITIZER,
                                 .name = "simdev",
                                 .version = "1",
                                 .domain = "simdev",
                                 .build = "test",
                                 .open = open_plugin,
                                 .close = close_plugin,
                                 .kernels = sim_kernels,
                                 .kv_formats = kv_formats,
                                 .provides = &domain };
