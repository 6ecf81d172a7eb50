/* SPDX-License-Identifier: Apache-2.0 */
/* embed, with the table packed as a linear's weights, so that a tied head shares the blob. */
#include "tests/plugins/alt/weights.h"

static tn_status table_of(void *self, const tn_node *node, alt_weights *out, uint64_t *bytes,
                          tn_error *err)
{
    const tn_embed *embed = node->param;
    *bytes = 0;
    TN_PLUGIN_TRY(
        alt_weights_init(self, embed->wfmt, embed->group, embed->values, embed->dim, out, err));
    if (embed->vocab < 1 || !tn_plugin_add_product(bytes, (uint64_t)embed->vocab, out->row_bytes))
        return tn_plugin_fail(err, TN_UNSUPPORTED, "a table of %d x %d", embed->vocab, embed->dim);
    return TN_OK;
}

tn_status alt_embed_supports(void *self, const tn_node *node, tn_error *why)
{
    alt_weights table;
    uint64_t bytes;
    TN_PLUGIN_TRY(alt_check(self, node, 0, 0, why));
    return table_of(self, node, &table, &bytes, why);
}

tn_status alt_embed_plan(void *self, const tn_node *node, tn_plan *out, tn_error *err)
{
    alt_weights table;
    *out = (tn_plan){ .size = sizeof *out, .pack_rows = 1 };
    TN_PLUGIN_TRY(table_of(self, node, &table, &out->weight_bytes, err));
    out->layout = ((const alt_plugin *)self)->layout[table.kind];
    return TN_OK;
}

tn_status alt_embed_pack(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob,
                         tn_error *err)
{
    alt_weights table;
    uint64_t bytes;
    TN_PLUGIN_TRY(table_of(self, node, &table, &bytes, err));
    return alt_weights_pack(&table, rows, blob, err);
}

tn_status alt_embed_unpack(void *self, const tn_node *node, int32_t part, int64_t row,
                           const void *blob, float *values, tn_error *err)
{
    alt_weights table;
    uint64_t bytes;
    TN_PLUGIN_TRY(table_of(self, node, &table, &bytes, err));
    if (part != 0 || row < 0 || row >= ((const tn_embed *)node->param)->vocab)
        return tn_plugin_fail(err, TN_INVALID, "part %d has no row %lld", part, (long long)row);
    table.fault = ALT_SOUND;
    alt_weights_row(&table, blob, row, values);
    return TN_OK;
}

typedef struct embed_job {
    alt_weights table;
    const tn_launch *launch;
    float scale;
} embed_job;

static void embed_range(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const embed_job *job = arg;
    const tn_launch *l = job->launch;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        float *out = tn_op_row(&l->out[0], i);
        alt_weights_row(&job->table, (const uint8_t *)(uintptr_t)l->weight,
                        tn_op_ints(l->batch->tokens)[i], out);
        for (int32_t k = 0; k < job->table.cols; k++)
            out[k] *= job->scale;
    }
}

tn_status alt_embed_run(void *self, const tn_node *node, const tn_launch *launch, tn_error *err)
{
    embed_job job = { .launch = launch,
                      .scale = tn_op_scale(((const tn_embed *)node->param)->scale) };
    uint64_t bytes;
    TN_PLUGIN_TRY(table_of(self, node, &job.table, &bytes, err));
    job.table.fault = ALT_SOUND; /* the faults of weights are those of linear */
    alt_for(self, launch->out[0].dim[0], embed_range, &job);
    return TN_OK;
}
