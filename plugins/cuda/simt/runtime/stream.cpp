// SPDX-License-Identifier: Apache-2.0
#include "plugins/cuda/simt/runtime/stream.h"

#include "plugins/cuda/simt/runtime/settings.h"

#include <algorithm>
#include <set>

namespace simt
{

std::recursive_mutex &runtime_lock()
{
    static std::recursive_mutex *lock = new std::recursive_mutex;
    return *lock;
}

struct stream_table {
    CUstream_st default_stream;
    std::set<cudaStream_t> created;
};

static stream_table &table()
{
    static stream_table *t = new stream_table;
    return *t;
}

cudaStream_t stream_of(cudaStream_t handle)
{
    stream_table &t = table();
    if (!handle)
        return &t.default_stream;
    return t.created.count(handle) ? handle : nullptr;
}

cudaStream_t stream_new(bool is_blocking)
{
    cudaStream_t s = new CUstream_st;
    s->is_blocking = is_blocking;
    table().created.insert(s);
    return s;
}

void stream_delete(cudaStream_t s)
{
    run_until(s, s->n_pushed);
    table().created.erase(s);
    delete s;
}

bool any_capture()
{
    const auto &all = table().created;
    return std::any_of(all.begin(), all.end(),
                       [](cudaStream_t s) { return s->capture != nullptr; });
}

void invalidate_captures()
{
    for (cudaStream_t s : table().created)
        if (s->capture)
            s->capture_is_invalid = true;
}

void run_until(cudaStream_t s, uint64_t position)
{
    while (s->n_done < position && !s->queue.empty() && !s->is_running) {
        operation op = std::move(s->queue.front());
        s->queue.pop_front();
        s->is_running = true; /* two streams that wait for each other would come back here */
        op();
        s->is_running = false;
        s->n_done++;
    }
}

void run_all_streams()
{
    stream_table &t = table();
    run_until(&t.default_stream, t.default_stream.n_pushed);
    for (cudaStream_t s : t.created)
        run_until(s, s->n_pushed);
}

/*
 * CUDA Runtime API, "Stream synchronization behavior", legacy default stream: its work waits for
 * all work enqueued before on blocking streams, and theirs for its own.
 */
static operation after_others(cudaStream_t s, operation op)
{
    stream_table &t = table();
    std::vector<std::pair<cudaStream_t, uint64_t>> before;
    if (s == &t.default_stream) {
        for (cudaStream_t other : t.created)
            if (other->is_blocking && other->n_done < other->n_pushed)
                before.emplace_back(other, other->n_pushed);
    } else if (s->is_blocking && t.default_stream.n_done < t.default_stream.n_pushed) {
        before.emplace_back(&t.default_stream, t.default_stream.n_pushed);
    }
    if (before.empty())
        return op;
    return [before, op] {
        for (const auto &one : before)
            if (stream_of(one.first) || one.first == &table().default_stream)
                run_until(one.first, one.second);
        op();
    };
}

cudaError_t enqueue(cudaStream_t s, operation op)
{
    if (s->capture) {
        s->capture->operations.push_back(std::move(op));
        return cudaSuccess;
    }
    if (s == &table().default_stream && any_capture()) {
        invalidate_captures();
        return cudaErrorStreamCaptureImplicit;
    }
    if (sticky_error() != cudaSuccess)
        return sticky_error();
    s->queue.push_back(after_others(s, std::move(op)));
    s->n_pushed++;
    if (current_settings().streams == streams::eager)
        run_until(s, s->n_pushed);
    return cudaSuccess;
}

cudaError_t sticky_error()
{
    return has_fault() ? cudaErrorLaunchFailure : cudaSuccess;
}

} // namespace simt
