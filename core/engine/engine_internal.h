/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the engine, shared by its files. Fields marked (lock) are guarded by `lock`; the others belong to the engine thread, or are
 * constant after create. No hook is called with the lock held.
 */
#ifndef TN_CORE_ENGINE_ENGINE_INTERNAL_H
#define TN_CORE_ENGINE_ENGINE_INTERNAL_H

#include "core/base/arena.h"
#include "core/engine/engine.h"
#include "core/sched/batch.h"

#include <pthread.h>

typedef struct tn_sample_state {
    bool finished;
    int32_t n_out;
    double first_s, last_s; /* monotonic time of the first and the last token */
} tn_sample_state;

/* A request from submit until its last sample has finished. */
typedef struct tn_engine_job tn_engine_job;
struct tn_engine_job {
    tn_engine_job *next, **at;    /* live list, in order of submission; `at` points to this one (lock) */
    tn_engine_job *next_todo;     /* engine thread's list of the moment */
    bool cancel, preempt;         /* asked for (lock) */
    bool todo_cancel, todo_preempt, ending, admitted, started;
    uint64_t id;
    tn_engine_request request;    /* prompt and stop ids are copies in the arena */
    float *inv_freq;              /* [half_rotary] */
    uint64_t prefix_seed;
    tn_sample_state *sample;      /* [n_samples] */
    uint32_t *mask;               /* [n_samples][mask words], or NULL */
    int32_t n_finished, n_cached, prefill_done, logits_done;
    double start_s;
    tn_arena arena;
};

/* One token to draw in the running step. */
typedef struct tn_engine_draw {
    tn_engine_job *job;
    const tn_step_seq *seq;
    int32_t sample, token, reason; /* reason: TN_FINISH_* once decided, else 0 */
    tn_sample_args args;           /* logits: borrowed while its rows are delivered; NULL on the argmax path */
    double log_sum;
    tn_error error;
} tn_engine_draw;

struct tn_engine {
    tn_engine_args args;
    const tn_graph *graph;
    int32_t vocab, half_rotary, mask_words, block_tokens, capacity; /* capacity: tokens a sequence can have */
    bool rope_per_sequence;
    tn_weight_store *weights;
    tn_executor *exec;
    tn_sched *sched;
    tn_batch_arrays batch;
    float *rope_table;
    int32_t *argmax;              /* [max_tokens] */
    tn_engine_draw *draw;         /* [max_sequences] */
    tn_draw *commit;              /* [max_sequences] */
    void *scratch;                /* [workers] of tn_sample */
    size_t scratch_bytes;         /* of one */
    tn_token_logit *top;            /* [MAX_TOP] */
    const tn_step *step;          /* the running one */
    int32_t slice_first;          /* first draw of the rows being delivered */
    tn_engine_metrics counters;   /* engine thread's own */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool has_lock, has_thread;
    bool stop, has_news;          /* (lock) news: a job is new, or flagged */
    int32_t n_holds;              /* (lock) */
    uint64_t next_id;             /* (lock) */
    uint64_t n_requests;          /* (lock) */
    tn_engine_job *live, **live_end; /* (lock) */
    tn_engine_metrics metrics;    /* (lock) a copy after each step */
    tn_error dead;                /* (lock) why no request is taken any more; code 0 while it works */
};

enum { TN_ENGINE_MAX_TOP = 1024 };

double tn_engine_now(void);

/* ---- commands.c ---- */
void tn_engine_job_free(tn_engine_job *job);
/** Wait for work, then carry out what was asked; false when the engine must stop. *out_may_step: not held. */
bool tn_engine_commands(tn_engine *engine, bool *out_may_step);
/** Give a sample its last event, once; the job is gone after its last sample. */
void tn_engine_finish_sample(tn_engine *engine, tn_engine_job *job, int32_t sample, int32_t reason, const tn_error *error);
void tn_engine_finish_all(tn_engine *engine, tn_engine_job *job, int32_t reason, const tn_error *error);
/** Finish every live job with `ending` set, or all of them. */
void tn_engine_finish_live(tn_engine *engine, bool ending_only, int32_t reason, const tn_error *error);
void tn_engine_publish(tn_engine *engine);

/* ---- loop.c, report.c ---- */
void *tn_engine_main(void *engine);
/** on_rows of the executor: prompt logits, then draw and report the tokens of these rows. */
void tn_engine_rows(void *engine, int32_t row0, int32_t n_rows, const float *logits, int64_t stride);
/** Report draw d; its token and error are set. */
void tn_engine_report(tn_engine *engine, tn_engine_draw *draw);
void tn_engine_progress(const tn_step_seq *seq);

#endif
