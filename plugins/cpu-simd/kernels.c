/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cpu-simd/kernels.h"

#include "plugins/cpu-simd/ops.h"
#include "plugins/cpu-simd/simd.h"

const tn_kernel *const tn_cpu_simd_kernels[] = {
    &simd_embed,
    &simd_embed_w8,
    &simd_rmsnorm,
    &simd_linear,
    &simd_linear_w8,
    &simd_add,
    &simd_linear_add,
    &simd_linear_add_w8,
    &simd_glu,
    &simd_linear_glu,
    &simd_linear_glu_w8,
    &simd_norm_linear,
    &simd_norm_linear_w8,
    &simd_norm_linear_glu,
    &simd_norm_linear_glu_w8,
    &simd_qk_norm,
    &simd_rope,
    &simd_kv_write,
    &simd_rope_kv_write,
    &simd_attention,
    &simd_gather_rows,
    &simd_argmax,
    NULL,
};

const tn_kv_format *const tn_cpu_simd_kv_formats[] = { &simd_kv_f32, &simd_kv_f16, &simd_kv_i8,
                                                       &simd_kv_i8_static, NULL };

/* The set that the option names, or the fastest that runs here. */
static tn_status choose_isa(const char *wanted, const simd_isa **out, tn_error *err)
{
    char names[128];
    size_t n = 0;
    for (const simd_isa *const *isa = simd_isas; *isa; isa++) {
        int written = snprintf(names + n, sizeof names - n, " %s", (*isa)->name);
        n += written > 0 && (size_t)written < sizeof names - n ? (size_t)written : 0;
        int any = !wanted || strcmp(wanted, "auto") == 0;
        if (any ? !simd_isa_pays(*isa) : strcmp(wanted, (*isa)->name) != 0)
            continue;
        *out = *isa;
        if (simd_isa_runs(*isa))
            return TN_OK;
        if (!any)
            return tn_plugin_fail(err, TN_UNAVAILABLE,
                                  "option isa: this machine has no %s; not run", wanted);
    }
    return tn_plugin_fail(err, TN_INVALID, "option isa: %s is unknown; allowed: auto%s", wanted,
                          names);
}

tn_status tn_cpu_simd_open(const tn_host *host, void **self, tn_error *err)
{
    const simd_isa *isa = NULL;
    const char *dot = host->option(host->ctx, "dot");
    *self = NULL;
    TN_PLUGIN_TRY(choose_isa(host->option(host->ctx, "isa"), &isa, err));
    if (dot && strcmp(dot, "a8") != 0 && strcmp(dot, "f32") != 0)
        return tn_plugin_fail(err, TN_INVALID, "option dot: %s is unknown; allowed: a8 f32", dot);
    simd_plugin *plugin = host->alloc(host->ctx, sizeof *plugin);
    if (!plugin)
        return tn_plugin_fail(err, TN_NO_MEMORY, "cannot allocate %zu bytes for cpu-simd's handle",
                              sizeof *plugin);
    *plugin = (simd_plugin){ .host = host, .isa = isa, .exact = dot && strcmp(dot, "f32") == 0 };
    char text[96];
    (void)snprintf(text, sizeof text, "cpu-simd: %s (%s)%s", isa->name, isa->build,
                   plugin->exact ? ", f32 inputs" : "");
    host->log(host->ctx, 3, text);
    *self = plugin;
    return TN_OK;
}

void tn_cpu_simd_close(void *self)
{
    simd_plugin *plugin = self;
    if (plugin)
        plugin->host->release(plugin->host->ctx, plugin);
}
