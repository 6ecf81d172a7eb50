/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack that can be switched to: one a thread of the emulated block. Switches are 7 instructions
 * on x86-64 and AArch64 (switch.cpp), ucontext elsewhere and with TN_SIMT_UCONTEXT. ASan and TSan
 * are told of every switch.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_RUNTIME_CONTEXT_H
#define TN_PLUGINS_CUDA_SIMT_RUNTIME_CONTEXT_H

#include <cstddef>

#if !defined(TN_SIMT_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#    define TN_SIMT_UCONTEXT 1
#endif
#ifdef TN_SIMT_UCONTEXT
#    include <ucontext.h>
#endif

/* The library is compiled without TSan's instrumentation and calls it instead, so it cannot ask the
 * compiler. */
#ifdef TN_SIMT_TSAN
#    define SIMT_HAS_TSAN 1
#else
#    define SIMT_HAS_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#    define SIMT_HAS_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define SIMT_HAS_ASAN 1
#    endif
#endif
#ifndef SIMT_HAS_ASAN
#    define SIMT_HAS_ASAN 0
#endif

namespace simt
{

struct context {
    void *stack_pointer;
    unsigned char *stack; /* lowest byte; NULL in the thread that the others started from */
    size_t stack_bytes;
    const void *asan_bottom; /* of the stack that is switched to; learnt for the first context */
    size_t asan_bytes;
    void *asan_fake_stack, *tsan_fiber;
#ifdef TN_SIMT_UCONTEXT
    ucontext_t machine;
#endif
};

/* Stacks, the bytes and the guard page below each. */
unsigned char *map_stacks(size_t n, size_t stack_bytes);
size_t stack_bytes_default();
/* Fresh pages for the first n stacks where TSan would take the next block's use of one for a race
 * with the last block's. */
void renew_stacks(unsigned char *stacks, size_t n, size_t stack_bytes);

/* entry begins with context_entered and ends with a switch that says it is the last. index spreads
 * stacks over cache sets. */
void context_prepare(context *c, void (*entry)(), int index);
/* How threads are switched: "x86-64", "aarch64", "ucontext". */
const char *context_kind();
/* For the thread that runs the first switch. */
void context_adopt(context *c);
void context_entered(context *first);
void context_switch(context *from, context *to, bool from_ends);
/* The context's use by one block is over. */
void context_finish(context *c);

} // namespace simt

#endif
