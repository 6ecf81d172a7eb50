/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One measurement of one test, through the public interface, as an application would do it. Prompts
 * are random ids, new ones for each seed, so that no prefix is found in the cache. Thread: one at a
 * time for a runtime.
 */
#ifndef TN_APPS_BENCH_MEASURE_H
#define TN_APPS_BENCH_MEASURE_H

#include <tenon/tenon.h>

enum { TN_BENCH_MAX_BATCH = 1024 };

typedef struct tn_bench_test {
    int32_t prefill, decode; /* tokens; one of the two is 0 */
    int32_t depth;           /* tokens that a sequence has before */
    int32_t batch;           /* sequences together */
} tn_bench_test;

/**
 * Tokens a second. Prefill: from submission to the last sequence's first token; the first `depth`
 * tokens are in the prefix cache, as far as they fill blocks, and do not count. Decode: all tokens
 * from the last sequence's first token to its token number decode + 1; meanwhile every sequence is
 * running.
 */
tn_status tn_bench_measure(tn_runtime *rt, const tn_bench_test *test, int32_t vocab, uint64_t seed,
                           double *out_tokens_s, tn_error *err);

#endif
