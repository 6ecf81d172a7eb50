// SPDX-License-Identifier: Apache-2.0
// The runtime API of streams, events and graphs.
#include "plugins/cuda/simt/runtime/stream.h"

using namespace simt;
using guard = std::lock_guard<std::recursive_mutex>;

/* ---- streams ---- */

extern "C" cudaError_t cudaStreamCreateWithFlags(cudaStream_t *pStream, unsigned int flags)
{
    guard hold(runtime_lock());
    if (!pStream || flags > cudaStreamNonBlocking)
        return record_error(cudaErrorInvalidValue);
    *pStream = stream_new(flags == cudaStreamDefault);
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamCreate(cudaStream_t *pStream)
{
    return cudaStreamCreateWithFlags(pStream, cudaStreamDefault);
}

extern "C" cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    guard hold(runtime_lock());
    if (!stream || !stream_of(stream))
        return record_error(cudaErrorInvalidResourceHandle);
    stream_delete(stream);
    return cudaSuccess;
}

/* A stream that may be waited for now. */
static cudaError_t waitable(cudaStream_t handle, cudaStream_t *out)
{
    *out = stream_of(handle);
    if (!*out)
        return cudaErrorInvalidResourceHandle;
    if (!(*out)->capture)
        return cudaSuccess;
    (*out)->capture_is_invalid = true;
    return cudaErrorStreamCaptureUnsupported;
}

extern "C" cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    guard hold(runtime_lock());
    cudaStream_t s;
    cudaError_t e = waitable(stream, &s);
    if (e != cudaSuccess)
        return record_error(e);
    run_until(s, s->n_pushed);
    return record_error(sticky_error());
}

extern "C" cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    guard hold(runtime_lock());
    cudaStream_t s;
    cudaError_t e = waitable(stream, &s);
    if (e != cudaSuccess)
        return record_error(e);
    if (sticky_error() != cudaSuccess)
        return record_error(sticky_error());
    bool is_done = s->n_done == s->n_pushed;
    run_until(s, s->n_done + 1); /* so that a loop over this call comes to an end */
    return is_done ? cudaSuccess : cudaErrorNotReady;
}

extern "C" cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *userData)
{
    guard hold(runtime_lock());
    cudaStream_t s = stream_of(stream);
    if (!s || !fn)
        return record_error(s ? cudaErrorInvalidValue : cudaErrorInvalidResourceHandle);
    return record_error(enqueue(s, [=] { fn(userData); }));
}

/* ---- events ---- */

extern "C" cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    if (!event)
        return record_error(cudaErrorInvalidValue);
    *event = new CUevent_st;
    (*event)->has_timing = !(flags & cudaEventDisableTiming);
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

extern "C" cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    guard hold(runtime_lock());
    delete event;
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    guard hold(runtime_lock());
    cudaStream_t s = stream_of(stream);
    if (!event || !s)
        return record_error(cudaErrorInvalidResourceHandle);
    auto when = std::make_shared<std::chrono::steady_clock::time_point>();
    bool is_captured = s->capture != nullptr;
    cudaError_t e = enqueue(s, [when] { *when = std::chrono::steady_clock::now(); });
    if (e != cudaSuccess)
        return record_error(e);
    event->stream = stream;
    event->position = s->n_pushed;
    event->was_recorded = true;
    event->is_captured = is_captured;
    event->when = when;
    return cudaSuccess;
}

/* The stream of an event whose work may be outstanding; NULL when there is nothing to wait for. */
static cudaStream_t outstanding(cudaEvent_t event)
{
    cudaStream_t s = event->was_recorded ? stream_of(event->stream) : nullptr;
    return s && s->n_done < event->position ? s : nullptr;
}

extern "C" cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    guard hold(runtime_lock());
    if (!event)
        return record_error(cudaErrorInvalidResourceHandle);
    if (event->is_captured)
        return record_error(cudaErrorCapturedEvent);
    cudaStream_t s = outstanding(event);
    if (s)
        run_until(s, event->position);
    return record_error(sticky_error());
}

