/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logits to a token. Order: changes and mask, temperature, top-k, top-p, min-p, draw. Random numbers are Philox4x32-10 (Salmon et
 * al., SC 2011) keyed by (seed, sample index, output position), so a recomputed token is drawn the same whatever else is in the batch.
 * Thread: reentrant; scratch belongs to the caller.
 */
#ifndef TN_CORE_SAMPLE_SAMPLER_H
#define TN_CORE_SAMPLE_SAMPLER_H

#include "core/base/status.h"

#include <stddef.h>

typedef struct tn_sampling {
    float temperature;  /* >= 0; 0 = greedy (argmax, ties to the lowest id) */
    int32_t top_k;      /* >= 1 keeps the k best; 0 = off */
    float top_p;        /* (0, 1]; 1 = off */
    float min_p;        /* [0, 1]; 0 = off: drop tokens with p < min_p * p_max */
    uint64_t seed;
} tn_sampling;

/** TN_INVALID with the allowed range for a value out of range (NaN too). */
tn_status tn_sampling_check(const tn_sampling *s, tn_error *err) TN_MUST_USE;

typedef struct tn_token_logit {
    int32_t id;
    float logit;
} tn_token_logit;

/* One token to draw. NaN never wins, and a logit of -inf is never drawn. */
typedef struct tn_sample_args {
    const tn_sampling *sampling;
    const float *logits;            /* [vocab] raw, not changed */
    int32_t vocab;
    const uint32_t *mask;           /* [(vocab + 31) / 32], bit set = allowed; or NULL */
    const tn_token_logit *change;   /* [n_changes] logits in place of the raw ones, by ascending id */
    int32_t n_changes;
    uint32_t sample;
    uint64_t position;
} tn_sample_args;

/** Philox4x32-10 block: counter[4], key[2] -> out[4]. Exposed for its test vectors. */
void tn_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/** Uniform in [0, 1) with 53 bits for (seed, sample, position). */
double tn_random_unit(uint64_t seed, uint32_t sample, uint64_t position);

/** Bytes of scratch that tn_sample needs for this vocabulary. */
size_t tn_sample_scratch_bytes(int32_t vocab);
/** TN_INVALID when no token is left to draw. */
tn_status tn_sample(const tn_sample_args *args, void *scratch, int32_t *out_id, tn_error *err) TN_MUST_USE;
/** log(sum(exp(logits))) without NaN, in f64 and id order: a token's log probability is its logit minus this. */
double tn_log_sum_exp(const float *logits, int32_t vocab);
/** The k best raw logits, best first, ties to the lower id, NaN last. */
void tn_top_logits(const float *logits, int32_t vocab, int32_t k, tn_token_logit *out);

#endif
