/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants of the scheduler: looks inside it, takes memory. Thread: that of the scheduler. */
#ifndef TN_TESTS_SUPPORT_SCHED_CHECK_H
#define TN_TESTS_SUPPORT_SCHED_CHECK_H

#include "core/sched/scheduler.h"

/** TN_INTERNAL, with the reason, when an invariant is broken: references, sharing, order, slots. */
tn_status tn_sched_check(const tn_sched *sched, tn_error *err) TN_MUST_USE;

#endif
