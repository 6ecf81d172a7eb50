/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that supports() and pack() of every plugin have in common, whatever memory its tensors lie
 * in. Thread: any; all is pure. */
#ifndef TN_PLUGINS_COMMON_OP_CHECK_H
#define TN_PLUGINS_COMMON_OP_CHECK_H

#include "plugins/common/plugin_util.h"

#include <string.h>

/** A scalar parameter whose 0 means 1. */
static inline float tn_op_scale(float scale)
{
    return scale == 0.0f ? 1.0f : scale;
}

/** TN_UNSUPPORTED unless param (and param2 when n_params is 2) is there. */
static inline tn_status tn_op_check_param(const tn_node *node, int32_t n_params, tn_error *why)
{
    if (!node->param || (n_params > 1 && !node->param2))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "the node has no parameters");
    return TN_OK;
}

/** TN_UNSUPPORTED for an activation that is none of TN_ACT_*. */
static inline tn_status tn_op_check_act(int32_t act, tn_error *why)
{
    if (act == TN_ACT_SILU || act == TN_ACT_GELU || act == TN_ACT_GELU_TANH)
        return TN_OK;
    return tn_plugin_fail(why, TN_UNSUPPORTED,
                          "activation %d, 1 (silu), 2 (gelu) and 3 (gelu_tanh) are known", act);
}

/** pack() of a plain vector of `count` f32 values. */
static inline tn_status tn_op_pack_vector(const tn_weight_rows *rows, int64_t count, float *out,
                                          tn_error *err)
{
    if (!rows->values || rows->rows != 1 || rows->row0 != 0 || rows->cols != count)
        return tn_plugin_fail(err, TN_INVALID,
                              "part %d is %d x %d, one row of %lld plain values is needed",
                              rows->part, rows->rows, rows->cols, (long long)count);
    memcpy(out, rows->values, (size_t)count * sizeof *out);
    return TN_OK;
}

#endif
