/* SPDX-License-Identifier: Apache-2.0 */
/* The whole path from token ids to token ids, on a tiny model and the real cpu-ref plugin. */
#include "core/base/alloc.h"
#include "core/engine/engine.h"
#include "tests/support/rig.h"
#include "tests/support/temp_dir.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

enum { MAX_SAMPLES = 4, MAX_OUT = 64, PROMPT = 40, OUT = 12 };

typedef struct fixture {
    tn_rig rig;
    tn_engine *engine;
    int32_t vocab;
} fixture;

typedef struct setup {
    tn_rig_options rig;
    int32_t max_sequences, max_tokens, max_chunk, n_blocks; /* n_blocks 0: plenty */
    bool prefix_cache, keep_all;
} setup;

#define SETUP_DEFAULT                                                                              \
    {                                                                                              \
        .rig = TN_RIG_DEFAULT, .max_sequences = 20, .max_tokens = 512                              \
    }

/* What a request reported. Filled on the engine thread, read after wait_for. */
typedef struct record {
    pthread_mutex_t lock;
    pthread_cond_t finished;
    int32_t n_samples, n_finished, vocab;
    int32_t id[MAX_SAMPLES][MAX_OUT], n_out[MAX_SAMPLES], reason[MAX_SAMPLES],
        n_finish[MAX_SAMPLES];
    int32_t cached, completion[MAX_SAMPLES], prefill_done, n_prompt_rows;
    char error[256];
    float *prompt_logits; /* [PROMPT][vocab] */
    float *logits;        /* sample 0: [MAX_OUT][vocab] */
    tn_top_logit top[MAX_OUT][3];
    float logit[MAX_OUT];
    tn_engine *engine;
    uint64_t engine_id;
    int32_t stop_at, preempt_at, cancel_at; /* output position of sample 0, or -1 */
    bool too_late;                          /* an event came after the sample's finish */
} record;

static void succeed(tn_status st, const tn_error *err)
{
    if (st)
        fail_msg("%s: %s", tn_status_name(st), err->text);
}

static tn_engine_args engine_args(const setup *s, const tn_rig *rig)
{
    uint64_t block_bytes = 0;

    for (int32_t l = 0; l < rig->graph.n_layers; l++)
        block_bytes += rig->binding->kv[l].block_bytes;
    return (tn_engine_args){ .binding = rig->binding,
                             .source = tn_rig_source(rig),
                             .team = rig->team,
                             .kv_format = s->rig.kv_format,
                             .kv_bytes = block_bytes * (uint64_t)(s->n_blocks ? s->n_blocks : 400),
                             .max_sequences = s->max_sequences,
                             .max_tokens = s->max_tokens,
                             .max_context = s->rig.max_ctx,
                             .max_chunk = s->max_chunk,
                             .prefix_cache = s->prefix_cache,
                             .keep_all = s->keep_all };
}

static void open_fixture(fixture *f, const setup *s)
{
    tn_error err = { 0 };

    tn_rig_open(&f->rig, &s->rig);
    tn_engine_args args = engine_args(s, &f->rig);
    succeed(tn_engine_create(&args, &f->engine, &err), &err);
    f->vocab = f->rig.desc.vocab;
}

static void close_fixture(fixture *f)
{
    tn_engine_destroy(f->engine);
    tn_rig_close(&f->rig);
}

static void record_open(record *r, const fixture *f)
{
    *r = (record){ .n_samples = 1, .vocab = f->vocab, .engine = f->engine };
    r->stop_at = r->preempt_at = r->cancel_at = -1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->finished, NULL);
    r->prompt_logits = tn_alloc_array((size_t)PROMPT * (size_t)f->vocab, sizeof(float));
    r->logits = tn_alloc_array((size_t)MAX_OUT * (size_t)f->vocab, sizeof(float));
    assert_non_null(r->prompt_logits);
    assert_non_null(r->logits);
}

static void record_close(record *r)
{
    tn_free(r->prompt_logits);
    tn_free(r->logits);
    pthread_cond_destroy(&r->finished);
    pthread_mutex_destroy(&r->lock);
}

static int32_t on_token(void *ctx, const tn_token_event *e)
{
    record *r = ctx;

    r->too_late = r->too_late || r->n_finish[e->sample] > 0;
    r->id[e->sample][e->position] = e->id;
    r->n_out[e->sample]++;
    if (e->sample > 0)
        return TN_CONTINUE;
    r->logit[e->position] = e->logit;
    if (e->logits)
        memcpy(r->logits + (size_t)e->position * (size_t)r->vocab, e->logits,
               (size_t)r->vocab * sizeof(float));
    for (int32_t i = 0; i < e->n_top && i < 3; i++)
        r->top[e->position][i] = e->top[i];
    if (e->position == r->preempt_at)
        tn_engine_preempt(r->engine, r->engine_id);
    if (e->position == r->cancel_at)
        tn_engine_cancel(r->engine, r->engine_id);
    return e->position == r->stop_at ? TN_STOP : TN_CONTINUE;
}

