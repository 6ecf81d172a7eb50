/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The domain `cuda`: memory, streams and graphs of NVIDIA's GPUs for the kernels of all CUDA
 * plugins. Each device's primary context is used, the one that the CUDA runtime of the kernel
 * plugins uses too, so they share memory and streams.
 */
#ifndef TN_PLUGINS_CUDA_CUDA_H
#define TN_PLUGINS_CUDA_CUDA_H

#include "plugins/cuda/driver.h"

#include <pthread.h>

enum { TN_CUDA_MAX_DEVICES = 64 };

typedef struct tn_cuda {
    const tn_host *host;
    tn_cuda_driver driver;
    int32_t n_devices;
    pthread_mutex_t lock;                   /* of context */
    CUcontext context[TN_CUDA_MAX_DEVICES]; /* retained when it is first attached */
} tn_cuda;

tn_status tn_cuda_open(const tn_host *host, void **self, tn_error *err);
void tn_cuda_close(void *self);

extern const tn_domain tn_cuda_domain;

#endif
