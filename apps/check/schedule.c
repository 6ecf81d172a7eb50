/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/schedule.h"

#include "core/graph/rope.h"

#include <string.h>

/* New tokens of a sequence in a step; 0: it rests. */
typedef struct plan_row {
    int32_t n[4];
} plan_row;

typedef struct sequence {
    int32_t id; /* of its token stream: two with one id share their text */
    int32_t done;
    int32_t *block;
    int32_t n_blocks;
} sequence;

typedef struct scheduler {
    const tn_check_schedule_args *args;
    tn_check_schedule *out;
    sequence seq[TN_CHECK_MAX_SEQS];
    int32_t n_seqs, next_block;
    int32_t *order; /* block ids in a random order */
    uint64_t state;
} scheduler;

uint64_t tn_check_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

float tn_check_uniform(uint64_t *state, float low, float high)
{
    return low + (high - low) * (float)(tn_check_random(state) >> 40) * 0x1p-24f;
}

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Token `pos` of a stream: the same whenever it is asked for. */
static int32_t token_at(const scheduler *s, int32_t id, int32_t pos)
{
    if (id < TN_CHECK_PROMPTS && s->args->prompt[id] && pos < s->args->n_prompt[id])
        return s->args->prompt[id][pos];
    uint64_t state = s->args->seed * 1000003u + (uint64_t)id * 8191u + (uint64_t)pos;
    return (int32_t)(tn_check_random(&state) % (uint64_t)s->args->vocab);
}

static bool allocate(scheduler *s, tn_check_batch *b, int32_t n_tokens, int32_t n_seqs)
{
    const size_t half = (size_t)s->args->desc->rope.rotary_dim / 2;
    tn_arena *arena = &s->out->arena;
    const size_t tokens = (size_t)n_tokens * sizeof(int32_t);
    const size_t seqs = (size_t)n_seqs * sizeof(int32_t);
    b->seq = tn_arena_alloc(arena, seqs);
    b->tokens = tn_arena_alloc(arena, tokens);
    b->pos = tn_arena_alloc(arena, tokens);
    b->slot = tn_arena_alloc(arena, tokens);
    b->rows = tn_arena_alloc(arena, tokens);
    b->q_start = tn_arena_alloc(arena, seqs + sizeof(int32_t));
    b->kv_len = tn_arena_alloc(arena, seqs);
    b->rope_index = tn_arena_alloc(arena, seqs);
    b->table = tn_arena_alloc(arena, seqs * (size_t)b->table_stride);
    b->rope_table = tn_arena_alloc(arena, (size_t)n_seqs * half * sizeof(float));
    return b->seq && b->tokens && b->pos && b->slot && b->rows && b->q_start && b->kv_len &&
           b->rope_index && b->table && b->rope_table;
}

/* Blocks for all tokens up to n, taken in the random order. */
static void grow(scheduler *s, sequence *q, int32_t n)
{
    while (q->n_blocks < tn_check_blocks(n, s->args->block_tokens))
        q->block[q->n_blocks++] = s->order[s->next_block++];
}

static tn_status add_rope(scheduler *s, tn_check_batch *b, int32_t length, tn_error *err)
{
    const tn_rope_desc *rope = &s->args->desc->rope;
    const bool each = tn_rope_depends_on_length(rope) != 0;
    float *row = b->rope_table + (size_t)b->n_tables * (size_t)b->half_rotary;
    b->rope_index[b->n_seqs] = each ? b->n_tables : 0;
    if (!each && b->n_tables > 0)
        return TN_OK;
    b->n_tables++;
    return tn_rope_inv_freq(rope, s->args->desc->max_length, length, row, err);
}

/* n more tokens of a sequence. The last one's logits are wanted, and one in the middle's. */
static tn_status add_sequence(scheduler *s, tn_check_batch *b, sequence *q, int32_t n,
                              tn_error *err)
{
    const int32_t at = b->n_seqs, block_tokens = s->args->block_tokens;
    int32_t *table = b->table + (size_t)at * (size_t)b->table_stride;
    TN_TRY(add_rope(s, b, q->done + n, err));
    grow(s, q, q->done + n);
    for (int32_t i = 0; i < b->table_stride; i++)
        table[i] = i < q->n_blocks ? q->block[i] : -1;
    for (int32_t i = 0; i < n; i++) {
        const int32_t pos = q->done + i, t = b->n_tokens + i;
        b->tokens[t] = token_at(s, q->id, pos);
        b->pos[t] = pos;
        b->slot[t] = q->block[pos / block_tokens] * block_tokens + pos % block_tokens;
        const bool wanted = i == n - 1 || (i == n / 2 && n > 8);
        if (wanted && b->n_rows < s->args->max_rows)
            b->rows[b->n_rows++] = t;
    }
    b->n_tokens += n;
    q->done += n;
    b->seq[at] = (int32_t)(q - s->seq);
    b->kv_len[at] = q->done;
    b->q_start[at + 1] = b->n_tokens;
    b->max_q = n > b->max_q ? n : b->max_q;
    b->max_kv = q->done > b->max_kv ? q->done : b->max_kv;
    b->n_seqs++;
    return TN_OK;
}

