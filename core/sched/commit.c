/* SPDX-License-Identifier: Apache-2.0 */
/* What a step has done: computed positions, published blocks, forks, drawn tokens, ends. */
#include "core/sched/sched_internal.h"

#include <string.h>

static void publish(tn_sched *sched, tn_sequence *seq)
{
    int32_t block_tokens = sched->config.block_tokens;
    int32_t n_full = sched->config.prefix_cache ? seq->n_computed / block_tokens : 0;
    for (int32_t i = seq->n_published; i < n_full; i++) {
        int32_t *block = seq->table.block;
        block[i] =
            tn_prefix_index_publish(sched->index, i > 0 ? block[i - 1] : -1, seq->prefix_seed,
                                    seq->tokens + (size_t)i * (size_t)block_tokens, block[i]);
        seq->n_published = i + 1;
    }
}

static void accept(tn_sched *sched, tn_sequence *seq, const tn_draw *draw)
{
    seq->tokens[seq->n_tokens++] = draw->token;
    if (draw->finish || seq->n_tokens == seq->limit)
        tn_running_retire(sched, seq);
}

/* The prompt has ended: its other samples run from here, on the same blocks. Their slots were
 * reserved at admission. */
static void fork_samples(tn_sched *sched, tn_sequence *first, const tn_draw *draws)
{
    tn_sequence *chain = first->unforked;
    first->unforked = NULL;
    first->n_slots = 1;
    for (int32_t k = 1; chain; k++) {
        tn_sequence *seq = chain;
        chain = seq->unforked;
        seq->unforked = NULL;
        tn_running_insert(sched, seq);
        tn_block_table_share(&seq->table, &first->table, sched->index);
        seq->n_computed = first->n_computed;
        seq->n_published = first->n_published;
        seq->n_rows_done = first->n_rows_done;
        seq->n_cached = first->n_cached;
        seq->preempt = first->preempt;
        accept(sched, seq, &draws[k]);
    }
}

static void commit_sequence(tn_sched *sched, tn_sequence *seq, const tn_step_seq *planned,
                            const tn_draw *draws)
{
    seq->n_computed += seq->chunk;
    if (seq->n_rows_done < seq->n_computed)
        seq->n_rows_done = seq->n_computed;
    publish(sched, seq);
    if (planned->n_draws > 0) {
        fork_samples(sched, seq, draws + planned->first_draw);
        accept(sched, seq, draws + planned->first_draw);
    } else if (planned->is_last) {
        tn_running_retire(sched, seq);
    }
}

/* Cancels and forced preemptions that arrived while the step ran. */
static void end_step(tn_sched *sched)
{
    sched->in_flight = false;
    for (int32_t i = sched->n_running - 1; i >= 0; i--) {
        tn_sequence *seq = sched->running[i];
        seq->chunk = 0;
        if (seq->cancelled)
            tn_running_retire(sched, seq);
        else if (seq->preempt)
            tn_running_preempt(sched, seq);
    }
}

tn_status tn_sched_commit(tn_sched *sched, const tn_draw *draws, int32_t n_draws, tn_error *err)
{
    if (!sched->in_flight)
        return tn_fail(err, TN_INVALID, "scheduler: commit without a planned step");
    if (n_draws != sched->step.n_draws || (n_draws > 0 && !draws))
        return tn_fail(err, TN_INVALID, "scheduler: %d draws for a step that has %d",
                       draws ? n_draws : 0, sched->step.n_draws);
    for (int32_t i = 0; i < sched->step.n_seqs; i++) {
        if (!sched->planned[i]->cancelled)
            commit_sequence(sched, sched->planned[i], &sched->step_seqs[i], draws);
    }
    end_step(sched);
    return TN_OK;
}

void tn_sched_abort(tn_sched *sched)
{
    if (!sched->in_flight)
        return;
    for (int32_t i = 0; i < sched->step.n_seqs; i++)
        (void)tn_sched_cancel(sched, sched->step_seqs[i].id);
    end_step(sched);
}
