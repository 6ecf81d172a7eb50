// SPDX-License-Identifier: Apache-2.0
// The runtime API, but for streams, events and graphs (cudart_stream.cpp): devices, errors, memory,
// launches.
#include "plugins/cuda/simt/emu/launch.h"
#include "plugins/cuda/simt/runtime/annotate.h"
#include "plugins/cuda/simt/runtime/device.h"
#include "plugins/cuda/simt/runtime/grid.h"
#include "plugins/cuda/simt/runtime/settings.h"
#include "plugins/cuda/simt/runtime/stream.h"

#include <cstdio>
#include <cstring>
#include <map>

namespace simt
{

static thread_local cudaError_t last_error = cudaSuccess;

cudaError_t record_error(cudaError_t e)
{
    if (e != cudaSuccess)
        last_error = e;
    return e;
}

using guard = std::lock_guard<std::recursive_mutex>;

static const size_t default_dynamic_shared_bytes = 48 * 1024;

/* What cudaFuncSetAttribute allowed a kernel. */
static std::map<const void *, size_t> &dynamic_shared_limits()
{
    static auto *m = new std::map<const void *, size_t>;
    return *m;
}

/* CUDA C++ Programming Guide, "Technical Specifications per Compute Capability". */
static bool shape_is_valid(const dim3 &grid, const dim3 &block)
{
    if (block.x < 1 || block.y < 1 || block.z < 1 || grid.x < 1 || grid.y < 1 || grid.z < 1)
        return false;
    if (block.x > 1024 || block.y > 1024 || block.z > 64 || block.x * block.y * block.z > 1024)
        return false;
    return grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535;
}

static cudaError_t launch_later(const launch_args *args)
{
    if (!shape_is_valid(args->grid, args->block))
        return cudaErrorInvalidConfiguration;
    auto found = dynamic_shared_limits().find(args->function);
    size_t limit =
        found == dynamic_shared_limits().end() ? default_dynamic_shared_bytes : found->second;
    if (args->dynamic_shared_bytes > limit)
        return cudaErrorInvalidValue;
    cudaStream_t s = stream_of(static_cast<cudaStream_t>(args->stream));
    if (!s)
        return cudaErrorInvalidResourceHandle;
    const unsigned char *call = static_cast<const unsigned char *>(args->call);
    auto copy = std::make_shared<std::vector<unsigned char>>(call, call + args->call_bytes);
    grid_job job = {};
    job.kernel = args->kernel;
    job.grid = args->grid;
    job.block = args->block;
    job.dynamic_shared_bytes = args->dynamic_shared_bytes;
    job.run = args->run;
    return enqueue(s, [job, copy] {
        if (sticky_error() != cudaSuccess)
            return; /* nothing runs after a fault */
        grid_job now = job;
        now.call = copy->data();
        now.how = current_settings();
        run_grid(now);
    });
}

static cudaError_t allow_dynamic_shared(const void *function, int n_bytes)
{
    size_t limit = properties_of(current_settings().device)->shared_block_optin_bytes;
    if (n_bytes < 0 || static_cast<size_t>(n_bytes) > limit)
        return cudaErrorInvalidValue;
    dynamic_shared_limits()[function] = static_cast<size_t>(n_bytes);
    return cudaSuccess;
}

/* ---- copies ---- */

static bool is_device_range(const void *p, size_t n_bytes)
{
    allocation a;
    return find_allocation(p, &a) && a.kind == memory_kind::device &&
           n_bytes <= static_cast<size_t>(a.high - static_cast<const unsigned char *>(p));
}

/* A side that should be device memory lies in it whole, and one that should not does not begin in
 * it. */
static bool kind_is_true(const void *dst, const void *src, size_t n, cudaMemcpyKind kind)
{
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (kind == cudaMemcpyDefault) {
        to_device = is_device_range(dst, 1);
        from_device = is_device_range(src, 1);
    }
    if (to_device ? !is_device_range(dst, n) : is_device_range(dst, 1))
        return false;
    return from_device ? is_device_range(src, n) : !is_device_range(src, 1);
}

static cudaError_t copy_later(void *dst, const void *src, size_t n, cudaMemcpyKind kind,
                              cudaStream_t handle)
{
    cudaStream_t s = stream_of(handle);
    if (!s)
        return cudaErrorInvalidResourceHandle;
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault ||
        (n && (!dst || !src || !kind_is_true(dst, src, n, kind))))
        return cudaErrorInvalidValue;
    if (n == 0)
        return cudaSuccess;
    return enqueue(s, [=] {
        will_read(src, n);
        will_write(dst, n);
        std::memmove(dst, src, n);
    });
}

