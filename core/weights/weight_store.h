/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs canonical rows through the bound kernels and keeps the blobs in their domain. Same source tensors, layout id and bytes
 * give one blob, also across embed and head (tied weights). Thread: made by one thread, immutable afterwards.
 */
#ifndef TN_CORE_WEIGHTS_WEIGHT_STORE_H
#define TN_CORE_WEIGHTS_WEIGHT_STORE_H

#include "core/bind/bind.h"

typedef struct tn_weight_store tn_weight_store;

/** Progress: done of total bytes of the file packed so far; called on the creating thread. May be NULL. */
typedef void (*tn_progress_fn)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);

tn_status tn_weight_store_create(const tn_binding *binding, const tn_weight_source *source, tn_team *team, tn_progress_fn progress,
                                 void *progress_ctx, tn_weight_store **out, tn_error *err) TN_MUST_USE;
void tn_weight_store_destroy(tn_weight_store *store);

/** The first node with the packed weights of binding->node[node_index], itself unless they are shared; -1 when it has none. Pure. */
int32_t tn_weight_store_owner(const tn_binding *binding, int32_t node_index);

/** Address, in the node's domain, of the packed weights of binding->node[node_index]; 0 when it has none. */
uint64_t tn_weight_store_address(const tn_weight_store *store, int32_t node_index);
/** Bytes of all blobs. */
uint64_t tn_weight_store_bytes(const tn_weight_store *store);

#endif
