/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request changes in its logits before sampling: logit bias, repetition, frequency and
 * presence penalties, end tokens masked until min_tokens. Only the ids that are concerned are
 * touched; docs/sampling.md has the formulas and their order.
 *
 *     changes = tn_logits_processor_run(p, sample, logits, &n); // sample with these
 *     tn_logits_processor_accept(p, sample, id);                // count the drawn token
 *
 * A sample's counts are of its own tokens, so they do not depend on the batch; a preempted sequence
 * replays tokens that are counted already. Thread: one (the engine's); run and accept take no
 * memory.
 */
#ifndef TN_RUNTIME_LOGITS_PROCESSOR_H
#define TN_RUNTIME_LOGITS_PROCESSOR_H

#include "core/sample/sampler.h"

#include <tenon/tenon.h>

typedef struct tn_logits_processor tn_logits_processor;

typedef struct tn_logits_settings {
    float repetition_penalty;                  /* 1: off */
    float frequency_penalty, presence_penalty; /* 0: off */
    int32_t min_tokens;                        /* 0: off */
    const tn_logit_bias *bias;
    int32_t n_bias;
    const int32_t *end_id; /* [n_end_ids] what min_tokens masks */
    int32_t n_end_ids;
    const int32_t *prompt;
    int32_t n_prompt, n_samples;
    int32_t max_tokens, room; /* accept is called at most as often for a sample as the less of them
                                 says; room: what the context leaves */
    int32_t vocab;
} tn_logits_settings;

/** *out NULL when the settings change no logit. TN_INVALID for a value out of range, with the
 * range. Everything is copied. */
tn_status tn_logits_processor_create(const tn_logits_settings *settings, tn_logits_processor **out,
                                     tn_error *err) TN_MUST_USE;
void tn_logits_processor_destroy(tn_logits_processor *p);

/** Changed logits by ascending id, borrowed until the sample's next call. */
const tn_token_logit *tn_logits_processor_run(tn_logits_processor *p, int32_t sample,
                                              const float *logits, int32_t *out_n);
void tn_logits_processor_accept(tn_logits_processor *p, int32_t sample, int32_t id);

#endif