static void on_logits(void *ctx, int32_t position, const float *logits, int32_t vocab)
{
    record *r = ctx;

    if (position < PROMPT)
        memcpy(r->prompt_logits + (size_t)position * (size_t)vocab, logits,
               (size_t)vocab * sizeof(float));
    r->n_prompt_rows++;
}

static void on_prefill(void *ctx, int32_t done, int32_t total)
{
    record *r = ctx;

    assert_true(done > r->prefill_done && done <= total);
    r->prefill_done = done;
}

static void on_finish(void *ctx, const tn_finish_event *e)
{
    record *r = ctx;

    pthread_mutex_lock(&r->lock);
    r->reason[e->sample] = e->reason;
    r->n_finish[e->sample]++;
    r->completion[e->sample] = e->completion_tokens;
    r->cached = e->cached_tokens;
    if (e->error)
        memcpy(r->error, e->error->text, sizeof(e->error->text));
    r->n_finished++;
    pthread_cond_signal(&r->finished);
    pthread_mutex_unlock(&r->lock);
}

static void wait_for(record *r)
{
    pthread_mutex_lock(&r->lock);
    while (r->n_finished < r->n_samples)
        pthread_cond_wait(&r->finished, &r->lock);
    pthread_mutex_unlock(&r->lock);
    assert_false(r->too_late);
    for (int32_t i = 0; i < r->n_samples; i++) {
        assert_int_equal(r->n_finish[i], 1);
        assert_int_equal(r->completion[i], r->n_out[i]);
    }
}

static void make_prompt(int32_t *prompt, int32_t n, int32_t vocab, uint64_t seed)
{
    for (int32_t i = 0; i < n; i++)
        prompt[i] = (int32_t)(tn_test_random(&seed) % (uint64_t)vocab);
}

static tn_engine_request request_of(record *r, const int32_t *prompt, int32_t n_prompt)
{
    return (tn_engine_request){ .prompt = prompt,
                                .n_prompt = n_prompt,
                                .max_tokens = OUT,
                                .n_samples = r->n_samples,
                                .sampling = { .top_p = 1.0F },
                                .ctx = r,
                                .on_token = on_token,
                                .on_logits = on_logits,
                                .on_prefill = on_prefill,
                                .on_finish = on_finish };
}

/* The engine is held, so that hooks may use the id. */
static void submit(fixture *f, record *r, const tn_engine_request *request)
{
    tn_error err = { 0 };

    tn_engine_hold(f->engine);
    succeed(tn_engine_submit(f->engine, request, &r->engine_id, &err), &err);
    tn_engine_release(f->engine);
}

/* ---- the same bits whatever happens around a request ---- */

static void run_reference(const setup *s, record *r)
{
    fixture f;
    int32_t prompt[PROMPT];

    open_fixture(&f, s);
    record_open(r, &f);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    tn_engine_request request = request_of(r, prompt, PROMPT);
    request.logits = TN_LOGITS_ALL;
    submit(&f, r, &request);
    wait_for(r);
    assert_int_equal(r->reason[0], TN_FINISH_LENGTH);
    assert_int_equal(r->n_out[0], OUT);
    assert_int_equal(r->n_prompt_rows, PROMPT);
    assert_int_equal(r->prefill_done, PROMPT);
    close_fixture(&f);
}

static void assert_same_bits(const record *a, const record *b)
{
    size_t row = (size_t)a->vocab * sizeof(float);

    assert_int_equal(a->n_out[0], b->n_out[0]);
    assert_memory_equal(a->id[0], b->id[0], (size_t)a->n_out[0] * sizeof(int32_t));
    assert_memory_equal(a->logits, b->logits, (size_t)a->n_out[0] * row);
}

static void assert_same_prompt_bits(const record *a, const record *b)
{
    assert_int_equal(b->n_prompt_rows, PROMPT);
    assert_memory_equal(a->prompt_logits, b->prompt_logits,
                        (size_t)PROMPT * (size_t)a->vocab * sizeof(float));
}

static void logits_are_the_same_bits_in_any_chunks(void **state)
{
    static const int32_t chunk[] = { 1, 7, 0 };
    record base;
    setup s = SETUP_DEFAULT;

    (void)state;
    s.max_chunk = 512;
    run_reference(&s, &base);
    assert_true(base.logits[0] != base.logits[1]); /* not a row of zeros */
    for (int32_t i = 0; i < 3; i++) {
        record r;

        s.max_chunk = chunk[i];
        run_reference(&s, &r);
        assert_same_bits(&base, &r);
        assert_same_prompt_bits(&base, &r);
        record_close(&r);
    }
    record_close(&base);
}

