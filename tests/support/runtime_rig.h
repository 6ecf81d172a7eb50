/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtimes on tiny models that differ in vocabulary, weights, KV format and plugins, and a request
 * that uses all that makes memory: what tests of failures stand on.
 *
 *     cmocka_run_group_tests(tests, tn_runtime_rig_setup, tn_temp_dir_teardown);
 *
 *     tn_answer want;
 *     tn_runtime_rig_answer(TN_RUNTIME_SPM, &want);       // what it answers
 *     tn_runtime *rt = tn_runtime_rig_open(TN_RUNTIME_SPM);
 *     ... something that must not matter ...
 *     tn_runtime_rig_check(rt, &want);                    // it still does
 *
 * Failures fail the test, but for those of the functions that return a status. Thread: one thread.
 */
#ifndef TN_TESTS_SUPPORT_RUNTIME_RIG_H
#define TN_TESTS_SUPPORT_RUNTIME_RIG_H

#include "core/base/status.h"

#include <tenon/tenon.h>

/* Byte-level BPE on cpu-ref; 4-bit weights on cpu-simd; SentencePiece and an 8-bit cache; shards.
 */
enum { TN_RUNTIME_BPE, TN_RUNTIME_SIMD, TN_RUNTIME_SPM, TN_RUNTIME_SPLIT, TN_N_RUNTIME_VARIANTS };
enum { TN_ANSWER_SAMPLES = 2, TN_ANSWER_TOKENS = 12, TN_ANSWER_TEXT = 512 };

/* What a request reported. */
typedef struct tn_answer {
    int32_t n[TN_ANSWER_SAMPLES], id[TN_ANSWER_SAMPLES][TN_ANSWER_TOKENS];
    int32_t reason[TN_ANSWER_SAMPLES], n_done;
    char text[TN_ANSWER_SAMPLES][TN_ANSWER_TEXT], error[TN_ANSWER_SAMPLES][256];
    size_t n_text[TN_ANSWER_SAMPLES];
} tn_answer;

/** cmocka group fixture: a directory (temp_dir.h) with the models. */
int tn_runtime_rig_setup(void **state);
/** The models again, for who harmed them: 0 or -1. */
int tn_runtime_rig_write(void);
const char *tn_runtime_rig_name(int32_t variant);
/** Path of its model, of the first shard; borrowed until the next call and that of tn_temp_path. */
const char *tn_runtime_rig_model(int32_t variant);

/** more: callbacks, or NULL. */
tn_status tn_runtime_rig_try_open(int32_t variant, const tn_open_args *more, tn_runtime **out,
                                  tn_error *err) TN_MUST_USE;
tn_runtime *tn_runtime_rig_open(int32_t variant);

/** Text in and out, stop strings, samples, penalties, biases, logprobs; reports to a. */
void tn_runtime_rig_request(const tn_runtime *rt, tn_answer *a, tn_request_args *out);
/** Submit it and wait; TN_NO_MEMORY with the reported text when a sample failed. */
tn_status tn_runtime_rig_ask(tn_runtime *rt, tn_answer *a, tn_error *err) TN_MUST_USE;
/** The answer of a runtime of its own. */
void tn_runtime_rig_answer(int32_t variant, tn_answer *out);
/** Ask, and compare all of the answer. */
void tn_runtime_rig_check(tn_runtime *rt, const tn_answer *want);

#endif
