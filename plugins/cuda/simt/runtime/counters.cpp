// SPDX-License-Identifier: Apache-2.0
// Accesses become requests: the lanes of a warp that make the k-th access of one place together.
// That is exact as long as the lanes of a warp run the same number of times through the place;
// nothing is assumed about caches.
#include "plugins/cuda/simt/runtime/block.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

namespace simt
{

struct place {
    std::string kernel, file;
    int line;
    bool is_shared;
    bool operator<(const place &other) const
    {
        return std::tie(kernel, file, line, is_shared) <
               std::tie(other.kernel, other.file, other.line, other.is_shared);
    }
};

struct counter_table {
    std::mutex lock;
    std::map<place, counter> all;
    totals sum = {};
};

static counter_table &table()
{
    static counter_table *t = new counter_table;
    return *t;
}

static bool same_site(const noted_access &a, const noted_access &b)
{
    return a.at.line == b.at.line && a.at.file == b.at.file && a.is_shared == b.is_shared;
}

void note_access(bool is_shared, const void *p, int n_bytes, const site &at)
{
    thread *t = this_thread;
    noted_access fresh = { at,
                           reinterpret_cast<uintptr_t>(p),
                           t->index_in_block / warp_size,
                           t->lane,
                           0,
                           n_bytes,
                           is_shared };
    this_block->noted.push_back(fresh);
}

static std::tuple<const char *, int, bool, int, int> lane_key(const noted_access &a)
{
    return { a.at.file, a.at.line, a.is_shared, a.warp, a.lane };
}

static std::tuple<const char *, int, bool, int, int, int> request_key(const noted_access &a)
{
    return { a.at.file, a.at.line, a.is_shared, a.warp, a.occurrence, a.lane };
}

/* Number each lane's accesses of one place in the order in which they were made, then bring
 * requests together. */
static void sort_into_requests(std::vector<noted_access> &noted)
{
    std::stable_sort(noted.begin(), noted.end(), [](const noted_access &a, const noted_access &b) {
        return lane_key(a) < lane_key(b);
    });
    for (size_t i = 1; i < noted.size(); i++)
        noted[i].occurrence =
            lane_key(noted[i]) == lane_key(noted[i - 1]) ? noted[i - 1].occurrence + 1 : 0;
    std::sort(noted.begin(), noted.end(), [](const noted_access &a, const noted_access &b) {
        return request_key(a) < request_key(b);
    });
}

using access_range = std::pair<const noted_access *, const noted_access *>;

static void count_sectors(access_range r, counter *c)
{
    const uint64_t sector_bytes = 32;
    std::vector<uint64_t> sectors;
    uint64_t n_bytes = 0;
    for (const noted_access *a = r.first; a != r.second; a++) {
        uint64_t size = static_cast<uint64_t>(a->n_bytes);
        n_bytes += size;
        for (uint64_t s = a->address / sector_bytes; s <= (a->address + size - 1) / sector_bytes;
             s++)
            sectors.push_back(s);
    }
    std::sort(sectors.begin(), sectors.end());
    c->n_sectors +=
        static_cast<uint64_t>(std::unique(sectors.begin(), sectors.end()) - sectors.begin());
    c->n_ideal_sectors += (n_bytes + sector_bytes - 1) / sector_bytes;
}

/* Passes over the banks for the lanes of one phase: the most different words in one bank. */
static uint64_t passes(access_range r)
{
    std::vector<uint64_t> words;
    for (const noted_access *a = r.first; a != r.second; a++)
        for (uint64_t w = a->address / 4;
             w <= (a->address + static_cast<uint64_t>(a->n_bytes) - 1) / 4; w++)
            words.push_back(w);
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    uint64_t in_bank[32] = {};
    for (uint64_t w : words)
        in_bank[w % 32]++;
    return *std::max_element(in_bank, in_bank + 32);
}

/* 32 banks of 4 bytes serve 32 lanes of 4 bytes, 16 of 8 or 8 of 16 at a time (reference: the
 * profiler's own ideal). */
static void count_passes(access_range r, counter *c)
{
    int per_phase = r.first->n_bytes >= 16 ? 8 : r.first->n_bytes == 8 ? 16 : 32;
    for (const noted_access *a = r.first; a != r.second;) {
        const noted_access *end = a;
        while (end != r.second && end->lane / per_phase == a->lane / per_phase)
            end++;
        c->n_passes += passes({ a, end });
        c->n_ideal_passes++;
        a = end;
    }
}

static void count_request(access_range r, counter *c)
{
    c->n_requests++;
    for (const noted_access *a = r.first; a != r.second; a++) {
        c->n_lanes++;
        c->n_bytes += static_cast<uint64_t>(a->n_bytes);
    }
    if (c->is_shared)
        count_passes(r, c);
    else
        count_sectors(r, c);
}

static counter *counter_of(counter_table &t, const char *kernel, const noted_access &a)
{
    auto found = t.all.try_emplace({ kernel, a.at.file, a.at.line, a.is_shared }).first;
    counter &c = found->second;
    c.kernel = found->first.kernel.c_str();
    c.file = found->first.file.c_str();
    c.line = a.at.line;
    c.is_shared = a.is_shared;
    return &c;
}

void count_block(block *b)
{
    std::vector<noted_access> &noted = b->noted;
    sort_into_requests(noted);
    counter_table &t = table();
    std::lock_guard<std::mutex> guard(t.lock);
    const noted_access *end = noted.data() + noted.size();
    for (const noted_access *a = noted.data(); a != end;) {
        const noted_access *next = a;
        while (next != end && same_site(*next, *a) && next->warp == a->warp &&
               next->occurrence == a->occurrence)
            next++;
        count_request({ a, next }, counter_of(t, b->job->kernel, *a));
        a = next;
    }
}

void add_totals(const totals &more)
{
    counter_table &t = table();
    std::lock_guard<std::mutex> guard(t.lock);
    t.sum.n_launches += more.n_launches;
    t.sum.n_blocks += more.n_blocks;
    t.sum.n_threads += more.n_threads;
    t.sum.n_switches += more.n_switches;
    t.sum.n_barriers += more.n_barriers;
    t.sum.n_mma += more.n_mma;
}

} // namespace simt

using namespace simt;

extern "C" size_t tn_simt_counters(counter *out, size_t max_counters)
{
    counter_table &t = table();
    std::lock_guard<std::mutex> guard(t.lock);
    size_t n = 0;
    for (const auto &entry : t.all)
        if (n < max_counters)
            out[n++] = entry.second;
    return t.all.size();
}

extern "C" void tn_simt_totals(totals *out)
{
    counter_table &t = table();
    std::lock_guard<std::mutex> guard(t.lock);
    *out = t.sum;
}

extern "C" void tn_simt_reset_counters(void)
{
    counter_table &t = table();
    std::lock_guard<std::mutex> guard(t.lock);
    t.all.clear();
    t.sum = {};
}
