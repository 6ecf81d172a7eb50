/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is measured: a profile with a number of threads, loaded; and what a token costs there at
 * least, for the share of the roofline. Thread: made and ended by one thread.
 */
#ifndef TN_APPS_BENCH_TARGET_H
#define TN_APPS_BENCH_TARGET_H

#include "apps/bench/measure.h"
#include "apps/bench/roofline.h"

/* What operations can be done in, by their weights: at the rate of the roofline's f32_ops_s, ... */
enum { TN_BENCH_F32 = 0, TN_BENCH_BF16, TN_BENCH_INT8, TN_BENCH_N_RATES };

/* Bytes that must be read, operations (a multiply-add is 2) that must be done. */
typedef struct tn_bench_cost {
    double step_bytes;                  /* weights, once a step */
    double position_bytes;              /* keys and values of one position, in all layers */
    double token_ops[TN_BENCH_N_RATES]; /* matrices of the layers, a token */
    double head_ops[TN_BENCH_N_RATES];  /* the head, a sampled token */
    double position_ops; /* attention of a token to one position, in all layers, in f32 */
    double window;       /* positions that attention sees at most; 0: all */
} tn_bench_cost;

typedef struct tn_bench_target {
    const char *name; /* the profile's path, or the model's */
    int32_t threads;
    int32_t vocab, context;
    uint64_t weight_bytes, parameters;
    char arch[64], model[256], plugins[256], kv_format[64];
    tn_bench_cost cost;
    tn_runtime *rt;
} tn_bench_target;

/**
 * Open it, with a batch of at least max_batch sequences. args->set needs room for three more
 * entries. On failure *out has rt NULL.
 */
tn_status tn_bench_target_open(const tn_open_args *args, const char **sets, int32_t max_batch,
                               tn_bench_target *out, tn_error *err);
void tn_bench_target_close(tn_bench_target *target);

/** Bytes read a token of the test, at least. */
double tn_bench_token_bytes(const tn_bench_cost *cost, const tn_bench_test *test);
/** Seconds of its operations, at least: those of quantised weights as dot products of bytes, of
 * bf16 weights of bf16, all others in f32, each at the machine's rate. */
double tn_bench_token_seconds(const tn_bench_cost *cost, const tn_bench_test *test,
                              const tn_roofline *roofline);

#endif
