/* SPDX-License-Identifier: Apache-2.0 */
/* Events, refusals and cancellation, on a tiny model and the real cpu-ref plugin. */
#include "tests/support/engine_rig.h"
#include "tests/support/temp_dir.h"

#include <math.h>
#include <string.h>

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* ---- events ---- */

static void plain_greedy_takes_the_argmax_path_and_the_same_ids(void **state)
{
    tn_record base;
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_run_reference(&s, &base);
    tn_engine_rig_open(&f, &s);
    tn_record_open(&r, &f);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    tn_engine_request request = tn_record_request(&r, prompt, TN_PROMPT);
    tn_record_submit(&f, &r, &request);
    tn_record_wait(&r);
    assert_memory_equal(base.id[0], r.id[0], TN_NEW * sizeof(int32_t));
    assert_true(isnan(r.logit[0]));
    tn_engine_rig_close(&f);
    tn_record_close(&r);
    tn_record_close(&base);
}

static void top_logits_are_the_best_raw_ones(void **state)
{
    tn_record base;
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_run_reference(&s, &base);
    tn_engine_rig_open(&f, &s);
    tn_record_open(&r, &f);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    tn_engine_request request = tn_record_request(&r, prompt, TN_PROMPT);
    request.n_top = 3;
    tn_record_submit(&f, &r, &request);
    tn_record_wait(&r);
    for (int32_t i = 0; i < TN_NEW; i++) {
        tn_token_logit expected[3];

        tn_top_logits(base.logits + (size_t)i * (size_t)f.vocab, f.vocab, 3, expected);
        for (int32_t k = 0; k < 3; k++) {
            assert_int_equal(r.top[i][k].id, expected[k].id);
            assert_true(r.top[i][k].logit == expected[k].logit);
        }
        assert_true(r.logit[i] == expected[0].logit);
    }
    tn_engine_rig_close(&f);
    tn_record_close(&r);
    tn_record_close(&base);
}

static void stop_ids_and_hooks_end_a_sample_after_reporting_it(void **state)
{
    tn_record base;
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_run_reference(&s, &base);
    tn_engine_rig_open(&f, &s);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    int32_t first = 0; /* where the stop id occurs first */
    while (base.id[0][first] != base.id[0][3])
        first++;
    for (int32_t by_hook = 0; by_hook < 2; by_hook++) {
        tn_record r;

        tn_record_open(&r, &f);
        tn_engine_request request = tn_record_request(&r, prompt, TN_PROMPT);
        request.stop_id = by_hook ? NULL : &base.id[0][3];
        request.n_stop_ids = !by_hook;
        r.stop_at = by_hook ? first : -1;
        tn_record_submit(&f, &r, &request);
        tn_record_wait(&r);
        assert_int_equal(r.reason[0], TN_FINISH_STOP);
        assert_int_equal(r.n_out[0], first + 1);
        assert_int_equal(r.id[0][first], base.id[0][3]);
        tn_record_close(&r);
    }
    tn_engine_rig_close(&f);
    tn_record_close(&base);
}

static void samples_of_a_request_fork_and_are_reproducible(void **state)
{
    tn_record r[2];
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_engine_rig_open(&f, &s);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    for (int32_t i = 0; i < 2; i++) {
        tn_record_open(&r[i], &f);
        r[i].n_samples = TN_MAX_SAMPLES;
        tn_engine_request request = tn_record_request(&r[i], prompt, TN_PROMPT - 3);
        request.sampling = (tn_sampling){ .temperature = 2.0F, .top_p = 1.0F, .seed = 5 };
        tn_record_submit(&f, &r[i], &request);
        tn_record_wait(&r[i]);
    }
    assert_memory_equal(r[0].id, r[1].id, sizeof(r[0].id));
    assert_memory_not_equal(r[0].id[0], r[0].id[1], TN_NEW * sizeof(int32_t));
    for (int32_t i = 0; i < TN_MAX_SAMPLES; i++)
        assert_int_equal(r[0].n_out[i], TN_NEW);

    /* Sample 2 alone is not a thing; sample 0 alone is: it draws the same with and without its
     * siblings. */
    tn_record one;
    tn_record_open(&one, &f);
    tn_engine_request alone = tn_record_request(&one, prompt, TN_PROMPT - 3);
    alone.sampling = (tn_sampling){ .temperature = 2.0F, .top_p = 1.0F, .seed = 5 };
    tn_record_submit(&f, &one, &alone);
    tn_record_wait(&one);
    assert_memory_equal(one.id[0], r[0].id[0], TN_NEW * sizeof(int32_t));
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.blocks_free, m.blocks);
    tn_engine_rig_close(&f);
    tn_record_close(&one);
    tn_record_close(&r[0]);
    tn_record_close(&r[1]);
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
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_engine_rig_open(&f, &s);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    tn_record_open(&r, &f);
    tn_engine_request request = tn_record_request(&r, prompt, TN_PROMPT);
    request.mask = allow_only_id_7;
    tn_record_submit(&f, &r, &request);
    tn_record_wait(&r);
    for (int32_t i = 0; i < TN_NEW; i++)
        assert_int_equal(r.id[0][i], 7);
    tn_record_close(&r);

    tn_record_open(&r, &f);
    request = tn_record_request(&r, prompt, TN_PROMPT);
    request.mask = allow_nothing;
    tn_record_submit(&f, &r, &request);
    tn_record_wait(&r);
    assert_int_equal(r.reason[0], TN_FINISH_ERROR);
    assert_non_null(strstr(r.error, "mask"));
    tn_record_close(&r);
    tn_engine_rig_close(&f);
}

