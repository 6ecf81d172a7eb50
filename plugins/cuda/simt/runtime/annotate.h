/* SPDX-License-Identifier: Apache-2.0 */
/* What TSan should know: accesses that the library does for a kernel, and which of them are
 * ordered. */
#ifndef TN_PLUGINS_CUDA_SIMT_RUNTIME_ANNOTATE_H
#define TN_PLUGINS_CUDA_SIMT_RUNTIME_ANNOTATE_H

#include "plugins/cuda/simt/runtime/context.h"

#if SIMT_HAS_TSAN
#    include <sanitizer/tsan_interface.h>
extern "C" void __tsan_read_range(void *p, unsigned long n_bytes);
extern "C" void __tsan_write_range(void *p, unsigned long n_bytes);
#endif

namespace simt
{

static inline void will_read(const void *p, size_t n_bytes)
{
    (void)p, (void)n_bytes;
#if SIMT_HAS_TSAN
    __tsan_read_range(const_cast<void *>(p), n_bytes);
#endif
}

static inline void will_write(void *p, size_t n_bytes)
{
    (void)p, (void)n_bytes;
#if SIMT_HAS_TSAN
    __tsan_write_range(p, n_bytes);
#endif
}

static inline void publish(void *what)
{
    (void)what;
#if SIMT_HAS_TSAN
    __tsan_release(what);
#endif
}

static inline void observe(void *what)
{
    (void)what;
#if SIMT_HAS_TSAN
    __tsan_acquire(what);
#endif
}

} // namespace simt

#endif
