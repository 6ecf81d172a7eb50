/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that ends its process, or never returns, in one place each (BROKEN_END): `tenon check`
 * must outlive it. argmax is a node of every model, and of it alone there is a kernel.
 */
#include "plugins/common/sanitizer.h"

#include <tenon/plugin.h>

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { CRASH, ABORT, HANG, EXIT, AT_LOAD, AT_SUPPORTS, AT_CLOSE, AT_EXIT };

static void at(int place)
{
    volatile uintptr_t nowhere = 64; /* which no compiler knows to be wrong */
    if (place != BROKEN_END)
        return;
    switch (place) {
    case ABORT:
        abort();
    case HANG:
        for (;;)
            (void)sleep(1);
    case EXIT:
        exit(0);
    default:
        *(volatile int *)nowhere = 1;
    }
}

__attribute__((constructor)) static void load(void)
{
    at(AT_LOAD);
}

__attribute__((destructor)) static void unload(void)
{
    at(AT_EXIT);
}

static tn_status supports(void *self, const tn_node *node, tn_error *why)
{
    (void)self;
    (void)node;
    (void)why;
    at(AT_SUPPORTS);
    return TN_OK;
}

static tn_status run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const tn_tensor *in = &launch->in[0];
    (void)self;
    (void)node;
    (void)err;
    at(CRASH);
    at(ABORT);
    at(HANG);
    at(EXIT);
    for (int64_t row = 0; row < in->dim[0]; row++) {
        const float *x = (const float *)(uintptr_t)in->addr + row * in->stride[0];
        int32_t best = 0;
        for (int64_t i = 1; i < in->dim[1]; i++)
            best = x[i] > x[best] ? (int32_t)i : best;
        ((int32_t *)(uintptr_t)launch->out[0].addr)[row] = best;
    }
    return TN_OK;
}

static void close_it(void *self)
{
    (void)self;
    at(AT_CLOSE);
}

static const tn_kernel argmax = { .size = sizeof(tn_kernel),
                                  .op = "argmax",
                                  .name = BROKEN_NAME ".argmax",
                                  .tolerance = "exact",
                                  .supports = supports,
                                  .run = run };
static const tn_kernel *const kernels[] = { &argmax, NULL };

const tn_plugin tn_plugin_v1 = { .size = sizeof(tn_plugin),
                                 .minor = TN_ABI_MINOR,
                                 .sanitizer = TN_SANITIZER,
                                 .name = BROKEN_NAME,
                                 .version = "1",
                                 .domain = "host",
                                 .close = close_it,
                                 .kernels = kernels };
