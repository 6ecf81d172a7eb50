/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sched/scheduler.h"

#include "core/base/alloc.h"
#include "core/sched/sched_internal.h"

#include <inttypes.h>
#include <string.h>

/* Far beyond any batch that a device runs; keeps the sizes of the arrays small numbers. */
enum { MAX_SEQUENCES = 65536 };

static int32_t config_capacity(const tn_sched_config *config)
{
    int32_t n_slots = config->n_blocks * config->block_tokens;
    return n_slots < config->max_length ? n_slots : config->max_length;
}

int32_t tn_sched_table_stride(const tn_sched_config *config)
{
    return tn_blocks_for(config_capacity(config), config->block_tokens);
}

static tn_status check_config(const tn_sched_config *c, tn_error *err)
{
    if (c->n_blocks < 1 || c->block_tokens < 1 || c->n_blocks > INT32_MAX / c->block_tokens)
        return tn_fail(err, TN_INVALID,
                       "scheduler: %d KV blocks of %d tokens, both must be positive and their "
                       "product below 2^31",
                       c->n_blocks, c->block_tokens);
    if (c->max_sequences < 1 || c->max_sequences > MAX_SEQUENCES)
        return tn_fail(err, TN_INVALID, "scheduler: max_sequences %d, 1 to %d are allowed",
                       c->max_sequences, MAX_SEQUENCES);
    if (c->max_batch_tokens < c->max_sequences)
        return tn_fail(err, TN_INVALID,
                       "scheduler: %d tokens a step for %d sequences, at least one each is needed",
                       c->max_batch_tokens, c->max_sequences);
    if (c->max_length < 1 || c->max_chunk < 0)
        return tn_fail(err, TN_INVALID,
                       "scheduler: context %d and chunk %d, at least 1 and 0 are allowed",
                       c->max_length, c->max_chunk);
    return TN_OK;
}

static bool take_arrays(tn_sched *sched)
{
    size_t n = (size_t)sched->config.max_sequences, n_entries = 0;
    if (!tn_size_mul(n, (size_t)sched->table_stride, &n_entries))
        return false;
    sched->tables = tn_alloc_array(n_entries, sizeof(int32_t));
    sched->free_slots = tn_alloc_array(n, sizeof(int32_t));
    sched->running = tn_alloc_array(n, sizeof(tn_sequence *));
    sched->planned = tn_alloc_array(n, sizeof(tn_sequence *));
    sched->step_seqs = tn_alloc_array(n, sizeof(tn_step_seq));
    sched->copy_src = tn_alloc_array(n, sizeof(int32_t));
    sched->copy_dst = tn_alloc_array(n, sizeof(int32_t));
    return sched->tables && sched->free_slots && sched->running && sched->planned &&
           sched->step_seqs && sched->copy_src && sched->copy_dst;
}

tn_status tn_sched_create(const tn_sched_config *config, tn_sched **out, tn_error *err)
{
    *out = NULL;
    TN_TRY(check_config(config, err));
    tn_sched *sched = tn_alloc_array(1, sizeof(*sched));
    if (!sched)
        return tn_fail_memory(err, "the scheduler");
    sched->config = *config;
    sched->capacity = config_capacity(config);
    sched->table_stride = tn_sched_table_stride(config);
    tn_status st = tn_block_pool_init(&sched->pool, config->n_blocks, err);
    if (!st)
        st = tn_prefix_index_create(&sched->pool, config->block_tokens, &sched->index, err);
    if (!st && !take_arrays(sched))
        st = tn_fail_memory(err, "the scheduler's arrays");
    if (st) {
        tn_sched_destroy(sched);
        return st;
    }
    sched->n_free_slots = config->max_sequences;
    for (int32_t i = 0; i < config->max_sequences; i++)
        sched->free_slots[i] = config->max_sequences - 1 - i;
    *out = sched;
    return TN_OK;
}

static void sequence_free(tn_sequence *seq)
{
    while (seq) {
        tn_sequence *next = seq->unforked;
        tn_free(seq);
        seq = next;
    }
}

void tn_sched_destroy(tn_sched *sched)
{
    if (!sched)
        return;
    for (int32_t i = 0; i < sched->n_running; i++)
        sequence_free(sched->running[i]);
    while (sched->waiting_first) {
        tn_sequence *seq = sched->waiting_first;
        sched->waiting_first = seq->next;
        sequence_free(seq);
    }
    tn_free(sched->tables);
    tn_free(sched->free_slots);
    tn_free(sched->running);
    tn_free(sched->planned);
    tn_free(sched->step_seqs);
    tn_free(sched->copy_src);
    tn_free(sched->copy_dst);
    tn_prefix_index_destroy(sched->index);
    tn_block_pool_deinit(&sched->pool);
    tn_free(sched);
}

