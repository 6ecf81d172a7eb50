/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/common/plugin_util.h"
#include "plugins/common/sanitizer.h"
#include "tests/plugins/cuda-probe/probe.h"

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    if (node->in_dtype[0] != TN_F32 || node->in_dtype[1] != TN_F32 || node->out_dtype[0] != TN_F32)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "f32 only");
    return TN_OK;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *l, tn_error *err)
{
    const tn_tensor *out = &l->out[0];
    const char *text =
        probe_add((const float *)(uintptr_t)l->in[0].addr, (const float *)(uintptr_t)l->in[1].addr,
                  (float *)(uintptr_t)out->addr, out->dim[0] * out->dim[1], l->stream);

    (void)self;
    return text ? tn_plugin_fail(err, TN_DEVICE_LOST, "%s: %s", node->path, text) : TN_OK;
}

static const tn_kernel add = { .size = sizeof(tn_kernel),
                               .flags = TN_K_CAPTURE_SAFE | TN_K_DETERMINISTIC,
                               .op = "add",
                               .name = "probe.add",
                               .tolerance = "exact",
                               .supports = supports,
                               .run = run };
static const tn_kernel *const kernels[] = { &add, NULL };

static tn_status open_plugin(const tn_host *host, void **self, tn_error *err)
{
    const char *text = probe_usable();

    (void)host;
    (void)self;
    return text ? tn_plugin_fail(err, TN_UNAVAILABLE, "%s", text) : TN_OK;
}

const tn_plugin tn_plugin_v1 = { .size = sizeof(tn_plugin),
                                 .minor = TN_ABI_MINOR,
                                 .sanitizer = TN_SANITIZER,
                                 .name = "cuda-probe",
                                 .version = TENON_VERSION,
                                 .domain = "cuda",
                                 .build = TN_CUDA_SIM ? "emulator" : "nvcc",
                                 .open = open_plugin,
                                 .kernels = kernels };
