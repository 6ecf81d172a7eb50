// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/runtime/warp.h"

#include "plugins/cuda/simt/runtime/annotate.h"

namespace simt
{

static bool same_place(const site &a, const site &b)
{
    return a.what == b.what && a.line == b.line && a.file == b.file;
}

static rendezvous *find_meeting(warp *w, const meeting_args &args)
{
    rendezvous *free_one = nullptr;
    for (rendezvous &r : w->meeting) {
        if (!r.arrived) {
            free_one = free_one ? free_one : &r;
            continue;
        }
        if (!(r.mask & args.mask))
            continue;
        if (r.mask == args.mask && same_place(r.at, args.at))
            return &r;
        fail_at(args.at,
                "divergent warp: this lane is in %s with mask 0x%08x here, others wait in %s with "
                "mask 0x%08x at %s:%d",
                args.at.what, args.mask, r.at.what, r.mask, r.at.file, r.at.line);
    }
    if (!free_one) /* 16 disjoint masks of two lanes are all there can be */
        fail_at(args.at, "%s: too many masks wait at once", args.at.what);
    *free_one = { args.mask, 0, args.at };
    return free_one;
}

void meet(const meeting_args &args)
{
    thread *me = this_thread;
    warp *w = me->warp;
    const uint32_t mask = args.mask;
    if (!(mask >> me->lane & 1u))
        fail_at(args.at, "%s: the mask 0x%08x lacks the calling lane %d", args.at.what, mask,
                me->lane);
    if (mask & ~w->alive)
        fail_at(args.at, "%s: the mask 0x%08x names lanes 0x%08x that returned or never were",
                args.at.what, mask, mask & ~w->alive);
    for (int i = 0; i < args.n_in; i++)
        w->in[me->lane][i] = args.in[i];
    rendezvous *r = find_meeting(w, args);
    r->arrived |= 1u << me->lane;
    if (r->arrived == mask) {
        if (args.compute)
            args.compute(w, mask, args.context);
        r->arrived = 0;
        for (int lane = 0; lane < warp_size; lane++)
            if ((mask >> lane & 1u) && lane != me->lane)
                make_runnable(w->lane[lane]);
    } else {
        wait_for(waiting::warp, args.at);
    }
    for (int i = 0; i < args.n_out; i++)
        args.out[i] = w->out[me->lane][i];
}

/* ---- shuffles ---- */

struct shuffle_args {
    shuffle how;
    int width;
    site at;
};

/*
 * CUDA C++ Programming Guide, "Warp Shuffle Functions": segments of `width` lanes; a source outside
 * gives the lane's own value, but xor may reach into earlier segments.
 */
static int shuffle_source(const shuffle_args *args, int lane, int argument)
{
    int first = lane & ~(args->width - 1), last = first + args->width - 1;
    int64_t source = lane;
    switch (args->how) {
    case shuffle::index:
        return first | (argument & (args->width - 1));
    case shuffle::up:
        source = lane - static_cast<int64_t>(static_cast<unsigned>(argument));
        return static_cast<int>(source < first ? lane : source);
    case shuffle::down:
        source = lane + static_cast<int64_t>(static_cast<unsigned>(argument));
        return static_cast<int>(source > last ? lane : source);
    case shuffle::exclusive_or:
        source = lane ^ (argument & (warp_size - 1));
        return static_cast<int>(source > last ? lane : source);
    }
    return lane;
}

static void compute_shuffle(warp *w, uint32_t mask, const void *context)
{
    const shuffle_args *args = static_cast<const shuffle_args *>(context);
    for (int lane = 0; lane < warp_size; lane++) {
        if (!(mask >> lane & 1u))
            continue;
        int source = shuffle_source(args, lane, static_cast<int>(w->in[lane][1]));
        if (!(mask >> source & 1u))
            fail_at(args->at, "%s: lane %d reads lane %d, which is not in the mask 0x%08x",
                    args->at.what, lane, source, mask);
        w->out[lane][0] = w->in[source][0];
    }
}

/* ---- votes and reductions ---- */

/* Only to the lanes of the mask: others may not have read yet what an earlier meeting gave them. */
static void give(warp *w, uint32_t mask, uint32_t result)
{
    for (int lane = 0; lane < warp_size; lane++)
        if (mask >> lane & 1u)
            w->out[lane][0] = result;
}

static void compute_vote(warp *w, uint32_t mask, const void *context)
{
    const vote how = *static_cast<const vote *>(context);
    uint32_t ballot = 0;
    for (int lane = 0; lane < warp_size; lane++)
        if ((mask >> lane & 1u) && w->in[lane][0])
            ballot |= 1u << lane;
    give(w, mask, how == vote::any ? ballot != 0 : how == vote::all ? ballot == mask : ballot);
}

static void compute_match(warp *w, uint32_t mask, const void *)
{
    for (int lane = 0; lane < warp_size; lane++) {
        if (!(mask >> lane & 1u))
            continue;
        uint32_t equal = 0;
        for (int other = 0; other < warp_size; other++)
            if ((mask >> other & 1u) && w->in[other][0] == w->in[lane][0])
                equal |= 1u << other;
        w->out[lane][0] = equal;
    }
}

static uint32_t combine(reduce how, uint32_t a, uint32_t b)
{
    const int32_t x = static_cast<int32_t>(a), y = static_cast<int32_t>(b);
    switch (how) {
    case reduce::add:
        return a + b;
    case reduce::min_signed:
        return x < y ? a : b;
    case reduce::max_signed:
        return x > y ? a : b;
    case reduce::min_unsigned:
        return a < b ? a : b;
    case reduce::max_unsigned:
        return a > b ? a : b;
    case reduce::bit_and:
        return a & b;
    case reduce::bit_or:
        return a | b;
    case reduce::bit_xor:
        return a ^ b;
    }
    return a;
}

static void compute_reduce(warp *w, uint32_t mask, const void *context)
{
    const reduce how = *static_cast<const reduce *>(context);
    int first = __builtin_ctz(mask);
    uint32_t result = w->in[first][0];
    for (int lane = first + 1; lane < warp_size; lane++)
        if (mask >> lane & 1u)
            result = combine(how, result, w->in[lane][0]);
    give(w, mask, result);
}

} // namespace simt