static cudaError_t fill_later(void *dst, int value, size_t n, cudaStream_t handle)
{
    cudaStream_t s = stream_of(handle);
    if (!s)
        return cudaErrorInvalidResourceHandle;
    if (n == 0)
        return cudaSuccess;
    if (!is_device_range(dst, n))
        return cudaErrorInvalidValue;
    return enqueue(s, [=] {
        will_write(dst, n);
        std::memset(dst, value, n);
    });
}

/* Calls that wait are not allowed while a stream captures. */
static cudaError_t refuse_in_capture()
{
    if (!any_capture())
        return cudaSuccess;
    invalidate_captures();
    return cudaErrorStreamCaptureUnsupported;
}

static cudaError_t wait_default()
{
    cudaStream_t s = stream_of(nullptr);
    run_until(s, s->n_pushed);
    return sticky_error();
}

static cudaError_t allocate_to(void **out, size_t n, memory_kind kind)
{
    if (!out)
        return cudaErrorInvalidValue;
    *out = nullptr;
    cudaError_t refused = refuse_in_capture();
    if (refused != cudaSuccess || n == 0)
        return refused;
    *out = allocate(kind, n);
    return *out ? cudaSuccess : cudaErrorMemoryAllocation;
}

static cudaError_t release_after_work(void *p, memory_kind kind)
{
    if (!p)
        return cudaSuccess;
    cudaError_t refused = refuse_in_capture();
    if (refused != cudaSuccess)
        return refused;
    run_all_streams();
    return release(kind, p) ? cudaSuccess : cudaErrorInvalidValue;
}

} // namespace simt

using namespace simt;

extern "C" void tn_simt_launch(const launch_args *args)
{
    guard hold(runtime_lock());
    record_error(launch_later(args));
}

extern "C" cudaError_t cudaFuncSetAttribute(const void *func, cudaFuncAttribute attr, int value)
{
    guard hold(runtime_lock());
    if (attr != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return cudaSuccess; /* hints */
    return record_error(allow_dynamic_shared(func, value));
}

extern "C" cudaError_t cudaMalloc(void **devPtr, size_t size)
{
    guard hold(runtime_lock());
    return record_error(allocate_to(devPtr, size, memory_kind::device));
}

extern "C" cudaError_t cudaFree(void *devPtr)
{
    guard hold(runtime_lock());
    return record_error(release_after_work(devPtr, memory_kind::device));
}

extern "C" cudaError_t cudaHostAlloc(void **pHost, size_t size, unsigned int)
{
    guard hold(runtime_lock());
    return record_error(allocate_to(pHost, size, memory_kind::pinned_host));
}

extern "C" cudaError_t cudaMallocHost(void **ptr, size_t size)
{
    return cudaHostAlloc(ptr, size, cudaHostAllocDefault);
}

extern "C" cudaError_t cudaFreeHost(void *ptr)
{
    guard hold(runtime_lock());
    return record_error(release_after_work(ptr, memory_kind::pinned_host));
}

extern "C" cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    guard hold(runtime_lock());
    *total = static_cast<size_t>(current_settings().max_memory_bytes);
    *free = *total - device_bytes_used();
    return cudaSuccess;
}

extern "C" cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count,
                                       cudaMemcpyKind kind, cudaStream_t stream)
{
    guard hold(runtime_lock());
    return record_error(copy_later(dst, src, count, kind, stream));
}

extern "C" cudaError_t cudaMemcpy(void *dst, const void *src, size_t count, cudaMemcpyKind kind)
{
    guard hold(runtime_lock());
    cudaError_t e = copy_later(dst, src, count, kind, nullptr);
    return record_error(e == cudaSuccess ? wait_default() : e);
}

extern "C" cudaError_t cudaMemsetAsync(void *devPtr, int value, size_t count, cudaStream_t stream)
{
    guard hold(runtime_lock());
    return record_error(fill_later(devPtr, value, count, stream));
}

extern "C" cudaError_t cudaMemset(void *devPtr, int value, size_t count)
{
    return cudaMemsetAsync(devPtr, value, count, nullptr);
}

/* ---- devices ---- */

extern "C" cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    if (current_settings().device == device::none)
        return record_error(cudaErrorNoDevice);
    int driver = current_settings().driver_version;
    if (driver && driver / 1000 < CUDART_VERSION / 1000) /* "CUDA Compatibility", minor versions */
        return record_error(cudaErrorInsufficientDriver);
    *count = 1;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}

