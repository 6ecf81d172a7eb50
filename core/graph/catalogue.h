/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The op catalogue: one row an op. Fused ops name the primitives they stand for, in order; the binder uses that to fuse,
 * the checker to decompose. Order of inputs, outputs and weight parts: docs/ops.md.
 */
#ifndef TN_CORE_GRAPH_CATALOGUE_H
#define TN_CORE_GRAPH_CATALOGUE_H

#include <tenon/plugin.h>

#include <stdbool.h>

enum { TN_MAX_IN = 4, TN_MAX_OUT = 2, TN_MAX_PARTS = 8, TN_MAX_FUSED = 3 };

/* Which struct of plugin.h a node's param (param2) points to. */
enum { TN_PARAM_NONE = 0, TN_PARAM_EMBED, TN_PARAM_NORM, TN_PARAM_LINEAR, TN_PARAM_ROWS, TN_PARAM_ROPE, TN_PARAM_ATTENTION };

typedef struct tn_op_info {
    const char *name;
    int8_t min_in, max_in, n_out;
    int8_t param, param2;
    int8_t alias_in;                  /* with TN_K_IN_PLACE out[0] may be in[alias_in]; -1: never. rope, qk_norm: out[i] == in[i] */
    bool uses_kv;                     /* reads or writes the layer's KV pool */
    const char *fused[TN_MAX_FUSED];  /* a fused op's primitives in order; fused[0] NULL for a primitive */
} tn_op_info;

/** The row of `name`, or NULL. Rows are static. */
const tn_op_info *tn_op_find(const char *name);
/** All rows, ending with a row whose name is NULL: primitives first, then fused ops, the widest first. */
const tn_op_info *tn_op_table(void);

#endif
