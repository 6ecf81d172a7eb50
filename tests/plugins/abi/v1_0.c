/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin built against the header of ABI 1.0 as it was published. It must load and run in every
 * later program of major 1. */
#include "plugins/common/sanitizer.h"
#include "tests/plugins/abi/plugin_v1_0.h"

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    (void)why;
    return node->n_in == 2 && node->in_dtype[0] == TN_F32 ? TN_OK : TN_UNSUPPORTED;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const tn_rows_op *op = node->param;
    (void)self;
    (void)err;
    for (int64_t i = 0; i < launch->in[0].dim[0]; i++)
        for (int32_t k = 0; k < op->dim; k++) {
            const float *y =
                (const float *)(uintptr_t)launch->in[0].addr + i * launch->in[0].stride[0];
            const float *x =
                (const float *)(uintptr_t)launch->in[1].addr + i * launch->in[1].stride[0];
            ((float *)(uintptr_t)launch->out[0].addr)[i * launch->out[0].stride[0] + k] =
                x[k] + y[k];
        }
    return TN_OK;
}

static const tn_kernel add = { .size = sizeof(tn_kernel),
                               .flags = TN_K_DETERMINISTIC,
                               .op = "add",
                               .name = "v1_0.add",
                               .tolerance = "f32acc",
                               .supports = supports,
                               .run = run };
static const tn_kernel *const kernels[] = { &add, 0 };

const tn_plugin tn_plugin_v1 = { .size = sizeof(tn_plugin),
                                 .minor = TN_ABI_MINOR,
                                 .sanitizer = TN_SANITIZER,
                                 .name = "v1_0",
                                 .version = "1.0",
                                 .domain = "host",
                                 .build = "header of ABI 1.0",
                                 .kernels = kernels };
