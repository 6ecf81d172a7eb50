/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/cpu-ref/ref.h"

#include "plugins/cpu-ref/kernels.h"

#include <string.h>

tn_status tn_cpu_ref_open(const tn_host *host, void **self, tn_error *err)
{
    *self = NULL;
    ref_plugin *plugin = host->alloc(host->ctx, sizeof *plugin);
    if (!plugin)
        return tn_plugin_fail(err, TN_NO_MEMORY, "cannot allocate %zu bytes for cpu-ref's handle",
                              sizeof *plugin);
    plugin->host = host;
    *self = plugin;
    return TN_OK;
}

void tn_cpu_ref_close(void *self)
{
    ref_plugin *plugin = self;
    if (plugin)
        plugin->host->release(plugin->host->ctx, plugin);
}

int32_t ref_sequence_of(const tn_batch *batch, int64_t token)
{
    const int32_t *q_start = ref_ints(batch->q_start);
    const int32_t *kv_len = ref_ints(batch->kv_len);
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

tn_status ref_check_edges(const tn_node *node, int32_t n_in, int32_t n_out, int32_t out_dtype,
                          tn_error *why)
{
    if (node->n_in != n_in || node->n_out != n_out)
        return tn_plugin_fail(why, TN_UNSUPPORTED,
                              "%s has %d inputs and %d outputs, cpu-ref takes %d and %d", node->op,
                              node->n_in, node->n_out, n_in, n_out);
    for (int32_t i = 0; i < n_in; i++)
        if (node->in_dtype[i] != TN_F32)
            return tn_plugin_fail(why, TN_UNSUPPORTED, "input %d is of dtype %d, cpu-ref reads f32",
                                  i, node->in_dtype[i]);
    int32_t wanted = out_dtype ? out_dtype : TN_F32;
    for (int32_t i = 0; i < n_out; i++)
        if (node->out_dtype[i] != wanted)
            return tn_plugin_fail(why, TN_UNSUPPORTED,
                                  "output %d is of dtype %d, cpu-ref writes %s", i,
                                  node->out_dtype[i], out_dtype ? "i32" : "f32");
    return TN_OK;
}

tn_status ref_check_param(const tn_node *node, int32_t n_params, tn_error *why)
{
    if (!node->param || (n_params > 1 && !node->param2))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "the node has no parameters");
    return TN_OK;
}

tn_status ref_pack_vector(const tn_weight_rows *rows, int64_t count, float *out, tn_error *err)
{
    if (!rows->values || rows->rows != 1 || rows->row0 != 0 || rows->cols != count)
        return tn_plugin_fail(err, TN_INVALID,
                              "part %d is %d x %d, cpu-ref wants one row of %lld plain values",
                              rows->part, rows->rows, rows->cols, (long long)count);
    memcpy(out, rows->values, (size_t)count * sizeof *out);
    return TN_OK;
}
