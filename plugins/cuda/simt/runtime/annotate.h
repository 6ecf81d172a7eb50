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
extern "C" void AnnotateIgnoreReadsBegin(const char *file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char *file, int line);
extern "C" void AnnotateIgnoreWritesBegin(const char *file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char *file, int line);
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

/* While one lives, this fiber's accesses are the library's own. A list of a thread's place in the
 * block goes from one block's fiber to the next one's; telling TSan that they are ordered would
 * hide races between the blocks. */
struct own_accesses {
#if SIMT_HAS_TSAN
    own_accesses()
    {
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    }
    ~own_accesses()
    {
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    }
#else
    own_accesses() {}
#endif
    own_accesses(const own_accesses &) = delete;
    own_accesses &operator=(const own_accesses &) = delete;
};

} // namespace simt

#endif
