/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the bound graph on one batch. Owns activations, workspace, batch arrays and KV pools in each domain; all memory is planned
 * and taken at create, none during a step. Nodes are enqueued on the domain's stream; the executor waits once, for the logits.
 * Edges that cross from the device to the host fallback (or back) are copied and converted, as planned at create.
 * Thread: one thread at a time (the engine's).
 */
#ifndef TN_CORE_EXEC_EXECUTOR_H
#define TN_CORE_EXEC_EXECUTOR_H

#include "core/exec/memory_plan.h"
#include "core/weights/weight_store.h"

typedef struct tn_executor tn_executor;

typedef struct tn_executor_args {
    const tn_binding *binding;
    const tn_weight_store *weights;
    int32_t n_blocks;          /* KV blocks of each layer's pool */
    int32_t table_stride;      /* block ids a sequence */
    int32_t max_tables;        /* rope tables: 1, or one a running sequence */
    bool keep_all;             /* taps: every edge keeps its value */
} tn_executor_args;

/* One step, host arrays as in tn_batch; valid during the call. */
typedef struct tn_exec_step {
    int32_t n_tokens, n_seqs, n_decode, n_rows, max_q, max_kv, n_tables;
    const int32_t *tokens, *pos, *slot, *q_start, *kv_len, *rope_index, *table, *rows;
    const float *rope_table;      /* [n_tables][rotary_dim / 2] */
    int32_t n_copies;             /* KV blocks to copy before the step (copy on write), in every layer */
    const int32_t *copy_src, *copy_dst;
    float *logits;                /* [n_rows][vocab], written; NULL: not wanted */
    /* Instead of logits, and without a copy on the host: called for each slice of at most max_rows rows; row r of it begins at
       logits + (r - row0) * stride. Borrowed during the call. NULL: not wanted. */
    void (*on_rows)(void *ctx, int32_t row0, int32_t n_rows, const float *logits, int64_t stride);
    void *ctx;
    int32_t *argmax;              /* [n_rows], written; NULL: not wanted. The argmax node runs only when no logits are wanted */
} tn_exec_step;

/* A tap sees each node after it ran, with host copies (f32) of inputs and outputs. Needs keep_all. */
typedef struct tn_tap_edge {
    const char *name;
    const float *values;          /* [rows][width] */
    int32_t rows, width;
} tn_tap_edge;
typedef void (*tn_tap_fn)(void *ctx, const tn_bound_node *node, int32_t n_in, const tn_tap_edge *in, int32_t n_out, const tn_tap_edge *out);

tn_status tn_executor_create(const tn_executor_args *args, tn_executor **out, tn_error *err) TN_MUST_USE;
void tn_executor_destroy(tn_executor *exec);
/** Run the step to its end. TN_DEVICE_LOST poisons the executor: later calls fail at once. */
tn_status tn_executor_run(tn_executor *exec, const tn_exec_step *step, tn_error *err) TN_MUST_USE;
void tn_executor_set_tap(tn_executor *exec, tn_tap_fn tap, void *ctx);
/**
 * Run one node alone on given inputs (check): in[i] are f32 host arrays of the node's input edges, out[i] f32 host arrays that are
 * written; the step gives the batch. KV reads and writes go to the pools as they are.
 */
tn_status tn_executor_run_node(tn_executor *exec, int32_t node_index, const tn_exec_step *step, const float *const *in, float *const *out,
                               tn_error *err) TN_MUST_USE;
/** The bytes of one KV block of a layer, in host memory; valid until the executor is used again. */
tn_status tn_executor_read_kv(tn_executor *exec, int32_t layer, int32_t block, const void **out, tn_error *err) TN_MUST_USE;

/** rows x width elements from one dtype and row stride to another; through f32 unless they are
 * equal. Any of f32 f16 bf16; i32 to i32. */
void tn_convert_rows(const void *src, int32_t src_dtype, int64_t src_stride, void *dst,
                     int32_t dst_dtype, int64_t dst_stride, int32_t rows, int32_t width);

typedef struct tn_executor_memory {
    uint64_t weights, activations, workspace, kv, batch; /* bytes over all domains */
} tn_executor_memory;
tn_executor_memory tn_executor_memory_use(const tn_executor *exec);
/** Bytes that the kernels of a domain need: workspace, of which they share the largest, and zeroed areas. Pure. */
void tn_executor_kernel_bytes(const tn_binding *binding, int32_t domain, uint64_t *workspace, uint64_t *zeroed);

#endif
