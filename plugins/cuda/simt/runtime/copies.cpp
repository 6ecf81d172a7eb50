// SPDX-License-Identifier: Apache-2.0
// cp.async. PTX ISA: the copy may happen at any time between its issue and the wait for its group.
// Late: in the wait, and what is there before is NaN, so reads that come too early and copies into
// memory that is still read show. Eager: at once.
#include "plugins/cuda/simt/runtime/annotate.h"
#include "plugins/cuda/simt/runtime/block.h"

#include <cstring>

namespace simt
{

static void land(const pending_copy &c)
{
    size_t n_src = static_cast<size_t>(c.n_src), n_bytes = static_cast<size_t>(c.n_bytes);
    if (n_src > 0)
        will_read(c.src, n_src);
    will_write(c.dst, n_bytes);
    if (n_src > 0)
        std::memcpy(c.dst, c.src, n_src);
    std::memset(c.dst + n_src, 0, n_bytes - n_src);
}

void copies_at_exit(thread *t)
{
    if (!t->copies->empty())
        fail_at(t->copies->front().at,
                "a thread returned with %zu cp.async that it did not wait for", t->copies->size());
}

} // namespace simt

using namespace simt;

extern "C" void tn_simt_cp_async(void *dst, const void *src, int n_bytes, int n_src,
                                 const char *file, int line)
{
    unsigned size = static_cast<unsigned>(n_bytes);
    site at = { "cp.async", file, line };
    if (n_src < 0 || n_src > n_bytes)
        fail_at(at, "cp.async of %d source bytes, 0 to %d are allowed", n_src, n_bytes);
    tn_simt_access(access::shared_write, dst, size, size, file, line);
    if (reinterpret_cast<uintptr_t>(src) % size)
        fail_at(at, "misaligned cp.async of %d bytes from %p", n_bytes, src);
    if (n_src > 0)
        tn_simt_access(access::global_read, src, static_cast<unsigned>(n_src), 1, file, line);
    thread *me = this_thread;
    pending_copy c = { static_cast<unsigned char *>(dst),
                       static_cast<const unsigned char *>(src),
                       n_bytes,
                       n_src,
                       me->n_groups,
                       at };
    if (this_block->job->how.copies == copies::eager) {
        land(c);
    } else {
        will_write(dst, size);
        fill_words(dst, size, in_flight_word);
    }
    own_accesses growing;
    me->copies->push_back(c);
}

extern "C" void tn_simt_cp_commit(void)
{
    this_thread->n_groups++;
}

/* All groups but the n_pending latest; what was not committed belongs to no group yet. */
extern "C" void tn_simt_cp_wait(int n_pending)
{
    thread *me = this_thread;
    std::vector<pending_copy> &all = *me->copies;
    size_t n_left = 0;
    for (const pending_copy &c : all) {
        if (c.group >= me->n_groups - n_pending)
            all[n_left++] = c;
        else if (this_block->job->how.copies == copies::late)
            land(c);
    }
    all.resize(n_left);
}
