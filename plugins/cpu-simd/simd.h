/* SPDX-License-Identifier: Apache-2.0 */
/* What cpu-simd's files share: the handle, with the kernels of the instruction set chosen at open,
 * and the flags that every kernel claims. */
#ifndef TN_PLUGINS_CPU_SIMD_SIMD_H
#define TN_PLUGINS_CPU_SIMD_SIMD_H

#include "plugins/common/host_op.h"
#include "plugins/cpu-simd/isa.h"

enum { SIMD_FLAGS = TN_K_DETERMINISTIC | TN_K_BATCH_INVARIANT };

typedef struct simd_plugin {
    const tn_host *host;
    const simd_isa *isa;
    int32_t exact; /* option dot: f32, inputs of coded weights are not quantised */
} simd_plugin;

typedef void (*simd_range_fn)(void *arg, int64_t i0, int64_t i1, int32_t worker);

static inline void simd_for(void *self, int64_t n, simd_range_fn fn, void *arg)
{
    const tn_host *host = ((const simd_plugin *)self)->host;
    if (n > 0)
        host->parallel_for(host->ctx, n, fn, arg);
}

static inline int32_t simd_workers(void *self)
{
    const tn_host *host = ((const simd_plugin *)self)->host;
    return host->workers(host->ctx);
}

/** The same in parts, handed out so that a worker goes through one stretch of [0, n) as long as all
 * keep pace: the memory that it asks for ahead of its use is then its own, and in its own cache. A
 * worker that is late leaves parts of its stretch to the others. */
void simd_for_stretches(void *self, int64_t n, simd_range_fn fn, void *arg);

static inline const simd_isa *simd_isa_of(void *self)
{
    return ((const simd_plugin *)self)->isa;
}

#endif
