/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/plugins/domain-sim/sim.h"

#include <string.h>
#include <time.h>

enum { QUEUE_TASKS = 256 };

struct sim_stream {
    sim *device;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    sim_task task[QUEUE_TASKS]; /* a ring: n tasks from first */
    int32_t first, n;
    int stop;
    tn_error error; /* the first since the last wait */
    uint64_t random;
};

/* Marsaglia, Xorshift RNGs (2003), the 13, 7, 17 generator. */
static uint64_t next_random(sim_stream *stream)
{
    stream->random ^= stream->random << 13;
    stream->random ^= stream->random >> 7;
    stream->random ^= stream->random << 17;
    return stream->random;
}

/* One task in eight is late by some tens of microseconds: whoever reads too early reads the old
 * bytes. */
static void dawdle(sim_stream *stream)
{
    const uint64_t r = next_random(stream);

    if (r % 8 == 0) {
        const struct timespec pause = { .tv_nsec = (long)(r / 8 % 40000) };
        nanosleep(&pause, NULL);
    }
}

static tn_status run_copy(sim *s, const sim_task *t, tn_error *err)
{
    const int to_device = t->direction != TN_TO_HOST, from_device = t->direction != TN_TO_DEVICE;
    void *dst = to_device ? sim_translate(&s->memory, t->dst, t->n) : (void *)(uintptr_t)t->dst;
    const void *src =
        from_device ? sim_translate(&s->memory, t->src, t->n) : (const void *)(uintptr_t)t->src;

    if (!dst || !src)
        return tn_plugin_fail(err, TN_INTERNAL,
                              "simdev: a copy of %llu bytes %s 0x%llx outside every allocation",
                              (unsigned long long)t->n, dst ? "from" : "to",
                              (unsigned long long)(dst ? t->src : t->dst));
    if ((!to_device && sim_is_device(&s->memory, t->dst)) ||
        (!from_device && sim_is_device(&s->memory, t->src)))
        return tn_plugin_fail(err, TN_INTERNAL,
                              "simdev: a copy takes a device address for a host pointer");
    memmove(dst, src, t->n);
    return TN_OK;
}

static tn_status run_task(sim *s, sim_task *t, tn_error *err)
{
    if (t->kind == SIM_LAUNCH)
        return sim_launch_run(s, &t->launch, err);
    if (t->n == 0)
        return TN_OK;
    if (t->kind == SIM_COPY)
        return run_copy(s, t, err);
    void *dst = sim_translate(&s->memory, t->dst, t->n);
    if (!dst)
        return tn_plugin_fail(err, TN_INTERNAL,
                              "simdev: a fill of %llu bytes at 0x%llx outside every allocation",
                              (unsigned long long)t->n, (unsigned long long)t->dst);
    memset(dst, t->byte, t->n);
    return TN_OK;
}

static void *stream_main(void *arg)
{
    sim_stream *stream = arg;

    pthread_mutex_lock(&stream->lock);
    for (;;) {
        while (stream->n == 0 && !stream->stop)
            pthread_cond_wait(&stream->changed, &stream->lock);
        if (stream->n == 0)
            break;
        sim_task *task = &stream->task[stream->first]; /* not reused before n goes down */
        pthread_mutex_unlock(&stream->lock);
        tn_error err = { 0 };
        dawdle(stream);
        const tn_status status = run_task(stream->device, task, &err);
        pthread_mutex_lock(&stream->lock);
        if (status && !stream->error.code) {
            stream->error = err;
            stream->error.code = status;
        }
        stream->first = (stream->first + 1) % QUEUE_TASKS;
        stream->n--;
        pthread_cond_broadcast(&stream->changed);
    }
    pthread_mutex_unlock(&stream->lock);
    return NULL;
}

tn_status sim_stream_new(sim *s, sim_stream **out, tn_error *err)
{
    sim_stream *stream = s->host->alloc(s->host->ctx, sizeof(*stream));

    *out = NULL;
    if (!stream)
        return tn_plugin_fail(err, TN_NO_MEMORY, "simdev: no memory for a stream");
    memset(stream, 0, sizeof(*stream));
    stream->device = s;
    stream->random = 0x9E3779B97F4A7C15u;
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->changed, NULL);
    if (pthread_create(&stream->thread, NULL, stream_main, stream) != 0) {
        s->host->release(s->host->ctx, stream);
        return tn_plugin_fail(err, TN_INTERNAL, "simdev: cannot start a stream's thread");
    }
    *out = stream;
    return TN_OK;
}

void sim_stream_release(sim_stream *stream)
{
    const tn_host *host = stream->device->host;

    pthread_mutex_lock(&stream->lock);
    stream->stop = 1;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    pthread_join(stream->thread, NULL);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    host->release(host->ctx, stream);
}

void sim_stream_push(sim_stream *stream, const sim_task *task)
{
    pthread_mutex_lock(&stream->lock);
    while (stream->n == QUEUE_TASKS)
        pthread_cond_wait(&stream->changed, &stream->lock);
    stream->task[(stream->first + stream->n) % QUEUE_TASKS] = *task;
    stream->n++;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

tn_status sim_stream_wait(sim_stream *stream, tn_error *err)
{
    pthread_mutex_lock(&stream->lock);
    while (stream->n > 0)
        pthread_cond_wait(&stream->changed, &stream->lock);
    const tn_error error = stream->error;
    stream->error = (tn_error){ 0 };
    pthread_mutex_unlock(&stream->lock);
    return error.code ? tn_plugin_fail(err, error.code, "%s", error.text) : TN_OK;
}
