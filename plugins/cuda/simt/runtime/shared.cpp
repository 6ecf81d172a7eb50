// SPDX-License-Identifier: Apache-2.0
// Shared memory of a block: an arena with a gap around every array, filled so that unwritten words
// are NaN. What lies in a gap is poisoned for ASan; without it, the gaps are read when the block
// ends.
#include "plugins/cuda/simt/runtime/block.h"
#include "plugins/cuda/simt/runtime/device.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#if SIMT_HAS_ASAN
#    include <sanitizer/asan_interface.h>
#endif

namespace simt
{

static const size_t arena_bytes = 512 * 1024, gap_bytes = 128;
static const size_t max_static_shared_bytes = 48 * 1024; /* of every architecture so far */
static const uint32_t gap_word = 0xffa5ffa5u;

void fill_words(void *p, size_t n_bytes, uint32_t word)
{
    unsigned char *at = static_cast<unsigned char *>(p);
    for (size_t i = 0; i < n_bytes; i += 4)
        std::memcpy(at + i, &word, n_bytes - i < 4 ? n_bytes - i : 4);
}

static void map_arena(block *b)
{
    /* TSan orders two blocks that reuse memory; fresh pages let it see races between blocks. */
    if (b->arena && SIMT_HAS_TSAN) {
        munmap(b->arena, arena_bytes);
        b->arena = nullptr;
    }
    if (b->arena)
        return;
    void *p = mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        std::perror("simt: no address space for shared memory");
        std::abort();
    }
    b->arena = static_cast<unsigned char *>(p);
}

/* An array and the gap behind it. The one before it has made the gap in front. */
static const shared_array *add_array(block *b, const void *key, size_t n_bytes)
{
    unsigned char *low = b->arena + b->arena_used;
    size_t span = (n_bytes + gap_bytes - 1) / gap_bytes * gap_bytes + gap_bytes;
#if SIMT_HAS_ASAN
    ASAN_UNPOISON_MEMORY_REGION(low, n_bytes);
#endif
    fill_words(low, n_bytes, unwritten_word);
#if !SIMT_HAS_ASAN
    fill_words(low + n_bytes, span - n_bytes, gap_word);
#endif
    b->arena_used += span;
    b->arrays.push_back({ key, low, low + n_bytes });
    return &b->arrays.back();
}

void shared_begin(block *b)
{
    map_arena(b);
    b->arrays.clear();
    b->static_shared_bytes = 0;
    b->arena_used = gap_bytes;
#if SIMT_HAS_ASAN
    ASAN_POISON_MEMORY_REGION(b->arena, arena_bytes);
#else
    fill_words(b->arena, gap_bytes, gap_word);
#endif
    b->dynamic_shared = add_array(b, nullptr, b->job->dynamic_shared_bytes)->low;
}

const shared_array *shared_find(const block *b, const void *p)
{
    const unsigned char *at = static_cast<const unsigned char *>(p);
    for (const shared_array &a : b->arrays)
        if (at >= a.low && at < a.high)
            return &a;
    return nullptr;
}

#if !SIMT_HAS_ASAN
static bool gap_is_whole(const unsigned char *from, const unsigned char *to)
{
    unsigned char expected[2 * gap_bytes];
    size_t n = static_cast<size_t>(to - from);
    fill_words(expected, n, gap_word);
    return std::memcmp(from, expected, n) == 0;
}
#endif

void shared_end(block *b)
{
    (void)b;
#if !SIMT_HAS_ASAN
    const unsigned char *from = b->arena;
    for (size_t i = 0; i <= b->arrays.size(); i++) {
        const unsigned char *to =
            i < b->arrays.size() ? b->arrays[i].low : b->arena + b->arena_used;
        if (!gap_is_whole(from, to)) {
            b->failed = true;
            std::snprintf(b->fault, sizeof b->fault,
                          "wrote outside shared arrays, %s shared array %zu of block (%u,%u,%u)",
                          i == 0 ? "before" : "behind", i == 0 ? i : i - 1, b->index.x, b->index.y,
                          b->index.z);
            return;
        }
        if (i < b->arrays.size())
            from = b->arrays[i].high;
    }
#endif
}

} // namespace simt

using namespace simt;

/* key: the address of a static object of the call, so one per array and template instance. */
extern "C" void *tn_simt_shared(const void *key, size_t n_bytes)
{
    block *b = this_block;
    for (const shared_array &a : b->arrays)
        if (a.key == key)
            return a.low;
    site at = { "SHARED_ARRAY", b->job->kernel, 0 };
    b->static_shared_bytes += n_bytes;
    if (b->static_shared_bytes > max_static_shared_bytes)
        fail_at(at, "static shared arrays of %zu bytes, at most %zu are allowed",
                b->static_shared_bytes, max_static_shared_bytes);
    size_t limit = properties_of(b->job->how.device)->shared_block_optin_bytes;
    if (b->static_shared_bytes + b->job->dynamic_shared_bytes > limit)
        fail_at(at,
                "%zu static and %zu dynamic bytes of shared memory, the device has %zu for a block",
                b->static_shared_bytes, b->job->dynamic_shared_bytes, limit);
    return add_array(b, key, n_bytes)->low;
}
