/* SPDX-License-Identifier: Apache-2.0 */
/* One request of tenon.h on the engine: stop ids and strings, text streams a sample, callbacks,
 * waiting. */
#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "model/text/token_stream.h"
#include "runtime/logits_processor.h"
#include "runtime/runtime_internal.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { MAX_SAMPLES = 256, MAX_STOPS = 64, MAX_TOP = 1024, MAX_PIECE_BYTES = 1 << 20 };

/* The text of a sample. */
typedef struct sample_text {
    tn_token_stream *stream; /* NULL when text is not wanted */
    bool failed;             /* for want of memory: the sample ends as failed, not as stopped */
} sample_text;

struct tn_active {
    tn_active *next;
    tn_runtime *rt;
    uint64_t id;                    /* set under the runtime's lock after submit */
    tn_request_args args;           /* callbacks and flags only; its pointers are not kept */
    sample_text *text;              /* [n_samples] */
    tn_logits_processor *processor; /* NULL: the raw logits are sampled */
    int32_t n_samples, n_left;
    tn_strbuf piece;
    tn_error error; /* of the last text that failed */
};

static void free_active(tn_active *a)
{
    if (!a)
        return;
    for (int32_t i = 0; a->text && i < a->n_samples; i++)
        tn_token_stream_destroy(a->text[i].stream);
    tn_free(a->text);
    tn_logits_processor_destroy(a->processor);
    tn_strbuf_deinit(&a->piece);
    tn_free(a);
}

/* ---- engine thread ---- */

static void flush_text(tn_active *a, int32_t sample)
{
    if (a->piece.len && a->args.on_text)
        a->args.on_text(a->args.ctx, sample, tn_strbuf_text(&a->piece), a->piece.len);
    tn_strbuf_clear(&a->piece);
}

/* The end tokens of the model are not part of the answer's text, unless control tokens are wanted
 * as text. */
static bool push_text(tn_active *a, const tn_token_event *event)
{
    bool stopped = false;
    sample_text *text = &a->text[event->sample];
    if (text->stream)
        text->failed =
            tn_token_stream_push(text->stream, event->id, &a->piece, &stopped, &a->error) != TN_OK;
    if (text->failed)
        tn_strbuf_clear(&a->piece);
    flush_text(a, event->sample);
    return stopped || text->failed;
}

static int32_t tell_token(tn_active *a, const tn_token_event *event)
{
    tn_alternative top[MAX_TOP];
    double top_logprob[MAX_TOP];
    const int32_t n_top = event->n_top < MAX_TOP ? event->n_top : MAX_TOP;
    for (int32_t i = 0; i < n_top; i++) {
        top[i] = (tn_alternative){ event->top[i].id, event->top[i].logit };
        top_logprob[i] = (double)event->top[i].logit - event->log_sum;
    }
    const tn_token token = { .size = sizeof token,
                             .sample = event->sample,
                             .id = event->id,
                             .position = event->position,
                             .logit = event->logit,
                             .n_top = n_top,
                             .top = top,
                             .logprob = (double)event->logit - event->log_sum,
                             .top_logprob = a->args.logprobs ? top_logprob : NULL };
    return a->args.on_token(a->args.ctx, &token);
}

static int32_t on_token(void *ctx, const tn_token_event *event)
{
    tn_active *a = ctx;
    int32_t verdict = TN_CONTINUE;
    if (a->processor)
        tn_logits_processor_accept(a->processor, event->sample, event->id);
    if (a->args.on_token && tell_token(a, event))
        verdict = TN_STOP;
    return push_text(a, event) ? TN_STOP : verdict;
}

static const tn_token_logit *adjust(void *ctx, int32_t sample, const float *logits, int32_t *out_n)
{
    tn_active *a = ctx;
    return tn_logits_processor_run(a->processor, sample, logits, out_n);
}

