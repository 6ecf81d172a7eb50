/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sched_check.h"

#include "core/base/alloc.h"
#include "core/sched/sched_internal.h"

#include <string.h>

/* Who holds each block, and what its first holder keeps in it. */
typedef struct holders {
    int32_t *n;                /* [n_blocks] tables */
    const tn_sequence **first; /* [n_blocks] */
    int32_t *place;            /* [n_blocks] entry in the first holder's table */
} holders;

/* Two tables may share a block at the same place, with the same tokens, that neither will write. */
static tn_status check_sharing(const tn_sched *sched, const tn_sequence *a, const tn_sequence *b,
                               int32_t i, tn_error *err)
{
    int32_t block_tokens = sched->config.block_tokens, first = i * block_tokens;
    int32_t end_a = a->n_computed - first, end_b = b->n_computed - first;
    int32_t n_a = end_a < block_tokens ? end_a : block_tokens;
    int32_t n_b = end_b < block_tokens ? end_b : block_tokens;
    if (n_a != n_b || n_a < 1 ||
        memcmp(a->tokens + first, b->tokens + first, (size_t)n_a * sizeof(int32_t)) != 0)
        return tn_fail(err, TN_INTERNAL, "block %d is shared by different contents (%d and %d)",
                       a->table.block[i], n_a, n_b);
    if (n_a < block_tokens && (a->chunk > 0 || b->chunk > 0) && sched->in_flight)
        return tn_fail(err, TN_INTERNAL, "shared block %d is written to", a->table.block[i]);
    return TN_OK;
}

static tn_status check_entry(const tn_sched *sched, const tn_sequence *seq, int32_t i, holders *h,
                             tn_error *err)
{
    int32_t block = seq->table.block[i];
    if (block < 0 || block >= sched->pool.n_blocks)
        return tn_fail(err, TN_INTERNAL, "slot %d has block %d", seq->slot, block);
    if (tn_prefix_index_has(sched->index, block) != (i < seq->n_published))
        return tn_fail(err, TN_INTERNAL, "slot %d: block %d of %d published ones", seq->slot, i,
                       seq->n_published);
    if (h->n[block]++ == 0) {
        h->first[block] = seq;
        h->place[block] = i;
        return TN_OK;
    }
    if (h->place[block] != i)
        return tn_fail(err, TN_INTERNAL, "block %d is entry %d and %d", block, i, h->place[block]);
    return check_sharing(sched, seq, h->first[block], i, err);
}

static tn_status check_table(const tn_sched *sched, const tn_sequence *seq, holders *h,
                             tn_error *err)
{
    int32_t n_covered = seq->n_computed + (sched->in_flight ? seq->chunk : 0);
    if (seq->table.n != tn_blocks_for(n_covered, sched->config.block_tokens))
        return tn_fail(err, TN_INTERNAL, "slot %d has %d blocks for %d positions", seq->slot,
                       seq->table.n, n_covered);
    if (seq->n_computed > seq->n_tokens || seq->n_tokens > seq->limit)
        return tn_fail(err, TN_INTERNAL, "slot %d: %d computed of %d tokens of at most %d",
                       seq->slot, seq->n_computed, seq->n_tokens, seq->limit);
    for (int32_t i = 0; i < seq->table.n; i++)
        TN_TRY(check_entry(sched, seq, i, h, err));
    return TN_OK;
}

static tn_status check_running(const tn_sched *sched, holders *h, tn_error *err)
{
    int32_t n_reserved = 0;
    for (int32_t i = 0; i < sched->n_running; i++) {
        const tn_sequence *seq = sched->running[i];
        n_reserved += seq->n_slots;
        if (i > 0 && !tn_sequence_before(sched->running[i - 1], seq))
            return tn_fail(err, TN_INTERNAL, "running sequence %d is out of order", i);
        for (int32_t j = 0; j < i; j++) {
            if (sched->running[j]->slot == seq->slot)
                return tn_fail(err, TN_INTERNAL, "slot %d is taken twice", seq->slot);
        }
        TN_TRY(check_table(sched, seq, h, err));
    }
    if (n_reserved != sched->n_reserved || n_reserved > sched->config.max_sequences ||
        sched->n_free_slots + sched->n_running != sched->config.max_sequences)
        return tn_fail(err, TN_INTERNAL, "%d slots reserved, %d counted, %d free", n_reserved,
                       sched->n_reserved, sched->n_free_slots);
    return TN_OK;
}

static tn_status check_waiting(const tn_sched *sched, tn_error *err)
{
    int32_t n = 0;
    const tn_sequence *prev = NULL;
    for (const tn_sequence *seq = sched->waiting_first; seq; prev = seq, seq = seq->next, n++) {
        if (seq->prev != prev || (prev && !tn_sequence_before(prev, seq)))
            return tn_fail(err, TN_INTERNAL, "waiting sequence %d is out of order", n);
        if (seq->slot != -1 || seq->table.n != 0 || seq->n_computed != 0)
            return tn_fail(err, TN_INTERNAL, "waiting sequence %d holds blocks", n);
    }
    if (n != sched->n_waiting || sched->waiting_last != prev)
        return tn_fail(err, TN_INTERNAL, "%d sequences wait, %d counted", n, sched->n_waiting);
    return TN_OK;
}

static tn_status check_all(const tn_sched *sched, holders *h, tn_error *err)
{
    TN_TRY(tn_block_pool_check(&sched->pool, err));
    TN_TRY(tn_prefix_index_check(sched->index, err));
    TN_TRY(check_waiting(sched, err));
    TN_TRY(check_running(sched, h, err));
    for (int32_t b = 0; b < sched->pool.n_blocks; b++) {
        int32_t n = h->n[b] + tn_prefix_index_has(sched->index, b);
        if (n != sched->pool.refs[b])
            return tn_fail(err, TN_INTERNAL, "block %d has %d references and %d holders", b,
                           sched->pool.refs[b], n);
    }
    return TN_OK;
}

tn_status tn_sched_check(const tn_sched *sched, tn_error *err)
{
    size_t n = (size_t)sched->pool.n_blocks;
    holders h = {
        .n = tn_alloc_array(n, sizeof(int32_t)),
        .first = tn_alloc_array(n, sizeof(tn_sequence *)),
        .place = tn_alloc_array(n, sizeof(int32_t)),
    };
    tn_status st = h.n && h.first && h.place ? check_all(sched, &h, err)
                                             : tn_fail_memory(err, "the check of the scheduler");
    tn_free(h.n);
    tn_free((void *)h.first);
    tn_free(h.place);
    return st;
}
