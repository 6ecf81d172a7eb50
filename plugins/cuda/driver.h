/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's driver, opened by name: the plugin links none of it and loads on machines without one.
 * Thread: immutable once opened.
 */
#ifndef TN_PLUGINS_CUDA_DRIVER_H
#define TN_PLUGINS_CUDA_DRIVER_H

#include "plugins/common/plugin_util.h"
#include "plugins/cuda/simt/shim/cuda.h"

typedef struct tn_cuda_driver {
#define TN_CUDA_POINTER(name, parameters) CUresult(CUDAAPI *name) parameters;
    TN_CUDA_DRIVER_CALLS(TN_CUDA_POINTER)
#undef TN_CUDA_POINTER
    int version; /* 12040: CUDA 12.4 */
} tn_cuda_driver;

/** Open and initialise it. Errors: TN_UNAVAILABLE; absent, too old, no device, or what it says. */
tn_status tn_cuda_driver_open(tn_cuda_driver *driver, tn_error *err);

/** An error of the driver as a status: out of memory, a lost device, or else a fault of ours. */
tn_status tn_cuda_status(const tn_cuda_driver *driver, CUresult result, const char *call,
                         tn_error *err);

#define TN_CUDA_CALL(driver, call, arguments, err)                                                 \
    tn_cuda_status((driver), (driver)->call arguments, #call, (err))

#endif