static void on_prefill(void *ctx, int32_t done, int32_t total)
{
    tn_active *a = ctx;
    if (a->args.on_prefill)
        a->args.on_prefill(a->args.ctx, done, total);
}

static void unregister(tn_active *a)
{
    tn_runtime *rt = a->rt;
    pthread_mutex_lock(&rt->lock);
    for (tn_active **link = &rt->active; *link; link = &(*link)->next) {
        if (*link == a) {
            *link = a->next;
            break;
        }
    }
    pthread_cond_broadcast(&rt->idle);
    pthread_mutex_unlock(&rt->lock);
}

static void on_finish(void *ctx, const tn_finish_event *event)
{
    tn_active *a = ctx;
    sample_text *text = &a->text[event->sample];
    if (text->stream && !text->failed)
        text->failed = tn_token_stream_finish(text->stream, &a->piece, &a->error) != TN_OK;
    if (text->failed)
        tn_strbuf_clear(&a->piece);
    flush_text(a, event->sample);
    tn_error lost = { 0 };
    const bool is_lost = tn_pack_cache_check(a->rt->cache, &lost) != TN_OK;
    const tn_error *error = is_lost ? &lost : text->failed ? &a->error : event->error;
    const tn_result result = { .size = sizeof result,
                               .sample = event->sample,
                               .reason = text->failed || is_lost ? TN_DONE_FAILED : event->reason,
                               .prompt_tokens = event->prompt_tokens,
                               .cached_tokens = event->cached_tokens,
                               .completion_tokens = event->completion_tokens,
                               .prefill_s = event->prefill_s,
                               .decode_s = event->decode_s,
                               .error = error ? error->text : NULL };
    if (a->args.on_done)
        a->args.on_done(a->args.ctx, &result);
    if (--a->n_left == 0) {
        unregister(a);
        free_active(a);
    }
}

/* ---- submit ---- */

/* A seed that differs between requests, for profiles that fix none. */
static uint64_t fresh_seed(const void *salt)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return tn_hash64(&t, sizeof t, (uint64_t)(uintptr_t)salt);
}

void tn_request_defaults(const tn_runtime *rt, tn_request_args *args, uint32_t size)
{
    const tn_profile_generate *g = &rt->setup.profile->generate;
    const tn_request_args full = { .size = size < sizeof full ? size : (uint32_t)sizeof full,
                                   .add_special = 1,
                                   .max_tokens = g->max_tokens,
                                   .n_samples = 1,
                                   .temperature = g->temperature,
                                   .top_p = g->top_p,
                                   .min_p = g->min_p,
                                   .top_k = g->top_k,
                                   .seed = g->seed_auto ? fresh_seed(args) : g->seed,
                                   .stop = g->stop,
                                   .n_stops = (int32_t)g->n_stop,
                                   .ignore_eos = g->ignore_eos,
                                   .repetition_penalty = g->repetition_penalty,
                                   .presence_penalty = g->presence_penalty,
                                   .frequency_penalty = g->frequency_penalty,
                                   .min_tokens = g->min_tokens };
    memcpy(args, &full, full.size);
}

static tn_status make_streams(tn_active *a, const tn_request_args *args, tn_error *err)
{
    const tn_tokenizer *tokenizer = a->rt->setup.tokenizer;
    a->text = tn_alloc_array((size_t)a->n_samples, sizeof *a->text);
    if (!a->text)
        return tn_fail_memory(err, "the request");
    if (!tokenizer && args->n_stops > 0)
        return tn_fail(err, TN_INVALID, "stop strings need a tokenizer: %s",
                       a->rt->setup.tokenizer_error.text);
    if (!tokenizer || (!args->on_text && args->n_stops == 0))
        return TN_OK;
    for (int32_t i = 0; i < a->n_samples; i++) {
        TN_TRY(tn_token_stream_create(tokenizer, args->stop, (size_t)args->n_stops,
                                      args->special_text != 0, &a->text[i].stream, err));
        tn_token_stream_hold_stops(a->text[i].stream, args->min_tokens);
    }
    return TN_OK;
}

