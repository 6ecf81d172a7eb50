/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arrays of a step lie in one block at fixed offsets, so that one copy brings them to a device
 * and addresses stay the same from step to step (graph capture needs that). The block is not
 * written again before the step's last wait.
 */
#include "core/base/alloc.h"
#include "core/exec/exec_internal.h"

#include <string.h>

/* Order in the block. */
enum { TOKENS, POS, SLOT, Q_START, KV_LEN, ROPE_INDEX, TABLE, ROWS, ROPE_TABLE };

enum { ARRAY_ALIGN = 256 };

tn_status tn_exec_batch_init(tn_executor *exec, tn_error *err)
{
    const tn_binding *b = exec->binding;
    size_t seqs = (size_t)b->max_seqs;
    size_t table = seqs * (size_t)exec->args.table_stride; /* both int32: fits */
    const size_t count[TN_BATCH_ARRAYS] = {
        [TOKENS] = (size_t)b->max_tokens,
        [POS] = (size_t)b->max_tokens,
        [SLOT] = (size_t)b->max_tokens,
        [Q_START] = seqs + 1,
        [KV_LEN] = seqs,
        [ROPE_INDEX] = seqs,
        [TABLE] = table,
        [ROWS] = (size_t)b->max_tokens,
        [ROPE_TABLE] = (size_t)exec->args.max_tables * (size_t)exec->half_rotary,
    };
    const tn_device *device = &exec->domain[0].device;
    void *block = NULL;
    for (int32_t i = 0; i < TN_BATCH_ARRAYS; i++) {
        exec->batch_offset[i] = exec->batch_bytes;
        exec->batch_bytes +=
            (count[i] * sizeof(int32_t) + ARRAY_ALIGN - 1) / ARRAY_ALIGN * ARRAY_ALIGN;
    }
    TN_TRY(device->domain->host_alloc(device->self, exec->batch_bytes, &block, err));
    exec->batch_block = block;
    memset(block, 0, (size_t)exec->batch_bytes);
    for (int32_t d = 0; d < b->n_domains; d++)
        if (!exec->domain[d].is_host)
            TN_TRY(tn_domain_memory_alloc(&exec->domain[d].device, exec->domain[d].stream,
                                          exec->batch_bytes, "batch arrays",
                                          &exec->domain[d].batch_memory, err));
    return TN_OK;
}

void tn_exec_batch_deinit(tn_executor *exec)
{
    const tn_device *device = &exec->domain[0].device;
    for (int32_t d = 0; d < TN_MAX_DOMAINS; d++)
        tn_domain_memory_release(&exec->domain[d].batch_memory);
    if (exec->batch_block)
        device->domain->host_release(device->self, exec->batch_block);
}

static tn_status check_step(const tn_executor *exec, const tn_exec_step *s, tn_error *err)
{
    const tn_binding *b = exec->binding;
    if (s->n_tokens < 1 || s->n_tokens > b->max_tokens || s->n_seqs < 1 || s->n_seqs > b->max_seqs)
        return tn_fail(err, TN_INVALID,
                       "a step of %d tokens in %d sequences: 1 to %d tokens in 1 to %d sequences "
                       "are allowed",
                       s->n_tokens, s->n_seqs, b->max_tokens, b->max_seqs);
    if (s->n_rows < 0 || s->n_rows > s->n_tokens || s->n_tables < 0 ||
        s->n_tables > exec->args.max_tables)
        return tn_fail(err, TN_INVALID,
                       "a step of %d tokens with %d rows and %d rope tables: at most a row a token "
                       "and %d tables are allowed",
                       s->n_tokens, s->n_rows, s->n_tables, exec->args.max_tables);
    if (s->max_kv > b->max_ctx)
        return tn_fail(err, TN_INVALID, "a sequence of %d tokens: at most %d are allowed",
                       s->max_kv, b->max_ctx);
    return TN_OK;
}

static void put(tn_executor *exec, int32_t array, const void *values, size_t n)
{
    if (n > 0)
        memcpy((char *)exec->batch_block + exec->batch_offset[array], values, n * sizeof(int32_t));
}

