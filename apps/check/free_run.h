/* SPDX-License-Identifier: Apache-2.0 */
/* What a free run found: both sides compute the whole graph, each on its own values. */
#ifndef TN_APPS_CHECK_FREE_RUN_H
#define TN_APPS_CHECK_FREE_RUN_H

#include <stdbool.h>
#include <stdint.h>

/* The best token of both sides: the same; another one, but as good within the error of the logits;
 * another one; or the logits themselves are too far away. */
enum { TN_FREE_SAME, TN_FREE_TIE, TN_FREE_DIFFERENT, TN_FREE_LOGITS };

/* One row of logits. */
typedef struct tn_check_token {
    int32_t step, seq, pos; /* of the token that it follows */
    int32_t state;          /* TN_FREE_* */
    int32_t expected, got;  /* best token of the reference and of the kernels under test */
    double gap;             /* the reference's logit of `expected` less that of `got`: 0 or more */
    double rms;             /* of the errors of the logits */
    double deviation;       /* standard deviation of the reference's logits */
    double kl;              /* of the two distributions, in nats */
} tn_check_token;

/* How far the output of a node has drifted: RMS of the difference by RMS of the reference, over all
 * steps. */
typedef struct tn_check_drift {
    const char *node, *op, *kernel;
    int32_t layer;
    bool ends_layer; /* its output is the residual stream behind that layer */
    double relative;
} tn_check_drift;

typedef struct tn_check_pair {
    const char *node, *kernel, *plugin, *op;
} tn_check_pair;

typedef struct tn_check_free_run {
    bool ran, failed;
    const char *why_not; /* it was to run and could not; NULL */
    tn_check_token *token;
    int32_t n_tokens, n_same, first; /* first: the first with another token, or -1 */
    double mean_kl, most_kl;
    double most_rms, rms_limit; /* RMS error by deviation, and what it may be */
    tn_check_drift *drift;      /* [n_drift] in the order of execution */
    int32_t n_drift;
    /* Of a run that failed: these by the reference restore the tokens. */
    tn_check_pair *guilty;
    int32_t n_guilty, n_tests;
    bool unsteady; /* runs that are alike differ: nothing is named */
    bool smallest; /* no one of them can be left out */
} tn_check_free_run;

#endif