static void logits_are_the_same_bits_with_two_threads(void **state)
{
    record base;
    record r;
    setup s = SETUP_DEFAULT;

    (void)state;
    run_reference(&s, &base);
    s.rig.threads = 2;
    run_reference(&s, &r);
    assert_same_bits(&base, &r);
    assert_same_prompt_bits(&base, &r);
    record_close(&r);
    record_close(&base);
}

static void logits_are_the_same_bits_without_fusion_and_with_all_edges_kept(void **state)
{
    record base;
    record r;
    setup s = SETUP_DEFAULT;

    (void)state;
    run_reference(&s, &base);
    s.rig.no_fusion = true;
    s.keep_all = true;
    run_reference(&s, &r);
    assert_same_bits(&base, &r);
    record_close(&r);
    record_close(&base);
}

static void rows_above_max_rows_are_computed_in_slices(void **state)
{
    record base;
    record r;
    setup s = SETUP_DEFAULT;

    (void)state;
    s.rig.max_rows = 64;
    run_reference(&s, &base);
    s.rig.max_rows = 20; /* 40 prompt rows are two slices, and one sequence's rows span both */
    run_reference(&s, &r);
    assert_same_bits(&base, &r);
    assert_same_prompt_bits(&base, &r);
    record_close(&r);
    record_close(&base);
}

static void logits_are_the_same_bits_among_sixteen_others(void **state)
{
    enum { OTHERS = 16 };
    record base;
    record others[OTHERS];
    record r;
    fixture f;
    int32_t prompt[PROMPT];
    tn_error err = { 0 };
    setup s = SETUP_DEFAULT;

    (void)state;
    run_reference(&s, &base);
    open_fixture(&f, &s);
    tn_engine_hold(f.engine);
    for (int32_t i = 0; i < OTHERS; i++) {
        record_open(&others[i], &f);
        make_prompt(prompt, 3 + i, f.vocab, 100 + (uint64_t)i);
        tn_engine_request other = request_of(&others[i], prompt, 3 + i);
        other.sampling.temperature = i % 2 ? 1.0F : 0.0F;
        succeed(tn_engine_submit(f.engine, &other, &others[i].engine_id, &err), &err);
        if (i != OTHERS / 2)
            continue;
        record_open(&r, &f);
        make_prompt(prompt, PROMPT, f.vocab, 1);
        tn_engine_request mine = request_of(&r, prompt, PROMPT);
        mine.logits = TN_LOGITS_ALL;
        succeed(tn_engine_submit(f.engine, &mine, &r.engine_id, &err), &err);
    }
    tn_engine_release(f.engine);
    wait_for(&r);
    for (int32_t i = 0; i < OTHERS; i++) {
        wait_for(&others[i]);
        assert_int_equal(others[i].n_out[0], OUT);
        record_close(&others[i]);
    }
    assert_same_bits(&base, &r);
    assert_same_prompt_bits(&base, &r);
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.requests, OTHERS + 1);
    assert_int_equal(m.finished, OTHERS + 1);
    assert_int_equal(m.steps, OUT); /* all of them met in each step */
    close_fixture(&f);
    record_close(&r);
    record_close(&base);
}

static void logits_are_the_same_bits_after_a_preemption(void **state)
{
    record base;
    record r;
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    run_reference(&s, &base);
    open_fixture(&f, &s);
    record_open(&r, &f);
    r.preempt_at = 4;
    make_prompt(prompt, PROMPT, f.vocab, 1);
    tn_engine_request request = request_of(&r, prompt, PROMPT);
    request.logits = TN_LOGITS_ALL;
    submit(&f, &r, &request);
    wait_for(&r);
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.preemptions, 1);
    assert_same_bits(&base, &r);
    assert_same_prompt_bits(&base, &r);
    close_fixture(&f);
    record_close(&r);
    record_close(&base);
}

static void logits_are_the_same_bits_from_a_shared_prefix(void **state)
{
    record base;
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    run_reference(&s, &base);
    s.prefix_cache = true;
    open_fixture(&f, &s);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    for (int32_t i = 0; i < 3; i++) {
        record r;

        record_open(&r, &f);
        tn_engine_request request = request_of(&r, prompt, PROMPT);
        request.logits = TN_LOGITS_LAST;
        request.salt = i == 2; /* another tenant shares nothing */
        submit(&f, &r, &request);
        wait_for(&r);
        assert_same_bits(&base, &r);
        assert_int_equal(r.cached, i == 1 ? PROMPT / 16 * 16 : 0);
        record_close(&r);
    }
    close_fixture(&f);
    record_close(&base);
}

