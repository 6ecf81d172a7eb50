/* SPDX-License-Identifier: Apache-2.0 */
#include "core/graph/catalogue.h"

#include <stddef.h>
#include <string.h>

/* One row an op (docs/ops.md). Primitives first, then fused ops: the binder tries them in this
 * order, so the widest come first. */
static const tn_op_info ops[] = {
    { "embed", 0, 0, 1, TN_PARAM_EMBED, TN_PARAM_NONE, -1, false, { NULL } },
    { "rmsnorm", 1, 1, 1, TN_PARAM_NORM, TN_PARAM_NONE, -1, false, { NULL } },
    { "linear", 1, 1, 1, TN_PARAM_LINEAR, TN_PARAM_NONE, -1, false, { NULL } },
    { "add", 2, 2, 1, TN_PARAM_ROWS, TN_PARAM_NONE, 1, false, { NULL } },
    { "glu", 2, 2, 1, TN_PARAM_ROWS, TN_PARAM_NONE, 0, false, { NULL } },
    { "qk_norm", 2, 2, 2, TN_PARAM_ROPE, TN_PARAM_NONE, 0, false, { NULL } },
    { "rope", 2, 2, 2, TN_PARAM_ROPE, TN_PARAM_NONE, 0, false, { NULL } },
    { "kv_write", 2, 2, 0, TN_PARAM_ATTENTION, TN_PARAM_NONE, -1, true, { NULL } },
    { "attention", 1, 1, 1, TN_PARAM_ATTENTION, TN_PARAM_NONE, -1, true, { NULL } },
    { "gather_rows", 1, 1, 1, TN_PARAM_ROWS, TN_PARAM_NONE, -1, false, { NULL } },
    { "argmax", 1, 1, 1, TN_PARAM_ROWS, TN_PARAM_NONE, -1, false, { NULL } },

    { "norm_linear_glu",
      1,
      1,
      1,
      TN_PARAM_LINEAR,
      TN_PARAM_NONE,
      -1,
      false,
      { "rmsnorm", "linear", "glu" } },
    { "norm_linear", 1, 1, 1, TN_PARAM_LINEAR, TN_PARAM_NONE, -1, false, { "rmsnorm", "linear" } },
    { "linear_glu", 1, 1, 1, TN_PARAM_LINEAR, TN_PARAM_NONE, -1, false, { "linear", "glu" } },
    { "linear_add", 2, 2, 1, TN_PARAM_LINEAR, TN_PARAM_NONE, 1, false, { "linear", "add" } },
    /* Without qk_norm in the model the chain is rope, kv_write; a pattern's leading qk_norm is
       optional. */
    { "rope_kv_write",
      3,
      3,
      1,
      TN_PARAM_ROPE,
      TN_PARAM_ATTENTION,
      0,
      true,
      { "qk_norm", "rope", "kv_write" } },
    { NULL, 0, 0, 0, 0, 0, -1, false, { NULL } },
};

const tn_op_info *tn_op_find(const char *name)
{
    for (const tn_op_info *op = ops; op->name; op++)
        if (strcmp(op->name, name) == 0)
            return op;
    return NULL;
}

const tn_op_info *tn_op_table(void)
{
    return ops;
}
