/* SPDX-License-Identifier: Apache-2.0 */
/* cuda-fp16: every op on CUDA with a residual stream of f32 and activations of f16 or bf16; the
 * base of every CUDA graph. */
#include "plugins/common/sanitizer.h"
#include "plugins/cuda-fp16/fp16.h"

#include <string.h>

static const tn_kernel *const kernels[] = {
    &fp16_embed_kernel,
    &fp16_rmsnorm_kernel,
    &fp16_linear_kernel,
    &fp16_add_kernel,
    &fp16_linear_add_kernel,
    &fp16_glu_kernel,
    &fp16_linear_glu_kernel,
    &fp16_qk_norm_kernel,
    &fp16_rope_kernel,
    &fp16_kv_write_kernel,
    &fp16_rope_kv_write_kernel,
    &fp16_attention_kernel,
    &fp16_gather_rows_kernel,
    &fp16_argmax_kernel,
    &fp16_norm_linear_kernel,
    &fp16_norm_linear_glu_kernel,
    NULL,
};

static const tn_kv_format *const kv_formats[] = { &fp16_kv_f16, NULL };

static tn_status check_device(const tn_host *host, fp16_device *device, tn_error *err)
{
    TN_PLUGIN_TRY(host->domain->attach(host->domain_self, host->device, err));
    int error = fp16_device_read(host->device, device);
    if (error)
        return tn_plugin_fail(err, TN_UNAVAILABLE, "device %d: %s", host->device,
                              fp16_error_text(error));
    if (device->major < 8)
        return tn_plugin_fail(err, TN_UNAVAILABLE,
                              "device %d has compute capability %d.%d, 8.0 or later is needed",
                              host->device, device->major, device->minor);
    return TN_OK;
}

/* gemm: own, or auto. Without cuBLAS the plugin works, and says why it is not used. */
static tn_status open_cublas(fp16_plugin *plugin, tn_error *err)
{
    const tn_host *host = plugin->host;
    const char *gemm = host->option(host->ctx, "gemm");
    tn_error why = { 0 };
    char text[sizeof why.text + 64];
    if (gemm && strcmp(gemm, "own") == 0)
        return TN_OK;
    if (gemm && strcmp(gemm, "auto") != 0)
        return tn_plugin_fail(err, TN_INVALID, "option gemm: %s, auto and own are allowed", gemm);
    if (fp16_cublas_open(host, plugin->device.major, &plugin->cublas, &why)) {
        (void)snprintf(text, sizeof text, "cuda-fp16 multiplies without cuBLAS: %s", why.text);
        host->log(host->ctx, 2, text);
    }
    return TN_OK;
}

static void close_plugin(void *self)
{
    fp16_plugin *plugin = self;
    if (!plugin)
        return;
    fp16_cublas_close(plugin->cublas);
    plugin->host->release(plugin->host->ctx, plugin);
}

static tn_status open_plugin(const tn_host *host, void **self, tn_error *err)
{
    fp16_device device;
    *self = NULL;
    TN_PLUGIN_TRY(check_device(host, &device, err));
    fp16_plugin *plugin = host->alloc(host->ctx, sizeof *plugin);
    if (!plugin)
        return tn_plugin_fail(err, TN_NO_MEMORY, "cannot allocate %zu bytes for a handle",
                              sizeof *plugin);
    *plugin = (fp16_plugin){ .host = host, .device = device };
    tn_status status = open_cublas(plugin, err);
    if (status) {
        close_plugin(plugin);
        return status;
    }
    *self = plugin;
    return TN_OK;
}

const tn_plugin tn_plugin_v1 = {
    .size = sizeof(tn_plugin),
    .minor = TN_ABI_MINOR,
    .sanitizer = TN_SANITIZER,
    .name = "cuda-fp16",
    .version = TENON_VERSION,
    .domain = "cuda",
    .build = "f32 residual, f16 or bf16 activations, mma.sync",
    .open = open_plugin,
    .close = close_plugin,
    .kernels = kernels,
    .kv_formats = kv_formats,
};
