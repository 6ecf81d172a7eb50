// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/runtime/context.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if SIMT_HAS_ASAN
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#endif
#if SIMT_HAS_TSAN
#    include <sanitizer/tsan_interface.h>
#endif

#ifndef TN_SIMT_UCONTEXT
extern "C" void tn_simt_switch(void **save, void *load);
#endif

namespace simt
{

static const size_t guard_bytes = 4096;

const char *context_kind()
{
#ifdef TN_SIMT_UCONTEXT
    return "ucontext";
#elif defined(__x86_64__)
    return "x86-64";
#else
    return "aarch64";
#endif
}

size_t stack_bytes_default()
{
    return SIMT_HAS_ASAN ? 256 * 1024 : 64 * 1024;
}

/* At that address, or anywhere. */
static unsigned char *map_stacks_at(unsigned char *address, size_t n, size_t stack_bytes)
{
    void *all =
        mmap(address, n * stack_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (address ? MAP_FIXED : 0), -1, 0);
    if (all == MAP_FAILED) {
        std::perror("simt: no address space for the stacks of a block");
        std::abort();
    }
    unsigned char *stacks = static_cast<unsigned char *>(all);
    for (size_t i = 0; i < n; i++)
        mprotect(stacks + i * stack_bytes, guard_bytes, PROT_NONE);
    return stacks;
}

unsigned char *map_stacks(size_t n, size_t stack_bytes)
{
    return map_stacks_at(nullptr, n, stack_bytes);
}

void renew_stacks(unsigned char *stacks, size_t n, size_t stack_bytes)
{
    if (SIMT_HAS_TSAN)
        map_stacks_at(stacks, n, stack_bytes);
}

/* All stacks start a multiple of 64 KB apart; without a shift their tops would fall into the same
 * cache sets. */
static uintptr_t stack_top(const context *c, int index)
{
    uintptr_t top = reinterpret_cast<uintptr_t>(c->stack) + c->stack_bytes - 64;
    top -= static_cast<uintptr_t>(index) * 576 % 15360;
    return top & ~static_cast<uintptr_t>(15);
}

void context_prepare(context *c, void (*entry)(), int index)
{
#if SIMT_HAS_ASAN
    ASAN_UNPOISON_MEMORY_REGION(c->stack + guard_bytes, c->stack_bytes - guard_bytes);
#endif
    c->asan_bottom = c->stack;
    c->asan_bytes = c->stack_bytes;
    c->asan_fake_stack = nullptr;
#if SIMT_HAS_TSAN
    c->tsan_fiber = __tsan_create_fiber(0);
#endif
#ifdef TN_SIMT_UCONTEXT
    getcontext(&c->machine);
    c->machine.uc_stack.ss_sp = c->stack;
    c->machine.uc_stack.ss_size = stack_top(c, index) - reinterpret_cast<uintptr_t>(c->stack);
    c->machine.uc_link = nullptr;
    makecontext(&c->machine, entry, 0);
#else
    void **frame = reinterpret_cast<void **>(stack_top(c, index));
#    ifdef __x86_64__
    *--frame = nullptr; /* where entry would return to; it also leaves the stack as after a call */
    *--frame = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; i++)
        *--frame = nullptr;
#    else
    for (int i = 0; i < 20; i++)
        *--frame = nullptr;
    frame[1] = reinterpret_cast<void *>(entry); /* x30 */
#    endif
    c->stack_pointer = frame;
#endif
}

void context_adopt(context *c)
{
    (void)c;
#if SIMT_HAS_TSAN
    c->tsan_fiber = __tsan_get_current_fiber();
#endif
}

void context_entered(context *first)
{
    (void)first;
#if SIMT_HAS_ASAN
    const void *bottom = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (!first->asan_bottom) {
        first->asan_bottom = bottom;
        first->asan_bytes = bytes;
    }
#endif
}

void context_switch(context *from, context *to, bool from_ends)
{
    (void)from_ends;
#if SIMT_HAS_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
#if SIMT_HAS_ASAN
    __sanitizer_start_switch_fiber(from_ends ? nullptr : &from->asan_fake_stack, to->asan_bottom,
                                   to->asan_bytes);
#endif
#ifdef TN_SIMT_UCONTEXT
    swapcontext(&from->machine, &to->machine);
#else
    tn_simt_switch(&from->stack_pointer, to->stack_pointer);
#endif
#if SIMT_HAS_ASAN
    __sanitizer_finish_switch_fiber(from->asan_fake_stack, nullptr, nullptr);
#endif
}

void context_finish(context *c)
{
    (void)c;
#if SIMT_HAS_TSAN
    __tsan_destroy_fiber(c->tsan_fiber);
    c->tsan_fiber = nullptr;
#endif
}

} // namespace simt
