/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delta debugging: a smallest part of a set that still has a property (Zeller and Hildebrandt 2002,
 * "Simplifying and Isolating Failure-Inducing Input", algorithm ddmin). Pure but for the test.
 */
#ifndef TN_APPS_CHECK_DDMIN_H
#define TN_APPS_CHECK_DDMIN_H

#include "core/base/status.h"

#include <stdbool.h>

typedef struct tn_ddmin {
    /* Does the property hold for the members of [n]? */
    tn_status (*test)(void *ctx, const bool *member, bool *out_holds, tn_error *err);
    void *ctx;
    int32_t max_tests;
    int32_t n_tests; /* counted */
    bool smallest;   /* set: taking away any one member loses the property; else the tests ran out
                      */
} tn_ddmin;

/** member[n] has the property on entry; on return it has lost all the members that it could. */
tn_status tn_ddmin_run(tn_ddmin *d, bool *member, int32_t n, tn_error *err) TN_MUST_USE;

#endif
