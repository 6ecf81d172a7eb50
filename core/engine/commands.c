/* SPDX-License-Identifier: Apache-2.0 */
/* What other threads ask of the engine, and how requests end. */
#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "core/engine/engine_internal.h"
#include "core/graph/rope.h"

#include <string.h>

void tn_engine_job_free(tn_engine_job *job)
{
    tn_arena_deinit(&job->arena);
    tn_free(job);
}

/* ---- submit ---- */

static tn_status check_ids(const tn_engine *e, const char *what, const int32_t *ids, int32_t n,
                           tn_error *err)
{
    for (int32_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= e->vocab)
            return tn_fail(err, TN_INVALID,
                           "%s id %d at position %d is not in the vocabulary of %d", what, ids[i],
                           i, e->vocab);
    return TN_OK;
}

static tn_status check_lengths(const tn_engine *e, const tn_engine_request *r, tn_error *err)
{
    int32_t least = r->max_tokens > 0;
    if (!r->prompt || r->n_prompt < 1)
        return tn_fail(err, TN_INVALID, "the prompt has no token, at least 1 is needed");
    if (r->max_tokens < 0)
        return tn_fail(err, TN_INVALID, "max_tokens %d is negative", r->max_tokens);
    if (r->n_samples < 0 || r->n_samples > e->args.max_sequences)
        return tn_fail(err, TN_INVALID, "n_samples %d is not in 1 to %d (batch.max_sequences)",
                       r->n_samples, e->args.max_sequences);
    if (r->max_tokens == 0 && r->n_samples > 1)
        return tn_fail(err, TN_INVALID, "max_tokens 0 leaves nothing for %d samples to differ in",
                       r->n_samples);
    if (r->n_prompt > e->args.max_context - least)
        return tn_fail(
            err, TN_INVALID,
            "the prompt has %d tokens, at most %d fit into the context of %d; shorten it, or "
            "raise context.length if the model allows it",
            r->n_prompt, e->args.max_context - least, e->args.max_context);
    if (r->n_prompt > e->capacity - least)
        return tn_fail(err, TN_INVALID,
                       "the prompt has %d tokens, at most %d fit into the KV cache of %d blocks "
                       "of %d tokens; raise kv.memory",
                       r->n_prompt, e->capacity - least, e->counters.blocks, e->block_tokens);
    return TN_OK;
}

static tn_status check_request(const tn_engine *e, const tn_engine_request *r, tn_error *err)
{
    TN_TRY(check_lengths(e, r, err));
    TN_TRY(check_ids(e, "token", r->prompt, r->n_prompt, err));
    if (r->n_stop_ids < 0 || (r->n_stop_ids > 0 && !r->stop_id))
        return tn_fail(err, TN_INVALID, "%d stop ids without their array", r->n_stop_ids);
    TN_TRY(check_ids(e, "stop", r->stop_id, r->n_stop_ids, err));
    TN_TRY(tn_sampling_check(&r->sampling, err));
    if (r->n_top < 0 || r->n_top > TN_ENGINE_MAX_TOP || r->n_top > e->vocab)
        return tn_fail(err, TN_INVALID, "n_top %d is not in 0 to %d", r->n_top,
                       e->vocab < TN_ENGINE_MAX_TOP ? e->vocab : TN_ENGINE_MAX_TOP);
    if (r->logits < TN_LOGITS_NONE || r->logits > TN_LOGITS_ALL)
        return tn_fail(err, TN_INVALID, "logits %d is none of none, last, all", r->logits);
    return TN_OK;
}

static void *arena_array(tn_engine_job *job, size_t n, size_t size)
{
    size_t bytes;
    return tn_size_mul(n, size, &bytes) ? tn_arena_alloc(&job->arena, bytes) : NULL;
}

/* The sequence's inverse frequencies, fixed for its life by its original prompt and max_tokens. */
static tn_status make_rope(const tn_engine *e, tn_engine_job *job, tn_error *err)
{
    const tn_engine_request *r = &job->request;
    int32_t room = e->capacity - r->n_prompt;
    int32_t length = r->n_prompt + (r->max_tokens < room ? r->max_tokens : room);
    size_t row_bytes = (size_t)e->half_rotary * sizeof(float);
    if (e->half_rotary > 0)
        TN_TRY(tn_rope_inv_freq(&e->graph->desc->rope, e->graph->desc->max_length, length,
                                job->inv_freq, err));
    job->prefix_seed = tn_hash64(&r->salt, sizeof(r->salt), e->args.prefix_salt);
    if (e->args.kv_format)
        job->prefix_seed =
            tn_hash64(e->args.kv_format, strlen(e->args.kv_format), job->prefix_seed);
    job->prefix_seed = tn_hash64(job->inv_freq, row_bytes, job->prefix_seed);
    return TN_OK;
}

