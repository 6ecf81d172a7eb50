// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/runtime/device.h"

#include "plugins/cuda/simt/runtime/block.h"
#include "plugins/cuda/simt/runtime/settings.h"

#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <shared_mutex>

#if SIMT_HAS_ASAN
#    include <sanitizer/asan_interface.h>
#endif

namespace simt
{

/* NVIDIA A100 80GB SXM, H100 SXM and V100 data sheets; shared memory: CUDA C++ Programming Guide,
 * "Technical Specifications per Compute Capability". */
const device_properties *properties_of(device d)
{
    static const device_properties a100 = { "NVIDIA A100-SXM4-80GB (emulated)",
                                            8,
                                            0,
                                            108,
                                            1410000,
                                            1593000,
                                            5120,
                                            size_t(80) << 30,
                                            size_t(40) << 20,
                                            164 * 1024,
                                            163 * 1024 };
    static const device_properties h100 = { "NVIDIA H100 80GB HBM3 (emulated)",
                                            9,
                                            0,
                                            132,
                                            1980000,
                                            2619000,
                                            5120,
                                            size_t(80) << 30,
                                            size_t(50) << 20,
                                            228 * 1024,
                                            227 * 1024 };
    static const device_properties v100 = { "Tesla V100-SXM2-16GB (emulated)",
                                            7,
                                            0,
                                            80,
                                            1530000,
                                            877000,
                                            4096,
                                            size_t(16) << 30,
                                            size_t(6) << 20,
                                            96 * 1024,
                                            96 * 1024 };
    return d == device::h100 ? &h100 : d == device::v100 ? &v100 : &a100;
}

static const size_t page_bytes = 4096, alignment = 256, tail_bytes = 256;
static const unsigned char tail_byte = 0xa5;

struct memory_table {
    std::shared_mutex lock;
    std::map<uintptr_t, allocation> by_start;
    size_t n_device_bytes = 0;
    std::atomic<uint64_t> epoch{ 1 };
};

/* Never destroyed: threads may still look at it while the process ends. */
static memory_table &table()
{
    static memory_table *t = new memory_table;
    return *t;
}

/* [guard page][memory, tail][guard page]: a small overrun writes the tail, a big one faults. */
static bool map_memory(size_t n_bytes, allocation *out)
{
    if (n_bytes > SIZE_MAX / 2)
        return false;
    size_t inner = (n_bytes + tail_bytes + page_bytes - 1) / page_bytes * page_bytes;
    size_t all = inner + 2 * page_bytes;
    void *p = mmap(nullptr, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    unsigned char *base = static_cast<unsigned char *>(p);
    if (mprotect(base + page_bytes, inner, PROT_READ | PROT_WRITE)) {
        munmap(p, all);
        return false;
    }
    /* As near to the upper guard page as the alignment allows. */
    unsigned char *low = base + page_bytes + (inner - n_bytes - tail_bytes) / alignment * alignment;
    *out = { low, low + n_bytes, memory_kind::device, base, all };
    return true;
}

static void mark_tail(const allocation &a)
{
#if SIMT_HAS_ASAN
    ASAN_POISON_MEMORY_REGION(a.mapped + page_bytes,
                              static_cast<size_t>(a.low - a.mapped) - page_bytes);
    ASAN_POISON_MEMORY_REGION(a.high,
                              static_cast<size_t>(a.mapped + a.mapped_bytes - page_bytes - a.high));
#else
    std::memset(a.high, tail_byte, tail_bytes);
#endif
}

void *allocate(memory_kind kind, size_t n_bytes)
{
    memory_table &t = table();
    std::unique_lock<std::shared_mutex> guard(t.lock);
    bool counts = kind == memory_kind::device;
    uint64_t quota = current_settings().max_memory_bytes;
    allocation a;
    if (n_bytes == 0 || (counts && (n_bytes > quota || t.n_device_bytes > quota - n_bytes)) ||
        !map_memory(n_bytes, &a))
        return nullptr;
    a.kind = kind;
    fill_words(a.low, n_bytes, unwritten_word);
    mark_tail(a);
    t.by_start[reinterpret_cast<uintptr_t>(a.low)] = a;
    t.n_device_bytes += counts ? n_bytes : 0;
    t.epoch++;
    return a.low;
}

bool release(memory_kind kind, void *p)
{
    memory_table &t = table();
    std::unique_lock<std::shared_mutex> guard(t.lock);
    auto found = t.by_start.find(reinterpret_cast<uintptr_t>(p));
    if (found == t.by_start.end() || found->second.kind != kind)
        return false;
    const allocation &a = found->second;
    if (kind == memory_kind::device)
        t.n_device_bytes -= static_cast<size_t>(a.high - a.low);
#if SIMT_HAS_ASAN
    ASAN_UNPOISON_MEMORY_REGION(a.mapped, a.mapped_bytes);
#endif
    munmap(a.mapped, a.mapped_bytes);
    t.by_start.erase(found);
    t.epoch++;
    return true;
}

bool find_allocation(const void *p, allocation *out)
{
    memory_table &t = table();
    std::shared_lock<std::shared_mutex> guard(t.lock);
    auto next = t.by_start.upper_bound(reinterpret_cast<uintptr_t>(p));
    if (next == t.by_start.begin())
        return false;
    const allocation &a = std::prev(next)->second;
    if (static_cast<const unsigned char *>(p) >= a.high)
        return false;
    *out = a;
    return true;
}

uint64_t memory_epoch()
{
    return table().epoch.load(std::memory_order_relaxed);
}

size_t device_bytes_used()
{
    memory_table &t = table();
    std::shared_lock<std::shared_mutex> guard(t.lock);
    return t.n_device_bytes;
}

bool find_overrun(const void **out_low, size_t *out_bytes)
{
    (void)out_low, (void)out_bytes;
#if !SIMT_HAS_ASAN
    memory_table &t = table();
    std::unique_lock<std::shared_mutex> guard(t.lock);
    unsigned char whole[tail_bytes];
    std::memset(whole, tail_byte, sizeof whole);
    for (const auto &entry : t.by_start) {
        const allocation &a = entry.second;
        if (std::memcmp(a.high, whole, sizeof whole) == 0)
            continue;
        std::memset(a.high, tail_byte, tail_bytes);
        *out_low = a.low;
        *out_bytes = static_cast<size_t>(a.high - a.low);
        return true;
    }
#endif
    return false;
}

} // namespace simt
