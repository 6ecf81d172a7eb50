/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: the driver, its devices, and whether the one that is asked for will do. */
#include "plugins/cuda/cuda.h"

#include <string.h>

/* mma m16n8k16, cp.async, ldmatrix (PTX ISA: sm_80 and later). */
enum { MIN_MAJOR = 8 };

/* A device that is not there is for the host to say: it knows what the profile asks for. */
static tn_status check_architecture(const tn_cuda *c, int32_t index, tn_error *err)
{
    const tn_cuda_driver *d = &c->driver;
    char name[96] = "";
    CUdevice device;
    int major = 0, minor = 0;

    if (index < 0 || index >= c->n_devices)
        return TN_OK;
    TN_PLUGIN_TRY(TN_CUDA_CALL(d, cuDeviceGet, (&device, index), err));
    TN_PLUGIN_TRY(TN_CUDA_CALL(d, cuDeviceGetName, (name, (int)sizeof name, device), err));
    TN_PLUGIN_TRY(TN_CUDA_CALL(d, cuDeviceGetAttribute,
                               (&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device),
                               err));
    TN_PLUGIN_TRY(TN_CUDA_CALL(d, cuDeviceGetAttribute,
                               (&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device),
                               err));
    if (major >= MIN_MAJOR)
        return TN_OK;
    return tn_plugin_fail(err, TN_UNAVAILABLE,
                          "device %d, %s, has compute capability %d.%d; %d.0 or later is needed",
                          (int)index, name, major, minor, MIN_MAJOR);
}

static tn_status find_devices(tn_cuda *c, tn_error *err)
{
    TN_PLUGIN_TRY(tn_cuda_driver_open(&c->driver, err));
    TN_PLUGIN_TRY(TN_CUDA_CALL(&c->driver, cuDeviceGetCount, (&c->n_devices), err));
    if (c->n_devices > TN_CUDA_MAX_DEVICES)
        c->n_devices = TN_CUDA_MAX_DEVICES;
    return check_architecture(c, c->host->device, err);
}

tn_status tn_cuda_open(const tn_host *host, void **self, tn_error *err)
{
    tn_cuda *c = host->alloc(host->ctx, sizeof *c);

    if (!c)
        return tn_plugin_fail(err, TN_NO_MEMORY, "cuda: no memory");
    memset(c, 0, sizeof *c);
    c->host = host;
    tn_status status = find_devices(c, err);
    if (!status && pthread_mutex_init(&c->lock, NULL) != 0)
        status = tn_plugin_fail(err, TN_INTERNAL, "cuda: no mutex");
    if (status) {
        host->release(host->ctx, c);
        return status;
    }
    *self = c;
    return TN_OK;
}

void tn_cuda_close(void *self)
{
    tn_cuda *c = self;
    CUdevice device;

    for (int32_t i = 0; i < c->n_devices; i++)
        if (c->context[i] && c->driver.cuDeviceGet(&device, i) == CUDA_SUCCESS)
            (void)c->driver.cuDevicePrimaryCtxRelease_v2(device);
    pthread_mutex_destroy(&c->lock);
    c->host->release(c->host->ctx, c);
}
