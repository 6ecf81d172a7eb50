/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sched/batch.h"

#include "core/base/alloc.h"

#include <string.h>

tn_status tn_batch_arrays_init(tn_batch_arrays *arrays, const tn_sched_config *config,
                               tn_error *err)
{
    *arrays = (tn_batch_arrays){
        .block_tokens = config->block_tokens,
        .max_tokens = config->max_batch_tokens,
        .max_seqs = config->max_sequences,
        .table_stride = tn_sched_table_stride(config),
    };
    size_t n_tokens = (size_t)arrays->max_tokens, n_seqs = (size_t)arrays->max_seqs;
    size_t n_table = 0, n_flat = 0, n = 0;
    if (!tn_size_mul(n_seqs, (size_t)arrays->table_stride, &n_table) ||
        !tn_size_mul(n_tokens, 4, &n_flat) || !tn_size_add(n_table, n_flat, &n) ||
        !tn_size_add(n, 3 * n_seqs + 1, &n))
        return tn_fail_memory(err, "the batch arrays");
    arrays->memory = tn_alloc_array(n, sizeof(int32_t));
    if (!arrays->memory)
        return tn_fail_memory(err, "the batch arrays");
    arrays->tokens = arrays->memory;
    arrays->pos = arrays->tokens + n_tokens;
    arrays->slot = arrays->pos + n_tokens;
    arrays->rows = arrays->slot + n_tokens;
    arrays->q_start = arrays->rows + n_tokens;
    arrays->kv_len = arrays->q_start + n_seqs + 1;
    arrays->rope_index = arrays->kv_len + n_seqs;
    arrays->table = arrays->rope_index + n_seqs;
    return TN_OK;
}

void tn_batch_arrays_deinit(tn_batch_arrays *arrays)
{
    if (!arrays)
        return;
    tn_free(arrays->memory);
    *arrays = (tn_batch_arrays){ 0 };
}

static void add_sequence(const tn_step_seq *seq, tn_batch_arrays *a)
{
    int32_t s = a->n_seqs++, t = a->n_tokens;
    memcpy(a->tokens + t, seq->tokens, (size_t)seq->n * sizeof(int32_t));
    for (int32_t i = 0; i < seq->n; i++) {
        int32_t pos = seq->start + i;
        a->pos[t + i] = pos;
        a->slot[t + i] =
            seq->table[pos / a->block_tokens] * a->block_tokens + pos % a->block_tokens;
    }
    for (int32_t i = seq->n - seq->n_rows; i < seq->n; i++)
        a->rows[a->n_rows++] = t + i;
    int32_t *table = a->table + (size_t)s * (size_t)a->table_stride;
    memset(table, 0, (size_t)a->table_stride * sizeof(int32_t));
    memcpy(table, seq->table, (size_t)seq->n_table * sizeof(int32_t));
    a->kv_len[s] = seq->start + seq->n;
    a->rope_index[s] = seq->slot;
    a->n_tokens += seq->n;
    a->q_start[s + 1] = a->n_tokens;
    a->max_q = seq->n > a->max_q ? seq->n : a->max_q;
    a->max_kv = a->kv_len[s] > a->max_kv ? a->kv_len[s] : a->max_kv;
}

tn_status tn_batch_build(const tn_step *step, tn_batch_arrays *arrays, tn_error *err)
{
    if (step->n_tokens > arrays->max_tokens || step->n_seqs > arrays->max_seqs)
        return tn_fail(err, TN_INVALID,
                       "batch: %d tokens of %d sequences, the arrays hold %d and %d",
                       step->n_tokens, step->n_seqs, arrays->max_tokens, arrays->max_seqs);
    arrays->n_tokens = arrays->n_seqs = arrays->n_rows = arrays->max_q = arrays->max_kv = 0;
    arrays->n_decode = step->n_decode;
    arrays->q_start[0] = 0;
    for (int32_t i = 0; i < step->n_seqs; i++) {
        if (step->seqs[i].n_table > arrays->table_stride)
            return tn_fail(err, TN_INVALID, "batch: %d blocks of a sequence, the table holds %d",
                           step->seqs[i].n_table, arrays->table_stride);
        add_sequence(&step->seqs[i], arrays);
    }
    return TN_OK;
}
