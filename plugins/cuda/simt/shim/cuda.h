/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of CUDA's driver API that the cuda domain uses: names, numbers and signatures of the
 * real header (CUDA Driver API 13.0; tests/plugins/simt/check_signatures.py compares them). The
 * domain includes this one in both builds, since it only ever meets the driver by name;
 * libtn-simcuda.so has the same calls. After the real header only the calls are declared, so a
 * compiler can compare.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_SHIM_CUDA_H
#define TN_PLUGINS_CUDA_SIMT_SHIM_CUDA_H

#ifndef __cuda_cuda_h__ /* the real header's guard */

#    include <stddef.h>

#    define CUDAAPI

typedef enum cudaError_enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_ECC_UNCORRECTABLE = 214,
    CUDA_ERROR_ILLEGAL_ADDRESS = 700,
    CUDA_ERROR_LAUNCH_FAILED = 719,
    CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803,
    CUDA_ERROR_UNKNOWN = 999
} CUresult;
typedef enum CUdevice_attribute_enum {
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76
} CUdevice_attribute;
typedef enum CUstreamCaptureMode_enum {
    CU_STREAM_CAPTURE_MODE_GLOBAL = 0,
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1,
    CU_STREAM_CAPTURE_MODE_RELAXED = 2
} CUstreamCaptureMode;
enum { CU_STREAM_NON_BLOCKING = 1 };

typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;

#endif

/* X(name, parameters): all of them return a CUresult. */
#define TN_CUDA_DRIVER_CALLS(X)                                                                    \
    X(cuInit, (unsigned int flags))                                                                \
    X(cuDriverGetVersion, (int *version))                                                          \
    X(cuGetErrorName, (CUresult error, const char **text))                                         \
    X(cuGetErrorString, (CUresult error, const char **text))                                       \
    X(cuDeviceGetCount, (int *count))                                                              \
    X(cuDeviceGet, (CUdevice * device, int ordinal))                                               \
    X(cuDeviceGetName, (char *name, int length, CUdevice device))                                  \
    X(cuDeviceGetAttribute, (int *value, CUdevice_attribute attribute, CUdevice device))           \
    X(cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                            \
    X(cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                             \
    X(cuCtxSetCurrent, (CUcontext context))                                                        \
    X(cuCtxGetCurrent, (CUcontext * context))                                                      \
    X(cuMemGetInfo_v2, (size_t * free, size_t * total))                                            \
    X(cuMemAlloc_v2, (CUdeviceptr * address, size_t n_bytes))                                      \
    X(cuMemFree_v2, (CUdeviceptr address))                                                         \
    X(cuMemHostAlloc, (void **out, size_t n_bytes, unsigned int flags))                            \
    X(cuMemFreeHost, (void *block))                                                                \
    X(cuMemcpyHtoDAsync_v2, (CUdeviceptr dst, const void *src, size_t n_bytes, CUstream stream))   \
    X(cuMemcpyDtoHAsync_v2, (void *dst, CUdeviceptr src, size_t n_bytes, CUstream stream))         \
    X(cuMemcpyDtoDAsync_v2, (CUdeviceptr dst, CUdeviceptr src, size_t n_bytes, CUstream stream))   \
    X(cuMemsetD8Async, (CUdeviceptr dst, unsigned char byte, size_t n_bytes, CUstream stream))     \
    X(cuStreamCreate, (CUstream * stream, unsigned int flags))                                     \
    X(cuStreamDestroy_v2, (CUstream stream))                                                       \
    X(cuStreamSynchronize, (CUstream stream))                                                      \
    X(cuStreamBeginCapture_v2, (CUstream stream, CUstreamCaptureMode mode))                        \
    X(cuStreamEndCapture, (CUstream stream, CUgraph * graph))                                      \
    X(cuGraphInstantiateWithFlags, (CUgraphExec * exec, CUgraph graph, unsigned long long flags))  \
    X(cuGraphLaunch, (CUgraphExec exec, CUstream stream))                                          \
    X(cuGraphExecDestroy, (CUgraphExec exec))                                                      \
    X(cuGraphDestroy, (CUgraph graph))

#ifdef __cplusplus
extern "C" {
#endif
#define TN_CUDA_DECLARE(name, parameters)                                                          \
    __attribute__((visibility("default"))) CUresult CUDAAPI name parameters;
TN_CUDA_DRIVER_CALLS(TN_CUDA_DECLARE)
#undef TN_CUDA_DECLARE
#ifdef __cplusplus
}
#endif

#endif
