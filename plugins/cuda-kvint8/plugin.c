/* SPDX-License-Identifier: Apache-2.0 */
/* cuda-kvint8: an overlay on cuda-fp16 that keeps K and V in 8 bits. It has the ops that touch the
 * cache; all others are the base's. */
#include "plugins/common/sanitizer.h"
#include "plugins/cuda-fp16/fp16.h"
#include "plugins/cuda-kvint8/kv.h"

static const tn_kernel *const kernels[] = { &fp16_rope_kv_write_kernel, &fp16_kv_write_kernel,
                                            &fp16_attention_kernel, NULL };

static const tn_kv_format *const kv_formats[] = { &kvint8_i8, &kvint8_i8_static, NULL };

static tn_status open_plugin(const tn_host *host, void **self, tn_error *err)
{
    fp16_device device;
    *self = NULL;
    return fp16_check_device(host, &device, err);
}

static void close_plugin(void *self)
{
    (void)self;
}

const tn_plugin tn_plugin_v1 = {
    .size = sizeof(tn_plugin),
    .minor = TN_ABI_MINOR,
    .sanitizer = TN_SANITIZER,
    .name = TENON_PLUGIN_NAME,
    .version = TENON_VERSION,
    .domain = "cuda",
    .build = "8-bit keys and values, f16 or bf16 activations, mma.sync",
    .open = open_plugin,
    .close = close_plugin,
    .kernels = kernels,
    .kv_formats = kv_formats,
};
