/* SPDX-License-Identifier: Apache-2.0 */
/* Places activations in one arena a domain: edges that are never alive together share bytes. Pure; made once at load. */
#ifndef TN_CORE_EXEC_MEMORY_PLAN_H
#define TN_CORE_EXEC_MEMORY_PLAN_H

#include "core/bind/bind.h"

typedef struct tn_edge_place {
    uint64_t offset, bytes; /* in the arena of the domain; bytes 0: the edge has no buffer there */
    int32_t dtype;          /* in this domain; the other side of a crossing may differ */
    int32_t first;          /* bound node that makes it here, or before which it crosses to here */
    int64_t row_stride;     /* elements from row to row */
} tn_edge_place;

typedef struct tn_memory_plan {
    tn_edge_place *place[TN_MAX_DOMAINS]; /* [graph->n_edges]; views have no place of their own */
    uint64_t arena_bytes[TN_MAX_DOMAINS];
    uint64_t sum_bytes[TN_MAX_DOMAINS];   /* without sharing, for `explain` */
} tn_memory_plan;

/** Bytes of one element of a TN_F32 ... type; 0 for an unknown one. */
uint32_t tn_dtype_bytes(int32_t dtype);
/** The edge that owns the bytes: a view's base, else the edge itself. */
int32_t tn_edge_owner(const tn_graph *graph, int32_t edge);
/** True for nodes after gather_rows: they see a row a wanted logit, not a row a token. */
bool tn_node_is_wanted(const tn_graph *graph, const tn_bound_node *node);

/** keep_all: nothing shares or aliases (taps, check). */
tn_status tn_memory_plan_make(const tn_binding *binding, bool keep_all, tn_memory_plan *out, tn_error *err) TN_MUST_USE;
void tn_memory_plan_deinit(tn_memory_plan *plan);

#endif
