/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cuda-fp16/fp16.h"

#include <string.h>

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
        (void)snprintf(text, sizeof text, "%s multiplies without cuBLAS: %s", TENON_PLUGIN_NAME,
                       why.text);
        host->log(host->ctx, 2, text);
    }
    return TN_OK;
}

void fp16_close(void *self)
{
    fp16_plugin *plugin = self;
    if (!plugin)
        return;
    fp16_cublas_close(plugin->cublas);
    plugin->host->release(plugin->host->ctx, plugin);
}

tn_status fp16_open(const tn_host *host, void **self, tn_error *err)
{
    fp16_device device;
    *self = NULL;
    TN_PLUGIN_TRY(fp16_check_device(host, &device, err));
    fp16_plugin *plugin = host->alloc(host->ctx, sizeof *plugin);
    if (!plugin)
        return tn_plugin_fail(err, TN_NO_MEMORY, "cannot allocate %zu bytes for a handle",
                              sizeof *plugin);
    *plugin = (fp16_plugin){ .host = host, .device = device };
    tn_status status = open_cublas(plugin, err);
    if (status) {
        fp16_close(plugin);
        return status;
    }
    *self = plugin;
    return TN_OK;
}
