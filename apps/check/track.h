/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk through the bound graph in host memory: values of the edges and the KV pools, a set for
 * each step. Nodes of it are made into cases. Thread: one.
 */
#ifndef TN_APPS_CHECK_TRACK_H
#define TN_APPS_CHECK_TRACK_H

#include "apps/check/reference.h"
#include "apps/check/schedule.h"
#include "core/bind/bind.h"

typedef struct tn_check_track {
    const tn_binding *binding;
    const tn_check_schedule *schedule;
    const char *kv_format;
    float **edge;   /* [n_steps][n_edges] of edges that are no views; NULL before they are made */
    uint8_t **pool; /* [1 + n_steps][n_layers] as the step left it, the first: before all steps */
    int32_t *last_read; /* [n_edges] bound node after which nobody needs it */
    bool exact;         /* cases get f32 inputs, not rounded to the types of the node's edges */
} tn_check_track;

tn_status tn_check_track_open(const tn_binding *binding, const char *kv_format,
                              const tn_check_schedule *schedule, tn_check_track *out,
                              tn_error *err) TN_MUST_USE;
void tn_check_track_close(tn_check_track *t);

/** A case of node i in a step; *storage holds its inputs (tn_free). Inputs are rounded to the
 * node's types. has_rows: false when the step wants none of its rows. */
tn_status tn_check_track_case(const tn_check_track *t, int32_t node, int32_t step,
                              const tn_check_part *part, tn_check_case *out, float **storage,
                              bool *has_rows, tn_error *err) TN_MUST_USE;
/** Take over outputs and pool (they become the track's). */
void tn_check_track_put(tn_check_track *t, int32_t node, int32_t step, float *out[TN_MAX_OUT],
                        uint8_t **pool);
/** Forget the edges that no node after this one reads, and the pools of a layer that it ends. */
void tn_check_track_forget(tn_check_track *t, int32_t node);
/** Forget all edges of a step, and the pools before it. */
void tn_check_track_end_step(tn_check_track *t, int32_t step);
/** Values [rows][width] of an edge (or of the edge that it is a view of), or NULL. */
const float *tn_check_track_values(const tn_check_track *t, int32_t step, int32_t edge);

#endif
