/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Continuous batching over sequences, as pure data: plan says what the next step computes, the
 * engine runs it and draws the tokens, commit tells the scheduler. First come, first served; decode
 * before chunks of prefill within one token budget; when blocks run out, the youngest running
 * sequence is preempted and later recomputed, its drawn tokens replayed as prompt.
 *
 *     tn_sched_plan(sched, &step, err);      // run step, draw step->n_draws tokens
 *     tn_sched_commit(sched, draws, step->n_draws, err);
 *
 * The oldest sequence always proceeds, so every request ends. Thread: one thread (the engine's).
 * plan and commit take no memory.
 */
#ifndef TN_CORE_SCHED_SCHEDULER_H
#define TN_CORE_SCHED_SCHEDULER_H

#include "core/sched/request.h"

typedef struct tn_sched tn_sched;

typedef struct tn_sched_config {
    int32_t n_blocks, block_tokens; /* n_blocks * block_tokens slots must fit in int32 */
    int32_t max_sequences;          /* running at once */
    int32_t max_batch_tokens;       /* tokens a step, >= max_sequences */
    int32_t max_length;             /* context: prompt and drawn tokens of a sequence */
    int32_t max_chunk; /* prefill tokens a sequence and step; 0: no limit but the budget */
    bool prefix_cache;
} tn_sched_config;

/* One sequence in a step: n tokens at positions start .. start + n - 1. */
typedef struct tn_step_seq {
    uint64_t id;
    void *user;
    int32_t
        sample; /* of the sequence; the draws' sample indices are sample .. sample + n_draws - 1 */
    int32_t slot; /* 0..max_sequences-1, kept while it runs: the row for per-sequence data (rope) */
    int32_t start, n;
    const int32_t *tokens; /* [n] */
    const int32_t *table;  /* [n_table] block ids; covers start + n */
    int32_t n_table;
    int32_t n_rows;     /* logits are wanted for the last n_rows tokens */
    int32_t n_draws;    /* tokens to draw from the last row: 0, 1, or n_samples when the prompt has
                           just ended (fork) */
    int32_t first_draw; /* index of its first draw in commit's array */
    int32_t output_position; /* of the drawn tokens: 0 = first after the prompt; the same again
                                never occurs for a sample */
    int32_t n_prompt;
    int32_t n_cached; /* prompt tokens found in the prefix index when it was first admitted */
    bool is_last; /* the sequence ends with this step whatever is drawn: max_new, context or pool
                     reached */
} tn_step_seq;

typedef struct tn_step {
    int32_t n_seqs, n_decode; /* the first n_decode sequences have one token */
    int32_t n_tokens, n_rows, n_draws;
    const tn_step_seq *seqs;
    int32_t n_copies; /* blocks to copy in every layer before the step, in this order */
    const int32_t *copy_src, *copy_dst;
} tn_step;

typedef struct tn_draw {
    int32_t token;
    bool finish; /* the caller ends this sample here (stop token, stop string) */
} tn_draw;

typedef struct tn_sched_stats {
    int32_t n_blocks, free_blocks,
        cached_blocks; /* cached: only the prefix index holds them; they count as free too */
    int32_t running,
        waiting; /* sequences; samples that have not forked yet count with their first one */
    uint64_t n_preemptions, n_cached_tokens, n_finished,
        n_cancelled; /* finished and cancelled: sequences */
} tn_sched_stats;

/** TN_INVALID for limits that contradict each other, TN_NO_MEMORY. */
tn_status tn_sched_create(const tn_sched_config *config, tn_sched **out, tn_error *err) TN_MUST_USE;
void tn_sched_destroy(tn_sched *sched);

/** Block ids a sequence can have at most: table_stride of a batch. */
int32_t tn_sched_table_stride(const tn_sched_config *config);

/**
 * Queue a request; also between plan and commit. TN_INVALID, with the numbers, when it can never
 * run: prompt plus one token exceeds context or pool, more samples than max_sequences, an id that
 * is live.
 */
tn_status tn_sched_submit(tn_sched *sched, const tn_sched_request *request,
                          tn_error *err) TN_MUST_USE;
/** End every sequence of the request, in any state. Blocks are free at once, or at commit while a
 * step runs. False: not live. */
bool tn_sched_cancel(tn_sched *sched, uint64_t id);
/** Tests: preempt the running sequences of a request, at once or at commit while a step runs. */
void tn_sched_preempt(tn_sched *sched, uint64_t id);

/**
 * The next step, borrowed until its commit or abort. n_seqs 0 means that nothing is live; then
 * there is nothing to commit. TN_INVALID while a step waits for its commit.
 */
tn_status tn_sched_plan(tn_sched *sched, const tn_step **out_step, tn_error *err) TN_MUST_USE;
/** Results of the planned step, draws[n_draws] in the order of first_draw. Draws of cancelled
 * sequences are ignored. */
tn_status tn_sched_commit(tn_sched *sched, const tn_draw *draws, int32_t n_draws,
                          tn_error *err) TN_MUST_USE;
/** The planned step failed: every request that took part is cancelled; others go on. */
void tn_sched_abort(tn_sched *sched);

/** Anything running or waiting? */
bool tn_sched_has_work(const tn_sched *sched);
void tn_sched_read_stats(const tn_sched *sched, tn_sched_stats *out);

#endif