extern "C" cudaError_t cudaEventQuery(cudaEvent_t event)
{
    guard hold(runtime_lock());
    if (!event)
        return record_error(cudaErrorInvalidResourceHandle);
    if (event->is_captured)
        return record_error(cudaErrorCapturedEvent);
    cudaStream_t s = outstanding(event);
    if (!s)
        return record_error(sticky_error());
    run_until(s, s->n_done + 1);
    return cudaErrorNotReady;
}

extern "C" cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int)
{
    guard hold(runtime_lock());
    cudaStream_t s = stream_of(stream);
    if (!event || !s)
        return record_error(cudaErrorInvalidResourceHandle);
    if (!event->was_recorded)
        return cudaSuccess;
    if (event->is_captured != (s->capture != nullptr) ||
        (event->is_captured && stream_of(event->stream) != s)) {
        invalidate_captures(); /* a graph of one stream is all that this emulator records */
        return record_error(cudaErrorStreamCaptureIsolation);
    }
    if (event->is_captured)
        return cudaSuccess;
    cudaStream_t handle = event->stream;
    uint64_t position = event->position;
    return record_error(enqueue(s, [handle, position] {
        cudaStream_t other = stream_of(handle);
        if (other)
            run_until(other, position);
    }));
}

extern "C" cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    guard hold(runtime_lock());
    if (!ms || !start || !end || !start->was_recorded || !end->was_recorded || !start->has_timing ||
        !end->has_timing)
        return record_error(cudaErrorInvalidResourceHandle);
    if (outstanding(start) || outstanding(end))
        return record_error(cudaErrorNotReady);
    *ms = std::chrono::duration<float, std::milli>(*end->when - *start->when).count();
    return cudaSuccess;
}

/* ---- graphs ---- */

extern "C" cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    guard hold(runtime_lock());
    cudaStream_t s = stream_of(stream);
    if (!s)
        return record_error(cudaErrorInvalidResourceHandle);
    if (!stream || s->capture) /* the default stream cannot capture */
        return record_error(stream ? cudaErrorInvalidValue : cudaErrorStreamCaptureUnsupported);
    s->capture = std::make_unique<graph>();
    s->capture_is_invalid = false;
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *pGraph)
{
    guard hold(runtime_lock());
    cudaStream_t s = stream_of(stream);
    if (!s || !pGraph)
        return record_error(cudaErrorInvalidValue);
    *pGraph = nullptr;
    if (!s->capture)
        return record_error(cudaErrorStreamCaptureUnmatched);
    std::unique_ptr<graph> content = std::move(s->capture);
    if (s->capture_is_invalid)
        return record_error(cudaErrorStreamCaptureInvalidated);
    *pGraph = new CUgraph_st{ std::move(*content) };
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamIsCapturing(cudaStream_t stream,
                                             cudaStreamCaptureStatus *pCaptureStatus)
{
    guard hold(runtime_lock());
    cudaStream_t s = stream_of(stream);
    if (!s || !pCaptureStatus)
        return record_error(cudaErrorInvalidValue);
    *pCaptureStatus = !s->capture             ? cudaStreamCaptureStatusNone
                      : s->capture_is_invalid ? cudaStreamCaptureStatusInvalidated
                                              : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphInstantiate(cudaGraphExec_t *pGraphExec, cudaGraph_t graph,
                                            unsigned long long)
{
    if (!pGraphExec || !graph)
        return record_error(cudaErrorInvalidValue);
    *pGraphExec = new CUgraphExec_st{ std::make_shared<simt::graph>(graph->content) };
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphLaunch(cudaGraphExec_t graphExec, cudaStream_t stream)
{
    guard hold(runtime_lock());
    cudaStream_t s = stream_of(stream);
    if (!s || !graphExec)
        return record_error(cudaErrorInvalidValue);
    auto content = graphExec->content;
    return record_error(enqueue(s, [content] {
        for (const operation &op : content->operations)
            op();
    }));
}

extern "C" cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graphExec)
{
    delete graphExec;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}