extern "C" cudaError_t cudaSetDevice(int device)
{
    return record_error(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

extern "C" cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device)
{
    if (device != 0)
        return record_error(cudaErrorInvalidDevice);
    const device_properties *d = properties_of(current_settings().device);
    *prop = {};
    std::snprintf(prop->name, sizeof prop->name, "%s", d->name);
    prop->totalGlobalMem = static_cast<size_t>(current_settings().max_memory_bytes);
    prop->sharedMemPerBlock = default_dynamic_shared_bytes;
    prop->sharedMemPerMultiprocessor = d->shared_multiprocessor_bytes;
    prop->sharedMemPerBlockOptin = d->shared_block_optin_bytes;
    prop->regsPerBlock = 65536;
    prop->warpSize = 32;
    prop->maxThreadsPerBlock = 1024;
    prop->maxThreadsPerMultiProcessor = 2048;
    prop->maxThreadsDim[0] = prop->maxThreadsDim[1] = 1024;
    prop->maxThreadsDim[2] = 64;
    prop->maxGridSize[0] = 0x7fffffff;
    prop->maxGridSize[1] = prop->maxGridSize[2] = 65535;
    prop->major = d->major;
    prop->minor = d->minor;
    prop->multiProcessorCount = d->n_multiprocessors;
    prop->l2CacheSize = static_cast<int>(d->l2_bytes);
    prop->memoryBusWidth = d->bus_bits;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attr, int device)
{
    if (device != 0)
        return record_error(cudaErrorInvalidDevice);
    const device_properties *d = properties_of(current_settings().device);
    switch (attr) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = 1024;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = static_cast<int>(default_dynamic_shared_bytes);
        return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
        *value = d->n_multiprocessors;
        return cudaSuccess;
    case cudaDevAttrL2CacheSize:
        *value = static_cast<int>(d->l2_bytes);
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *value = d->major;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = d->minor;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = static_cast<int>(d->shared_multiprocessor_bytes);
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = static_cast<int>(d->shared_block_optin_bytes);
        return cudaSuccess;
    }
    return record_error(cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaDeviceSynchronize(void)
{
    guard hold(runtime_lock());
    cudaError_t refused = refuse_in_capture();
    if (refused != cudaSuccess)
        return record_error(refused);
    run_all_streams();
    return record_error(sticky_error());
}

extern "C" cudaError_t cudaDriverGetVersion(int *driverVersion)
{
    int driver = current_settings().driver_version;
    *driverVersion = driver ? driver : CUDART_VERSION;
    return cudaSuccess;
}

extern "C" cudaError_t cudaRuntimeGetVersion(int *runtimeVersion)
{
    *runtimeVersion = CUDART_VERSION;
    return cudaSuccess;
}

/* ---- errors ---- */

extern "C" cudaError_t cudaPeekAtLastError(void)
{
    guard hold(runtime_lock());
    return last_error != cudaSuccess ? last_error : sticky_error();
}

extern "C" cudaError_t cudaGetLastError(void)
{
    guard hold(runtime_lock());
    cudaError_t e = cudaPeekAtLastError();
    last_error = cudaSuccess;
    return e;
}

namespace
{
struct error_text {
    cudaError_t code;
    const char *name, *text;
};
const error_text error_texts[] = {
    { cudaSuccess, "cudaSuccess", "no error" },
    { cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument" },
    { cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory" },
    { cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
      "invalid configuration argument" },
    { cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
      "CUDA driver version is insufficient for CUDA runtime version" },
    { cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected" },
    { cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal" },
    { cudaErrorDeviceUninitialized, "cudaErrorDeviceUninitialized", "invalid device context" },
    { cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle" },
    { cudaErrorNotReady, "cudaErrorNotReady", "device not ready" },
    { cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure" },
    { cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
      "operation not permitted when stream is capturing" },
    { cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
      "operation failed due to a previous error during capture" },
    { cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
      "capture was not initiated in this stream" },
    { cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
      "dependency created on uncaptured work in another stream" },
    { cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
      "operation would make the legacy stream depend on a capturing blocking stream" },
    { cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
      "operation not permitted on an event last recorded in a capturing stream" },
    { cudaErrorUnknown, "cudaErrorUnknown", "unknown error" },
};
} // namespace

extern "C" const char *cudaGetErrorName(cudaError_t error)
{
    for (const error_text &e : error_texts)
        if (e.code == error)
            return e.name;
    return "unrecognized error code";
}

/* After a fault: the emulator's own words, so that they reach whoever prints CUDA's. */
extern "C" const char *cudaGetErrorString(cudaError_t error)
{
    if (error == cudaErrorLaunchFailure && has_fault())
        return tn_simt_fault();
    for (const error_text &e : error_texts)
        if (e.code == error)
            return e.text;
    return "unrecognized error code";
}