/* Ids that end the answer. The model's own count for min_tokens even when they end nothing. */
static tn_status collect_ends(const tn_runtime *rt, const tn_request_args *args, bool with_model,
                              tn_ids *out, tn_error *err)
{
    const tn_tokenizer *t = rt->setup.tokenizer;
    const tn_ids *model = t && with_model ? tn_tokenizer_stop_ids(t) : NULL;
    for (size_t i = 0; model && i < model->n; i++)
        TN_TRY(tn_ids_append(out, model->id[i], err));
    for (int32_t i = 0; i < args->n_stop_ids; i++)
        TN_TRY(tn_ids_append(out, args->stop_id[i], err));
    return TN_OK;
}

static tn_status make_processor(tn_active *a, const tn_request_args *args, const tn_ids *prompt,
                                tn_error *err)
{
    const tn_runtime *rt = a->rt;
    tn_ids ends = { 0 };
    tn_status status = collect_ends(rt, args, true, &ends, err);
    const tn_logits_settings settings = { .repetition_penalty = args->repetition_penalty,
                                          .frequency_penalty = args->frequency_penalty,
                                          .presence_penalty = args->presence_penalty,
                                          .min_tokens = args->min_tokens,
                                          .bias = args->logit_bias,
                                          .n_bias = args->n_logit_bias,
                                          .end_id = ends.id,
                                          .n_end_ids = (int32_t)ends.n,
                                          .prompt = prompt->id,
                                          .n_prompt = (int32_t)prompt->n,
                                          .n_samples = a->n_samples,
                                          .max_tokens = args->max_tokens,
                                          .room = rt->setup.context - (int32_t)prompt->n,
                                          .vocab = rt->setup.desc.vocab };
    if (!status)
        status = tn_logits_processor_create(&settings, &a->processor, err);
    tn_ids_deinit(&ends);
    return status;
}

static tn_status check_args(const tn_request_args *args, tn_error *err)
{
    if (args->n_samples < 1 || args->n_samples > MAX_SAMPLES)
        return tn_fail(err, TN_INVALID, "n_samples is %d; 1 to %d are allowed",
                       (int)args->n_samples, MAX_SAMPLES);
    if (args->n_stops < 0 || args->n_stops > MAX_STOPS)
        return tn_fail(err, TN_INVALID, "a request has %d stop strings; up to %d are allowed",
                       (int)args->n_stops, MAX_STOPS);
    if (args->n_stop_ids < 0 || args->n_stop_ids > MAX_STOPS ||
        (args->n_stop_ids && !args->stop_id))
        return tn_fail(err, TN_INVALID, "a request has %d stop ids; up to %d are allowed",
                       (int)args->n_stop_ids, MAX_STOPS);
    if (args->n_top < 0 || args->n_top > MAX_TOP)
        return tn_fail(err, TN_INVALID, "n_top is %d; 0 to %d are allowed", (int)args->n_top,
                       MAX_TOP);
    return TN_OK;
}

/* The id is known only after submit, and the request may end before that: it is published under the
 * lock. */
static tn_status submit(tn_active *a, const tn_request_args *args, const tn_ids *prompt,
                        const tn_ids *ends, uint64_t *out_id, tn_error *err)
{
    tn_runtime *rt = a->rt;
    const tn_engine_request request = { .prompt = prompt->id,
                                        .n_prompt = (int32_t)prompt->n,
                                        .max_tokens = args->max_tokens,
                                        .n_samples = a->n_samples,
                                        .sampling = { .temperature = args->temperature,
                                                      .top_k = args->top_k,
                                                      .top_p = args->top_p,
                                                      .min_p = args->min_p,
                                                      .seed = args->seed },
                                        .stop_id = ends->id,
                                        .n_stop_ids = (int32_t)ends->n,
                                        .n_top = args->n_top < rt->setup.desc.vocab
                                                     ? args->n_top
                                                     : rt->setup.desc.vocab,
                                        .log_sum = args->logprobs != 0,
                                        .ctx = a,
                                        .adjust = a->processor ? adjust : NULL,
                                        .on_token = on_token,
                                        .on_prefill = on_prefill,
                                        .on_finish = on_finish };
    pthread_mutex_lock(&rt->lock);
    tn_status status = tn_engine_submit(rt->engine, &request, out_id, err);
    if (!status) {
        a->id = *out_id;
        a->next = rt->active;
        rt->active = a;
    }
    pthread_mutex_unlock(&rt->lock);
    return status;
}

