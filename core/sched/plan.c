/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The next step. Running sequences get their blocks oldest first, and a sequence without blocks
 * takes them from the youngest one, which by this order is not in the step yet. The oldest
 * therefore never waits, and it fits alone (checked at submit).
 */
#include "core/sched/sched_internal.h"

#include <stddef.h>

static int32_t remaining(const tn_sequence *seq)
{
    return seq->n_tokens - seq->n_computed;
}

/* Is the block of the next position a partial one with other holders? Then it is copied before the
 * write. */
static bool needs_copy(const tn_sched *sched, const tn_sequence *seq)
{
    return seq->n_computed % sched->config.block_tokens != 0 &&
           tn_block_table_is_shared(&seq->table, &sched->pool,
                                    seq->n_computed / sched->config.block_tokens);
}

/* Blocks missing for `want` more tokens, a copy included. */
static int32_t blocks_missing(const tn_sched *sched, const tn_sequence *seq, int32_t want)
{
    int32_t n = tn_blocks_for(seq->n_computed + want, sched->config.block_tokens);
    return n - seq->table.n + needs_copy(sched, seq);
}

/* Room for up to `want` tokens of running[i], at the cost of younger sequences. Returns how many
 * fit, maybe none. */
static int32_t reserve(tn_sched *sched, int32_t i, int32_t want)
{
    tn_sequence *seq = sched->running[i];
    int32_t n_available = tn_prefix_index_available(sched->index);
    while (blocks_missing(sched, seq, want) > n_available && i < sched->n_running - 1) {
        tn_running_preempt(sched, sched->running[sched->n_running - 1]);
        n_available = tn_prefix_index_available(sched->index);
    }
    if (blocks_missing(sched, seq, want) > n_available) {
        int32_t n_usable = n_available - needs_copy(sched, seq);
        if (n_usable < 0)
            return 0;
        want = (seq->table.n + n_usable) * sched->config.block_tokens - seq->n_computed;
    }
    return want;
}

/* Put the next tokens of running[i] into the step. Returns how many. */
static int32_t schedule(tn_sched *sched, int32_t i, int32_t want)
{
    tn_sequence *seq = sched->running[i];
    want = want > 0 ? reserve(sched, i, want) : 0;
    if (want == 0)
        return 0;
    if (needs_copy(sched, seq)) {
        int32_t n = sched->step.n_copies++;
        (void)tn_block_table_unshare(&seq->table, sched->index,
                                     seq->n_computed / sched->config.block_tokens,
                                     &sched->copy_src[n], &sched->copy_dst[n]);
    }
    (void)tn_block_table_grow(&seq->table, sched->index,
                              tn_blocks_for(seq->n_computed + want, sched->config.block_tokens));
    seq->chunk = want;
    return want;
}

static int32_t chunk_limit(const tn_sched *sched, const tn_sequence *seq, int32_t budget)
{
    int32_t n = remaining(seq), max_chunk = sched->config.max_chunk;
    if (max_chunk > 0 && n > max_chunk)
        n = max_chunk;
    return n < budget ? n : budget;
}

/* Returns the budget left. Decodes have theirs set aside first: each sequence is sure of one token
 * a step. */
static int32_t schedule_running(tn_sched *sched)
{
    int32_t budget = sched->config.max_batch_tokens;
    for (int32_t i = 0; i < sched->n_running; i++)
        budget -= remaining(sched->running[i]) == 1;
    for (int32_t i = 0; i < sched->n_running; i++) {
        tn_sequence *seq = sched->running[i];
        if (remaining(seq) == 1)
            (void)schedule(sched, i, 1);
        else
            budget -= schedule(sched, i, chunk_limit(sched, seq, budget));
    }
    return budget;
}

/* Blocks that running sequences still need for the tokens they have: promised, so not for
 * newcomers. */
static int32_t blocks_promised(const tn_sched *sched)
{
    int32_t n = 0;
    for (int32_t i = 0; i < sched->n_running; i++) {
        const tn_sequence *seq = sched->running[i];
        int32_t missing = tn_sequence_blocks(sched, seq) - seq->table.n;
        n += missing > 0 ? missing : 0;
    }
    return n;
}

/*
 * Leading blocks of seq that the index has; *out_n_idle of them would leave the idle list. At least
 * the last token is computed, for its logits, and with all_rows every position whose row was not
 * delivered yet.
 */
