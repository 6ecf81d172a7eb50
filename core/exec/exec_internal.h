/* SPDX-License-Identifier: Apache-2.0 */
/* State of the executor, shared by its files. Thread: as the executor. */
#ifndef TN_CORE_EXEC_EXEC_INTERNAL_H
#define TN_CORE_EXEC_EXEC_INTERNAL_H

#include "core/exec/executor.h"
#include "core/weights/domain_memory.h"

typedef struct tn_exec_node {
    tn_tensor in[TN_MAX_IN], out[TN_MAX_OUT];         /* dim[0] is set each step */
    tn_launch launch;
    bool wanted; /* runs on wanted rows, in slices */
    int32_t n_crossings;
    int32_t crossing[TN_MAX_IN]; /* edges to bring to its domain before it runs */
} tn_exec_node;

typedef struct tn_exec_domain {
    tn_device device;
    bool is_host, has_stream;
    void *stream;
    tn_domain_memory arena, workspace, zeroed, batch_memory;
    void *staging; /* device only: holds any edge or KV block on its way */
    tn_batch batch;
} tn_exec_domain;

/* Decode steps that are replayed as one graph (replay.c). */
typedef struct tn_exec_bucket {
    int32_t n_seqs, max_kv; /* what a step is padded to */
    bool is_warm;           /* it has run once */
    void *graph;            /* NULL: not recorded yet */
} tn_exec_bucket;

enum { TN_BATCH_ARRAYS = 9, TN_BUCKET_LOG2 = 31 };

struct tn_executor {
    tn_executor_args args;
    const tn_binding *binding;
    const tn_graph *graph;
    tn_memory_plan plan;
    tn_exec_domain domain[TN_MAX_DOMAINS];
    tn_exec_node *node;       /* [n_nodes] */
    tn_domain_memory *kv;     /* [n_layers] */
    int32_t *producer_domain; /* [n_edges] or -1 */
    void *batch_block;        /* host side of the batch arrays, one block */
    uint64_t batch_offset[TN_BATCH_ARRAYS], batch_bytes;
    int32_t half_rotary;
    tn_tap_fn tap;
    void *tap_ctx;
    float *tap_values; /* pages for the f32 copies of the largest node */
    uint64_t tap_bytes;
    int32_t n_tokens, slice_rows; /* of the running step */
    tn_error lost;                /* code 0 while the devices work */
    bool may_record;              /* decode steps, as graphs */
    tn_exec_bucket bucket[TN_BUCKET_LOG2][TN_BUCKET_LOG2][2]; /* by sequences, longest, argmax */
};

/* ---- crossing.c: edges between domains and to f32 ---- */
/** Host pointer to `bytes` at addr of a domain: itself on the host, else the staging block after a
 * copy and a wait. */
tn_status tn_exec_fetch(tn_exec_domain *domain, uint64_t addr, uint64_t bytes, const void **out,
                        tn_error *err) TN_MUST_USE;
tn_status tn_exec_cross(tn_executor *exec, int32_t edge, int32_t to, tn_error *err) TN_MUST_USE;
/** Values of an edge or view in domain d as dense f32 rows; and the other way, other columns of its
 * base untouched. */
tn_status tn_exec_read_edge(tn_executor *exec, int32_t d, int32_t edge, int32_t rows, float *values,
                            tn_error *err) TN_MUST_USE;
tn_status tn_exec_write_edge(tn_executor *exec, int32_t d, int32_t edge, int32_t rows,
                             const float *values, tn_error *err) TN_MUST_USE;

/* ---- upload.c: batch arrays ---- */
tn_status tn_exec_batch_init(tn_executor *exec, tn_error *err) TN_MUST_USE;
void tn_exec_batch_deinit(tn_executor *exec);
/** Check the step against the bounds, fill the block, padded to the bucket (NULL: none), and copy it
 * to the devices. */
tn_status tn_exec_upload(tn_executor *exec, const tn_exec_step *step, const tn_exec_bucket *bucket,
                         tn_error *err) TN_MUST_USE;
/** Make the batch of every domain show rows [row0, row0 + n) of the step. */
void tn_exec_set_slice(tn_executor *exec, int32_t row0, int32_t n);

/* ---- launch.c: one node ---- */
/** Tensors, launch structs and crossings of all nodes; needs arenas, weights, pools. */
void tn_exec_prepare_nodes(tn_executor *exec);
/** Crossings, run, tap. */
tn_status tn_exec_run_at(tn_executor *exec, int32_t node_index, tn_error *err) TN_MUST_USE;
/** Nodes from `first` on; the argmax node only when wanted. */
tn_status tn_exec_run_from(tn_executor *exec, int32_t first, bool argmax,
                           tn_error *err) TN_MUST_USE;
/** The argmax node runs only when no logits are wanted. */
bool tn_exec_wants_argmax(const tn_exec_step *step);
/** Rows of an edge in the running step. */
int32_t tn_exec_rows(const tn_executor *exec, int32_t edge);

/* ---- replay.c: decode steps as graphs ---- */
void tn_exec_replay_init(tn_executor *exec);
void tn_exec_replay_deinit(tn_executor *exec);
/** The bucket of a step; NULL: it runs node by node. */
tn_exec_bucket *tn_exec_bucket_of(tn_executor *exec, const tn_exec_step *step);
/** All nodes on the step that was uploaded for the bucket. */
tn_status tn_exec_replay(tn_executor *exec, tn_exec_bucket *bucket, bool argmax,
                         tn_error *err) TN_MUST_USE;

#endif