bool tn_sequence_before(const tn_sequence *a, const tn_sequence *b)
{
    return a->arrival != b->arrival ? a->arrival < b->arrival : a->sample < b->sample;
}

int32_t tn_sequence_blocks(const tn_sched *sched, const tn_sequence *seq)
{
    int32_t n = seq->n_tokens < seq->limit ? seq->n_tokens + 1 : seq->n_tokens;
    return tn_blocks_for(n, sched->config.block_tokens);
}

void tn_waiting_insert(tn_sched *sched, tn_sequence *seq)
{
    /* New requests go last. A preempted one is older than all that never ran, so the walk passes
     * only preempted ones. */
    tn_sequence *next = NULL;
    if (sched->waiting_last && tn_sequence_before(seq, sched->waiting_last)) {
        next = sched->waiting_first;
        while (tn_sequence_before(next, seq))
            next = next->next;
    }
    seq->next = next;
    seq->prev = next ? next->prev : sched->waiting_last;
    *(seq->prev ? &seq->prev->next : &sched->waiting_first) = seq;
    *(next ? &next->prev : &sched->waiting_last) = seq;
    sched->n_waiting++;
}

void tn_waiting_remove(tn_sched *sched, tn_sequence *seq)
{
    *(seq->prev ? &seq->prev->next : &sched->waiting_first) = seq->next;
    *(seq->next ? &seq->next->prev : &sched->waiting_last) = seq->prev;
    seq->prev = seq->next = NULL;
    sched->n_waiting--;
}

void tn_running_insert(tn_sched *sched, tn_sequence *seq)
{
    int32_t i = sched->n_running++;
    for (; i > 0 && tn_sequence_before(seq, sched->running[i - 1]); i--)
        sched->running[i] = sched->running[i - 1];
    sched->running[i] = seq;
    seq->slot = sched->free_slots[--sched->n_free_slots];
    seq->table = (tn_block_table){
        .block = sched->tables + (size_t)seq->slot * (size_t)sched->table_stride,
        .capacity = sched->table_stride,
    };
}

static void running_remove(tn_sched *sched, tn_sequence *seq)
{
    tn_block_table_clear(&seq->table, sched->index);
    sched->free_slots[sched->n_free_slots++] = seq->slot;
    sched->n_reserved -= seq->n_slots;
    seq->slot = -1;
    seq->n_computed = seq->n_published = seq->chunk = 0;
    int32_t i = 0;
    while (sched->running[i] != seq)
        i++;
    sched->n_running--;
    memmove(sched->running + i, sched->running + i + 1,
            (size_t)(sched->n_running - i) * sizeof(tn_sequence *));
}

void tn_running_preempt(tn_sched *sched, tn_sequence *seq)
{
    running_remove(sched, seq);
    seq->preempt = false;
    tn_waiting_insert(sched, seq);
    sched->n_preemptions++;
}

void tn_running_retire(tn_sched *sched, tn_sequence *seq)
{
    running_remove(sched, seq);
    *(seq->cancelled ? &sched->n_cancelled : &sched->n_finished) += (uint64_t)seq->n_slots;
    sequence_free(seq);
}

static bool is_live(const tn_sched *sched, uint64_t id)
{
    for (int32_t i = 0; i < sched->n_running; i++) {
        if (sched->running[i]->id == id)
            return true;
    }
    for (const tn_sequence *seq = sched->waiting_first; seq; seq = seq->next) {
        if (seq->id == id)
            return true;
    }
    return false;
}

static tn_status check_request(const tn_sched *sched, const tn_sched_request *r, tn_error *err)
{
    const tn_sched_config *c = &sched->config;
    if (!r->prompt || r->n_prompt < 1 || r->max_new < 0)
        return tn_fail(err, TN_INVALID,
                       "request: %d prompt tokens and %d new ones, at least 1 and 0 are allowed",
                       r->prompt ? r->n_prompt : 0, r->max_new);
    if (r->n_samples < 1 || r->n_samples > c->max_sequences)
        return tn_fail(err, TN_INVALID, "request: %d samples, 1 to %d (max_sequences) are allowed",
                       r->n_samples, c->max_sequences);
    if (r->max_new == 0 && r->n_samples > 1)
        return tn_fail(err, TN_INVALID, "request: %d samples of no new token, only 1 is allowed",
                       r->n_samples);
    int32_t n_least = r->max_new > 0;
    if (r->n_prompt > c->max_length - n_least)
        return tn_fail(err, TN_INVALID,
                       "request: prompt of %d tokens, at most %d fit the context of %d",
                       r->n_prompt, c->max_length - n_least, c->max_length);
    if (r->n_prompt > sched->capacity - n_least)
        return tn_fail(err, TN_INVALID,
                       "request: prompt of %d tokens, at most %d fit the KV pool (%d blocks of %d "
                       "tokens)",
                       r->n_prompt, sched->capacity - n_least, c->n_blocks, c->block_tokens);
    if (is_live(sched, r->id))
        return tn_fail(err, TN_INVALID, "request: id %" PRIu64 " is in use", r->id);
    return TN_OK;
}

