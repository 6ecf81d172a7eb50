/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ten thousand random requests against a model whose next token is a hash of the history that it
 * reads through the block tables. A fake KV store keeps what was written to each slot, so any wrong
 * sharing, copy or reuse shows up as a wrong token. Usage: test_scheduler_simulation [first seed]
 * runs other random numbers.
 */
#include "core/base/alloc.h"
#include "core/sched/batch.h"
#include "tests/support/sched_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_LIVE = 64, MAX_LENGTH = 128, MAX_SAMPLES = 5, N_REQUESTS = 1300, VOCAB = 5 };

typedef struct kv_entry {
    int32_t token, pos;
    uint64_t seed; /* stands for all that KV depends on besides tokens */
} kv_entry;

typedef struct sample_state {
    int32_t tokens[MAX_LENGTH], n, n_rows;
    bool done;
} sample_state;

typedef struct live_request {
    uint64_t id, seed;
    int32_t n_prompt, max_new, n_samples, limit;
    bool live, all_rows, ran; /* ran: was in a step */
    int64_t deadline;
    sample_state sample[MAX_SAMPLES];
} live_request;

typedef struct simulation {
    tn_sched_config config;
    tn_sched *sched;
    tn_batch_arrays batch;
    kv_entry *kv;
    uint64_t seed, random, next_id;
    int64_t n_steps, n_submitted, n_finished, n_cancelled, n_forced, n_copies;
    live_request live[MAX_LIVE];
    tn_draw *draws;
} simulation;

static uint64_t first_seed = 1;

#define CHECK(sim, condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %llu, step %lld: %s", (unsigned long long)(sim)->seed,                  \
                     (long long)(sim)->n_steps, #condition);                                       \
    } while (0)

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static int32_t draw_int(simulation *sim, int32_t low, int32_t high)
{
    sim->random = mix(sim->random);
    return low + (int32_t)((sim->random >> 16) % (uint64_t)(high - low + 1));
}

static uint64_t absorb(uint64_t state, int32_t token)
{
    return mix(state ^ (uint64_t)(uint32_t)token);
}

/* The model: history hash, sample and output position give token and end. */
static tn_draw model_draw(uint64_t state, int32_t sample, int32_t position)
{
    uint64_t h = mix(state ^ ((uint64_t)(uint32_t)sample << 32) ^ (uint64_t)(uint32_t)position);
    return (tn_draw){ .token = (int32_t)(h % VOCAB), .finish = (h >> 32) % 61 == 0 };
}

static live_request *find_request(simulation *sim, uint64_t id)
{
    for (int32_t i = 0; i < MAX_LIVE; i++) {
        if (sim->live[i].live && sim->live[i].id == id)
            return &sim->live[i];
    }
    return NULL;
}

static void check_invariants(simulation *sim)
{
    tn_error err = { 0 };
    if (tn_sched_check(sim->sched, &err))
        fail_msg("seed %llu, step %lld: %s", (unsigned long long)sim->seed, (long long)sim->n_steps,
                 err.text);
}

/* Steps that all live requests need at most if each step computes one token of one sequence. */
static int64_t live_work(const simulation *sim)
{
    int64_t n = 0;
    for (int32_t i = 0; i < MAX_LIVE; i++)
        n += sim->live[i].live ? (int64_t)sim->live[i].limit * sim->live[i].n_samples : 0;
    return n;
}

