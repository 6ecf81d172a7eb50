/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the tests of the scheduler. Include after <cmocka.h>. */
#ifndef TN_TESTS_CORE_SCHEDULER_FIXTURE_H
#define TN_TESTS_CORE_SCHEDULER_FIXTURE_H

#include "core/sched/scheduler.h"
#include "tests/support/sched_check.h"

enum { MAX_PROMPT = 64 };

static const tn_sched_config roomy = { .n_blocks = 64,
                                       .block_tokens = 4,
                                       .max_sequences = 4,
                                       .max_batch_tokens = 16,
                                       .max_length = 64,
                                       .prefix_cache = true };

static inline tn_sched *start(const tn_sched_config *config)
{
    tn_sched *sched = NULL;
    assert_int_equal(tn_sched_create(config, &sched, NULL), TN_OK);
    return sched;
}

/* Prompts of one id begin with the same tokens, those of others differ from the first token on. */
static inline tn_status submit(tn_sched *sched, uint64_t id, int32_t n_prompt, int32_t max_new,
                               int32_t n_samples, tn_error *err)
{
    int32_t prompt[MAX_PROMPT];
    for (int32_t i = 0; i < n_prompt && i < MAX_PROMPT; i++)
        prompt[i] = (int32_t)(id % 1000) * 100 + i;
    return tn_sched_submit(sched,
                           &(tn_sched_request){ .id = id,
                                                .prompt = prompt,
                                                .n_prompt = n_prompt,
                                                .max_new = max_new,
                                                .n_samples = n_samples },
                           err);
}

static inline void submit_ok(tn_sched *sched, uint64_t id, int32_t n_prompt, int32_t max_new)
{
    assert_int_equal(submit(sched, id, n_prompt, max_new, 1, NULL), TN_OK);
}

static const tn_step *plan(tn_sched *sched)
{
    const tn_step *step = NULL;
    assert_int_equal(tn_sched_plan(sched, &step, NULL), TN_OK);
    assert_int_equal(tn_sched_check(sched, NULL), TN_OK);
    return step;
}

/* Draw 9000 + sample + 10 * output position everywhere. */
static inline void commit(tn_sched *sched, const tn_step *step)
{
    tn_draw draws[8] = { { 0 } };
    for (int32_t i = 0; i < step->n_seqs; i++) {
        const tn_step_seq *seq = &step->seqs[i];
        for (int32_t k = 0; k < seq->n_draws; k++)
            draws[seq->first_draw + k].token = 9000 + seq->sample + k + 10 * seq->output_position;
    }
    assert_int_equal(tn_sched_commit(sched, draws, step->n_draws, NULL), TN_OK);
    assert_int_equal(tn_sched_check(sched, NULL), TN_OK);
}

static inline void run_step(tn_sched *sched)
{
    commit(sched, plan(sched));
}

static inline tn_sched_stats stats(const tn_sched *sched)
{
    tn_sched_stats out;
    tn_sched_read_stats(sched, &out);
    return out;
}

static inline void drain(tn_sched *sched)
{
    for (int32_t i = 0; tn_sched_has_work(sched); i++) {
        assert_true(i < 1000);
        run_step(sched);
    }
    assert_int_equal(stats(sched).free_blocks, stats(sched).n_blocks);
    tn_sched_destroy(sched);
}

#endif