tn_status tn_request_submit(tn_runtime *rt, const tn_request_args *given, uint64_t *out_id,
                            tn_error *err)
{
    tn_request_args args;
    tn_ids prompt = { 0 };
    tn_ids ends = { 0 };
    *out_id = 0;
    if (!given || given->size < sizeof(uint32_t))
        return tn_fail(err, TN_INVALID,
                       "tn_request_args.size is not set; call tn_request_defaults first");
    tn_request_defaults(rt, &args, sizeof args);
    memcpy(&args, given, given->size < sizeof args ? given->size : sizeof args);
    TN_TRY(check_args(&args, err));
    tn_active *a = tn_alloc_array(1, sizeof *a);
    if (!a)
        return tn_fail_memory(err, "the request");
    a->rt = rt;
    a->args = args;
    a->n_samples = a->n_left = args.n_samples;
    a->piece = TN_STRBUF(MAX_PIECE_BYTES);
    tn_status status = make_streams(a, &args, err);
    if (!status)
        status = tn_prompt_ids(rt, &args, &prompt, err);
    if (!status)
        status = make_processor(a, &args, &prompt, err);
    if (!status)
        status = collect_ends(rt, &args, !args.ignore_eos, &ends, err);
    if (!status)
        status = submit(a, &args, &prompt, &ends, out_id, err);
    tn_ids_deinit(&prompt);
    tn_ids_deinit(&ends);
    if (status)
        free_active(a);
    return status;
}

void tn_request_cancel(tn_runtime *rt, uint64_t id)
{
    tn_engine_cancel(rt->engine, id);
}

static bool is_active(const tn_runtime *rt, uint64_t id)
{
    const tn_active *a = rt->active;
    while (a && a->id != id)
        a = a->next;
    return a != NULL;
}

void tn_request_wait(tn_runtime *rt, uint64_t id)
{
    pthread_mutex_lock(&rt->lock);
    while (is_active(rt, id))
        pthread_cond_wait(&rt->idle, &rt->lock);
    pthread_mutex_unlock(&rt->lock);
}

int32_t tn_request_wait_for(tn_runtime *rt, uint64_t id, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    const double end = (double)until.tv_nsec * 1e-9 + (seconds > 0 ? seconds : 0);
    until.tv_sec += (time_t)end;
    until.tv_nsec = (long)((end - (double)(time_t)end) * 1e9);
    bool active;
    int timed_out = 0;
    pthread_mutex_lock(&rt->lock);
    while ((active = is_active(rt, id)) && !timed_out)
        timed_out = pthread_cond_timedwait(&rt->idle, &rt->lock, &until);
    pthread_mutex_unlock(&rt->lock);
    return !active;
}

tn_status tn_request_prompt_ids(tn_runtime *rt, const tn_request_args *args, int32_t **out_ids,
                                size_t *out_n, tn_error *err)
{
    tn_ids ids = { 0 };
    tn_request_args full = { 0 };
    *out_ids = NULL;
    *out_n = 0;
    memcpy(&full, args, args->size < sizeof full ? args->size : sizeof full);
    tn_status status = tn_prompt_ids(rt, &full, &ids, err);
    if (status) {
        tn_ids_deinit(&ids);
        return status;
    }
    *out_ids = ids.id;
    *out_n = ids.n;
    return TN_OK;
}
