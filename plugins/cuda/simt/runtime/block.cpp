// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/runtime/block.h"

#include "plugins/cuda/simt/runtime/annotate.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace simt
{

thread_local block *this_block;
thread_local thread *this_thread;

/* Every thread publishes here that it ends or waits (after a fault it waits for ever), and the
 * launch observes it. */
static char grid_end;

/* ---- the queue ---- */

void make_runnable(thread *t)
{
    block *b = this_block;
    t->state = waiting::no;
    b->queue[b->queue_tail++ % (2 * max_threads)] = t;
}

static thread *next_runnable(block *b)
{
    const unsigned mask = 2 * max_threads - 1;
    unsigned n = b->queue_tail - b->queue_head;
    if (n == 0)
        return nullptr;
    if (b->job->how.schedule == schedule::lifo)
        return b->queue[--b->queue_tail & mask];
    if (b->job->how.schedule == schedule::random) {
        b->random = b->random * 1664525u + 1013904223u; /* Numerical Recipes, "ranqd1" */
        unsigned pick = (b->random >> 8) % n;
        thread *chosen = b->queue[(b->queue_head + pick) & mask];
        b->queue[(b->queue_head + pick) & mask] = b->queue[b->queue_head & mask];
        b->queue[b->queue_head & mask] = chosen;
    }
    return b->queue[b->queue_head++ & mask];
}

static void switch_to(thread *from, thread *to, bool from_ends)
{
    block *b = this_block;
    b->counts.n_switches++;
    this_thread = to;
    context_switch(from ? &from->run : &b->host, to ? &to->run : &b->host, from_ends);
}

void wait_for(waiting what, const site &at)
{
    thread *me = this_thread;
    me->state = what;
    me->at = at;
    publish(&grid_end);
    switch_to(me, next_runnable(this_block), false);
}

/* ---- faults ---- */

void fail_at(const site &at, const char *format, ...)
{
    block *b = this_block;
    thread *me = this_thread;
    if (!b->failed) {
        b->failed = true;
        va_list args;
        va_start(args, format);
        int n = std::vsnprintf(b->fault, sizeof b->fault, format, args);
        va_end(args);
        if (n >= 0 && static_cast<size_t>(n) < sizeof b->fault)
            std::snprintf(b->fault + n, sizeof b->fault - static_cast<size_t>(n),
                          ", block (%u,%u,%u) thread (%u,%u,%u), %s:%d", b->index.x, b->index.y,
                          b->index.z, me->index.x, me->index.y, me->index.z, at.file, at.line);
    }
    publish(&grid_end);
    switch_to(me, nullptr, false);
    std::abort(); /* nobody switches back */
}

/* Who waits where: at most a few places, each with the number of threads. */
static void report_deadlock(block *b)
{
    b->failed = true;
    size_t used = static_cast<size_t>(std::snprintf(b->fault, sizeof b->fault,
                                                    "deadlock in block (%u,%u,%u):", b->index.x,
                                                    b->index.y, b->index.z));
    bool told[max_threads] = {};
    for (int i = 0; i < b->n_threads; i++) {
        const thread *t = &b->threads[i];
        if (t->state == waiting::done || told[i])
            continue;
        int n = 0;
        for (int j = i; j < b->n_threads; j++) {
            const thread *other = &b->threads[j];
            if (other->state == waiting::done || other->at.what != t->at.what ||
                other->at.line != t->at.line)
                continue;
            told[j] = true;
            n++;
        }
        int more = std::snprintf(b->fault + used, sizeof b->fault - used,
                                 " %d thread(s) wait in %s at %s:%d;", n, t->at.what, t->at.file,
                                 t->at.line);
        if (more < 0 || used + static_cast<size_t>(more) >= sizeof b->fault)
            return;
        used += static_cast<size_t>(more);
    }
    b->fault[used - 1] = '\0'; /* the last semicolon */
}

/* ---- a thread's life ---- */

static void thread_main()
{
    block *b = this_block;
    context_entered(&b->host);
    b->job->run(b->job->call);
    thread *me = this_thread;
    copies_at_exit(me);
    me->state = waiting::done;
    me->warp->alive &= ~(1u << me->lane);
    b->n_alive--;
    if (b->n_at_barrier > 0)
        fail_at(b->barrier_site, "a thread returned while %d wait in a barrier", b->n_at_barrier);
    publish(&grid_end);
    switch_to(me, next_runnable(b), true);
    std::abort(); /* nobody switches back */
}

static void thread_begin(block *b, int i)
{
    thread *t = &b->threads[i];
    const dim3 &size = b->job->block;
    unsigned n = static_cast<unsigned>(i);
    t->index = { n % size.x, n / size.x % size.y, n / (size.x * size.y) };
    t->lane = i % warp_size;
    t->block = b;
    t->index_in_block = i;
    t->warp = &b->warps[i / warp_size];
    t->warp->lane[t->lane] = t;
    t->warp->alive |= 1u << t->lane;
    t->n_groups = 0;
    t->copies->clear();
    t->known_epoch = 0;
    context_prepare(&t->run, thread_main, i);
    make_runnable(t);
}

static void block_begin(block *b, const grid_job *job, uint64_t number)
{
    const dim3 &g = job->grid;
    b->job = job;
    b->index = { static_cast<unsigned>(number % g.x), static_cast<unsigned>(number / g.x % g.y),
                 static_cast<unsigned>(number / (static_cast<uint64_t>(g.x) * g.y)) };
    b->size = job->block;
    b->grid = g;
    b->n_threads = b->n_alive = static_cast<int>(job->block.x * job->block.y * job->block.z);
    b->queue_head = b->queue_tail = 0;
    b->random = (job->how.seed + 1u) * 2654435761u + static_cast<uint32_t>(number) * 97u;
    b->n_at_barrier = 0;
    b->barrier_value[0] = b->barrier_value[1] = 0;
    b->barrier_round = 0;
    b->failed = false;
    b->noted.clear();
    for (int w = 0; w * warp_size < b->n_threads; w++) {
        b->warps[w].alive = 0;
        std::memset(static_cast<void *>(b->warps[w].meeting), 0, sizeof b->warps[w].meeting);
    }
    renew_stacks(b->stacks, static_cast<size_t>(b->n_threads), stack_bytes_default());
    shared_begin(b);
}

bool run_block(block *b, const grid_job *job, uint64_t number)
{
    this_block = b;
    block_begin(b, job, number);
    context_adopt(&b->host);
    for (int i = 0; i < b->n_threads; i++)
        thread_begin(b, i);
    switch_to(nullptr, next_runnable(b), false);
    if (b->failed)
        observe(&grid_end); /* the text of the fault */
    if (!b->failed && b->n_alive > 0)
        report_deadlock(b);
    if (!b->failed)
        shared_end(b);
    if (job->how.count)
        count_block(b);
    b->counts.n_blocks++;
    b->counts.n_threads += static_cast<uint64_t>(b->n_threads);
    for (int i = 0; i < b->n_threads; i++)
        context_finish(&b->threads[i].run);
    this_block = nullptr;
    this_thread = nullptr;
    return !b->failed;
}

void observe_grid_end()
{
    observe(&grid_end);
}

block *new_block()
{
    block *b = new block();
    size_t bytes = stack_bytes_default();
    b->stacks = map_stacks(max_threads, bytes);
    for (int i = 0; i < max_threads; i++) {
        b->threads[i].run.stack = b->stacks + bytes * static_cast<size_t>(i);
        b->threads[i].run.stack_bytes = bytes;
        b->threads[i].copies = new std::vector<pending_copy>;
    }
    return b;
}

/* ---- barriers ---- */

static void barrier_check(const block *b, const site &here)
{
    const site &there = b->barrier_site;
    if (b->n_at_barrier > 0 &&
        (there.line != here.line || there.file != here.file || there.what != here.what))
        fail_at(here, "divergent barrier: this thread is in %s here, %d others wait in %s at %s:%d",
                here.what, b->n_at_barrier, there.what, there.file, there.line);
    if (b->n_alive != b->n_threads)
        fail_at(here, "%s after %d of %d threads returned", here.what, b->n_threads - b->n_alive,
                b->n_threads);
}

static const char *barrier_name(barrier_op op)
{
    switch (op) {
    case barrier_op::plain:
        return "__syncthreads";
    case barrier_op::count:
        return "__syncthreads_count";
    case barrier_op::all:
        return "__syncthreads_and";
    case barrier_op::any:
        return "__syncthreads_or";
    }
    return "a barrier";
}

} // namespace simt

