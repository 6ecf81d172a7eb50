/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the machine could do at most: bytes a second read from memory, and multiply-add operations a
 * second (a multiply-add counts as 2). Each is measured with the widest instructions of the CPU, as
 * the best of several short runs: a roof is what is reached, not what is usual. Thread: one at a
 * time.
 */
#ifndef TN_APPS_BENCH_ROOFLINE_H
#define TN_APPS_BENCH_ROOFLINE_H

#include "core/base/team.h"

typedef struct tn_roofline {
    int32_t threads;
    double read_bytes_s; /* from memory, past the caches */
    double f32_ops_s;    /* fused multiply-adds of floats */
    double bf16_ops_s;   /* dot products of bf16 into floats, where they are faster, else as f32 */
    double int8_ops_s;   /* dot products of bytes into 32-bit sums, where they are faster */
    const char *isa;     /* the instructions that were used; static */
} tn_roofline;

/** TN_NO_MEMORY when the buffer that is read cannot be had. Takes about a second. */
tn_status tn_roofline_measure(tn_team *team, tn_roofline *out, tn_error *err) TN_MUST_USE;

/* ---- peak.c: one run of each kernel ---- */

typedef struct tn_peak_kernels {
    const char *isa;
    /* Do `rounds` rounds; the result depends on every operation. */
    float (*f32)(int64_t rounds);
    float (*bf16)(int64_t rounds);      /* or NULL */
    int32_t (*int8)(int64_t rounds);    /* or NULL */
    double f32_ops, bf16_ops, int8_ops; /* operations a round */
} tn_peak_kernels;

/** The widest of this CPU. */
const tn_peak_kernels *tn_peak_kernels_find(void);

#endif
