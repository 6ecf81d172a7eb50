/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token ids in, token ids out: one engine thread owns scheduler, executor and plugin calls; others talk to it through a command
 * queue. Steps: drain commands, plan, run, sample, report. Hooks run on the engine thread and must not block.
 */
#ifndef TN_CORE_ENGINE_ENGINE_H
#define TN_CORE_ENGINE_ENGINE_H

#include "core/exec/executor.h"
#include "core/sample/sampler.h"

typedef struct tn_engine tn_engine;

enum { TN_LOGITS_NONE = 0, TN_LOGITS_LAST = 1, TN_LOGITS_ALL = 2 };
enum { TN_FINISH_STOP = 1, TN_FINISH_LENGTH = 2, TN_FINISH_CANCELLED = 3, TN_FINISH_ERROR = 4 };
enum { TN_CONTINUE = 0, TN_STOP = 1 };

typedef struct tn_engine_args {
    const tn_binding *binding;      /* borrowed until destroy, as the next four */
    const tn_weight_source *source;
    tn_team *team;
    const tn_blob_cache *cache;     /* of packed weights; may be NULL */
    const char *kv_format;
    uint64_t kv_bytes;              /* budget of all layers' pools together */
    uint64_t prefix_salt;           /* seeds the prefix index: model id, KV format and parameters */
    int32_t max_sequences, max_tokens, max_context, max_chunk; /* max_chunk 0: no limit */
    bool prefix_cache;
    bool keep_all;                  /* for taps */
    tn_progress_fn progress;        /* packing; may be NULL */
    void *progress_ctx;
} tn_engine_args;

typedef struct tn_token_event {
    int32_t sample;                 /* 0..n_samples-1 */
    int32_t id;
    int32_t position;               /* 0 = the first generated token */
    float logit;                    /* raw logit of id; NAN when no logits are asked for and greedy needs none */
    double log_sum;                 /* tn_log_sum_exp of the raw logits when the request wants log_sum, else NAN */
    const tn_token_logit *top;        /* [n_top], borrowed during the call */
    int32_t n_top;
    const float *logits;            /* [vocab] when the request wants LAST or ALL, else NULL; borrowed */
} tn_token_event;

typedef struct tn_finish_event {
    int32_t sample, reason;         /* TN_FINISH_* */
    int32_t prompt_tokens, cached_tokens, completion_tokens;
    double prefill_s, decode_s;     /* first token minus the start of the first step; last token minus first */
    const tn_error *error;          /* with TN_FINISH_ERROR */
} tn_finish_event;

typedef struct tn_engine_request {
    const int32_t *prompt;          /* [n_prompt], copied */
    int32_t n_prompt;
    int32_t max_tokens;             /* >= 1, cut to what the context allows; 0 only computes the prompt (perplexity: TN_LOGITS_ALL) */
    int32_t n_samples;              /* 0 = 1 */
    tn_sampling sampling;
    const int32_t *stop_id;         /* [n_stop_ids], copied; the stop id is reported, then the sample finishes */
    int32_t n_stop_ids;
    int32_t n_top;                  /* top raw logits a token, 0..1024 */
    int32_t logits;                 /* TN_LOGITS_* */
    bool log_sum;
    uint64_t salt;                  /* keeps prefix reuse inside one tenant */
    void *ctx;
    /* Engine thread. TN_STOP ends the sample (reason stop). */
    int32_t (*on_token)(void *ctx, const tn_token_event *event);
    /* Rows of logits of prompt positions, with TN_LOGITS_ALL: position 0..n_prompt-1. May be NULL. */
    void (*on_logits)(void *ctx, int32_t position, const float *logits, int32_t vocab);
    /* Prompt tokens computed so far (or found in the prefix cache), of all. May be NULL. */
    void (*on_prefill)(void *ctx, int32_t done, int32_t total);
    /* Before sampling: clear bits of tokens that are not allowed; mask arrives all set. May be NULL. */
    void (*mask)(void *ctx, int32_t sample, uint32_t *bits, int32_t vocab);
    /*
     * Before sampling, once a token: logits to use in place of the raw ones (penalties), by ascending id, borrowed until the
     * sample's on_token. May be NULL.
     */
    const tn_token_logit *(*adjust)(void *ctx, int32_t sample, const float *logits, int32_t *out_n);
    /* Once a sample, last call for it. */
    void (*on_finish)(void *ctx, const tn_finish_event *event);
} tn_engine_request;

typedef struct tn_engine_metrics {
    uint64_t steps, prompt_tokens, cached_tokens, generated_tokens, preemptions, requests, finished, cancelled, failed;
    int32_t running, waiting, blocks, blocks_free, block_tokens;
    tn_executor_memory memory;
} tn_engine_metrics;

/** KV blocks of each layer: what the budget pays for, but no more than all sequences can ever fill. TN_INVALID when it pays for none. */
tn_status tn_engine_kv_blocks(const tn_engine_args *args, int32_t *out_blocks, tn_error *err) TN_MUST_USE;
/** Pack weights, take all memory, start the thread. */
tn_status tn_engine_create(const tn_engine_args *args, tn_engine **out, tn_error *err) TN_MUST_USE;
/** Cancels what runs (on_finish is called for each), joins the thread. Not from a hook. NULL is allowed. */
void tn_engine_destroy(tn_engine *engine);

/** Any thread. Checked here: ids in range, lengths, sampling; a request that can never fit is refused with the numbers. */
tn_status tn_engine_submit(tn_engine *engine, const tn_engine_request *request, uint64_t *out_id, tn_error *err) TN_MUST_USE;
/** Any thread, also from a hook. Unknown ids are ignored. Its blocks are free within one step. */
void tn_engine_cancel(tn_engine *engine, uint64_t id);
/** Tests: preempt a running request at the next step. */
void tn_engine_preempt(tn_engine *engine, uint64_t id);
/** Tests: start no step until the matching release, so that what is submitted meanwhile meets in one batch. Any thread. */
void tn_engine_hold(tn_engine *engine);
void tn_engine_release(tn_engine *engine);
/** Any thread. */
void tn_engine_read_metrics(tn_engine *engine, tn_engine_metrics *out);
/** The executor, for check: only while no request is in flight. */
tn_executor *tn_engine_executor(tn_engine *engine);

#endif
