/* SPDX-License-Identifier: Apache-2.0 */
/* The free run's state, and the search for the nodes that make it fail. Thread: one. */
#ifndef TN_APPS_CHECK_BISECT_H
#define TN_APPS_CHECK_BISECT_H

#include "apps/check/session.h"

/* Another token is a tie when its logit is this many RMS errors from the best one's. */
enum { TN_FREE_TIE_RMS = 4 };

typedef struct tn_check_free_state {
    tn_check_schedule schedule;
    int32_t n_prompt[TN_CHECK_PROMPTS], next[TN_CHECK_PROMPTS];
    double rms_limit;                  /* RMS error of logits by their deviation */
    float *logits[TN_CHECK_MAX_STEPS]; /* of the reference: [n_rows][vocab] */
    double *error, *power;             /* [n_nodes] squared, of drift */
    bool *candidate;                   /* [n_nodes] none by the reference */
    tn_check_fault fault;              /* of the kernels under test */
    int32_t fault_node;
} tn_check_free_state;

/** One row of logits against the reference's; got_token -1: the best of `got`. */
void tn_check_free_judge(const float *got, int32_t got_token, const float *expected, int32_t n,
                         double rms_limit, tn_check_token *out);
/** Row `row` of a step that the walk has just made. */
void tn_check_free_token(const tn_check_free_state *f, const tn_check_walk *w, int32_t step,
                         int32_t row, tn_check_token *out);
bool tn_check_free_fails(const tn_check_token *t);

/** Find a smallest set of nodes whose replacement by the reference makes steps [0, last] pass; it
 * stands in report->free.guilty. */
tn_status tn_check_bisect(tn_check_session *s, const tn_check_free_state *f, int32_t last,
                          tn_error *err) TN_MUST_USE;

#endif
