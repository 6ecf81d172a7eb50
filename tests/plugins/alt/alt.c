/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/plugins/alt/alt.h"

#include "plugins/common/half.h"

#include <math.h>

tn_status alt_open(const tn_host *host, const char *name, int32_t variant, int32_t fault,
                   void **self, tn_error *err)
{
    static const char *const kinds[ALT_N_LAYOUTS] = { "f32", "f16", "bf16",  "u4z",
                                                      "u4b", "q8",  "vector" };
    alt_plugin *plugin = host->alloc(host->ctx, sizeof *plugin);
    *self = NULL;
    if (!plugin)
        return tn_plugin_fail(err, TN_NO_MEMORY, "cannot allocate %zu bytes for the handle",
                              sizeof *plugin);
    *plugin = (alt_plugin){
        .host = host, .variant = variant, .fault = fault, .nodes = host->option(host->ctx, "nodes")
    };
    for (int32_t i = 0; i < ALT_N_LAYOUTS; i++)
        (void)snprintf(plugin->layout[i], sizeof plugin->layout[i], "%s/%s.rows/1", name, kinds[i]);
    if (plugin->nodes) {
        plugin->sound = host->alloc(host->ctx, sizeof *plugin);
        if (!plugin->sound) {
            alt_close(plugin);
            return tn_plugin_fail(err, TN_NO_MEMORY, "cannot allocate a second handle");
        }
        *plugin->sound = *plugin;
        plugin->sound->fault = ALT_SOUND;
        plugin->sound->sound = NULL;
    }
    *self = plugin;
    return TN_OK;
}

void *alt_at(void *self, const tn_node *node)
{
    alt_plugin *plugin = self;
    const size_t n = strlen(node->path);
    if (!plugin->nodes)
        return plugin;
    for (const char *at = plugin->nodes; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] != 0))
        if (strcspn(at, ",") == n && memcmp(at, node->path, n) == 0)
            return plugin;
    return plugin->sound;
}

void alt_close(void *self)
{
    alt_plugin *plugin = self;
    if (!plugin)
        return;
    for (int32_t i = 0; i < plugin->n_blocks; i++)
        plugin->host->release(plugin->host->ctx, plugin->block[i].bytes);
    plugin->host->release(plugin->host->ctx, plugin->sound);
    plugin->host->release(plugin->host->ctx, plugin);
}

tn_status alt_check(void *self, const tn_node *node, int32_t n_in, int32_t out_dtype, tn_error *why)
{
    if (alt_has(self, ALT_FAULT_NOTHING))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "it supports nothing");
    TN_PLUGIN_TRY(tn_op_check_edges(node, n_in, node->n_out, out_dtype, why));
    return tn_op_check_param(node, 1, why);
}

float alt_dot(const float *x, const float *w, int32_t n, int32_t order)
{
    float p[8] = { 0 };
    int32_t mask = order == ALT_FOUR ? 3 : 7;
    for (int32_t k = 0; k < n; k++)
        p[k & mask] += x[k] * w[k];
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
}

float alt_act(const void *self, float x)
{
    if (((const alt_plugin *)self)->variant != ALT_F16)
        return x;
    return tn_half_f16_to_f32(tn_half_f32_to_f16(x));
}

void alt_norm_row(void *self, const alt_norm *norm, int64_t row, const float *x, float *out)
{
    alt_plugin *plugin = self;
    float mean = alt_dot(x, x, norm->dim, ALT_EIGHT) / (float)norm->dim;
    float root = sqrtf(mean + norm->eps);
    if (alt_has(self, ALT_FAULT_EPS))
        root = sqrtf(mean) + norm->eps;
    if (alt_has(self, ALT_FAULT_STATE) && row == 0) {
        float now = root;
        root = plugin->last_root > 0.0f ? plugin->last_root : root;
        plugin->last_root = now;
    }
    float inverse = 1.0f / root;
    for (int32_t k = 0; k < norm->dim; k++)
        out[k] = x[k] * inverse * (norm->w[k] + norm->offset);
}

float alt_glu(int32_t act, float gate, float up, float scale)
{
    const float sqrt_half = 0.70710678f, sqrt_2_over_pi = 0.79788456f;
    float y;
    if (act == TN_ACT_GELU)
        y = 0.5f * gate * (1.0f + erff(gate * sqrt_half));
    else if (act == TN_ACT_GELU_TANH)
        y = 0.5f * gate * (1.0f + tanhf(sqrt_2_over_pi * (gate + 0.044715f * gate * gate * gate)));
    else
        y = gate / (1.0f + expf(-gate));
    return y * up * scale;
}

/* ---- ALT_FAULT_STALE_BLOCK ---- */

static const alt_block *kept_block(const alt_plugin *plugin, const tn_node *node, uint64_t n_bytes,
                                   int32_t id)
{
    for (int32_t i = 0; i < plugin->n_blocks; i++) {
        const alt_block *block = &plugin->block[i];
        if (block->layer == node->layer && block->id == id && block->n_bytes == n_bytes)
            return block;
    }
    return NULL;
}

static const uint8_t *pool_block(const tn_launch *launch, int32_t id)
{
    return (const uint8_t *)(uintptr_t)launch->kv + (uint64_t)id * launch->kv_block_bytes;
}

const uint8_t *alt_kv_block(const void *self, const tn_node *node, const tn_launch *launch,
                            int32_t id)
{
    const alt_block *kept = NULL;
    if (alt_has(self, ALT_FAULT_STALE_BLOCK))
        kept = kept_block(self, node, launch->kv_block_bytes, id);
    return kept ? kept->bytes : pool_block(launch, id);
}

static void keep_block(alt_plugin *plugin, const tn_node *node, const tn_launch *launch, int32_t id)
{
    if (plugin->n_blocks == ALT_BLOCKS || kept_block(plugin, node, launch->kv_block_bytes, id))
        return;
    alt_block *block = &plugin->block[plugin->n_blocks];
    *block = (alt_block){ .bytes = plugin->host->alloc(plugin->host->ctx, launch->kv_block_bytes),
                          .n_bytes = launch->kv_block_bytes,
                          .layer = node->layer,
                          .id = id };
    if (!block->bytes)
        return;
    memcpy(block->bytes, pool_block(launch, id), launch->kv_block_bytes);
    plugin->n_blocks++;
}

void alt_keep_blocks(void *self, const tn_node *node, const tn_launch *launch)
{
    const tn_batch *batch = launch->batch;
    for (int32_t s = 0; s < batch->n_seqs; s++) {
        const int32_t *table = tn_op_ints(batch->table) + (int64_t)s * batch->table_stride;
        int32_t full = tn_op_ints(batch->kv_len)[s] / node->block_tokens;
        for (int32_t i = 0; i < full; i++)
            keep_block(self, node, launch, table[i]);
    }
}
