/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the domain: each is a call of the driver. */
#include "plugins/cuda/cuda.h"

static tn_status devices(void *self, int32_t *n, tn_error *err)
{
    const tn_cuda *c = self;

    (void)err;
    *n = c->n_devices;
    return TN_OK;
}

/* The device's primary context, made when it is first needed: that takes time and memory. */
static tn_status context_of(tn_cuda *c, int32_t dev, CUcontext *out, tn_error *err)
{
    CUdevice device;
    tn_status status = TN_OK;

    if (dev < 0 || dev >= c->n_devices)
        return tn_plugin_fail(err, TN_INVALID, "cuda: there is no device %d, only 0 to %d",
                              (int)dev, (int)c->n_devices - 1);
    pthread_mutex_lock(&c->lock);
    if (!c->context[dev]) {
        status = TN_CUDA_CALL(&c->driver, cuDeviceGet, (&device, dev), err);
        if (!status)
            status =
                TN_CUDA_CALL(&c->driver, cuDevicePrimaryCtxRetain, (&c->context[dev], device), err);
    }
    *out = c->context[dev];
    pthread_mutex_unlock(&c->lock);
    return status;
}

static tn_status attach(void *self, int32_t dev, tn_error *err)
{
    tn_cuda *c = self;
    CUcontext context = NULL;

    TN_PLUGIN_TRY(context_of(c, dev, &context, err));
    return TN_CUDA_CALL(&c->driver, cuCtxSetCurrent, (context), err);
}

static tn_status memory_info(tn_cuda *c, uint64_t *free_bytes, uint64_t *total_bytes, tn_error *err)
{
    size_t free_now, total;

    TN_PLUGIN_TRY(TN_CUDA_CALL(&c->driver, cuMemGetInfo_v2, (&free_now, &total), err));
    *free_bytes = free_now;
    *total_bytes = total;
    return TN_OK;
}

static tn_status describe(void *self, int32_t dev, char *name, uint64_t cap, uint64_t *free_bytes,
                          uint64_t *total_bytes, tn_error *err)
{
    tn_cuda *c = self;
    CUdevice device;
    const int n = cap < INT32_MAX ? (int)cap : INT32_MAX;

    TN_PLUGIN_TRY(attach(self, dev, err));
    TN_PLUGIN_TRY(TN_CUDA_CALL(&c->driver, cuDeviceGet, (&device, dev), err));
    if (n > 0)
        TN_PLUGIN_TRY(TN_CUDA_CALL(&c->driver, cuDeviceGetName, (name, n, device), err));
    return memory_info(c, free_bytes, total_bytes, err);
}

/* ---- memory ---- */

static tn_status alloc(void *self, int32_t dev, uint64_t bytes, uint64_t *addr, tn_error *err)
{
    tn_cuda *c = self;
    CUdeviceptr address = 0;
    uint64_t free_bytes = 0, total_bytes = 0;

    *addr = 0;
    TN_PLUGIN_TRY(attach(self, dev, err));
    if (bytes == 0) /* which the driver refuses */
        bytes = 1;
    tn_status status = TN_CUDA_CALL(&c->driver, cuMemAlloc_v2, (&address, (size_t)bytes), err);
    if (status == TN_NO_MEMORY && memory_info(c, &free_bytes, &total_bytes, NULL) == TN_OK)
        return tn_plugin_fail(err, status,
                              "cuda: %.1f MiB do not fit into the memory of device %d: %.1f of "
                              "%.1f MiB are free",
                              (double)bytes / 1048576.0, (int)dev, (double)free_bytes / 1048576.0,
                              (double)total_bytes / 1048576.0);
    *addr = address;
    return status;
}

/* For calls without a device, from threads that attached none: any context will do. */
static void ensure_context(tn_cuda *c)
{
    CUcontext current = NULL;

    if (c->driver.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current)
        return;
    pthread_mutex_lock(&c->lock);
    for (int32_t i = 0; i < c->n_devices && !current; i++)
        current = c->context[i];
    pthread_mutex_unlock(&c->lock);
    if (current)
        (void)c->driver.cuCtxSetCurrent(current);
}

/* What a function that cannot fail has to say. */
static void report(const tn_cuda *c, tn_status status, const tn_error *err)
{
    if (status)
        c->host->log(c->host->ctx, 0, err->text);
}

static void release(void *self, int32_t dev, uint64_t addr)
{
    tn_cuda *c = self;
    tn_error err = { 0 };

    if (!addr)
        return;
    tn_status status = attach(self, dev, &err);
    if (!status)
        status = TN_CUDA_CALL(&c->driver, cuMemFree_v2, (addr), &err);
    report(c, status, &err);
}

