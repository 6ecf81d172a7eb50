// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/runtime/grid.h"

#include "plugins/cuda/simt/runtime/device.h"
#include "plugins/cuda/simt/runtime/settings.h"

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

namespace simt
{

struct pool {
    std::mutex launch_lock; /* held during a launch */
    std::mutex lock;        /* guards what follows, but for the counters of blocks */
    std::condition_variable work, done;
    int n_threads = 0;
    uint64_t round = 0; /* grows with each launch */
    const grid_job *job = nullptr;
    int n_wanted = 0, n_left = 0;
    std::atomic<uint64_t> next_block{ 0 };
    std::atomic<bool> failed{ false };
};

/* Never destroyed: its threads wait on it when the process ends. */
static pool &the_pool()
{
    static pool *p = new pool;
    return *p;
}

/* Relaxed, so that TSan sees no order between the blocks. */
static void run_blocks(pool &p, const grid_job &job, block *b)
{
    const uint64_t n_blocks = static_cast<uint64_t>(job.grid.x) * job.grid.y * job.grid.z;
    while (!p.failed.load(std::memory_order_relaxed)) {
        uint64_t number = p.next_block.fetch_add(1, std::memory_order_relaxed);
        if (number >= n_blocks)
            break;
        if (run_block(b, &job, job.how.reverse_blocks ? n_blocks - 1 - number : number))
            continue;
        set_fault(job.kernel, b->fault);
        p.failed.store(true, std::memory_order_relaxed);
    }
    add_totals(b->counts);
    b->counts = {};
}

static void worker_main(int index)
{
    pool &p = the_pool();
    block *b = new_block();
    uint64_t seen = 0;
    std::unique_lock<std::mutex> guard(p.lock);
    for (;;) {
        p.work.wait(guard, [&] { return p.round != seen; });
        seen = p.round;
        if (index >= p.n_wanted)
            continue;
        const grid_job *job = p.job;
        guard.unlock();
        run_blocks(p, *job, b);
        guard.lock();
        if (--p.n_left == 0)
            p.done.notify_all();
    }
}

static void start_threads(pool &p, int n)
{
    for (; p.n_threads < n; p.n_threads++)
        std::thread(worker_main, p.n_threads).detach();
}

static void run_on_pool(pool &p, const grid_job &job)
{
    const uint64_t n_blocks = static_cast<uint64_t>(job.grid.x) * job.grid.y * job.grid.z;
    int n = job.how.n_workers < 1 ? 1 : job.how.n_workers;
    if (static_cast<uint64_t>(n) > n_blocks)
        n = static_cast<int>(n_blocks);
    std::unique_lock<std::mutex> guard(p.lock);
    start_threads(p, n);
    p.job = &job;
    p.n_wanted = p.n_left = n;
    p.next_block = 0;
    p.failed = false;
    p.round++;
    p.work.notify_all();
    p.done.wait(guard, [&] { return p.n_left == 0; });
}

bool run_grid(const grid_job &job)
{
    pool &p = the_pool();
    std::lock_guard<std::mutex> launch(p.launch_lock);
    run_on_pool(p, job);
    observe_grid_end();
    totals one = {};
    one.n_launches = 1;
    add_totals(one);
    const void *low = nullptr;
    size_t n_bytes = 0;
    bool ok = !p.failed;
    if (ok && find_overrun(&low, &n_bytes)) {
        char text[160];
        std::snprintf(text, sizeof text, "wrote behind the %zu bytes of device memory at %p",
                      n_bytes, low);
        set_fault(job.kernel, text);
        ok = false;
    }
    return ok;
}

} // namespace simt