static void a_crowded_pool_gives_every_request_its_tokens(void **state)
{
    enum { N = 6 };
    record r[N];
    fixture f;
    int32_t prompt[PROMPT];
    tn_error err = { 0 };
    record base;
    setup s = SETUP_DEFAULT;

    (void)state;
    run_reference(&s, &base);
    s.n_blocks = 9; /* a request needs 4: two run, more are preempted */
    open_fixture(&f, &s);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    tn_engine_hold(f.engine);
    for (int32_t i = 0; i < N; i++) {
        record_open(&r[i], &f);
        tn_engine_request request = request_of(&r[i], prompt, PROMPT);
        request.logits = TN_LOGITS_LAST;
        succeed(tn_engine_submit(f.engine, &request, &r[i].engine_id, &err), &err);
    }
    tn_engine_release(f.engine);
    for (int32_t i = 0; i < N; i++) {
        wait_for(&r[i]);
        assert_same_bits(&base, &r[i]);
        record_close(&r[i]);
    }
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.blocks, 9);
    assert_int_equal(m.blocks_free, 9);
    close_fixture(&f);
    record_close(&base);
}

static void every_kv_format_generates_and_repeats_itself(void **state)
{
    static const char *const format[] = { "f16", "i8" };

    (void)state;
    for (int32_t i = 0; i < 2; i++) {
        record a;
        record b;
        setup s = SETUP_DEFAULT;

        s.rig.kv_format = format[i];
        run_reference(&s, &a);
        s.max_chunk = 7;
        run_reference(&s, &b);
        assert_same_bits(&a, &b);
        assert_same_prompt_bits(&a, &b);
        record_close(&a);
        record_close(&b);
    }
}

static void a_dynamic_rope_row_belongs_to_its_sequence(void **state)
{
    record alone;
    record r;
    record other;
    fixture f;
    int32_t prompt[PROMPT];
    tn_error err = { 0 };
    setup s = SETUP_DEFAULT;

    (void)state;
    s.rig.rope_scaling = TN_ROPE_SCALING_DYNAMIC;
    s.rig.model.context = 32; /* 40 + 12 tokens are beyond it */
    run_reference(&s, &alone);
    open_fixture(&f, &s);
    record_open(&r, &f);
    record_open(&other, &f);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    tn_engine_request longer = request_of(&other, prompt, PROMPT);
    longer.max_tokens = 50;
    longer.logits = TN_LOGITS_LAST;
    tn_engine_request mine = request_of(&r, prompt, PROMPT);
    mine.logits = TN_LOGITS_LAST;
    tn_engine_hold(f.engine);
    succeed(tn_engine_submit(f.engine, &longer, &other.engine_id, &err), &err);
    succeed(tn_engine_submit(f.engine, &mine, &r.engine_id, &err), &err);
    tn_engine_release(f.engine);
    wait_for(&r);
    wait_for(&other);
    assert_same_bits(&alone, &r);
    assert_memory_not_equal(r.logits, other.logits, (size_t)f.vocab * sizeof(float));
    close_fixture(&f);
    record_close(&alone);
    record_close(&r);
    record_close(&other);
}

/* ---- events ---- */

static void plain_greedy_takes_the_argmax_path_and_the_same_ids(void **state)
{
    record base;
    record r;
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    run_reference(&s, &base);
    open_fixture(&f, &s);
    record_open(&r, &f);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    tn_engine_request request = request_of(&r, prompt, PROMPT);
    submit(&f, &r, &request);
    wait_for(&r);
    assert_memory_equal(base.id[0], r.id[0], OUT * sizeof(int32_t));
    assert_true(isnan(r.logit[0]));
    close_fixture(&f);
    record_close(&r);
    record_close(&base);
}

static void top_logits_are_the_best_raw_ones(void **state)
{
    record base;
    record r;
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    run_reference(&s, &base);
    open_fixture(&f, &s);
    record_open(&r, &f);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    tn_engine_request request = request_of(&r, prompt, PROMPT);
    request.n_top = 3;
    submit(&f, &r, &request);
    wait_for(&r);
    for (int32_t i = 0; i < OUT; i++) {
        tn_top_logit expected[3];

        tn_top_logits(base.logits + (size_t)i * (size_t)f.vocab, f.vocab, 3, expected);
        for (int32_t k = 0; k < 3; k++) {
            assert_int_equal(r.top[i][k].id, expected[k].id);
            assert_true(r.top[i][k].logit == expected[k].logit);
        }
        assert_true(r.logit[i] == expected[0].logit);
    }
    close_fixture(&f);
    record_close(&r);
    record_close(&base);
}

static void stop_ids_and_hooks_end_a_sample_after_reporting_it(void **state)
{
    record base;
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    run_reference(&s, &base);
    open_fixture(&f, &s);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    int32_t first = 0; /* where the stop id occurs first */
    while (base.id[0][first] != base.id[0][3])
        first++;
    for (int32_t by_hook = 0; by_hook < 2; by_hook++) {
        record r;

        record_open(&r, &f);
        tn_engine_request request = request_of(&r, prompt, PROMPT);
        request.stop_id = by_hook ? NULL : &base.id[0][3];
        request.n_stop_ids = !by_hook;
        r.stop_at = by_hook ? first : -1;
        submit(&f, &r, &request);
        wait_for(&r);
        assert_int_equal(r.reason[0], TN_FINISH_STOP);
        assert_int_equal(r.n_out[0], first + 1);
        assert_int_equal(r.id[0][first], base.id[0][3]);
        record_close(&r);
    }
    close_fixture(&f);
    record_close(&base);
}