/* Pinned: the device copies from and to it while the host does something else. */
static tn_status host_alloc(void *self, uint64_t bytes, void **out, tn_error *err)
{
    tn_cuda *c = self;

    *out = NULL;
    ensure_context(c);
    tn_status status =
        TN_CUDA_CALL(&c->driver, cuMemHostAlloc, (out, bytes ? (size_t)bytes : 1, 0), err);
    return status == TN_NO_MEMORY
               ? tn_plugin_fail(err, status, "cuda: no %.1f MiB of pinned host memory",
                                (double)bytes / 1048576.0)
               : status;
}

static void host_release(void *self, void *block)
{
    tn_cuda *c = self;
    tn_error err = { 0 };

    if (!block)
        return;
    ensure_context(c);
    report(c, TN_CUDA_CALL(&c->driver, cuMemFreeHost, (block), &err), &err);
}

/* ---- stream ---- */

static tn_status copy(void *self, uint64_t dst, uint64_t src, uint64_t n, int32_t direction,
                      void *stream, tn_error *err)
{
    const tn_cuda_driver *d = &((tn_cuda *)self)->driver;

    if (n == 0)
        return TN_OK;
    switch (direction) {
    case TN_TO_DEVICE:
        return TN_CUDA_CALL(d, cuMemcpyHtoDAsync_v2,
                            (dst, (const void *)(uintptr_t)src, (size_t)n, stream), err);
    case TN_TO_HOST:
        return TN_CUDA_CALL(d, cuMemcpyDtoHAsync_v2,
                            ((void *)(uintptr_t)dst, src, (size_t)n, stream), err);
    case TN_ON_DEVICE:
        return TN_CUDA_CALL(d, cuMemcpyDtoDAsync_v2, (dst, src, (size_t)n, stream), err);
    default:
        return tn_plugin_fail(err, TN_INVALID, "cuda: a copy in direction %d; 1 to 3 are known",
                              (int)direction);
    }
}

static tn_status fill(void *self, uint64_t dst, uint8_t byte, uint64_t n, void *stream,
                      tn_error *err)
{
    const tn_cuda *c = self;

    if (n == 0)
        return TN_OK;
    return TN_CUDA_CALL(&c->driver, cuMemsetD8Async, (dst, byte, (size_t)n, stream), err);
}

/* Non-blocking: independent of the default stream, which a library may use behind our back. */
static tn_status stream_new(void *self, int32_t dev, void **out, tn_error *err)
{
    const tn_cuda *c = self;
    CUstream stream = NULL;

    *out = NULL;
    TN_PLUGIN_TRY(attach(self, dev, err));
    TN_PLUGIN_TRY(TN_CUDA_CALL(&c->driver, cuStreamCreate, (&stream, CU_STREAM_NON_BLOCKING), err));
    *out = stream;
    return TN_OK;
}

static void stream_release(void *self, void *stream)
{
    tn_cuda *c = self;
    tn_error err = { 0 };

    if (!stream)
        return;
    ensure_context(c);
    report(c, TN_CUDA_CALL(&c->driver, cuStreamDestroy_v2, (stream), &err), &err);
}

static tn_status stream_wait(void *self, void *stream, tn_error *err)
{
    const tn_cuda *c = self;

    return TN_CUDA_CALL(&c->driver, cuStreamSynchronize, (stream), err);
}

/* ---- graphs ---- */

/* Thread-local: what other threads of the process do with the device does not spoil the capture. */
static tn_status capture_begin(void *self, void *stream, tn_error *err)
{
    const tn_cuda *c = self;

    return TN_CUDA_CALL(&c->driver, cuStreamBeginCapture_v2,
                        (stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), err);
}

static tn_status capture_end(void *self, void *stream, void **out, tn_error *err)
{
    const tn_cuda *c = self;
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;

    *out = NULL;
    TN_PLUGIN_TRY(TN_CUDA_CALL(&c->driver, cuStreamEndCapture, (stream, &graph), err));
    tn_status status =
        TN_CUDA_CALL(&c->driver, cuGraphInstantiateWithFlags, (&exec, graph, 0), err);
    (void)c->driver.cuGraphDestroy(graph);
    *out = exec;
    return status;
}

static tn_status graph_run(void *self, void *graph, void *stream, tn_error *err)
{
    const tn_cuda *c = self;

    return TN_CUDA_CALL(&c->driver, cuGraphLaunch, (graph, stream), err);
}

static void graph_release(void *self, void *graph)
{
    tn_cuda *c = self;
    tn_error err = { 0 };

    if (!graph)
        return;
    ensure_context(c);
    report(c, TN_CUDA_CALL(&c->driver, cuGraphExecDestroy, (graph), &err), &err);
}

const tn_domain tn_cuda_domain = {
    .size = sizeof(tn_domain),
    .name = "cuda",
    .native = "CUstream",
    .resid_dtype = TN_F32,
    .act_dtype = TN_F16,
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
    .capture_begin = capture_begin,
    .capture_end = capture_end,
    .graph_run = graph_run,
    .graph_release = graph_release,
};
