/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams as queues of operations. Lazy: an operation runs when somebody waits for it, so a missing
 * wait reads old data; eager: when it is enqueued. Between begin and end of a capture operations go
 * to a graph instead. All functions expect runtime_lock().
 */
#ifndef TN_PLUGINS_CUDA_SIMT_RUNTIME_STREAM_H
#define TN_PLUGINS_CUDA_SIMT_RUNTIME_STREAM_H

#include "plugins/cuda/simt/shim/cuda_runtime.h"

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace simt
{
using operation = std::function<void()>;
struct stream;
struct graph {
    std::vector<operation> operations;
};
} // namespace simt

struct CUstream_st {
    std::deque<simt::operation> queue;
    uint64_t n_pushed = 0, n_done = 0; /* a position in the queue: how many came before */
    bool is_blocking = true;           /* ordered with the default stream */
    std::unique_ptr<simt::graph> capture;
    bool capture_is_invalid = false, is_running = false;
};
struct CUevent_st {
    cudaStream_t stream = nullptr;
    uint64_t position = 0; /* of what was enqueued before the record */
    bool was_recorded = false, has_timing = true, is_captured = false;
    std::shared_ptr<std::chrono::steady_clock::time_point> when;
};
struct CUgraph_st {
    simt::graph content;
};
struct CUgraphExec_st {
    std::shared_ptr<const simt::graph> content;
};

namespace simt
{

std::recursive_mutex &runtime_lock();

/* The stream behind a handle; NULL is the default stream. Unknown handles give NULL. */
cudaStream_t stream_of(cudaStream_t handle);
cudaStream_t stream_new(bool is_blocking);
void stream_delete(cudaStream_t s);
bool any_capture();
/* A call that may not be made while a stream captures: ends the capture in failure. */
void invalidate_captures();
/* Enqueues, or records. cudaErrorStreamCaptureImplicit: the default stream while another captures.
 */
cudaError_t enqueue(cudaStream_t s, operation op);
void run_until(cudaStream_t s, uint64_t position);
void run_all_streams();

/* cudaGetLastError and friends. A fault of a kernel stays until the emulator is told to forget it.
 */
cudaError_t record_error(cudaError_t e);
cudaError_t sticky_error();

} // namespace simt

#endif