static void samples_of_a_request_fork_and_are_reproducible(void **state)
{
    record r[2];
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    open_fixture(&f, &s);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    for (int32_t i = 0; i < 2; i++) {
        record_open(&r[i], &f);
        r[i].n_samples = MAX_SAMPLES;
        tn_engine_request request = request_of(&r[i], prompt, PROMPT - 3);
        request.sampling = (tn_sampling){ .temperature = 2.0F, .top_p = 1.0F, .seed = 5 };
        submit(&f, &r[i], &request);
        wait_for(&r[i]);
    }
    assert_memory_equal(r[0].id, r[1].id, sizeof(r[0].id));
    assert_memory_not_equal(r[0].id[0], r[0].id[1], OUT * sizeof(int32_t));
    for (int32_t i = 0; i < MAX_SAMPLES; i++)
        assert_int_equal(r[0].n_out[i], OUT);

    /* Sample 2 alone is not a thing; sample 0 alone is: it draws the same with and without its
     * siblings. */
    record one;
    record_open(&one, &f);
    tn_engine_request alone = request_of(&one, prompt, PROMPT - 3);
    alone.sampling = (tn_sampling){ .temperature = 2.0F, .top_p = 1.0F, .seed = 5 };
    submit(&f, &one, &alone);
    wait_for(&one);
    assert_memory_equal(one.id[0], r[0].id[0], OUT * sizeof(int32_t));
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.blocks_free, m.blocks);
    close_fixture(&f);
    record_close(&one);
    record_close(&r[0]);
    record_close(&r[1]);
}

static void allow_only_id_7(void *ctx, int32_t sample, uint32_t *bits, int32_t vocab)
{
    (void)ctx;
    (void)sample;
    for (int32_t i = 0; i < vocab; i++)
        if (i != 7)
            bits[i / 32] &= ~(1U << (i % 32));
}

static void allow_nothing(void *ctx, int32_t sample, uint32_t *bits, int32_t vocab)
{
    (void)ctx;
    (void)sample;
    memset(bits, 0, ((size_t)vocab + 31) / 32 * sizeof(*bits));
}

static void a_mask_limits_what_is_drawn_and_an_empty_one_fails_the_sample(void **state)
{
    record r;
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    open_fixture(&f, &s);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    record_open(&r, &f);
    tn_engine_request request = request_of(&r, prompt, PROMPT);
    request.mask = allow_only_id_7;
    submit(&f, &r, &request);
    wait_for(&r);
    for (int32_t i = 0; i < OUT; i++)
        assert_int_equal(r.id[0][i], 7);
    record_close(&r);

    record_open(&r, &f);
    request = request_of(&r, prompt, PROMPT);
    request.mask = allow_nothing;
    submit(&f, &r, &request);
    wait_for(&r);
    assert_int_equal(r.reason[0], TN_FINISH_ERROR);
    assert_non_null(strstr(r.error, "mask"));
    record_close(&r);
    close_fixture(&f);
}

static void max_tokens_0_only_computes_the_prompt(void **state)
{
    record r;
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    open_fixture(&f, &s);
    record_open(&r, &f);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    tn_engine_request request = request_of(&r, prompt, PROMPT);
    request.max_tokens = 0;
    request.logits = TN_LOGITS_ALL;
    submit(&f, &r, &request);
    wait_for(&r);
    assert_int_equal(r.reason[0], TN_FINISH_LENGTH);
    assert_int_equal(r.n_out[0], 0);
    assert_int_equal(r.n_prompt_rows, PROMPT);
    close_fixture(&f);
    record_close(&r);
}

static void max_tokens_is_cut_to_the_context(void **state)
{
    record r;
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    s.rig.max_ctx = PROMPT + 5;
    open_fixture(&f, &s);
    record_open(&r, &f);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    tn_engine_request request = request_of(&r, prompt, PROMPT);
    submit(&f, &r, &request);
    wait_for(&r);
    assert_int_equal(r.reason[0], TN_FINISH_LENGTH);
    assert_int_equal(r.n_out[0], 5);
    close_fixture(&f);
    record_close(&r);
}

/* ---- refusals ---- */

static void refuse(fixture *f, const tn_engine_request *request, const char *words)
{
    uint64_t id = 99;
    tn_error err = { 0 };

    assert_int_equal(tn_engine_submit(f->engine, request, &id, &err), TN_INVALID);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    assert_int_equal(id, 0);
}