static int32_t match_prefix(const tn_sched *sched, const tn_sequence *seq, int32_t *blocks,
                            int32_t *out_n_idle)
{
    int32_t n_usable = seq->n_tokens - 1, n = 0, block_tokens = sched->config.block_tokens;
    if (seq->all_rows && seq->n_rows_done < n_usable)
        n_usable = seq->n_rows_done;
    *out_n_idle = 0;
    for (; sched->config.prefix_cache && n < n_usable / block_tokens; n++) {
        int32_t node =
            tn_prefix_index_find(sched->index, n > 0 ? blocks[n - 1] : -1, seq->prefix_seed,
                                 seq->tokens + (size_t)n * (size_t)block_tokens);
        if (node < 0)
            break;
        *out_n_idle += tn_prefix_index_is_idle(sched->index, node);
        blocks[n] = node;
    }
    return n;
}

/* Move the first waiting sequence to the running ones if all its blocks are there. */
static tn_sequence *admit(tn_sched *sched)
{
    tn_sequence *seq = sched->waiting_first;
    if (!seq || sched->n_reserved + seq->n_slots > sched->config.max_sequences)
        return NULL;
    /* The table of the slot that the sequence would get serves as scratch. */
    int32_t slot = sched->free_slots[sched->n_free_slots - 1], n_idle = 0;
    int32_t *blocks = sched->tables + (size_t)slot * (size_t)sched->table_stride;
    int32_t n_matched = match_prefix(sched, seq, blocks, &n_idle);
    int32_t n_needed = tn_sequence_blocks(sched, seq) - (n_matched - n_idle);
    if (n_needed > tn_prefix_index_available(sched->index) - blocks_promised(sched))
        return NULL;

    tn_waiting_remove(sched, seq);
    sched->n_reserved += seq->n_slots;
    tn_running_insert(sched, seq);
    for (int32_t i = 0; i < n_matched; i++)
        tn_block_table_append(&seq->table, sched->index, blocks[i]);
    seq->n_published = n_matched;
    seq->n_computed = n_matched * sched->config.block_tokens;
    sched->n_cached_tokens += (uint64_t)seq->n_computed;
    if (seq->n_cached < 0)
        seq->n_cached = seq->n_computed;
    return seq;
}

static void admit_waiting(tn_sched *sched, int32_t budget)
{
    /* A sequence preempted in this plan does not come back at once: it needs at least the blocks it
     * gave, and the older one has taken some of them. */
    while (budget > 0) {
        tn_sequence *seq = admit(sched);
        if (!seq)
            return;
        int32_t i = 0;
        while (sched->running[i] != seq)
            i++;
        budget -= schedule(sched, i, chunk_limit(sched, seq, budget));
    }
}

static void describe(tn_sched *sched, tn_sequence *seq)
{
    tn_step *step = &sched->step;
    int32_t end = seq->n_computed + seq->chunk;
    bool complete = end == seq->n_tokens;
    int32_t n_rows = complete;
    if (seq->all_rows)
        n_rows = end - (seq->n_rows_done > seq->n_computed ? seq->n_rows_done : seq->n_computed);
    sched->planned[step->n_seqs] = seq;
    tn_step_seq *out = &sched->step_seqs[step->n_seqs++];
    *out = (tn_step_seq){
        .id = seq->id,
        .user = seq->user,
        .sample = seq->sample,
        .slot = seq->slot,
        .start = seq->n_computed,
        .n = seq->chunk,
        .tokens = seq->tokens + seq->n_computed,
        .table = seq->table.block,
        .n_table = seq->table.n,
        .n_rows = n_rows > 0 ? n_rows : 0,
        .n_draws = complete && seq->n_tokens < seq->limit ? seq->n_slots : 0,
        .first_draw = step->n_draws,
        .output_position = seq->n_tokens - seq->n_prompt,
        .n_prompt = seq->n_prompt,
        .n_cached = seq->n_cached,
        .is_last = complete && seq->n_tokens + 1 >= seq->limit,
    };
    step->n_tokens += out->n;
    step->n_rows += out->n_rows;
    step->n_draws += out->n_draws;
    step->n_decode += out->n == 1;
}

tn_status tn_sched_plan(tn_sched *sched, const tn_step **out_step, tn_error *err)
{
    *out_step = NULL;
    if (sched->in_flight)
        return tn_fail(err, TN_INVALID, "scheduler: plan before the commit of the last step");
    sched->step = (tn_step){
        .seqs = sched->step_seqs,
        .copy_src = sched->copy_src,
        .copy_dst = sched->copy_dst,
    };
    admit_waiting(sched, schedule_running(sched));
    for (int32_t i = 0; i < sched->n_running; i++) {
        if (sched->running[i]->chunk == 1)
            describe(sched, sched->running[i]);
    }
    for (int32_t i = 0; i < sched->n_running; i++) {
        if (sched->running[i]->chunk > 1)
            describe(sched, sched->running[i]);
    }
    sched->in_flight = sched->step.n_seqs > 0;
    *out_step = &sched->step;
    return TN_OK;
}