static void submit(simulation *sim)
{
    live_request *r = sim->live;
    while (r < sim->live + MAX_LIVE && r->live)
        r++;
    if (r == sim->live + MAX_LIVE)
        return;
    int32_t n_slots = sim->config.n_blocks * sim->config.block_tokens;
    int32_t capacity = n_slots < sim->config.max_length ? n_slots : sim->config.max_length;
    int32_t max_samples =
        sim->config.max_sequences < MAX_SAMPLES ? sim->config.max_sequences : MAX_SAMPLES;
    *r = (live_request){ .id = sim->next_id++, .seed = (uint64_t)draw_int(sim, 1, 2) };
    r->n_prompt = draw_int(sim, 1, draw_int(sim, 1, capacity - 1));
    r->max_new = draw_int(sim, 0, 30);
    r->n_samples = r->max_new > 0 && draw_int(sim, 0, 3) == 0 ? draw_int(sim, 1, max_samples) : 1;
    r->all_rows = draw_int(sim, 0, 7) == 0;
    int32_t room = capacity - r->n_prompt;
    r->limit = r->n_prompt + (r->max_new < room ? r->max_new : room);
    /* Few distinct beginnings, so that prefixes meet. */
    uint64_t state = (uint64_t)draw_int(sim, 0, 3);
    int32_t n_common = draw_int(sim, 0, r->n_prompt);
    for (int32_t i = 0; i < r->n_prompt; i++) {
        state = mix(state);
        r->sample[0].tokens[i] =
            i < n_common ? (int32_t)(state % VOCAB) : draw_int(sim, 0, VOCAB - 1);
    }
    for (int32_t k = 0; k < r->n_samples; k++) {
        memcpy(r->sample[k].tokens, r->sample[0].tokens, (size_t)r->n_prompt * sizeof(int32_t));
        r->sample[k].n = r->n_prompt;
        r->sample[k].n_rows = k > 0 ? r->n_prompt : 0;
    }
    tn_sched_request request = { .id = r->id,
                                 .user = r,
                                 .prompt = r->sample[0].tokens,
                                 .n_prompt = r->n_prompt,
                                 .max_new = r->max_new,
                                 .n_samples = r->n_samples,
                                 .prefix_seed = r->seed,
                                 .all_rows = r->all_rows };
    CHECK(sim, tn_sched_submit(sim->sched, &request, NULL) == TN_OK);
    r->live = true;
    r->deadline = sim->n_steps + live_work(sim);
    sim->n_submitted++;
}

static live_request *pick(simulation *sim)
{
    live_request *r = &sim->live[draw_int(sim, 0, MAX_LIVE - 1)];
    return r->live ? r : NULL;
}

static void disturb(simulation *sim)
{
    live_request *r = pick(sim);
    if (r && draw_int(sim, 0, 59) == 0) {
        CHECK(sim, tn_sched_cancel(sim->sched, r->id));
        r->live = false;
        sim->n_cancelled++;
    }
    r = pick(sim);
    if (r && r->ran && draw_int(sim, 0, 9) == 0) {
        tn_sched_preempt(sim->sched, r->id);
        sim->n_forced++;
        int64_t extra = live_work(sim); /* all may have to wait for what runs now */
        for (int32_t i = 0; i < MAX_LIVE; i++)
            sim->live[i].deadline += extra;
    }
}

/* One sequence of the step: write its tokens, read all its history back, and hash it. */
static uint64_t run_sequence(simulation *sim, int32_t s, const tn_step_seq *seq,
                             const sample_state *own, uint64_t seed)
{
    const tn_batch_arrays *b = &sim->batch;
    int32_t block_tokens = sim->config.block_tokens;
    for (int32_t t = b->q_start[s]; t < b->q_start[s + 1]; t++) {
        CHECK(sim, b->slot[t] >= 0 && b->slot[t] < sim->config.n_blocks * block_tokens);
        sim->kv[b->slot[t]] = (kv_entry){ .token = b->tokens[t], .pos = b->pos[t], .seed = seed };
    }
    CHECK(sim, b->kv_len[s] == seq->start + seq->n && b->kv_len[s] <= own->n);
    const int32_t *table = b->table + (size_t)s * (size_t)b->table_stride;
    uint64_t state = seed;
    for (int32_t p = 0; p < b->kv_len[s]; p++) {
        kv_entry e = sim->kv[table[p / block_tokens] * block_tokens + p % block_tokens];
        CHECK(sim, e.pos == p && e.seed == seed && e.token == own->tokens[p]);
        state = absorb(state, e.token);
    }
    return state;
}

static void check_rows(simulation *sim, const tn_step_seq *seq, live_request *r)
{
    sample_state *own = &r->sample[seq->sample];
    int32_t end = seq->start + seq->n;
    bool complete = end == own->n;
    CHECK(sim, !seq->n_draws || (complete && seq->output_position == own->n - r->n_prompt));
    CHECK(sim, seq->is_last == (complete && own->n + 1 >= r->limit));
    if (!r->all_rows) {
        CHECK(sim, seq->n_rows == complete);
        return;
    }
    CHECK(sim, seq->n_cached == 0);
    CHECK(sim, seq->n_rows <= seq->n);
    if (seq->n_rows == 0)
        return;
    CHECK(sim, end - seq->n_rows == own->n_rows);
    own->n_rows = end;
}

