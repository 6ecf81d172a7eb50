/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plugins of the host domain share: access to tensors and batch arrays, and the checks that
 * supports() functions have in common. Arithmetic stays in each plugin, so that one is a proof of
 * the other. Addresses are host pointers here. Thread: any; all is pure.
 */
#ifndef TN_PLUGINS_COMMON_HOST_OP_H
#define TN_PLUGINS_COMMON_HOST_OP_H

#include "plugins/common/op_check.h"

#include <tenon/plugin.h>

#include <stddef.h>
#include <string.h>

static inline const int32_t *tn_op_ints(uint64_t addr)
{
    return (const int32_t *)(uintptr_t)addr;
}

static inline float *tn_op_floats(uint64_t addr)
{
    return (float *)(uintptr_t)addr;
}

/** Row `row` of a [rows, width] or [rows, heads, dim] tensor of f32. */
static inline float *tn_op_row(const tn_tensor *tensor, int64_t row)
{
    return tn_op_floats(tensor->addr) + row * tensor->stride[0];
}

/** Head `head` of row `row`; in a rank-2 tensor heads of `dim` elements follow each other. */
static inline float *tn_op_head(const tn_tensor *tensor, int64_t row, int32_t head, int32_t dim)
{
    int64_t stride = tensor->rank >= 3 ? tensor->stride[1] : dim;
    return tn_op_row(tensor, row) + head * stride;
}

/** Rows that a node's input may have: tokens before gather_rows, wanted rows after it. */
static inline int32_t tn_op_max_rows(const tn_node *node)
{
    return node->max_tokens > node->max_rows ? node->max_tokens : node->max_rows;
}

/**
 * Sequence of a token by q_start[n_seqs + 1] (ascending, empty ranges allowed), or -1 for padding:
 * a token outside every range, or of a sequence with kv_len 0.
 */
static inline int32_t tn_op_sequence_of(const tn_batch *batch, int64_t token)
{
    const int32_t *q_start = tn_op_ints(batch->q_start);
    const int32_t *kv_len = tn_op_ints(batch->kv_len);
    int32_t low = 0, high = batch->n_seqs; /* q_start[low] <= token < q_start[high] */
    if (high < 1 || token < q_start[0] || token >= q_start[high])
        return -1;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (q_start[middle] <= token)
            low = middle;
        else
            high = middle;
    }
    return kv_len[low] > 0 ? low : -1;
}

/** Inputs and outputs are as many as the op has, and all are f32 (out_dtype 0 means f32). */
static inline tn_status tn_op_check_edges(const tn_node *node, int32_t n_in, int32_t n_out,
                                          int32_t out_dtype, tn_error *why)
{
    if (node->n_in != n_in || node->n_out != n_out)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "%s has %d inputs and %d outputs, %d and %d are taken", node->op,
                              node->n_in, node->n_out, n_in, n_out);
    for (int32_t i = 0; i < n_in; i++)
        if (node->in_dtype[i] != TN_F32)
            return tn_plugin_fail(why, TN_UNSUPPORTED, "input %d is of dtype %d, f32 is read", i,
                                  node->in_dtype[i]);
    int32_t wanted = out_dtype ? out_dtype : TN_F32;
    for (int32_t i = 0; i < n_out; i++)
        if (node->out_dtype[i] != wanted)
            return tn_plugin_fail(why, TN_UNSUPPORTED, "output %d is of dtype %d, %s is written", i,
                                  node->out_dtype[i], out_dtype ? "i32" : "f32");
    return TN_OK;
}

#endif