/* One step; sequences with one token come first. */
static tn_status add_step(scheduler *s, const int32_t *n, tn_error *err)
{
    tn_check_batch *b = &s->out->step[s->out->n_steps];
    int32_t room = s->args->max_tokens, taken[TN_CHECK_MAX_SEQS] = { 0 }, total = 0, n_taken = 0;
    for (int32_t i = 0; i < s->n_seqs && n_taken < s->args->max_seqs; i++) {
        const int32_t left = s->args->max_ctx - s->seq[i].done;
        taken[i] = least(least(n[i], room), left);
        room -= taken[i];
        total += taken[i];
        n_taken += taken[i] > 0;
    }
    if (total == 0)
        return TN_OK;
    *b = (tn_check_batch){ .table_stride = tn_check_blocks(s->args->max_ctx, s->args->block_tokens),
                           .half_rotary = s->args->desc->rope.rotary_dim / 2 };
    b->table_stride = least(b->table_stride, 64);
    if (!allocate(s, b, total, s->n_seqs))
        return tn_fail_memory(err, "the steps");
    for (int32_t i = 0; i < s->n_seqs; i++)
        if (taken[i] == 1)
            TN_TRY(add_sequence(s, b, &s->seq[i], 1, err));
    b->n_decode = b->n_seqs;
    for (int32_t i = 0; i < s->n_seqs; i++)
        if (taken[i] > 1)
            TN_TRY(add_sequence(s, b, &s->seq[i], taken[i], err));
    s->out->n_steps++;
    return TN_OK;
}

/* The third sequence begins with the first one's first block. */
static void share_prefix(scheduler *s)
{
    sequence *first = &s->seq[0], *third = &s->seq[2];
    if (first->done <= s->args->block_tokens)
        return;
    third->block[0] = first->block[0];
    third->n_blocks = 1;
    third->done = s->args->block_tokens;
    third->id = first->id;
}

/* The first sequence has ended; the fourth, of other text, gets its blocks, the last one first. */
static void recycle_blocks(scheduler *s)
{
    const sequence *first = &s->seq[0];
    sequence *fourth = &s->seq[3];
    for (int32_t i = 0; i < first->n_blocks; i++)
        fourth->block[i] = first->block[first->n_blocks - 1 - i];
    fourth->n_blocks = first->n_blocks;
}

static tn_status begin(scheduler *s, int32_t n_seqs, int32_t blocks_each, tn_error *err)
{
    const int32_t n = n_seqs * blocks_each + 3; /* a few stay free */
    s->n_seqs = n_seqs;
    s->out->n_blocks = n;
    s->state = s->args->seed;
    s->order = tn_arena_alloc(&s->out->arena, (size_t)n * sizeof(int32_t));
    if (!s->order)
        return tn_fail_memory(err, "the steps");
    for (int32_t i = 0; i < n; i++)
        s->order[i] = i;
    for (int32_t i = n - 1; i > 0; i--) {
        const int32_t k = (int32_t)(tn_check_random(&s->state) % (uint64_t)(i + 1));
        const int32_t swap = s->order[i];
        s->order[i] = s->order[k];
        s->order[k] = swap;
    }
    for (int32_t i = 0; i < s->n_seqs; i++) {
        s->seq[i].id = i;
        s->seq[i].block =
            tn_arena_alloc(&s->out->arena, (size_t)(blocks_each + 1) * sizeof(int32_t));
        if (!s->seq[i].block)
            return tn_fail_memory(err, "the steps");
    }
    return TN_OK;
}

tn_status tn_check_schedule_mixed(const tn_check_schedule_args *args, tn_check_schedule *out,
                                  tn_error *err)
{
    const int32_t border = args->block_tokens + 3, first = args->quick ? 19 : border;
    const plan_row rows[] = {
        { { first } }, { { 5, 7 } }, { { 1, 1, 3 } }, { { 1, 1, 1 } }, { { 0, 0, 0, first } }
    };
    scheduler s = { .args = args, .out = out };
    *out = (tn_check_schedule){ 0 };
    tn_status status = begin(&s, 4, tn_check_blocks(border + 16, args->block_tokens) + 1, err);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !status; i++) {
        if (i == 2)
            share_prefix(&s);
        if (i == 4)
            recycle_blocks(&s);
        status = add_step(&s, rows[i].n, err);
    }
    if (status)
        tn_check_schedule_deinit(out);
    return status;
}

tn_status tn_check_schedule_free(const tn_check_schedule_args *args, tn_check_schedule *out,
                                 tn_error *err)
{
    const int32_t a = args->n_prompt[0], b = args->n_prompt[1];
    const int32_t most = (a > b ? a : b) + args->n_new + 2;
    /* The second sequence already decodes while the first one's prompt goes on. */
    const plan_row chunks[] = { { { a - a / 3, b } }, { { a / 3, 1 } } };
    const plan_row decode = { { 1, 1 } };
    scheduler s = { .args = args, .out = out };
    *out = (tn_check_schedule){ 0 };
    tn_status status =
        begin(&s, TN_CHECK_PROMPTS, tn_check_blocks(most, args->block_tokens) + 1, err);
    for (int32_t i = 0; i < args->n_new + 2 && !status && out->n_steps < TN_CHECK_MAX_STEPS; i++)
        status = add_step(&s, i < 2 ? chunks[i].n : decode.n, err);
    if (status)
        tn_check_schedule_deinit(out);
    return status;
}

void tn_check_schedule_deinit(tn_check_schedule *s)
{
    tn_arena_deinit(&s->arena);
    *s = (tn_check_schedule){ 0 };
}