static void check_finished(simulation *sim, live_request *r)
{
    for (int32_t k = 0; k < r->n_samples; k++) {
        if (!r->sample[k].done)
            return;
        /* The same request alone, without any scheduler. */
        uint64_t state = r->seed;
        for (int32_t i = 0; i < r->n_prompt; i++)
            state = absorb(state, r->sample[k].tokens[i]);
        int32_t n = r->n_prompt;
        for (bool finish = false; n < r->limit && !finish; n++) {
            tn_draw draw = model_draw(state, k, n - r->n_prompt);
            CHECK(sim, n < r->sample[k].n && r->sample[k].tokens[n] == draw.token);
            state = absorb(state, draw.token);
            finish = draw.finish;
        }
        CHECK(sim, n == r->sample[k].n);
        CHECK(sim, !r->all_rows || r->sample[k].n_rows == (r->max_new > 0 ? n - 1 : n));
    }
    r->live = false;
    sim->n_finished++;
}

static void accept_draws(simulation *sim, const tn_step *step)
{
    for (int32_t s = 0; s < step->n_seqs; s++) {
        const tn_step_seq *seq = &step->seqs[s];
        live_request *r = find_request(sim, seq->id);
        if (!r)
            continue; /* cancelled while the step ran */
        for (int32_t k = 0; k < seq->n_draws; k++) {
            sample_state *own = &r->sample[seq->sample + k];
            CHECK(sim, !own->done && own->n < r->limit);
            own->tokens[own->n++] = sim->draws[seq->first_draw + k].token;
            own->done = sim->draws[seq->first_draw + k].finish || own->n == r->limit;
        }
        if (seq->n_draws == 0 && seq->is_last)
            r->sample[seq->sample].done = true;
    }
}

static void run_step(simulation *sim, const tn_step *step)
{
    int32_t n_tokens = 0, n_draws = 0, block_tokens = sim->config.block_tokens;
    CHECK(sim, step->n_seqs <= sim->config.max_sequences);
    CHECK(sim, step->n_tokens <= sim->config.max_batch_tokens);
    CHECK(sim, tn_batch_build(step, &sim->batch, NULL) == TN_OK);
    for (int32_t i = 0; i < step->n_copies; i++)
        memcpy(sim->kv + step->copy_dst[i] * block_tokens,
               sim->kv + step->copy_src[i] * block_tokens, (size_t)block_tokens * sizeof(kv_entry));
    sim->n_copies += step->n_copies;
    for (int32_t s = 0; s < step->n_seqs; s++) {
        const tn_step_seq *seq = &step->seqs[s];
        live_request *r = find_request(sim, seq->id);
        CHECK(sim, r && r == seq->user && seq->sample + seq->n_draws <= r->n_samples);
        CHECK(sim, (seq->n == 1) == (s < step->n_decode));
        CHECK(sim, sim->config.max_chunk == 0 || seq->n <= sim->config.max_chunk);
        CHECK(sim, seq->first_draw == n_draws);
        r->ran = true;
        check_rows(sim, seq, r);
        uint64_t state = run_sequence(sim, s, seq, &r->sample[seq->sample], r->seed);
        for (int32_t k = 0; k < seq->n_draws; k++)
            sim->draws[n_draws++] = model_draw(state, seq->sample + k, seq->output_position);
        n_tokens += seq->n;
    }
    CHECK(sim, n_tokens == step->n_tokens && n_draws == step->n_draws);
    CHECK(sim, sim->batch.n_rows == step->n_rows && sim->batch.n_tokens == n_tokens);
}

/* The requests of a failed step are over. */
static void abort_step(simulation *sim, const tn_step *step)
{
    for (int32_t s = 0; s < step->n_seqs; s++) {
        live_request *r = find_request(sim, step->seqs[s].id);
        sim->n_cancelled += r != NULL;
        if (r)
            r->live = false;
    }
    tn_sched_abort(sim->sched);
}