static void bad_requests_are_refused_with_their_numbers(void **state)
{
    record r;
    fixture f;
    int32_t prompt[300] = { 0 };
    const int32_t bad_stop = -4;
    setup s = SETUP_DEFAULT;

    (void)state;
    s.n_blocks = 8;
    open_fixture(&f, &s);
    record_open(&r, &f);
    const tn_engine_request good = request_of(&r, prompt, 4);
    tn_engine_request q = good;
    q.n_prompt = 0;
    refuse(&f, &q, "no token");
    q = good;
    prompt[3] = 50000;
    refuse(&f, &q, "token id 50000 at position 3 is not in the vocabulary of");
    prompt[3] = -1;
    refuse(&f, &q, "token id -1 at position 3");
    prompt[3] = 0;
    q.n_prompt = 256;
    refuse(&f, &q, "256 tokens, at most 255 fit into the context of 256");
    q.n_prompt = 128;
    refuse(&f, &q, "128 tokens, at most 127 fit into the KV cache of 8 blocks of 16 tokens");
    q = good;
    q.max_tokens = -1;
    refuse(&f, &q, "max_tokens -1");
    q = good;
    q.n_samples = 21;
    refuse(&f, &q, "n_samples 21 is not in 1 to 20");
    q = good;
    q.stop_id = &bad_stop;
    q.n_stop_ids = 1;
    refuse(&f, &q, "stop id -4");
    q = good;
    q.sampling.top_p = 0.0F;
    refuse(&f, &q, "top_p");
    q = good;
    q.n_top = 2000;
    refuse(&f, &q, "n_top 2000");
    q = good;
    q.logits = 7;
    refuse(&f, &q, "logits 7");
    close_fixture(&f);
    record_close(&r);
}

static void an_engine_without_room_is_refused_with_the_numbers(void **state)
{
    tn_rig rig;
    tn_engine *engine = NULL;
    tn_error err = { 0 };
    setup s = SETUP_DEFAULT;

    (void)state;
    tn_rig_open(&rig, &s.rig);
    tn_engine_args args = engine_args(&s, &rig);
    args.kv_bytes = 100;
    assert_int_equal(tn_engine_create(&args, &engine, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "100 bytes holds no sequence: a block of 16 tokens takes"));
    args = engine_args(&s, &rig);
    args.max_sequences = 33;
    assert_int_equal(tn_engine_create(&args, &engine, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "max_sequences 33 is not in 1 to 32"));
    args = engine_args(&s, &rig);
    args.max_tokens = 4;
    assert_int_equal(tn_engine_create(&args, &engine, &err), TN_INVALID);
    assert_null(engine);
    tn_rig_close(&rig);
}

/* ---- cancellation and the end ---- */

static void cancel_ends_a_request_in_any_state(void **state)
{
    record held;
    record running;
    fixture f;
    int32_t prompt[PROMPT];
    tn_error err = { 0 };
    setup s = SETUP_DEFAULT;

    (void)state;
    open_fixture(&f, &s);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    record_open(&held, &f);
    held.n_samples = 3;
    record_open(&running, &f);
    running.cancel_at = 3; /* from its own hook */
    tn_engine_request waiting = request_of(&held, prompt, PROMPT);
    tn_engine_request request = request_of(&running, prompt, PROMPT);
    tn_engine_hold(f.engine);
    succeed(tn_engine_submit(f.engine, &waiting, &held.engine_id, &err), &err);
    tn_engine_cancel(f.engine, held.engine_id);
    wait_for(&held); /* while no step may start */
    succeed(tn_engine_submit(f.engine, &request, &running.engine_id, &err), &err);
    tn_engine_release(f.engine);
    wait_for(&running);
    tn_engine_cancel(f.engine, running.engine_id); /* it is gone: ignored */
    tn_engine_cancel(f.engine, 12345);
    for (int32_t i = 0; i < 3; i++)
        assert_int_equal(held.reason[i], TN_FINISH_CANCELLED);
    assert_int_equal(running.reason[0], TN_FINISH_CANCELLED);
    assert_int_equal(running.n_out[0], 4);
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.cancelled, 4);
    assert_int_equal(m.blocks_free, m.blocks);
    assert_int_equal(m.running + m.waiting, 0);
    close_fixture(&f);
    record_close(&held);
    record_close(&running);
}

typedef struct client {
    fixture *f;
    uint64_t seed;
    record r;
    pthread_t thread;
} client;

static void *run_client(void *ctx)
{
    client *c = ctx;
    int32_t prompt[PROMPT];
    tn_error err = { 0 };

    make_prompt(prompt, PROMPT, c->f->vocab, c->seed);
    for (int32_t i = 0; i < 8; i++) {
        record_open(&c->r, c->f);
        tn_engine_request request =
            request_of(&c->r, prompt, 1 + (int32_t)(c->seed + (uint64_t)i) % PROMPT);
        uint64_t id = 0;
        tn_status st = tn_engine_submit(c->f->engine, &request, &id, &err);
        if (!st && i % 2)
            tn_engine_cancel(c->f->engine, id);
        tn_engine_metrics m;
        tn_engine_read_metrics(c->f->engine, &m);
        if (!st)
            wait_for(&c->r);
        record_close(&c->r);
    }
    return NULL;
}

