/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block of threads, run on one thread of the host: a queue of runnable threads, the barrier,
 * warps with their rendezvous, shared memory. A thread runs until it has to wait and then switches
 * to the next one. When nobody is left to run the block is done, or it is a deadlock. A fault
 * leaves all threads where they are and ends the block.
 */
#ifndef TN_PLUGINS_CUDA_SIMT_RUNTIME_BLOCK_H
#define TN_PLUGINS_CUDA_SIMT_RUNTIME_BLOCK_H

#include "plugins/cuda/simt/emu/control.h"
#include "plugins/cuda/simt/runtime/context.h"

#include <vector>

namespace simt
{

const int warp_size = 32, max_threads = 1024, max_warps = max_threads / warp_size;

/* A cp.async that was issued and has not landed. */
struct pending_copy {
    unsigned char *dst;
    const unsigned char *src;
    int n_bytes, n_src, group;
    site at;
};

enum class waiting : uint8_t { no, barrier, warp, done };

struct warp;

struct alignas(64) thread : thread_view {
    context run;
    struct warp *warp;
    int index_in_block;
    waiting state;
    site at; /* where it waits */
    int n_groups;
    std::vector<pending_copy> *copies;
    struct range {
        uintptr_t low, high;
    } known[4]; /* device memory found before; see memory.cpp */
    unsigned next_known;
    uint64_t known_epoch;
};

/* Lanes that meet at one call. Up to 16 pairs of lanes can wait apart. */
struct rendezvous {
    uint32_t mask, arrived;
    site at;
};

struct warp {
    rendezvous meeting[16];
    thread *lane[warp_size];
    uint32_t alive;
    alignas(64) uint32_t in[warp_size][12], out[warp_size][4];
};

/* A shared array, or the dynamic one (key NULL). */
struct shared_array {
    const void *key;
    unsigned char *low, *high;
};

/* One wrapper call of one lane; blocks turn them into counters when they end. */
struct noted_access {
    site at;
    uint64_t address;
    int warp, lane, occurrence, n_bytes;
    bool is_shared;
};

struct grid_job {
    const char *kernel;
    dim3 grid, block;
    size_t dynamic_shared_bytes;
    void (*run)(const void *call);
    const void *call;
    settings how;
};

struct block : block_view {
    const grid_job *job;
    context host; /* the thread that the block runs on */
    thread threads[max_threads];
    warp warps[max_warps];
    thread *queue[2 * max_threads];
    unsigned queue_head, queue_tail;
    uint32_t random;
    int n_threads, n_alive;
    /* the barrier */
    thread *at_barrier[max_threads];
    int n_at_barrier, barrier_value[2];
    unsigned barrier_round;
    site barrier_site;
    char barrier_sync[2];
    /* shared memory */
    unsigned char *arena;
    size_t arena_used;
    std::vector<shared_array> arrays;
    size_t static_shared_bytes;
    std::vector<noted_access> noted;
    unsigned char *stacks;
    bool failed;
    char fault[480];
    totals counts;
};

/* The block and thread that run on this thread of the host; NULL outside. */
extern thread_local block *this_block;
extern thread_local thread *this_thread;

/* False: the block has a fault, in block->fault. */
bool run_block(block *b, const grid_job *job, uint64_t number);
block *new_block();
/* All that the threads of a launch did is ordered before what the caller does next. */
void observe_grid_end();

/* Ends the block. The text gets block, thread and place. */
[[noreturn]] void fail_at(const site &at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void make_runnable(thread *t);
/* Switches away until somebody makes the thread runnable. */
void wait_for(waiting what, const site &at);

/* ---- shared memory (shared.cpp) ---- */

void shared_begin(block *b);
/* Writes outside arrays, and what else can be seen at the end of a block. */
void shared_end(block *b);
const shared_array *shared_find(const block *b, const void *p);

/* ---- counters (counters.cpp) ---- */

void note_access(bool is_shared, const void *p, int n_bytes, const site &at);
void count_block(block *b);
void add_totals(const totals &t);

/* ---- cp.async (copies.cpp) ---- */

void copies_at_exit(thread *t);

/* What a word holds that nobody wrote, and one whose cp.async has not landed: NaN in f32, f16 and
 * bf16. */
const uint32_t unwritten_word = 0xffdeffdeu, in_flight_word = 0xffdcffdcu;
void fill_words(void *p, size_t n_bytes, uint32_t word);

} // namespace simt

#endif
