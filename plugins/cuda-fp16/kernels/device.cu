// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda-fp16/launch.h"
#include "plugins/cuda/simt/simt.h"

extern "C" int fp16_device_read(int device, fp16_device *out)
{
    const struct {
        cudaDeviceAttr attribute;
        int *value;
    } wanted[] = { { cudaDevAttrMultiProcessorCount, &out->n_sms },
                   { cudaDevAttrComputeCapabilityMajor, &out->major },
                   { cudaDevAttrComputeCapabilityMinor, &out->minor } };
    for (const auto &one : wanted) {
        cudaError_t error = cudaDeviceGetAttribute(one.value, one.attribute, device);
        if (error != cudaSuccess)
            return error;
    }
    return cudaSuccess;
}

extern "C" const char *fp16_error_text(int error)
{
    return cudaGetErrorString(static_cast<cudaError_t>(error));
}