using namespace simt;

extern "C" uint32_t tn_simt_shuffle(shuffle how, uint32_t mask, uint32_t value, int argument,
                                    int width, const char *file, int line)
{
    static const char *const names[] = { "__shfl_sync", "__shfl_up_sync", "__shfl_down_sync",
                                         "__shfl_xor_sync" };
    shuffle_args context = { how, width, { names[static_cast<int>(how)], file, line } };
    if (width < 1 || width > warp_size || (width & (width - 1)))
        fail_at(context.at, "%s: the width %d is not a power of two up to 32", context.at.what,
                width);
    uint32_t in[2] = { value, static_cast<uint32_t>(argument) }, out;
    meet({ context.at, mask, in, 2, 1, &out, compute_shuffle, &context });
    return out;
}

extern "C" uint32_t tn_simt_vote(vote how, uint32_t mask, uint32_t value, const char *file,
                                 int line)
{
    static const char *const names[] = { "__ballot_sync", "__any_sync", "__all_sync",
                                         "__match_any_sync" };
    site at = { names[static_cast<int>(how)], file, line };
    uint32_t out;
    meet({ at, mask, &value, 1, 1, &out, how == vote::match_any ? compute_match : compute_vote,
           &how });
    return out;
}

extern "C" uint32_t tn_simt_reduce(reduce how, uint32_t mask, uint32_t value, const char *file,
                                   int line)
{
    site at = { "__reduce_sync", file, line };
    uint32_t out;
    meet({ at, mask, &value, 1, 1, &out, compute_reduce, &how });
    return out;
}

/* Of the collectives only this one orders memory. */
extern "C" void tn_simt_warp_barrier(uint32_t mask, const char *file, int line)
{
    publish(this_thread->warp);
    meet({ { "__syncwarp", file, line }, mask, nullptr, 0, 0, nullptr, nullptr, nullptr });
    observe(this_thread->warp);
}
