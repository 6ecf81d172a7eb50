// SPDX-License-Identifier: Apache-2.0
// The driver's calls, for the cuda domain: the runtime's, under other names. One device with one
// context, which is current where a thread made it so.
#include "plugins/cuda/simt/runtime/device.h"
#include "plugins/cuda/simt/runtime/settings.h"
#include "plugins/cuda/simt/runtime/stream.h"
#include "plugins/cuda/simt/shim/cuda.h"

#include <atomic>
#include <cstdio>

using namespace simt;

struct CUctx_st {
};
static CUctx_st the_context;
static std::atomic<int> n_retained{ 0 };
static thread_local CUcontext current_context = nullptr;

/* The numbers of cudaError are those of CUresult wherever both have one. */
static CUresult result_of(cudaError_t e)
{
    return static_cast<CUresult>(static_cast<int>(e));
}

/* call(arguments...) of the runtime, where a context is current. */
template <class... Parameters, class... Arguments>
static CUresult in_context(cudaError_t (*call)(Parameters...), Arguments... arguments)
{
    return current_context ? result_of(call(arguments...)) : CUDA_ERROR_INVALID_CONTEXT;
}

static void *pointer(CUdeviceptr address)
{
    return reinterpret_cast<void *>(static_cast<uintptr_t>(address));
}

extern "C" {

CUresult cuInit(unsigned int)
{
    return current_settings().device == device::none ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
    return result_of(cudaDriverGetVersion(version));
}

CUresult cuGetErrorName(CUresult error, const char **text)
{
    *text = cudaGetErrorName(static_cast<cudaError_t>(static_cast<int>(error)));
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    *text = cudaGetErrorString(static_cast<cudaError_t>(static_cast<int>(error)));
    return CUDA_SUCCESS;
}

/* ---- devices and the context ---- */

CUresult cuDeviceGetCount(int *count)
{
    *count = current_settings().device == device::none ? 0 : 1;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    *device = ordinal;
    return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device)
{
    if (device != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    std::snprintf(name, static_cast<size_t>(length), "%s",
                  properties_of(current_settings().device)->name);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    return result_of(cudaDeviceGetAttribute(
        value, static_cast<cudaDeviceAttr>(static_cast<int>(attribute)), device));
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    if (device != 0)
        return CUDA_ERROR_INVALID_DEVICE;
    n_retained++;
    *context = &the_context;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    if (device != 0 || n_retained <= 0)
        return device ? CUDA_ERROR_INVALID_DEVICE : CUDA_ERROR_INVALID_CONTEXT;
    n_retained--;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
    if (context && (context != &the_context || n_retained <= 0))
        return CUDA_ERROR_INVALID_CONTEXT;
    current_context = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
    *context = current_context;
    return CUDA_SUCCESS;
}

/* ---- memory ---- */

CUresult cuMemGetInfo_v2(size_t *free, size_t *total)
{
    return in_context(cudaMemGetInfo, free, total);
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t n_bytes)
{
    void *p = nullptr;
    if (n_bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = in_context(cudaMalloc, &p, n_bytes);
    *address = reinterpret_cast<uintptr_t>(p);
    return result;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    return in_context(cudaFree, pointer(address));
}

CUresult cuMemHostAlloc(void **out, size_t n_bytes, unsigned int flags)
{
    return n_bytes ? in_context(cudaHostAlloc, out, n_bytes, flags) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemFreeHost(void *block)
{
    return in_context(cudaFreeHost, block);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t n_bytes, CUstream stream)
{
    return in_context(cudaMemcpyAsync, pointer(dst), src, n_bytes, cudaMemcpyHostToDevice, stream);
}

CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t n_bytes, CUstream stream)
{
    return in_context(cudaMemcpyAsync, dst, pointer(src), n_bytes, cudaMemcpyDeviceToHost, stream);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n_bytes, CUstream stream)
{
    return in_context(cudaMemcpyAsync, pointer(dst), pointer(src), n_bytes,
                      cudaMemcpyDeviceToDevice, stream);
}

CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char byte, size_t n_bytes, CUstream stream)
{
    return in_context(cudaMemsetAsync, pointer(dst), byte, n_bytes, stream);
}

/* ---- streams and graphs ---- */

CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
    return in_context(cudaStreamCreateWithFlags, stream, flags);
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
    return in_context(cudaStreamDestroy, stream);
}

CUresult cuStreamSynchronize(CUstream stream)
{
    return in_context(cudaStreamSynchronize, stream);
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
    return in_context(cudaStreamBeginCapture, stream,
                      static_cast<cudaStreamCaptureMode>(static_cast<int>(mode)));
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    return in_context(cudaStreamEndCapture, stream, graph);
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    return in_context(cudaGraphInstantiate, exec, graph, flags);
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    return in_context(cudaGraphLaunch, exec, stream);
}

CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    return in_context(cudaGraphExecDestroy, exec);
}

CUresult cuGraphDestroy(CUgraph graph)
{
    return in_context(cudaGraphDestroy, graph);
}
}
