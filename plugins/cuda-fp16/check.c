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

tn_status fp16_check_heads(const tn_node *node, const tn_attention *attention, tn_error *why)
{
    if (attention->kv_heads < 1 || attention->heads < 1 || attention->heads % attention->kv_heads)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "%d heads are not a multiple of %d kv heads",
                              attention->heads, attention->kv_heads);
    if (attention->head_dim < 8 || attention->head_dim > FP16_MAX_HEAD_DIM ||
        attention->head_dim % 8)
        return tn_plugin_fail(why, TN_UNSUPPORTED, "head size %d, multiples of 8 to %d are taken",
                              attention->head_dim, FP16_MAX_HEAD_DIM);
    if (node->block_tokens != 16 && node->block_tokens != 32 && node->block_tokens != 64 &&
        node->block_tokens != 128)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "KV blocks of %d tokens, 16, 32, 64 and 128 are allowed",
                              node->block_tokens);
    return TN_OK;
}

tn_status fp16_check_device(const tn_host *host, fp16_device *device, tn_error *err)
{
    TN_PLUGIN_TRY(host->domain->attach(host->domain_self, host->device, err));
    int error = fp16_device_read(host->device, device);
    if (error)
        return tn_plugin_fail(err, TN_UNAVAILABLE, "device %d: %s", host->device,
                              fp16_error_text(error));
    if (device->major < 8)
        return tn_plugin_fail(err, TN_UNAVAILABLE,
                              "device %d has compute capability %d.%d, 8.0 or later is needed",
                              host->device, device->major, device->minor);
    return TN_OK;
}

tn_status fp16_launched(const tn_node *node, int error, tn_error *err)
{
    if (!error)
        return TN_OK;
    return tn_plugin_fail(err, TN_DEVICE_LOST, "%s: %s", node->op, fp16_error_text(error));
}

uint64_t fp16_kv_static_bytes(const tn_attention *attention)
{
    return attention->kv_static ? (uint64_t)attention->n_kv_static * 4 * sizeof(float) : 0;
}

tn_status fp16_kv_static_pack(const tn_attention *attention, const tn_weight_rows *rows, float *out,
                              tn_error *err)
{
    if (!rows->values || rows->cols != 4 || rows->row0 < 0 ||
        rows->row0 + rows->rows > attention->n_kv_static)
        return tn_plugin_fail(err, TN_INVALID,
                              "KV parameters are rows of 4 plain values, up to %d of them",
                              attention->n_kv_static);
    memcpy(out + rows->row0 * 4, rows->values, (size_t)rows->rows * 4 * sizeof *out);
    return TN_OK;
}
