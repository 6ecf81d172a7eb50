/* SPDX-License-Identifier: Apache-2.0 */
/* The stream thread's side of a kernel: every device address becomes a host pointer, bounds
 * checked, and cpu-ref runs. */
#include "tests/plugins/domain-sim/sim.h"

#include <string.h>

typedef struct translation {
    sim *device;
    const char *path;
    tn_error *err;
    tn_status status;
} translation;

/* *addr, pointing at bytes of device memory, becomes a host pointer; 0 stays 0. */
static void translate(translation *t, uint64_t *addr, uint64_t bytes, const char *what)
{
    if (t->status || *addr == 0)
        return;
    void *real = sim_translate(&t->device->memory, *addr, bytes);
    if (!real)
        t->status =
            tn_plugin_fail(t->err, TN_INTERNAL,
                           "simdev: %s: %s at 0x%llx, %llu bytes, is outside every "
                           "allocation",
                           t->path, what, (unsigned long long)*addr, (unsigned long long)bytes);
    *addr = (uint64_t)(uintptr_t)real;
}

static uint64_t dtype_bytes(int32_t dtype)
{
    if (dtype == TN_F16 || dtype == TN_BF16)
        return 2;
    return dtype == TN_I8 || dtype == TN_U8 ? 1 : 4;
}

static void translate_tensor(translation *t, tn_tensor *tensor)
{
    uint64_t last = 0;

    for (int32_t i = 0; i < tensor->rank && i < 4; i++) {
        if (tensor->dim[i] <= 0) {
            tensor->addr = 0; /* empty: nothing may be touched */
            return;
        }
        last += (uint64_t)(tensor->dim[i] - 1) * (uint64_t)tensor->stride[i];
    }
    translate(t, &tensor->addr, (last + 1) * dtype_bytes(tensor->dtype),
              tensor->name ? tensor->name : "a tensor");
}

static uint64_t rope_table_bytes(const tn_node *node, const tn_batch *batch)
{
    if (strcmp(node->op, "rope") != 0 && strcmp(node->op, "rope_kv_write") != 0)
        return 4;
    const tn_rope *rope = node->param;
    return (uint64_t)batch->n_tables * (uint64_t)(rope->rotary_dim / 2) * 4;
}

static void translate_batch(translation *t, const tn_node *node, tn_batch *b)
{
    const uint64_t tokens = (uint64_t)b->n_tokens * 4, seqs = (uint64_t)b->n_seqs * 4;

    translate(t, &b->tokens, tokens, "batch.tokens");
    translate(t, &b->pos, tokens, "batch.pos");
    translate(t, &b->slot, tokens, "batch.slot");
    translate(t, &b->q_start, seqs + 4, "batch.q_start");
    translate(t, &b->kv_len, seqs, "batch.kv_len");
    translate(t, &b->rope_index, seqs, "batch.rope_index");
    translate(t, &b->table, seqs * (uint64_t)b->table_stride, "batch.table");
    translate(t, &b->rows, (uint64_t)b->n_rows * 4, "batch.rows");
    translate(t, &b->rope_table, rope_table_bytes(node, b), "batch.rope_table");
    /* A device cannot read these. */
    b->h_tokens = b->h_pos = b->h_slot = b->h_q_start = NULL;
    b->h_kv_len = b->h_rope_index = b->h_table = b->h_rows = NULL;
    b->h_rope_table = NULL;
}

static int32_t max_of(uint64_t addr, int32_t n, int32_t so_far)
{
    const int32_t *values = (const int32_t *)(uintptr_t)addr;

    for (int32_t i = 0; values && i < n; i++)
        so_far = values[i] > so_far ? values[i] : so_far;
    return so_far;
}

/* Blocks that this batch writes or reads, from the arrays on the device (already translated): the
 * pool must hold them. */
static uint64_t used_blocks(const tn_node *node, const tn_batch *b)
{
    const int32_t *kv_len = (const int32_t *)(uintptr_t)b->kv_len;
    int32_t block = max_of(b->slot, b->n_tokens, -1);

    block = block < 0 ? 0 : block / node->block_tokens;
    for (int32_t s = 0; kv_len && b->table && s < b->n_seqs; s++) {
        const int32_t n = (kv_len[s] + node->block_tokens - 1) / node->block_tokens;
        block = max_of(b->table + (uint64_t)s * (uint64_t)b->table_stride * 4,
                       n < b->table_stride ? n : b->table_stride, block);
    }
    return (uint64_t)block + 1;
}

tn_status sim_launch_run(sim *s, sim_launch *l, tn_error *err)
{
    tn_launch *launch = &l->launch;
    translation t = { .device = s, .path = l->node->path, .err = err };

    for (uint32_t i = 0; i < launch->n_in; i++)
        translate_tensor(&t, &l->in[i]);
    for (uint32_t i = 0; i < launch->n_out; i++)
        translate_tensor(&t, &l->out[i]);
    translate_batch(&t, l->node, &l->batch);
    translate(&t, &launch->weight, l->weight_bytes, "its weights");
    translate(&t, &launch->workspace, launch->workspace_bytes, "its workspace");
    translate(&t, &launch->zeroed, l->zeroed_bytes, "its zeroed bytes");
    if (t.status == TN_OK && l->node->kvfmt)
        translate(&t, &launch->kv, used_blocks(l->node, &l->batch) * launch->kv_block_bytes,
                  "its KV pool");
    if (t.status)
        return t.status;
    launch->in = l->in;
    launch->out = l->out;
    launch->batch = &l->batch;
    launch->stream = NULL;
    return l->kernel->run(s->ref, l->node, launch, err);
}