using namespace simt;

extern "C" const thread_view *tn_simt_self(void)
{
    return this_thread;
}

extern "C" int tn_simt_barrier(barrier_op op, int predicate, const char *file, int line)
{
    block *b = this_block;
    site here = { barrier_name(op), file, line };
    barrier_check(b, here);
    unsigned round = b->barrier_round & 1u;
    if (b->n_at_barrier == 0)
        b->barrier_value[round] = 0;
    b->barrier_site = here;
    b->barrier_value[round] += predicate != 0;
    publish(&b->barrier_sync[round]);
    b->at_barrier[b->n_at_barrier++] = this_thread;
    if (b->n_at_barrier == b->n_alive) {
        int n_waiting = b->n_at_barrier - 1;
        b->n_at_barrier = 0;
        b->barrier_round++;
        b->counts.n_barriers++;
        for (int i = 0; i < n_waiting; i++)
            make_runnable(b->at_barrier[i]);
    } else {
        wait_for(waiting::barrier, here);
    }
    observe(&b->barrier_sync[round]);
    int n_true = b->barrier_value[round];
    if (op == barrier_op::count)
        return n_true;
    return op == barrier_op::all ? n_true == b->n_threads : n_true > 0;
}

/* Every fence is ordered with every other: more than a GPU promises, and never a false alarm of
 * TSan. */
static char fence_sync;

extern "C" void tn_simt_fence(void)
{
    observe(&fence_sync);
    publish(&fence_sync);
}

extern "C" void tn_simt_trap(const char *file, int line)
{
    fail_at({ "__trap", file, line }, "__trap");
}
