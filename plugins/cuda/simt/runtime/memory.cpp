// SPDX-License-Identifier: Apache-2.0
// Checks of the accesses that go through wrappers: alignment, bounds, words that nobody wrote.
#include "plugins/cuda/simt/runtime/block.h"
#include "plugins/cuda/simt/runtime/device.h"

#include <cstring>

namespace simt
{

static const char *access_name(access kind)
{
    switch (kind) {
    case access::global_read:
        return "global load";
    case access::global_write:
        return "global store";
    case access::shared_read:
        return "shared load";
    case access::shared_write:
        return "shared store";
    case access::atomic:
        return "atomic";
    }
    return "access";
}

/* Most accesses hit one of the few allocations that the thread used before. */
static bool in_known_memory(thread *t, uintptr_t low, uintptr_t high)
{
    uint64_t epoch = memory_epoch();
    if (t->known_epoch != epoch) {
        for (thread::range &r : t->known)
            r = { 1, 0 };
        t->known_epoch = epoch;
    }
    for (const thread::range &r : t->known)
        if (low >= r.low && high <= r.high)
            return true;
    return false;
}

static void check_global(const site &at, const void *p, unsigned n_bytes)
{
    thread *t = this_thread;
    uintptr_t low = reinterpret_cast<uintptr_t>(p), high = low + n_bytes;
    if (in_known_memory(t, low, high))
        return;
    allocation a;
    if (!find_allocation(p, &a))
        fail_at(at, "%s of %u bytes at %p, which is in no device memory", at.what, n_bytes, p);
    if (high > reinterpret_cast<uintptr_t>(a.high))
        fail_at(at, "%s of %u bytes at offset %zu of %zu bytes of device memory", at.what, n_bytes,
                static_cast<size_t>(low - reinterpret_cast<uintptr_t>(a.low)),
                static_cast<size_t>(a.high - a.low));
    t->known[t->next_known++ % 4] = { reinterpret_cast<uintptr_t>(a.low),
                                      reinterpret_cast<uintptr_t>(a.high) };
}

static void check_shared(const site &at, const void *p, unsigned n_bytes)
{
    const shared_array *a = shared_find(this_block, p);
    if (!a)
        fail_at(at, "%s of %u bytes at %p, which is in no shared array of this block", at.what,
                n_bytes, p);
    const unsigned char *low = static_cast<const unsigned char *>(p);
    if (low + n_bytes > a->high)
        fail_at(at, "%s of %u bytes at offset %zu of a shared array of %zu bytes", at.what, n_bytes,
                static_cast<size_t>(low - a->low), static_cast<size_t>(a->high - a->low));
}

/* True if all words there are `word`. Smaller accesses are too likely to hold it by chance. */
static bool holds_only(const void *p, unsigned n_bytes, uint32_t word)
{
    if (n_bytes < 4)
        return false;
    const unsigned char *at = static_cast<const unsigned char *>(p);
    for (unsigned i = 0; i + 4 <= n_bytes; i += 4) {
        uint32_t there;
        std::memcpy(&there, at + i, sizeof there);
        if (there != word)
            return false;
    }
    return true;
}

static void check_written(const site &at, const void *p, unsigned n_bytes)
{
    if (holds_only(p, n_bytes, unwritten_word))
        fail_at(at, "%s of %u bytes that nobody wrote", at.what, n_bytes);
    if (holds_only(p, n_bytes, in_flight_word))
        fail_at(at, "%s of %u bytes whose cp.async was not waited for", at.what, n_bytes);
}

} // namespace simt

using namespace simt;

extern "C" void tn_simt_access(access kind, const void *address, unsigned n_bytes,
                               unsigned alignment, const char *file, int line)
{
    site at = { access_name(kind), file, line };
    if (reinterpret_cast<uintptr_t>(address) % alignment)
        fail_at(at, "misaligned %s of %u bytes at %p, the address must be a multiple of %u",
                at.what, n_bytes, address, alignment);
    if (kind == access::atomic) {
        if (!shared_find(this_block, address))
            check_global(at, address, n_bytes);
        return;
    }
    bool is_shared = kind == access::shared_read || kind == access::shared_write;
    if (is_shared)
        check_shared(at, address, n_bytes);
    else
        check_global(at, address, n_bytes);
    if (kind == access::shared_read)
        check_written(at, address, n_bytes);
    if (this_block->job->how.count)
        note_access(is_shared, address, static_cast<int>(n_bytes), at);
}