static void max_tokens_0_only_computes_the_prompt(void **state)
{
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_engine_rig_open(&f, &s);
    tn_record_open(&r, &f);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    tn_engine_request request = tn_record_request(&r, prompt, TN_PROMPT);
    request.max_tokens = 0;
    request.logits = TN_LOGITS_ALL;
    tn_record_submit(&f, &r, &request);
    tn_record_wait(&r);
    assert_int_equal(r.reason[0], TN_FINISH_LENGTH);
    assert_int_equal(r.n_out[0], 0);
    assert_int_equal(r.n_prompt_rows, TN_PROMPT);
    tn_engine_rig_close(&f);
    tn_record_close(&r);
}

static void max_tokens_is_cut_to_the_context(void **state)
{
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    s.rig.max_ctx = TN_PROMPT + 5;
    tn_engine_rig_open(&f, &s);
    tn_record_open(&r, &f);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    tn_engine_request request = tn_record_request(&r, prompt, TN_PROMPT);
    tn_record_submit(&f, &r, &request);
    tn_record_wait(&r);
    assert_int_equal(r.reason[0], TN_FINISH_LENGTH);
    assert_int_equal(r.n_out[0], 5);
    tn_engine_rig_close(&f);
    tn_record_close(&r);
}

/* ---- refusals ---- */

static void refuse(tn_engine_rig *f, const tn_engine_request *request, const char *words)
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
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[300] = { 0 };
    const int32_t bad_stop = -4;
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    s.n_blocks = 8;
    tn_engine_rig_open(&f, &s);
    tn_record_open(&r, &f);
    const tn_engine_request good = tn_record_request(&r, prompt, 4);
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
    tn_engine_rig_close(&f);
    tn_record_close(&r);
}

static void an_engine_without_room_is_refused_with_the_numbers(void **state)
{
    tn_rig rig;
    tn_engine *engine = NULL;
    tn_error err = { 0 };
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_rig_open(&rig, &s.rig);
    tn_engine_args args = tn_engine_rig_args(&s, &rig);
    args.kv_bytes = 100;
    assert_int_equal(tn_engine_create(&args, &engine, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "100 bytes holds no sequence: a block of 16 tokens takes"));
    args = tn_engine_rig_args(&s, &rig);
    args.max_sequences = 33;
    assert_int_equal(tn_engine_create(&args, &engine, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "max_sequences 33 is not in 1 to 32"));
    args = tn_engine_rig_args(&s, &rig);
    args.max_tokens = 4;
    assert_int_equal(tn_engine_create(&args, &engine, &err), TN_INVALID);
    assert_null(engine);
    tn_rig_close(&rig);
}

/* ---- cancellation and the end ---- */

static void cancel_ends_a_request_in_any_state(void **state)
{
    tn_record held;
    tn_record running;
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_error err = { 0 };
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_engine_rig_open(&f, &s);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    tn_record_open(&held, &f);
    held.n_samples = 3;
    tn_record_open(&running, &f);
    running.cancel_at = 3; /* from its own hook */
    tn_engine_request waiting = tn_record_request(&held, prompt, TN_PROMPT);
    tn_engine_request request = tn_record_request(&running, prompt, TN_PROMPT);
    tn_engine_hold(f.engine);
    tn_test_succeed(tn_engine_submit(f.engine, &waiting, &held.engine_id, &err), &err);
    tn_engine_cancel(f.engine, held.engine_id);
    tn_record_wait(&held); /* while no step may start */
    tn_test_succeed(tn_engine_submit(f.engine, &request, &running.engine_id, &err), &err);
    tn_engine_release(f.engine);
    tn_record_wait(&running);
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
    tn_engine_rig_close(&f);
    tn_record_close(&held);
    tn_record_close(&running);
}