static tn_status make_job(const tn_engine *e, const tn_engine_request *r, tn_engine_job **out,
                          tn_error *err)
{
    tn_engine_job *job = tn_alloc_array(1, sizeof(*job));
    size_t samples = (size_t)(r->n_samples > 0 ? r->n_samples : 1);
    tn_status st = TN_OK;
    if (!job)
        return tn_fail_memory(err, "a request");
    job->request = *r;
    job->request.n_samples = (int32_t)samples;
    job->request.prompt =
        tn_arena_copy(&job->arena, r->prompt, (size_t)r->n_prompt * sizeof(int32_t));
    job->request.stop_id =
        tn_arena_copy(&job->arena, r->stop_id, (size_t)r->n_stop_ids * sizeof(int32_t));
    job->sample = arena_array(job, samples, sizeof(*job->sample));
    job->inv_freq = arena_array(job, (size_t)e->half_rotary, sizeof(float));
    if (r->mask)
        job->mask = arena_array(job, samples, (size_t)e->mask_words * sizeof(uint32_t));
    if (!job->request.prompt || !job->request.stop_id || !job->sample || !job->inv_freq ||
        (r->mask && !job->mask))
        st = tn_fail_memory(err, "a request");
    if (!st)
        st = make_rope(e, job, err);
    if (st)
        tn_engine_job_free(job);
    else
        *out = job;
    return st;
}

tn_status tn_engine_submit(tn_engine *engine, const tn_engine_request *request, uint64_t *out_id,
                           tn_error *err)
{
    tn_engine_job *job = NULL;
    tn_status st = TN_OK;
    *out_id = 0;
    TN_TRY(check_request(engine, request, err));
    TN_TRY(make_job(engine, request, &job, err));
    pthread_mutex_lock(&engine->lock);
    if (engine->dead.code) {
        st = tn_fail(err, engine->dead.code, "the engine has stopped: %s", engine->dead.text);
    } else {
        job->id = *out_id = ++engine->next_id;
        job->at = engine->live_end;
        *job->at = job;
        engine->live_end = &job->next;
        engine->has_news = true;
        engine->n_requests++;
        pthread_cond_signal(&engine->wake);
    }
    pthread_mutex_unlock(&engine->lock);
    if (st)
        tn_engine_job_free(job);
    return st;
}

/* ---- flags ---- */

static void flag_job(tn_engine *engine, uint64_t id, bool cancel)
{
    pthread_mutex_lock(&engine->lock);
    for (tn_engine_job *job = engine->live; job; job = job->next) {
        if (job->id != id)
            continue;
        job->cancel = job->cancel || cancel;
        job->preempt = job->preempt || !cancel;
        engine->has_news = true;
        pthread_cond_signal(&engine->wake);
    }
    pthread_mutex_unlock(&engine->lock);
}

void tn_engine_cancel(tn_engine *engine, uint64_t id)
{
    flag_job(engine, id, true);
}

void tn_engine_preempt(tn_engine *engine, uint64_t id)
{
    flag_job(engine, id, false);
}

static void add_holds(tn_engine *engine, int32_t n)
{
    pthread_mutex_lock(&engine->lock);
    engine->n_holds += n;
    pthread_cond_signal(&engine->wake);
    pthread_mutex_unlock(&engine->lock);
}

void tn_engine_hold(tn_engine *engine)
{
    add_holds(engine, 1);
}

void tn_engine_release(tn_engine *engine)
{
    add_holds(engine, -1);
}

void tn_engine_read_metrics(tn_engine *engine, tn_engine_metrics *out)
{
    pthread_mutex_lock(&engine->lock);
    *out = engine->metrics;
    out->requests = engine->n_requests;
    pthread_mutex_unlock(&engine->lock);
}

/* ---- the engine thread's side ---- */

void tn_engine_publish(tn_engine *engine)
{
    tn_sched_stats stats;
    tn_engine_metrics *m = &engine->counters;
    tn_sched_read_stats(engine->sched, &stats);
    m->running = stats.running;
    m->waiting = stats.waiting;
    m->blocks_free = stats.free_blocks;
    m->preemptions = stats.n_preemptions;
    m->cached_tokens = stats.n_cached_tokens;
    pthread_mutex_lock(&engine->lock);
    engine->metrics = *m;
    pthread_mutex_unlock(&engine->lock);
}

static void remove_job(tn_engine *engine, tn_engine_job *job)
{
    pthread_mutex_lock(&engine->lock);
    *job->at = job->next;
    if (job->next)
        job->next->at = job->at;
    else
        engine->live_end = job->at;
    pthread_mutex_unlock(&engine->lock);
    tn_engine_job_free(job);
}

