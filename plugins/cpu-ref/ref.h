/* SPDX-License-Identifier: Apache-2.0 */
/* What cpu-ref's files share: the handle, access to tensors, and the checks that supports()
 * functions have in common. */
#ifndef TN_PLUGINS_CPU_REF_REF_H
#define TN_PLUGINS_CPU_REF_REF_H

#include "plugins/common/plugin_util.h"

#include <tenon/plugin.h>

#include <stddef.h>

enum { REF_MAX_HEAD_DIM = 1024, REF_MAX_IN = 4, REF_MAX_OUT = 2 };
enum { REF_FLAGS = TN_K_CAPTURE_SAFE | TN_K_DETERMINISTIC | TN_K_BATCH_INVARIANT };

typedef struct ref_plugin {
    const tn_host *host;
} ref_plugin;

typedef void (*ref_range_fn)(void *arg, int64_t i0, int64_t i1, int32_t worker);

static inline void ref_for(void *self, int64_t n, ref_range_fn fn, void *arg)
{
    const tn_host *host = ((const ref_plugin *)self)->host;
    if (n > 0)
        host->parallel_for(host->ctx, n, fn, arg);
}

static inline int32_t ref_workers(void *self)
{
    const tn_host *host = ((const ref_plugin *)self)->host;
    return host->workers(host->ctx);
}

/* Domain addresses are host addresses here: the domain is "host", or one that translated them
 * before the call. */
static inline const int32_t *ref_ints(uint64_t addr)
{
    return (const int32_t *)(uintptr_t)addr;
}

static inline float *ref_floats(uint64_t addr)
{
    return (float *)(uintptr_t)addr;
}

/** Row `row` of a [rows, width] or [rows, heads, dim] tensor of f32. */
static inline float *ref_row(const tn_tensor *tensor, int64_t row)
{
    return ref_floats(tensor->addr) + row * tensor->stride[0];
}

/** Head `head` of row `row`; in a rank-2 tensor heads of `dim` elements follow each other. */
static inline float *ref_head(const tn_tensor *tensor, int64_t row, int32_t head, int32_t dim)
{
    int64_t stride = tensor->rank >= 3 ? tensor->stride[1] : dim;
    return ref_row(tensor, row) + head * stride;
}

/** A scalar parameter whose 0 means 1. */
static inline double ref_scale(float scale)
{
    return scale == 0.0f ? 1.0 : (double)scale;
}

/** Rows that a node's input may have: tokens before gather_rows, wanted rows after it. */
static inline int32_t ref_max_rows(const tn_node *node)
{
    return node->max_tokens > node->max_rows ? node->max_tokens : node->max_rows;
}

/**
 * Sequence of a token by q_start[n_seqs + 1] (ascending, empty ranges allowed), or -1 for padding:
 * a token outside every range, or of a sequence with kv_len 0.
 */
int32_t ref_sequence_of(const tn_batch *batch, int64_t token);

/** Inputs and outputs are as many as the op has, and all are f32 (out_dtype 0 means f32). */
tn_status ref_check_edges(const tn_node *node, int32_t n_in, int32_t n_out, int32_t out_dtype,
                          tn_error *why);
/** TN_UNSUPPORTED unless param (and param2 when asked) is there. */
tn_status ref_check_param(const tn_node *node, int32_t n_params, tn_error *why);

/** pack() of a plain vector of `count` f32 values. */
tn_status ref_pack_vector(const tn_weight_rows *rows, int64_t count, float *out, tn_error *err);

#endif