/* Enough for a cancel to meet a request that the engine thread has not taken yet. */
enum { CLIENT_REQUESTS = 400 };

typedef struct client {
    tn_engine_rig *f;
    uint64_t seed;
    tn_record r;
    pthread_t thread;
} client;

static void *run_client(void *ctx)
{
    client *c = ctx;
    int32_t prompt[TN_PROMPT];
    tn_error err = { 0 };

    tn_test_prompt(prompt, TN_PROMPT, c->f->vocab, c->seed);
    for (int32_t i = 0; i < CLIENT_REQUESTS; i++) {
        tn_record_open(&c->r, c->f);
        tn_engine_request request =
            tn_record_request(&c->r, prompt, 1 + (int32_t)(c->seed + (uint64_t)i) % TN_PROMPT);
        uint64_t id = 0;
        tn_status st = tn_engine_submit(c->f->engine, &request, &id, &err);
        if (!st && i % 2)
            tn_engine_cancel(c->f->engine, id);
        tn_engine_metrics m;
        tn_engine_read_metrics(c->f->engine, &m);
        if (!st)
            tn_record_wait(&c->r);
        tn_record_close(&c->r);
    }
    return NULL;
}

static void clients_submit_and_cancel_from_their_own_threads(void **state)
{
    enum { N = 4 };
    client c[N];
    tn_engine_rig f;
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    s.rig.threads = 2;
    s.n_blocks = 12;
    tn_engine_rig_open(&f, &s);
    for (int32_t i = 0; i < N; i++) {
        c[i].f = &f;
        c[i].seed = 10 + (uint64_t)i;
        assert_int_equal(pthread_create(&c[i].thread, NULL, run_client, &c[i]), 0);
    }
    for (int32_t i = 0; i < N; i++)
        pthread_join(c[i].thread, NULL);
    tn_engine_metrics m;
    tn_engine_read_metrics(f.engine, &m);
    assert_int_equal(m.requests, N * CLIENT_REQUESTS);
    assert_int_equal(m.finished + m.cancelled, N * CLIENT_REQUESTS);
    assert_int_equal(m.failed, 0);
    tn_engine_rig_close(&f);
}

static void destroy_cancels_what_is_in_flight(void **state)
{
    enum { N = 3 };
    tn_record r[N];
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_error err = { 0 };
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_engine_rig_open(&f, &s);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    tn_engine_hold(f.engine); /* none has had a step yet */
    for (int32_t i = 0; i < N; i++) {
        tn_record_open(&r[i], &f);
        tn_engine_request request = tn_record_request(&r[i], prompt, TN_PROMPT);
        tn_test_succeed(tn_engine_submit(f.engine, &request, &r[i].engine_id, &err), &err);
    }
    tn_engine_rig_close(&f);
    for (int32_t i = 0; i < N; i++) {
        assert_int_equal(r[i].n_finish[0], 1);
        assert_int_equal(r[i].reason[0], TN_FINISH_CANCELLED);
        tn_record_close(&r[i]);
    }
}

static void destroy_works_in_the_middle_of_generation(void **state)
{
    tn_record r;
    tn_engine_rig f;
    int32_t prompt[TN_PROMPT];
    tn_engine_setup s = TN_ENGINE_SETUP_DEFAULT;

    (void)state;
    tn_engine_rig_open(&f, &s);
    tn_test_prompt(prompt, TN_PROMPT, f.vocab, 1);
    tn_record_open(&r, &f);
    tn_engine_request request = tn_record_request(&r, prompt, TN_PROMPT);
    request.max_tokens = TN_MAX_NEW;
    tn_record_submit(&f, &r, &request);
    tn_engine_metrics m = { 0 };
    while (m.generated_tokens == 0)
        tn_engine_read_metrics(f.engine, &m);
    tn_engine_rig_close(&f);
    assert_int_equal(r.n_finish[0], 1);
    assert_true(r.n_out[0] >= 1);
    tn_record_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };

    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