void tn_engine_finish_sample(tn_engine *engine, tn_engine_job *job, int32_t sample, int32_t reason,
                             const tn_error *error)
{
    tn_sample_state *s = &job->sample[sample];
    if (s->finished)
        return;
    s->finished = true;
    engine->counters.finished += reason == TN_FINISH_STOP || reason == TN_FINISH_LENGTH;
    engine->counters.cancelled += reason == TN_FINISH_CANCELLED;
    engine->counters.failed += reason == TN_FINISH_ERROR;
    const tn_finish_event event = {
        .sample = sample,
        .reason = reason,
        .prompt_tokens = job->request.n_prompt,
        .cached_tokens = job->n_cached,
        .completion_tokens = s->n_out,
        .prefill_s = s->n_out > 0 ? s->first_s - job->start_s : 0.0,
        .decode_s = s->last_s - s->first_s,
        .error = error,
    };
    job->n_finished++;
    bool is_last = job->n_finished == job->request.n_samples;
    if (is_last)
        tn_engine_publish(engine); /* who hears of the end finds it counted */
    if (job->request.on_finish)
        job->request.on_finish(job->request.ctx, &event);
    if (is_last)
        remove_job(engine, job);
}

void tn_engine_finish_all(tn_engine *engine, tn_engine_job *job, int32_t reason,
                          const tn_error *error)
{
    int32_t n = job->request.n_samples;
    int32_t left = n - job->n_finished;
    for (int32_t i = 0; i < n && left > 0; i++) {
        if (job->sample[i].finished)
            continue;
        left--; /* the job is gone after the last one */
        tn_engine_finish_sample(engine, job, i, reason, error);
    }
}

void tn_engine_finish_live(tn_engine *engine, bool ending_only, int32_t reason,
                           const tn_error *error)
{
    tn_engine_job *todo = NULL, **end = &todo;
    pthread_mutex_lock(&engine->lock);
    for (tn_engine_job *job = engine->live; job; job = job->next) {
        if (ending_only ? !job->ending : !job->admitted)
            continue;
        job->next_todo = NULL;
        *end = job;
        end = &job->next_todo;
    }
    pthread_mutex_unlock(&engine->lock);
    while (todo) {
        tn_engine_job *job = todo;
        todo = job->next_todo;
        tn_sched_cancel(engine->sched, job->id);
        tn_engine_finish_all(engine, job, reason, error);
    }
}

/* Jobs that are new or flagged, as a list; the flags are taken over. Called with the lock held. */
static tn_engine_job *take_news(tn_engine *engine)
{
    tn_engine_job *todo = NULL, **end = &todo;
    for (tn_engine_job *job = engine->live; job && engine->has_news; job = job->next) {
        if (job->admitted && !job->cancel && !job->preempt)
            continue;
        job->todo_cancel = job->cancel;
        job->todo_preempt = job->preempt;
        job->cancel = job->preempt = false;
        job->next_todo = NULL;
        *end = job;
        end = &job->next_todo;
    }
    engine->has_news = false;
    return todo;
}

static tn_status submit_job(tn_engine *engine, tn_engine_job *job, tn_error *err)
{
    const tn_engine_request *r = &job->request;
    const tn_sched_request request = { .id = job->id,
                                       .user = job,
                                       .prompt = r->prompt,
                                       .n_prompt = r->n_prompt,
                                       .max_new = r->max_tokens,
                                       .n_samples = r->n_samples,
                                       .prefix_seed = job->prefix_seed,
                                       .all_rows = r->logits == TN_LOGITS_ALL };
    /* Only this thread writes `dead`, so it may read it without the lock. */
    if (engine->dead.code) {
        *err = engine->dead;
        return err->code;
    }
    return tn_sched_submit(engine->sched, &request, err);
}

/* Hand a new request to the scheduler, or do what was asked with an old one. */
static void serve(tn_engine *engine, tn_engine_job *job, bool stop)
{
    tn_error err = { 0 };
    bool is_new = !job->admitted;
    job->admitted = true;
    engine->counters.prompt_tokens += is_new ? (uint64_t)job->request.n_prompt : 0;
    if (job->todo_cancel || stop) {
        tn_sched_cancel(engine->sched, job->id);
        tn_engine_finish_all(engine, job, TN_FINISH_CANCELLED, NULL);
    } else if (is_new && submit_job(engine, job, &err)) {
        tn_engine_finish_all(engine, job, TN_FINISH_ERROR, &err);
    } else if (job->todo_preempt) {
        tn_sched_preempt(engine->sched, job->id);
    }
}

bool tn_engine_commands(tn_engine *engine, bool *out_may_step)
{
    pthread_mutex_lock(&engine->lock);
    while (!engine->stop && !engine->has_news &&
           (engine->n_holds > 0 || !tn_sched_has_work(engine->sched)))
        pthread_cond_wait(&engine->wake, &engine->lock);
    bool stop = engine->stop;
    *out_may_step = engine->n_holds <= 0;
    tn_engine_job *todo = take_news(engine);
    pthread_mutex_unlock(&engine->lock);
    while (todo) {
        tn_engine_job *job = todo;
        todo = job->next_todo;
        serve(engine, job, stop);
    }
    return !stop;
}