static void clients_submit_and_cancel_from_their_own_threads(void **state)
{
    enum { N = 4 };
    client c[N];
    fixture f;
    setup s = SETUP_DEFAULT;

    (void)state;
    s.rig.threads = 2;
    s.n_blocks = 12;
    open_fixture(&f, &s);
    for (int32_t i = 0; i < N; i++) {
        c[i].f = &f;
        c[i].seed = 10 + (uint64_t)i;
        assert_int_equal(pthread_create(&c[i].thread, NULL, run_client, &c[i]), 0);
    }
    for (int32_t i = 0; i < N; i++)
        pthread_join(c[i].thread, NULL);
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.requests, N * 8);
    assert_int_equal(m.finished + m.cancelled, N * 8);
    assert_int_equal(m.failed, 0);
    close_fixture(&f);
}

static void destroy_cancels_what_is_in_flight(void **state)
{
    enum { N = 3 };
    record r[N];
    fixture f;
    int32_t prompt[PROMPT];
    tn_error err = { 0 };
    setup s = SETUP_DEFAULT;

    (void)state;
    open_fixture(&f, &s);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    tn_engine_hold(f.engine); /* none has had a step yet */
    for (int32_t i = 0; i < N; i++) {
        record_open(&r[i], &f);
        tn_engine_request request = request_of(&r[i], prompt, PROMPT);
        succeed(tn_engine_submit(f.engine, &request, &r[i].engine_id, &err), &err);
    }
    close_fixture(&f);
    for (int32_t i = 0; i < N; i++) {
        assert_int_equal(r[i].n_finish[0], 1);
        assert_int_equal(r[i].reason[0], TN_FINISH_CANCELLED);
        record_close(&r[i]);
    }
}

static void destroy_works_in_the_middle_of_generation(void **state)
{
    record r;
    fixture f;
    int32_t prompt[PROMPT];
    setup s = SETUP_DEFAULT;

    (void)state;
    open_fixture(&f, &s);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    record_open(&r, &f);
    tn_engine_request request = request_of(&r, prompt, PROMPT);
    request.max_tokens = MAX_OUT;
    submit(&f, &r, &request);
    tn_engine_metrics m = { 0 };
    while (m.generated_tokens == 0)
        tn_engine_read_metrics(f.engine, &m);
    close_fixture(&f);
    assert_int_equal(r.n_finish[0], 1);
    assert_true(r.n_out[0] >= 1);
    record_close(&r);
}

/* ---- faults ---- */

static tn_status (*good_run)(void *, const tn_node *, const tn_launch *, tn_error *);
static _Atomic int32_t fault; /* a status, once the batch has more than one sequence */

static tn_status run_with_fault(void *self, const tn_node *node, const tn_launch *launch,
                                tn_error *err)
{
    if (fault && launch->batch->n_seqs > 1)
        return tn_fail(err, fault, "out of luck");
    return good_run(self, node, launch, err);
}

/* Three requests, one of two samples, meet in a step that fails; then one more is submitted. */
static void fail_a_step(tn_status code, record *r, tn_status *later, tn_error *err)
{
    fixture f;
    int32_t prompt[PROMPT];
    uint64_t id = 0;
    setup s = SETUP_DEFAULT;

    open_fixture(&f, &s);
    tn_bound_node *node = &f.rig.binding->node[1];
    tn_kernel broken = *node->kernel;
    good_run = broken.run;
    broken.run = run_with_fault;
    fault = code;
    tn_engine_hold(f.engine);
    node->kernel = &broken;
    make_prompt(prompt, PROMPT, f.vocab, 1);
    for (int32_t i = 0; i < 3; i++) {
        record_open(&r[i], &f);
        r[i].n_samples = i == 2 ? 2 : 1;
        tn_engine_request request = request_of(&r[i], prompt, PROMPT);
        succeed(tn_engine_submit(f.engine, &request, &r[i].engine_id, err), err);
    }
    tn_engine_release(f.engine);
    for (int32_t i = 0; i < 3; i++)
        wait_for(&r[i]);
    tn_engine_request again = request_of(&r[0], prompt, PROMPT);
    again.on_token = NULL;
    again.on_prefill = NULL;
    again.on_finish = NULL;
    fault = 0;
    *later = tn_engine_submit(f.engine, &again, &id, err);
    close_fixture(&f);
}

static void a_failed_step_ends_its_requests_and_only_them(void **state)
{
    record r[3];
    tn_status later;
    tn_error err = { 0 };

    (void)state;
    fail_a_step(TN_INTERNAL, r, &later, &err);
    assert_int_equal(later, TN_OK);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(r[i].reason[0], TN_FINISH_ERROR);
        assert_non_null(strstr(r[i].error, "out of luck"));
        record_close(&r[i]);
    }
}

