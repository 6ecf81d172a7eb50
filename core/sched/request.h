/* SPDX-License-Identifier: Apache-2.0 */
/* What a caller asks of the scheduler. A request becomes n_samples sequences, told apart by their
 * sample index. */
#ifndef TN_CORE_SCHED_REQUEST_H
#define TN_CORE_SCHED_REQUEST_H

#include "core/base/status.h"

#include <stdbool.h>

typedef struct tn_sched_request {
    uint64_t id;           /* unique among live requests */
    void *user;            /* handed back in tn_step_seq */
    const int32_t *prompt; /* [n_prompt], copied */
    int32_t n_prompt;      /* >= 1 */
    /* Tokens to draw for each sample; cut to what context and pool can hold (tn_step_seq.is_last
     * tells). 0: only compute the prompt (perplexity), with n_samples 1. */
    int32_t max_new;
    int32_t n_samples;    /* >= 1, <= max_sequences: forks that share the prompt's blocks */
    uint64_t prefix_seed; /* see tn_prefix_index_find */
    bool all_rows; /* want a row of logits for every position; else only where a token is drawn (or
                      the prompt ends) */
} tn_sched_request;

#endif
