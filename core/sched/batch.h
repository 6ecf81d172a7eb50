/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a step into the flat int32 arrays of tn_batch (see <tenon/plugin.h>). Thread: one thread.
 */
#ifndef TN_CORE_SCHED_BATCH_H
#define TN_CORE_SCHED_BATCH_H

#include "core/sched/scheduler.h"

typedef struct tn_batch_arrays {
    int32_t block_tokens, max_tokens, max_seqs, table_stride; /* capacity, from the configuration */
    int32_t n_tokens, n_seqs, n_decode, n_rows, max_q, max_kv;
    int32_t *tokens, *pos, *slot, *rows; /* [max_tokens] */
    int32_t *q_start;                    /* [max_seqs + 1] */
    int32_t *kv_len, *rope_index; /* [max_seqs]; rope_index is the sequence's slot, for the engine
                                     to keep or to zero */
    int32_t *table;  /* [max_seqs][table_stride]; entries past a sequence's blocks are 0 */
    int32_t *memory; /* all arrays */
} tn_batch_arrays;

/** All arrays in one allocation, sized for any step of this configuration. */
tn_status tn_batch_arrays_init(tn_batch_arrays *arrays, const tn_sched_config *config,
                               tn_error *err) TN_MUST_USE;
void tn_batch_arrays_deinit(tn_batch_arrays *arrays);

/** Fill counts and arrays from a step; rows are in the order of the sequences. TN_INVALID when the
 * step exceeds the capacity. */
tn_status tn_batch_build(const tn_step *step, tn_batch_arrays *arrays, tn_error *err) TN_MUST_USE;

#endif