static void after_the_loss_of_a_device_requests_are_refused_with_the_reason(void **state)
{
    record r[3];
    tn_status later;
    tn_error err = { 0 };

    (void)state;
    fail_a_step(TN_DEVICE_LOST, r, &later, &err);
    assert_int_equal(later, TN_DEVICE_LOST);
    assert_non_null(strstr(err.text, "the engine has stopped: node "));
    assert_non_null(strstr(err.text, "out of luck"));
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(r[i].reason[0], TN_FINISH_ERROR);
        record_close(&r[i]);
    }
    assert_int_equal(r[2].reason[1], TN_FINISH_ERROR);
}

static void create_survives_the_failure_of_every_allocation(void **state)
{
    tn_rig rig;
    setup s = SETUP_DEFAULT;
    uint64_t n = 1;
    tn_engine *engine = NULL;

    (void)state;
    s.keep_all = true;
    tn_rig_open(&rig, &s.rig);
    const tn_engine_args args = engine_args(&s, &rig);
    for (;; n++) {
        tn_error err = { 0 };

        tn_alloc_fail_at(n);
        tn_status st = tn_engine_create(&args, &engine, &err);
        tn_alloc_fail_at(0);
        if (!st)
            break;
        if (st != TN_NO_MEMORY)
            fail_msg("allocation %d: %s: %s", (int)n, tn_status_name(st), err.text);
        assert_null(engine);
    }
    assert_true(n > 20);
    tn_engine_destroy(engine);
    tn_rig_close(&rig);
}

static void submit_survives_the_failure_of_every_allocation(void **state)
{
    record r;
    fixture f;
    int32_t prompt[PROMPT];
    uint64_t n = 1;
    setup s = SETUP_DEFAULT;

    (void)state;
    open_fixture(&f, &s);
    make_prompt(prompt, PROMPT, f.vocab, 1);
    record_open(&r, &f);
    const tn_engine_request request = request_of(&r, prompt, PROMPT);
    tn_engine_hold(f.engine);
    for (;; n++) {
        tn_error err = { 0 };

        tn_alloc_fail_at(n);
        tn_status st = tn_engine_submit(f.engine, &request, &r.engine_id, &err);
        tn_alloc_fail_at(0);
        if (!st)
            break;
        assert_int_equal(st, TN_NO_MEMORY);
    }
    tn_engine_release(f.engine);
    wait_for(&r);
    assert_true(n > 1);
    close_fixture(&f);
    record_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_same_bits_in_any_chunks),
        cmocka_unit_test(logits_are_the_same_bits_with_two_threads),
        cmocka_unit_test(logits_are_the_same_bits_without_fusion_and_with_all_edges_kept),
        cmocka_unit_test(rows_above_max_rows_are_computed_in_slices),
        cmocka_unit_test(logits_are_the_same_bits_among_sixteen_others),
        cmocka_unit_test(logits_are_the_same_bits_after_a_preemption),
        cmocka_unit_test(logits_are_the_same_bits_from_a_shared_prefix),
        cmocka_unit_test(a_crowded_pool_gives_every_request_its_tokens),
        cmocka_unit_test(every_kv_format_generates_and_repeats_itself),
        cmocka_unit_test(a_dynamic_rope_row_belongs_to_its_sequence),
        cmocka_unit_test(plain_greedy_takes_the_argmax_path_and_the_same_ids),
        cmocka_unit_test(top_logits_are_the_best_raw_ones),
        cmocka_unit_test(stop_ids_and_hooks_end_a_sample_after_reporting_it),
        cmocka_unit_test(samples_of_a_request_fork_and_are_reproducible),
        cmocka_unit_test(a_mask_limits_what_is_drawn_and_an_empty_one_fails_the_sample),
        cmocka_unit_test(max_tokens_0_only_computes_the_prompt),
        cmocka_unit_test(max_tokens_is_cut_to_the_context),
        cmocka_unit_test(bad_requests_are_refused_with_their_numbers),
        cmocka_unit_test(an_engine_without_room_is_refused_with_the_numbers),
        cmocka_unit_test(cancel_ends_a_request_in_any_state),
        cmocka_unit_test(clients_submit_and_cancel_from_their_own_threads),
        cmocka_unit_test(destroy_cancels_what_is_in_flight),
        cmocka_unit_test(destroy_works_in_the_middle_of_generation),
        cmocka_unit_test(a_failed_step_ends_its_requests_and_only_them),
        cmocka_unit_test(after_the_loss_of_a_device_requests_are_refused_with_the_reason),
        cmocka_unit_test(create_survives_the_failure_of_every_allocation),
        cmocka_unit_test(submit_survives_the_failure_of_every_allocation),
    };

    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
