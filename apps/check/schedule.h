/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps to run a graph on: a few sequences in permuted blocks, prefilled in chunks, mixed with
 * decoding ones, one on another's prefix where there is room, one in blocks that another had.
 * Thread: immutable once made.
 */
#ifndef TN_APPS_CHECK_SCHEDULE_H
#define TN_APPS_CHECK_SCHEDULE_H

#include "apps/check/case.h"
#include "core/graph/model_desc.h"

#include <stdbool.h>

enum { TN_CHECK_MAX_STEPS = 64, TN_CHECK_MAX_SEQS = 8, TN_CHECK_PROMPTS = 2 };

typedef struct tn_check_schedule_args {
    const tn_model_desc *desc;
    int32_t vocab; /* of the graph's embed */
    int32_t max_tokens, max_seqs, max_ctx, max_rows, block_tokens;
    uint64_t seed;
    bool quick;
    const int32_t
        *prompt[TN_CHECK_PROMPTS]; /* of tn_check_schedule_free; NULL: drawn by the seed */
    int32_t n_prompt[TN_CHECK_PROMPTS], n_new;
} tn_check_schedule_args;

typedef struct tn_check_schedule {
    tn_check_batch step[TN_CHECK_MAX_STEPS];
    int32_t n_steps, n_blocks;
    tn_arena arena; /* every array */
} tn_check_schedule;

/** Prompts, chunks and decode steps for lockstep, cut to the bounds. */
tn_status tn_check_schedule_mixed(const tn_check_schedule_args *args, tn_check_schedule *out,
                                  tn_error *err) TN_MUST_USE;
/** Two prompts in chunks, then n_new steps of a token each (at most TN_CHECK_MAX_STEPS - 2). Tokens
 * past a prompt's end are to be filled in. */
tn_status tn_check_schedule_free(const tn_check_schedule_args *args, tn_check_schedule *out,
                                 tn_error *err) TN_MUST_USE;
void tn_check_schedule_deinit(tn_check_schedule *s);

/** SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t tn_check_random(uint64_t *state);
/** Uniform in [low, high). */
float tn_check_uniform(uint64_t *state, float low, float high);

#endif