static void point_at(tn_executor *exec, tn_exec_domain *domain, const tn_exec_step *s)
{
    uint64_t host = (uint64_t)(uintptr_t)exec->batch_block;
    uint64_t base = domain->is_host ? host : domain->batch_memory.addr;
    const uint64_t *at = exec->batch_offset;
    const char *h = exec->batch_block;
    domain->batch = (tn_batch){
        .size = sizeof(tn_batch),
        .n_tokens = s->n_tokens,
        .n_seqs = s->n_seqs,
        .n_decode = s->n_decode,
        .n_rows = s->n_rows,
        .max_q = s->max_q,
        .max_kv = s->max_kv,
        .table_stride = exec->args.table_stride,
        .n_tables = s->n_tables,
        .tokens = base + at[TOKENS],
        .pos = base + at[POS],
        .slot = base + at[SLOT],
        .q_start = base + at[Q_START],
        .kv_len = base + at[KV_LEN],
        .rope_index = base + at[ROPE_INDEX],
        .table = base + at[TABLE],
        .rows = base + at[ROWS],
        .rope_table = base + at[ROPE_TABLE],
        .h_tokens = (const void *)(h + at[TOKENS]),
        .h_pos = (const void *)(h + at[POS]),
        .h_slot = (const void *)(h + at[SLOT]),
        .h_q_start = (const void *)(h + at[Q_START]),
        .h_kv_len = (const void *)(h + at[KV_LEN]),
        .h_rope_index = (const void *)(h + at[ROPE_INDEX]),
        .h_table = (const void *)(h + at[TABLE]),
        .h_rows = (const void *)(h + at[ROWS]),
        .h_rope_table = (const void *)(h + at[ROPE_TABLE]),
    };
}

/* Sequences of one token that write nothing and see nothing, up to the bucket's number. */
static void pad(tn_executor *exec, const tn_exec_bucket *bucket, tn_exec_step *s)
{
    int32_t *array[TN_BATCH_ARRAYS];
    for (int32_t i = 0; i < TN_BATCH_ARRAYS; i++)
        array[i] = (int32_t *)(void *)((char *)exec->batch_block + exec->batch_offset[i]);
    for (int32_t i = s->n_seqs; i < bucket->n_seqs; i++) {
        array[TOKENS][i] = array[POS][i] = array[KV_LEN][i] = array[ROPE_INDEX][i] = 0;
        array[SLOT][i] = -1;
        array[ROWS][i] = i;
        array[Q_START][i + 1] = i + 1;
    }
    s->n_tokens = s->n_seqs = s->n_decode = s->n_rows = bucket->n_seqs;
    s->max_kv = bucket->max_kv;
    s->n_tables = exec->args.max_tables;
}

tn_status tn_exec_upload(tn_executor *exec, const tn_exec_step *s, const tn_exec_bucket *bucket,
                         tn_error *err)
{
    tn_exec_step shown = *s; /* what kernels see */
    size_t tokens = (size_t)s->n_tokens;
    size_t seqs = (size_t)s->n_seqs;
    TN_TRY(check_step(exec, s, err));
    put(exec, TOKENS, s->tokens, tokens);
    put(exec, POS, s->pos, tokens);
    put(exec, SLOT, s->slot, tokens);
    put(exec, Q_START, s->q_start, seqs + 1);
    put(exec, KV_LEN, s->kv_len, seqs);
    put(exec, ROPE_INDEX, s->rope_index, seqs);
    put(exec, TABLE, s->table, seqs * (size_t)exec->args.table_stride);
    put(exec, ROWS, s->rows, (size_t)s->n_rows);
    put(exec, ROPE_TABLE, s->rope_table, (size_t)s->n_tables * (size_t)exec->half_rotary);
    if (bucket)
        pad(exec, bucket, &shown);
    exec->n_tokens = shown.n_tokens;
    for (int32_t d = 0; d < exec->binding->n_domains; d++) {
        tn_exec_domain *domain = &exec->domain[d];
        point_at(exec, domain, &shown);
        if (!domain->is_host)
            TN_TRY(domain->device.domain->copy(domain->device.self, domain->batch_memory.addr,
                                               (uint64_t)(uintptr_t)exec->batch_block,
                                               exec->batch_bytes, TN_TO_DEVICE, domain->stream,
                                               err));
    }
    tn_exec_set_slice(exec, 0, shown.n_rows);
    return TN_OK;
}

void tn_exec_set_slice(tn_executor *exec, int32_t row0, int32_t n)
{
    uint64_t skip = exec->batch_offset[ROWS] + (uint64_t)row0 * sizeof(int32_t);
    exec->slice_rows = n;
    for (int32_t d = 0; d < exec->binding->n_domains; d++) {
        tn_exec_domain *domain = &exec->domain[d];
        uint64_t base =
            domain->is_host ? (uint64_t)(uintptr_t)exec->batch_block : domain->batch_memory.addr;
        domain->batch.rows = base + skip;
        domain->batch.h_rows = (const void *)((const char *)exec->batch_block + skip);
        domain->batch.n_rows = n;
    }
}
