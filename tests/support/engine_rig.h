/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine on a tiny model and a real plugin, cpu-ref unless another is named, and a record of all
 * that a request reports.
 *
 *     tn_engine_rig f; tn_record r; tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;
 *     tn_engine_rig_open(&f, &s);
 *     tn_record_open(&r, &f);
 *     tn_engine_request request = tn_record_request(&r, prompt, n);
 *     tn_record_submit(&f, &r, &request);
 *     tn_record_wait(&r);
 *
 * Failures fail the test. Thread: one thread, but for the record's hooks, which the engine calls.
 */
#ifndef TN_TESTS_SUPPORT_ENGINE_RIG_H
#define TN_TESTS_SUPPORT_ENGINE_RIG_H

#include "core/engine/engine.h"
#include "tests/support/rig.h"

#include <pthread.h>

enum { TN_MAX_SAMPLES = 4, TN_MAX_NEW = 64, TN_PROMPT = 40, TN_MAX_PROMPT = 640, TN_NEW = 12 };

typedef struct tn_engine_rig {
    tn_rig rig;
    tn_engine *engine;
    int32_t vocab, n_prompt;
} tn_engine_rig;

typedef struct tn_engine_setup {
    tn_rig_options rig;
    int32_t max_sequences, max_tokens, max_chunk, n_blocks; /* n_blocks 0: plenty */
    int32_t n_prompt; /* tokens of the prompts whose rows are recorded, up to TN_MAX_PROMPT */
    bool prefix_cache, keep_all;
} tn_engine_setup;

#define TN_ENGINE_SETUP_DEFAULT                                                                    \
    {                                                                                              \
        .rig = TN_RIG_DEFAULT, .max_sequences = 20, .max_tokens = 512, .n_prompt = TN_PROMPT       \
    }

/* What a request reported. Filled on the engine thread, read after tn_record_wait. */
typedef struct tn_record {
    pthread_mutex_t lock;
    pthread_cond_t finished;
    int32_t n_samples, n_finished, vocab, n_prompt;
    int32_t id[TN_MAX_SAMPLES][TN_MAX_NEW], n_out[TN_MAX_SAMPLES], reason[TN_MAX_SAMPLES],
        n_finish[TN_MAX_SAMPLES];
    int32_t cached, completion[TN_MAX_SAMPLES], prefill_done, n_prompt_rows;
    char error[256];
    float *prompt_logits; /* [n_prompt][vocab] */
    float *logits;        /* sample 0: [TN_MAX_NEW][vocab] */
    tn_token_logit top[TN_MAX_NEW][3];
    float logit[TN_MAX_NEW];
    tn_engine *engine;
    uint64_t engine_id;
    int32_t stop_at, preempt_at, cancel_at; /* output position of sample 0, or -1 */
    bool out_of_order; /* an event after the finish, or progress that goes back */
} tn_record;

void tn_test_succeed(tn_status st, const tn_error *err);
/** Seeded ids. */
void tn_test_prompt(int32_t *prompt, int32_t n, int32_t vocab, uint64_t seed);

tn_engine_args tn_engine_rig_args(const tn_engine_setup *setup, const tn_rig *rig);
void tn_engine_rig_open(tn_engine_rig *f, const tn_engine_setup *setup);
void tn_engine_rig_close(tn_engine_rig *f);

void tn_record_open(tn_record *r, const tn_engine_rig *f);
void tn_record_close(tn_record *r);
/** A greedy request for TN_NEW tokens that reports to r. */
tn_engine_request tn_record_request(tn_record *r, const int32_t *prompt, int32_t n_prompt);
void tn_record_submit(tn_engine_rig *f, tn_record *r, const tn_engine_request *request);
/** Until every sample has finished; each once, with the tokens it reported. */
void tn_record_wait(tn_record *r);

/** TN_NEW tokens after tn_test_prompt(setup->n_prompt, seed 1), with all logits, alone in an engine
 * of its own. */
void tn_run_reference(const tn_engine_setup *setup, tn_record *r);
void tn_assert_same_bits(const tn_record *a, const tn_record *b);
void tn_assert_same_prompt_bits(const tn_record *a, const tn_record *b);

#endif
