/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/bench/measure.h"

#include "apps/bench/seconds.h"
#include "core/base/alloc.h"
#include "core/base/status.h"

#include <stdbool.h>

typedef struct sample sample;

typedef struct sequence {
    sample *all;
    uint64_t id;
    int32_t n_tokens; /* that were generated */
} sequence;

/* Written by callbacks, which come one at a time; read when every request has been waited for. */
struct sample {
    const tn_bench_test *test;
    sequence *seq;
    double begin, end;
    int64_t tokens; /* between begin and end */
    int32_t n_started;
    const sequence *last; /* the one that started last */
    bool is_prefill, ended;
    tn_error *err;
    tn_status status;
};

static int32_t on_prefill_token(sample *s)
{
    if (++s->n_started == s->test->batch)
        s->end = tn_bench_seconds();
    return 1;
}

static int32_t on_token(void *ctx, const tn_token *token)
{
    sequence *seq = ctx;
    sample *s = seq->all;
    (void)token;
    if (s->is_prefill)
        return on_prefill_token(s);
    if (seq->n_tokens++ == 0 && ++s->n_started == s->test->batch) {
        s->last = seq;
        s->begin = tn_bench_seconds();
    } else if (s->last && !s->ended) {
        s->tokens++;
        if (seq == s->last && seq->n_tokens > s->test->decode) {
            s->end = tn_bench_seconds();
            s->ended = true;
        }
    }
    return s->ended;
}

static void on_done(void *ctx, const tn_result *result)
{
    sample *s = ((sequence *)ctx)->all;
    if (s->is_prefill)
        s->tokens += result->prompt_tokens - result->cached_tokens;
    if (result->reason == TN_DONE_FAILED && !s->status)
        s->status = tn_fail(s->err, TN_INTERNAL, "%s", result->error);
}

/* SplitMix64 (Steele et al. 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static tn_status submit(tn_runtime *rt, sequence *seq, const int32_t *ids, int32_t n, tn_error *err)
{
    tn_request_args ask;
    tn_metrics m;
    tn_runtime_metrics(rt, &m, sizeof m);
    tn_request_defaults(rt, &ask, sizeof ask);
    ask.ids = ids;
    ask.n_ids = n;
    ask.max_tokens = seq->all->is_prefill ? 1 : m.context_tokens - n;
    ask.temperature = 0;
    ask.n_samples = 1;
    ask.repetition_penalty = 1;
    ask.presence_penalty = ask.frequency_penalty = 0;
    ask.n_stops = ask.n_stop_ids = ask.min_tokens = ask.n_top = ask.logprobs = 0;
    ask.ignore_eos = 1;
    ask.ctx = seq;
    ask.on_token = on_token;
    ask.on_done = on_done;
    return tn_request_submit(rt, &ask, &seq->id, err);
}

/* All sequences of the batch, with prompts of n ids at `stride`. */
static tn_status run(tn_runtime *rt, sample *s, const int32_t *ids, int32_t stride, int32_t n,
                     tn_error *err)
{
    tn_status status = TN_OK;
    int32_t n_submitted = 0;
    s->begin = tn_bench_seconds();
    s->tokens = s->n_started = 0;
    while (n_submitted < s->test->batch && !status) {
        sequence *seq = &s->seq[n_submitted];
        *seq = (sequence){ .all = s };
        status = submit(rt, seq, ids + (size_t)n_submitted * (size_t)stride, n, err);
        n_submitted += status == TN_OK;
    }
    for (int32_t i = 0; i < n_submitted; i++) {
        if (status)
            tn_request_cancel(rt, s->seq[i].id);
        tn_request_wait(rt, s->seq[i].id);
    }
    return status ? status : s->status;
}

/* The first `depth` tokens go to the prefix cache before the clock starts. */
static tn_status run_prefill(tn_runtime *rt, sample *s, const int32_t *ids, int32_t stride,
                             tn_error *err)
{
    const tn_bench_test *t = s->test;
    s->is_prefill = true;
    if (t->depth > 0)
        TN_TRY(run(rt, s, ids, stride, t->depth, err));
    return run(rt, s, ids, stride, t->depth + t->prefill, err);
}

tn_status tn_bench_measure(tn_runtime *rt, const tn_bench_test *test, int32_t vocab, uint64_t seed,
                           double *out_tokens_s, tn_error *err)
{
    sample s = { .test = test, .err = err };
    const int32_t n_prompt = test->depth + (test->prefill ? test->prefill : 1);
    const size_t n_ids = (size_t)test->batch * (size_t)n_prompt;
    *out_tokens_s = 0;
    s.seq = tn_alloc_array((size_t)test->batch, sizeof *s.seq);
    int32_t *ids = tn_alloc_array(n_ids, sizeof *ids);
    tn_status status = s.seq && ids ? TN_OK : tn_fail_memory(err, "the prompts of a measurement");
    for (size_t i = 0; i < n_ids && !status; i++)
        ids[i] = (int32_t)(next_random(&seed) % (uint64_t)vocab);
    if (!status)
        status = test->prefill ? run_prefill(rt, &s, ids, n_prompt, err)
                               : run(rt, &s, ids, n_prompt, n_prompt, err);
    if (!status && s.end <= s.begin)
        status = tn_fail(err, TN_INVALID,
                         "a sequence came to the end of its context before all %d were measured; "
                         "take fewer sequences, fewer tokens or a smaller depth",
                         (int)test->batch);
    if (!status)
        *out_tokens_s = (double)s.tokens / (s.end - s.begin);
    tn_free(ids);
    tn_free(s.seq);
    return status;
}
