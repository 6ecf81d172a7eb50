/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of CUDA's runtime API that plugins use, on the emulator: names, numbers and signatures
 * are those of the real header (CUDA Runtime API 13.0); structs have only the fields in use.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_SHIM_CUDA_RUNTIME_H
#define TN_PLUGINS_CUDA_SIMT_SHIM_CUDA_RUNTIME_H

#ifndef __CUDA_RUNTIME_H__ /* the real header's guard: after it only the calls are declared */

#    include "plugins/cuda/simt/emu/core.h"

#    define CUDART_VERSION 13000
#    define CUDART_CB

enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorDeviceUninitialized = 201,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorStreamCaptureUnmatched = 903,
    cudaErrorStreamCaptureIsolation = 905,
    cudaErrorStreamCaptureImplicit = 906,
    cudaErrorCapturedEvent = 907,
    cudaErrorUnknown = 999
};
typedef enum cudaError cudaError_t;

enum cudaMemcpyKind {
    cudaMemcpyHostToHost = 0,
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
    cudaMemcpyDefault = 4
};
enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal = 0,
    cudaStreamCaptureModeThreadLocal = 1,
    cudaStreamCaptureModeRelaxed = 2
};
enum cudaStreamCaptureStatus {
    cudaStreamCaptureStatusNone = 0,
    cudaStreamCaptureStatusActive = 1,
    cudaStreamCaptureStatusInvalidated = 2
};
enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
enum cudaDeviceAttr {
    cudaDevAttrMaxThreadsPerBlock = 1,
    cudaDevAttrMaxSharedMemoryPerBlock = 8,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrL2CacheSize = 38,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};

/* library_types.h */
typedef enum cudaDataType_t {
    CUDA_R_32F = 0,
    CUDA_R_16F = 2,
    CUDA_R_8I = 3,
    CUDA_R_32I = 10,
    CUDA_R_16BF = 14
} cudaDataType;

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerMultiprocessor, sharedMemPerBlockOptin;
    int regsPerBlock, warpSize, maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
    int major, minor, multiProcessorCount, maxThreadsPerMultiProcessor, l2CacheSize, memoryBusWidth;
};

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;
typedef void(CUDART_CB *cudaHostFn_t)(void *userData);

#    define cudaStreamDefault      0x00
#    define cudaStreamNonBlocking  0x01
#    define cudaEventDefault       0x00
#    define cudaEventDisableTiming 0x02
#    define cudaHostAllocDefault   0x00

#endif
#ifndef SIMT_API
#    define SIMT_API
#endif

extern "C" {
SIMT_API cudaError_t cudaGetDeviceCount(int *count);
SIMT_API cudaError_t cudaGetDevice(int *device);
SIMT_API cudaError_t cudaSetDevice(int device);
SIMT_API cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device);
SIMT_API cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device);
SIMT_API cudaError_t cudaDeviceSynchronize(void);
SIMT_API cudaError_t cudaDriverGetVersion(int *driverVersion);
SIMT_API cudaError_t cudaRuntimeGetVersion(int *runtimeVersion);
SIMT_API cudaError_t cudaGetLastError(void);
SIMT_API cudaError_t cudaPeekAtLastError(void);
SIMT_API const char *cudaGetErrorName(cudaError_t error);
SIMT_API const char *cudaGetErrorString(cudaError_t error);

SIMT_API cudaError_t cudaMalloc(void **devPtr, size_t size);
SIMT_API cudaError_t cudaFree(void *devPtr);
SIMT_API cudaError_t cudaHostAlloc(void **pHost, size_t size, unsigned int flags);
SIMT_API cudaError_t cudaMallocHost(void **ptr, size_t size);
SIMT_API cudaError_t cudaFreeHost(void *ptr);
SIMT_API cudaError_t cudaMemGetInfo(size_t *free, size_t *total);
SIMT_API cudaError_t cudaMemcpy(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind);
SIMT_API cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count,
                                     enum cudaMemcpyKind kind, cudaStream_t stream);
SIMT_API cudaError_t cudaMemset(void *devPtr, int value, size_t count);
SIMT_API cudaError_t cudaMemsetAsync(void *devPtr, int value, size_t count, cudaStream_t stream);

SIMT_API cudaError_t cudaStreamCreate(cudaStream_t *pStream);
SIMT_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t *pStream, unsigned int flags);
SIMT_API cudaError_t cudaStreamDestroy(cudaStream_t stream);
SIMT_API cudaError_t cudaStreamSynchronize(cudaStream_t stream);
SIMT_API cudaError_t cudaStreamQuery(cudaStream_t stream);
SIMT_API cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                         unsigned int flags);
SIMT_API cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *userData);

SIMT_API cudaError_t cudaEventCreate(cudaEvent_t *event);
SIMT_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags);
SIMT_API cudaError_t cudaEventDestroy(cudaEvent_t event);
SIMT_API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
SIMT_API cudaError_t cudaEventSynchronize(cudaEvent_t event);
SIMT_API cudaError_t cudaEventQuery(cudaEvent_t event);
SIMT_API cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end);

SIMT_API cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
SIMT_API cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *pGraph);
SIMT_API cudaError_t cudaStreamIsCapturing(cudaStream_t stream,
                                           enum cudaStreamCaptureStatus *pCaptureStatus);
SIMT_API cudaError_t cudaGraphInstantiate(cudaGraphExec_t *pGraphExec, cudaGraph_t graph,
                                          unsigned long long flags);
SIMT_API cudaError_t cudaGraphLaunch(cudaGraphExec_t graphExec, cudaStream_t stream);
SIMT_API cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graphExec);
SIMT_API cudaError_t cudaGraphDestroy(cudaGraph_t graph);

SIMT_API cudaError_t cudaFuncSetAttribute(const void *func, enum cudaFuncAttribute attr, int value);
}

#endif
