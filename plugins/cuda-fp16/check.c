/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cuda-fp16/fp16.h"

#include <string.h>

static int is_act(int32_t dtype)
{
    return dtype == TN_F16 || dtype == TN_BF16;
}

static int is_taken(const tn_node *node, char letter, int32_t dtype)
{
    switch (letter) {
    case 'a':
        return dtype == node->act_dtype;
    case 'x':
        return dtype == node->act_dtype || dtype == TN_F32;
    case 'i':
        return dtype == TN_I32;
    default:
        return dtype == TN_F32;
    }
}

tn_status fp16_check_node(const tn_node *node, const char *in, const char *out, tn_error *why)
{
    int32_t n_in = (int32_t)strlen(in), n_out = (int32_t)strlen(out);
    TN_PLUGIN_TRY(tn_op_check_param(node, 1, why));
    if (!is_act(node->act_dtype) || node->resid_dtype != TN_F32)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "activations of dtype %d on a residual stream of dtype %d: f16 or "
                              "bf16 on f32 are taken",
                              node->act_dtype, node->resid_dtype);
    if (node->n_in != n_in || node->n_out != n_out)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "%s has %d inputs and %d outputs, %d and %d are taken", node->op,
                              node->n_in, node->n_out, n_in, n_out);
    for (int32_t i = 0; i < n_in; i++)
        if (!is_taken(node, in[i], node->in_dtype[i]))
            return tn_plugin_fail(why, TN_UNSUPPORTED, "input %d is of dtype %d", i,
                                  node->in_dtype[i]);
    for (int32_t i = 0; i < n_out; i++)
        if (!is_taken(node, out[i], node->out_dtype[i]))
            return tn_plugin_fail(why, TN_UNSUPPORTED, "output %d is of dtype %d", i,
                                  node->out_dtype[i]);
    return TN_OK;
}

tn_status fp16_launched(const tn_node *node, int error, tn_error *err)
{
    if (!error)
        return TN_OK;
    return tn_plugin_fail(err, TN_DEVICE_LOST, "%s: %s", node->op, fp16_error_text(error));
}
