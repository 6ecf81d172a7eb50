/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound graph run whole, step by step, each node by the kernel it is bound to or by the
 * reference. Values and KV pools are a track's, so that any node can change sides. Thread: one.
 */
#ifndef TN_APPS_CHECK_WALK_H
#define TN_APPS_CHECK_WALK_H

#include "apps/check/track.h"

/* Both ways to compute a bound node. */
typedef struct tn_check_runner {
    tn_check_kernel *kernel;
    tn_check_reference *reference;
} tn_check_runner;

typedef struct tn_check_walk {
    tn_check_track track;
    const tn_check_runner *runner;          /* [n_nodes] */
    const bool *by_reference;               /* [n_nodes]; NULL: all of them */
    const struct tn_check_session *session; /* set by the caller: is told what runs; NULL: none */
} tn_check_walk;

/** KV pools as before the first step. */
tn_status tn_check_walk_open(const tn_binding *binding, const char *kv_format,
                             const tn_check_schedule *schedule, const tn_check_runner *runner,
                             const bool *by_reference, tn_check_walk *out,
                             tn_error *err) TN_MUST_USE;
void tn_check_walk_close(tn_check_walk *w);
/** Every node of one step; its edges stay until tn_check_track_end_step. At a fault it stops, and
 * *out_node is the guilty one. */
tn_status tn_check_walk_step(tn_check_walk *w, int32_t step, tn_check_fault *fault,
                             int32_t *out_node, tn_error *err) TN_MUST_USE;

#endif
