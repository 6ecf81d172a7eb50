/* SPDX-License-Identifier: Apache-2.0 */
/* State shared by the files of the scheduler. */
#ifndef TN_CORE_SCHED_SCHED_INTERNAL_H
#define TN_CORE_SCHED_SCHED_INTERNAL_H

#include "core/kv/block_table.h"
#include "core/sched/scheduler.h"

typedef struct tn_sequence tn_sequence;
struct tn_sequence {
    tn_sequence *prev, *next; /* in the waiting queue */
    tn_sequence *unforked;    /* chain of further samples that wait for this prompt to end */
    uint64_t id, arrival, prefix_seed;
    void *user;
    int32_t sample,
        n_slots; /* n_slots: 1 + unforked samples, so that a fork always finds its slots */
    int32_t n_prompt, limit; /* limit: tokens in all, drawn ones included */
    int32_t n_tokens;        /* known so far: prompt and drawn */
    int32_t n_computed;      /* their KV is in the table's blocks */
    int32_t n_rows_done;     /* all_rows: positions whose row was delivered; survives preemption */
    int32_t n_published;     /* leading blocks that are nodes of the prefix index */
    int32_t n_cached;        /* -1 until first admitted */
    int32_t slot;            /* -1: waiting */
    int32_t chunk;           /* tokens in the planned step; 0: not in it */
    bool all_rows, cancelled, preempt; /* the last two: to be done at commit */
    tn_block_table table;
    int32_t tokens[]; /* [limit] */
};

struct tn_sched {
    tn_sched_config config;
    tn_block_pool pool;
    tn_prefix_index *index;
    int32_t capacity; /* tokens one sequence can have */
    int32_t table_stride;
    int32_t *tables;       /* [max_sequences][table_stride], by slot */
    int32_t *free_slots;   /* stack */
    tn_sequence **running; /* [max_sequences] oldest first */
    int32_t n_free_slots, n_running, n_reserved,
        n_waiting;                             /* n_reserved: sum of n_slots over running */
    tn_sequence *waiting_first, *waiting_last; /* oldest first */
    tn_step step;
    tn_step_seq *step_seqs;       /* [max_sequences] */
    tn_sequence **planned;        /* [max_sequences] of step_seqs */
    int32_t *copy_src, *copy_dst; /* [max_sequences] */
    bool in_flight;
    uint64_t next_arrival;
    uint64_t n_preemptions, n_cached_tokens, n_finished, n_cancelled;
};

/** Order of service: by arrival, then by sample. */
bool tn_sequence_before(const tn_sequence *a, const tn_sequence *b);
/** KV blocks that a sequence needs to compute all it has, and room for one drawn token. */
int32_t tn_sequence_blocks(const tn_sched *sched, const tn_sequence *seq);

void tn_waiting_insert(tn_sched *sched, tn_sequence *seq);
void tn_waiting_remove(tn_sched *sched, tn_sequence *seq);
/** Give the sequence a slot and an empty table, in its place among the running; n_reserved is the
 * caller's. */
void tn_running_insert(tn_sched *sched, tn_sequence *seq);
/** Release blocks and slot, keep the tokens, and queue it again. */
void tn_running_preempt(tn_sched *sched, tn_sequence *seq);
/** Release blocks and slot and free the sequence. */
void tn_running_retire(tn_sched *sched, tn_sequence *seq);

#endif
