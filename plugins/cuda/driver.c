/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cuda/driver.h"

#include "plugins/common/shared_library.h"

/* The sonames that NVIDIA's driver and the emulator have; an unversioned libcuda.so may be a stub
 * of a development package. */
static const char *const driver_names[] = { TN_CUDA_SIM ? "libtn-simcuda.so" : "libcuda.so.1",
                                            NULL };

/* Graphs, as this plugin uses them, and everything that kernels built with a CUDA Toolkit 12 ask.
 */
static const int min_driver_version = 12000;

static tn_status open_library(tn_cuda_driver *d, tn_error *err)
{
    const tn_symbol symbols[] = {
#define TN_CUDA_SYMBOL(name, parameters) { #name, &d->name },
        TN_CUDA_DRIVER_CALLS(TN_CUDA_SYMBOL)
#undef TN_CUDA_SYMBOL
    };

    tn_error why = { 0 };
    tn_status status =
        tn_shared_library(driver_names, symbols, (int32_t)(sizeof symbols / sizeof *symbols), &why);

    return status ? tn_plugin_fail(err, status, "no usable NVIDIA driver: %.200s", why.text)
                  : TN_OK;
}

/* What the driver says about a result, or its number. */
static const char *text_of(const tn_cuda_driver *d, CUresult result, char *number, size_t n)
{
    const char *text = NULL;

    if (d->cuGetErrorString(result, &text) == CUDA_SUCCESS && text)
        return text;
    snprintf(number, n, "error %d", (int)result);
    return number;
}

tn_status tn_cuda_driver_open(tn_cuda_driver *d, tn_error *err)
{
    char number[32];

    TN_PLUGIN_TRY(open_library(d, err));
    CUresult result = d->cuDriverGetVersion(&d->version);
    if (result != CUDA_SUCCESS || d->version <= 0) /* the CUDA Toolkit has a library of stubs */
        return tn_plugin_fail(err, TN_UNAVAILABLE,
                              "no usable NVIDIA driver: %s is a stub without a driver",
                              driver_names[0]);
    if (d->version < min_driver_version)
        return tn_plugin_fail(err, TN_UNAVAILABLE,
                              "the NVIDIA driver speaks CUDA %d.%d, and %d.%d is needed: install a "
                              "newer driver",
                              d->version / 1000, d->version % 1000 / 10, min_driver_version / 1000,
                              min_driver_version % 1000 / 10);
    result = d->cuInit(0);
    if (result == CUDA_ERROR_NO_DEVICE)
        return tn_plugin_fail(err, TN_UNAVAILABLE,
                              "the NVIDIA driver sees no CUDA device (CUDA_VISIBLE_DEVICES hides "
                              "those that are there)");
    if (result != CUDA_SUCCESS)
        return tn_plugin_fail(err, TN_UNAVAILABLE, "the NVIDIA driver does not start: %s",
                              text_of(d, result, number, sizeof number));
    return TN_OK;
}

/* CUDA Driver API, CUresult: after these "the process must be terminated and relaunched", or the
 * device's memory is not to be trusted. */
static int is_lost(CUresult result)
{
    return result == CUDA_ERROR_ECC_UNCORRECTABLE || result == CUDA_ERROR_UNKNOWN ||
           (result >= CUDA_ERROR_ILLEGAL_ADDRESS && result <= CUDA_ERROR_LAUNCH_FAILED);
}

tn_status tn_cuda_status(const tn_cuda_driver *d, CUresult result, const char *call, tn_error *err)
{
    char number[32];

    if (result == CUDA_SUCCESS)
        return TN_OK;
    const tn_status status = result == CUDA_ERROR_OUT_OF_MEMORY ? TN_NO_MEMORY
                             : is_lost(result)                  ? TN_DEVICE_LOST
                                                                : TN_INTERNAL;
    return tn_plugin_fail(err, status, "cuda: %s: %s", call,
                          text_of(d, result, number, sizeof number));
}
