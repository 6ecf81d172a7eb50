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

/** Packed blobs that outlive the process. Asked on the creating thread, in the order of the nodes, for those tn_weight_store_keeps. */
typedef struct tn_blob_cache {
    void *self;
    /** The plan.weight_bytes packed bytes of a node, aligned to 256, valid as long as the store; NULL: not there, so pack. */
    const void *(*find)(void *self, int32_t node_index);
    /** What was just packed for it; borrowed: on the host from the store, on a device during the call. */
    void (*keep)(void *self, int32_t node_index, const void *bytes);
} tn_blob_cache;

typedef struct tn_weight_store_args {
    const tn_binding *binding;      /* borrowed until destroy */
    const tn_weight_source *source;
    tn_team *team;
    const tn_blob_cache *cache;     /* may be NULL */
    tn_progress_fn progress;        /* may be NULL */
    void *progress_ctx;
} tn_weight_store_args;

tn_status tn_weight_store_create(const tn_weight_store_args *args, tn_weight_store **out, tn_error *err) TN_MUST_USE;
void tn_weight_store_destroy(tn_weight_store *store);

/** The first node with the packed weights of binding->node[node_index], itself unless they are shared; -1 when it has none. Pure. */
int32_t tn_weight_store_owner(const tn_binding *binding, int32_t node_index);

/** Is this node's blob one that a cache may keep? It has a layout id and comes from the model alone; owners only. Pure. */
bool tn_weight_store_keeps(const tn_binding *binding, int32_t node_index);

/** Address, in the node's domain, of the packed weights of binding->node[node_index]; 0 when it has none. */
uint64_t tn_weight_store_address(const tn_weight_store *store, int32_t node_index);
/** Bytes of all blobs. */
uint64_t tn_weight_store_bytes(const tn_weight_store *store);

#endif
