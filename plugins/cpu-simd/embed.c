/* SPDX-License-Identifier: Apache-2.0 */
/* embed: scale * row of the table, which has the layout of a linear's weights, so that a tied head
 * shares the blob. */
#include "plugins/cpu-simd/linear.h"
#include "plugins/cpu-simd/ops.h"
#include "plugins/cpu-simd/simd.h"
#include "plugins/cpu-simd/weights.h"

static tn_status embed_format(const void *self, const tn_node *node, simd_weights *format,
                              tn_error *err)
{
    const simd_plugin *plugin = self;
    const tn_embed *embed = node->param;
    return simd_weights_init(embed->wfmt, embed->group, embed->values, embed->dim, plugin->exact,
                             format, err);
}

static tn_status check_embed(const void *self, const tn_node *node, int32_t recoded, tn_error *why)
{
    simd_weights format;
    uint64_t bytes = 0;
    TN_PLUGIN_TRY(tn_op_check_edges(node, 0, 1, 0, why));
    TN_PLUGIN_TRY(tn_op_check_param(node, 1, why));
    TN_PLUGIN_TRY(embed_format(self, node, &format, why));
    const tn_embed *embed = node->param;
    TN_PLUGIN_TRY(simd_weights_check_twin(&format, recoded, embed->wfmt, why));
    if (embed->vocab < 1 || !simd_weights_add_bytes(&format, embed->vocab, &bytes))
        return tn_plugin_fail(why, TN_UNSUPPORTED, "a table of %d x %d cannot be packed",
                              embed->vocab, embed->dim);
    return TN_OK;
}

static tn_status embed_supports(void *self, const tn_node *node, tn_error *why)
{
    return check_embed(self, node, 0, why);
}

static tn_status embed_w8_supports(void *self, const tn_node *node, tn_error *why)
{
    return check_embed(self, node, 1, why);
}

static tn_status embed_plan(void *self, const tn_node *node, tn_plan *plan, tn_error *err)
{
    simd_weights format;
    TN_PLUGIN_TRY(embed_format(self, node, &format, err));
    *plan = (tn_plan){ .size = sizeof *plan,
                       .pack_rows = SIMD_TILE,
                       .layout = simd_linear_layout(format.kind, SIMD_LAYOUT_PLAIN) };
    if (!simd_weights_add_bytes(&format, ((const tn_embed *)node->param)->vocab,
                                &plan->weight_bytes))
        return tn_plugin_fail(err, TN_INVALID, "%s: the table is too large", node->path);
    return TN_OK;
}

static tn_status embed_pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                            tn_error *err)
{
    simd_weights format;
    TN_PLUGIN_TRY(embed_format(self, node, &format, err));
    if (rows->part != 0 || rows->row0 + rows->rows > ((const tn_embed *)node->param)->vocab)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d, rows up to %lld are not in the table",
                              node->path, rows->part, (long long)(rows->row0 + rows->rows));
    return simd_weights_pack(&format, rows, blob, err);
}

static tn_status embed_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                              const void *blob, float *values, tn_error *err)
{
    simd_weights format;
    TN_PLUGIN_TRY(embed_format(self, node, &format, err));
    if (part != 0 || row < 0 || row >= ((const tn_embed *)node->param)->vocab)
        return tn_plugin_fail(err, TN_INVALID, "%s: part %d has no row %lld", node->path, part,
                              (long long)row);
    simd_weights_row(&format, blob, row, 1.0f, values);
    return TN_OK;
}

typedef struct embed_job {
    simd_weights format;
    const tn_launch *launch;
    float scale;
} embed_job;

static void embed_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const embed_job *job = arg;
    const int32_t *tokens = tn_op_ints(job->launch->batch->tokens);
    const uint8_t *table = (const uint8_t *)(uintptr_t)job->launch->weight;
    (void)worker;
    for (int64_t i = i0; i < i1; i++)
        simd_weights_row(&job->format, table, tokens[i], job->scale,
                         tn_op_row(&job->launch->out[0], i));
}

static tn_status embed_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    const tn_embed *embed = node->param;
    embed_job job = { .launch = launch, .scale = tn_op_scale(embed->scale) };
    const int32_t *tokens = tn_op_ints(launch->batch->tokens);
    int64_t n = launch->out[0].dim[0];
    TN_PLUGIN_TRY(embed_format(self, node, &job.format, err));
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= embed->vocab)
            return tn_plugin_fail(err, TN_INVALID,
                                  "%s: token %lld has id %d, the table has %d rows", node->path,
                                  (long long)i, tokens[i], embed->vocab);
    if (n == 1)
        embed_range(&job, 0, 1, 0);
    else
        simd_for(self, n, embed_range, &job);
    return TN_OK;
}

#define EMBED_KERNEL(suffix, class, supports_it)                                                   \
    {                                                                                              \
        .size = sizeof(tn_kernel), .flags = SIMD_FLAGS, .op = "embed",                             \
        .name = "cpu-simd.embed" suffix, .tolerance = class, .supports = supports_it,              \
        .plan = embed_plan, .pack = embed_pack, .unpack = embed_unpack, .run = embed_run           \
    }

const tn_kernel simd_embed = EMBED_KERNEL("", "f32acc", embed_supports);
const tn_kernel simd_embed_w8 = EMBED_KERNEL(".w8", "w8", embed_w8_supports);