static void simulate_step(simulation *sim)
{
    const tn_step *step = NULL;
    bool has_work = tn_sched_has_work(sim->sched);
    CHECK(sim, tn_sched_plan(sim->sched, &step, NULL) == TN_OK);
    CHECK(sim, (step->n_seqs > 0) == has_work);
    check_invariants(sim);
    if (step->n_seqs == 0)
        return;
    run_step(sim, step);
    sim->n_steps++;
    disturb(sim);
    if (sim->n_submitted < N_REQUESTS && draw_int(sim, 0, 9) == 0)
        submit(sim);
    if (draw_int(sim, 0, 499) == 0) {
        abort_step(sim, step);
    } else {
        accept_draws(sim, step);
        CHECK(sim, tn_sched_commit(sim->sched, sim->draws, step->n_draws, NULL) == TN_OK);
    }
    for (int32_t i = 0; i < MAX_LIVE; i++) {
        if (!sim->live[i].live)
            continue;
        CHECK(sim, sim->n_steps <= sim->live[i].deadline);
        check_finished(sim, &sim->live[i]);
    }
    check_invariants(sim);
}

static void simulate(const tn_sched_config *config, uint64_t seed)
{
    size_t n_slots = (size_t)config->n_blocks * (size_t)config->block_tokens;
    simulation *sim = tn_alloc_array(1, sizeof(*sim));
    assert_non_null(sim);
    sim->config = *config;
    sim->seed = seed;
    sim->random = mix(seed);
    sim->next_id = 1;
    sim->kv = tn_alloc_array(n_slots, sizeof(kv_entry));
    sim->draws = tn_alloc_array((size_t)config->max_sequences, sizeof(tn_draw));
    assert_int_equal(tn_sched_create(config, &sim->sched, NULL), TN_OK);
    assert_int_equal(tn_batch_arrays_init(&sim->batch, config, NULL), TN_OK);

    for (int64_t turn = 0; sim->n_submitted < N_REQUESTS; turn++) {
        /* Busy and quiet times. */
        int32_t n_new = turn % 200 < 100 ? draw_int(sim, 0, 2) : draw_int(sim, 0, 9) == 0;
        for (int32_t i = 0; i < n_new; i++)
            submit(sim);
        disturb(sim);
        simulate_step(sim);
    }
    while (tn_sched_has_work(sim->sched))
        simulate_step(sim);

    tn_sched_stats stats;
    tn_sched_read_stats(sim->sched, &stats);
    CHECK(sim, stats.free_blocks == config->n_blocks);
    CHECK(sim, stats.running == 0 && stats.waiting == 0);
    CHECK(sim, sim->n_finished + sim->n_cancelled == sim->n_submitted);
    print_message("seed %llu: %lld steps, %lld finished, %lld cancelled, %llu preemptions (%lld "
                  "forced), %lld copies, %llu cached tokens\n",
                  (unsigned long long)seed, (long long)sim->n_steps, (long long)sim->n_finished,
                  (long long)sim->n_cancelled, (unsigned long long)stats.n_preemptions,
                  (long long)sim->n_forced, (long long)sim->n_copies,
                  (unsigned long long)stats.n_cached_tokens);
    tn_batch_arrays_deinit(&sim->batch);
    tn_sched_destroy(sim->sched);
    tn_free(sim->kv);
    tn_free(sim->draws);
    tn_free(sim);
}

static void every_random_request_ends_with_the_tokens_it_gets_alone(void **unused)
{
    (void)unused;
    static const tn_sched_config config[] = {
        /* blocks, tokens a block, sequences, tokens a step, context, chunk, prefix cache */
        { 12, 4, 4, 16, 64, 0, true },    { 64, 8, 8, 64, 128, 0, true },
        { 9, 16, 16, 32, 100, 7, false }, { 200, 4, 32, 48, 96, 1, true },
        { 6, 4, 3, 3, 24, 0, true },      { 40, 1, 8, 20, 40, 512, true },
        { 16, 4, 1, 8, 64, 5, true },     { 30, 4, 8, 24, 80, 3, true },
    };
    for (size_t i = 0; i < sizeof(config) / sizeof(config[0]); i++)
        simulate(&config[i], first_seed + i);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        first_seed = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_random_request_ends_with_the_tokens_it_gets_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