static tn_sequence *sequence_new(const tn_sched *sched, const tn_sched_request *r, int32_t sample)
{
    int32_t room = sched->capacity - r->n_prompt;
    int32_t limit = r->n_prompt + (r->max_new < room ? r->max_new : room);
    size_t n_bytes = 0;
    if (!tn_size_mul((size_t)limit, sizeof(int32_t), &n_bytes) ||
        !tn_size_add(n_bytes, sizeof(tn_sequence), &n_bytes))
        return NULL;
    tn_sequence *seq = tn_alloc(n_bytes);
    if (!seq)
        return NULL;
    *seq = (tn_sequence){
        .id = r->id,
        .arrival = sched->next_arrival,
        .prefix_seed = r->prefix_seed,
        .user = r->user,
        .sample = sample,
        .n_slots = 1,
        .n_prompt = r->n_prompt,
        .limit = limit,
        .n_tokens = r->n_prompt,
        .n_cached = -1,
        .slot = -1,
        .all_rows = r->all_rows,
    };
    memcpy(seq->tokens, r->prompt, (size_t)r->n_prompt * sizeof(int32_t));
    return seq;
}

tn_status tn_sched_submit(tn_sched *sched, const tn_sched_request *request, tn_error *err)
{
    TN_TRY(check_request(sched, request, err));
    tn_sequence *first = sequence_new(sched, request, 0);
    if (!first)
        return tn_fail_memory(err, "the tokens of a request");
    /* Backwards, so that the chain ends up in order of the samples. */
    for (int32_t sample = request->n_samples - 1; sample >= 1; sample--) {
        tn_sequence *seq = sequence_new(sched, request, sample);
        if (!seq) {
            sequence_free(first);
            return tn_fail_memory(err, "the tokens of a request");
        }
        seq->unforked = first->unforked;
        first->unforked = seq;
    }
    first->n_slots = request->n_samples;
    sched->next_arrival++;
    tn_waiting_insert(sched, first);
    return TN_OK;
}

bool tn_sched_cancel(tn_sched *sched, uint64_t id)
{
    bool found = false;
    for (int32_t i = sched->n_running - 1; i >= 0; i--) {
        tn_sequence *seq = sched->running[i];
        if (seq->id != id)
            continue;
        found = seq->cancelled = true;
        /* A running step may write to its blocks: they stay its own until commit. */
        if (!sched->in_flight)
            tn_running_retire(sched, seq);
    }
    for (tn_sequence *seq = sched->waiting_first, *next = NULL; seq; seq = next) {
        next = seq->next;
        if (seq->id != id)
            continue;
        found = true;
        sched->n_cancelled += (uint64_t)seq->n_slots;
        tn_waiting_remove(sched, seq);
        sequence_free(seq);
    }
    return found;
}

void tn_sched_preempt(tn_sched *sched, uint64_t id)
{
    for (int32_t i = sched->n_running - 1; i >= 0; i--) {
        tn_sequence *seq = sched->running[i];
        if (seq->id != id)
            continue;
        seq->preempt = true;
        if (!sched->in_flight)
            tn_running_preempt(sched, seq);
    }
}

bool tn_sched_has_work(const tn_sched *sched)
{
    return sched->n_running > 0 || sched->n_waiting > 0;
}

void tn_sched_read_stats(const tn_sched *sched, tn_sched_stats *out)
{
    *out = (tn_sched_stats){
        .n_blocks = sched->pool.n_blocks,
        .free_blocks = tn_prefix_index_available(sched->index),
        .cached_blocks = tn_prefix_index_idle(sched->index),
        .running = sched->n_running,
        .waiting = sched->n_waiting,
        .n_preemptions = sched->n_preemptions,
        .n_cached_tokens = sched->n_cached_tokens,
        .n_finished = sched->n_finished,
        .n_cancelled = sched->n_cancelled,
    };
}
