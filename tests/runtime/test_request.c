/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling settings of requests through tenon.h, on a tiny model and cpu-ref. */
#include "core/base/alloc.h"
#include "runtime/runtime_internal.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    SAMPLES = 3,
    NEW = 24,
    TOP = 3,
    OTHERS = 16,
    MAX_TEXT = 1024,
    MAX_VOCAB = 1024,
    N_PROMPT = 30
};

/* What a request reports. */
typedef struct answer {
    int32_t n[SAMPLES], id[SAMPLES][NEW], reason[SAMPLES];
    double logprob[SAMPLES][NEW], top_logprob[SAMPLES][NEW][TOP];
    char text[SAMPLES][MAX_TEXT];
    size_t n_text[SAMPLES];
    /* not compared */
    bool had_logprobs;
    tn_alternative all[MAX_VOCAB]; /* of the last token of sample 0 */
    double all_logprob[MAX_VOCAB];
    float logit;
    int32_t n_all, preempt_at;
    tn_runtime *rt;
    uint64_t id_of_request;
} answer;

static int32_t on_token(void *ctx, const tn_token *token)
{
    answer *a = ctx;
    const int32_t k = token->sample, at = token->position;
    a->id[k][at] = token->id;
    a->n[k]++;
    a->had_logprobs = token->top_logprob != NULL;
    a->logit = token->logit;
    a->logprob[k][at] = a->had_logprobs ? token->logprob : 0;
    a->n_all = token->n_top;
    for (int32_t i = 0; i < token->n_top && a->had_logprobs; i++) {
        a->all[i] = token->top[i];
        a->all_logprob[i] = token->top_logprob[i];
        if (i < TOP)
            a->top_logprob[k][at][i] = token->top_logprob[i];
    }
    if (k == 0 && at == a->preempt_at)
        tn_engine_preempt(a->rt->engine, a->id_of_request);
    return 0;
}

static void on_text(void *ctx, int32_t sample, const char *text, size_t n)
{
    answer *a = ctx;
    if (n > MAX_TEXT - a->n_text[sample])
        return; /* an assertion fails on the test's own thread only: the text differs there */
    memcpy(a->text[sample] + a->n_text[sample], text, n);
    a->n_text[sample] += n;
}

static void on_done(void *ctx, const tn_result *result)
{
    answer *a = ctx;
    a->reason[result->sample] = result->reason;
}

static tn_runtime *open_runtime(const char *set_1, const char *set_2)
{
    const char *const sets[] = { "plugins=cpu-ref", "kv.block_tokens=16", set_1, set_2 };
    const tn_open_args args = { .size = sizeof args,
                                .model = tn_temp_path("model.gguf"),
                                .set = sets,
                                .n_sets = 2 + (set_1 != NULL) + (set_2 != NULL),
                                .plugin_dir = TEST_PLUGIN_DIR };
    tn_runtime *rt;
    tn_error err = { 0 };
    if (tn_runtime_open(&args, &rt, &err))
        fail_msg("%s", err.text);
    return rt;
}

/* Neutral settings, greedy. */
static tn_request_args request_for(const tn_runtime *rt, answer *a)
{
    static int32_t prompt[N_PROMPT];
    tn_request_args ask;
    uint64_t random = 4;
    for (int32_t i = 0; i < N_PROMPT; i++)
        prompt[i] = (int32_t)(tn_test_random(&random) % 200);
    *a = (answer){ .preempt_at = -1 };
    tn_request_defaults(rt, &ask, sizeof ask);
    ask.ids = prompt;
    ask.n_ids = N_PROMPT;
    ask.temperature = 0;
    ask.top_p = 1;
    ask.max_tokens = NEW;
    ask.ctx = a;
    ask.on_token = on_token;
    ask.on_text = on_text;
    ask.on_done = on_done;
    return ask;
}

static void submit(tn_runtime *rt, answer *a, const tn_request_args *ask)
{
    tn_error err = { 0 };
    a->rt = rt;
    if (tn_request_submit(rt, ask, &a->id_of_request, &err))
        fail_msg("%s", err.text);
}

static void run(tn_runtime *rt, answer *a, const tn_request_args *ask)
{
    submit(rt, a, ask);
    tn_request_wait(rt, a->id_of_request);
}

static void refuse(tn_runtime *rt, const tn_request_args *ask, const char *words)
{
    tn_error err = { 0 };
    uint64_t id;
    assert_int_equal(tn_request_submit(rt, ask, &id, &err), TN_INVALID);
    if (!strstr(err.text, words))
        fail_msg("said \"%s\", not \"%s\"", err.text, words);
}

/* An id that ends answers of the model. */
static int32_t end_id(const tn_runtime *rt)
{
    const tn_ids *ends = tn_tokenizer_stop_ids(rt->setup.tokenizer);
    assert_true(ends->n > 0);
    return ends->id[0];
}

/* ---- the same tokens whatever happens around them ---- */

static const tn_logit_bias biases[] = { { 40, 3 }, { 7, -4 }, { 41, 2.5F }, { 42, 100 } };
static const int32_t stop_ids[] = { 42, 199 };
static const char *const stops[] = { "zz", "qqq" };

/* Every setting at once; id 42 would be drawn at once and end the answer, were it not for
 * min_tokens. */
static tn_request_args everything(const tn_runtime *rt, answer *a)
{
    tn_request_args ask = request_for(rt, a);
    ask.n_samples = SAMPLES;
    ask.temperature = 1.2F;
    ask.top_p = 0.98F;
    ask.top_k = 100;
    ask.min_p = 0.001F;
    ask.seed = 42;
    ask.repetition_penalty = 1.3F;
    ask.presence_penalty = 0.6F;
    ask.frequency_penalty = 0.4F;
    ask.min_tokens = 19;
    ask.logit_bias = biases;
    ask.n_logit_bias = 4;
    ask.stop_id = stop_ids;
    ask.n_stop_ids = 2;
    ask.stop = stops;
    ask.n_stops = 2;
    ask.n_top = TOP;
    ask.logprobs = 1;
    return ask;
}

static void assert_same(const answer *a, const answer *b)
{
    assert_memory_equal(a, b, offsetof(answer, had_logprobs));
}

/* The reference, alone; or under `sets`, preempted, or among others. */
static void ask_everything(const char *set_1, const char *set_2, int32_t preempt_at, bool others,
                           answer *a)
{
    static answer other[OTHERS];
    tn_runtime *rt = open_runtime(set_1, set_2);
    tn_engine_hold(rt->engine);
    for (int32_t i = 0; i < (others ? OTHERS : 0); i++) {
        tn_request_args ask = i % 2 ? everything(rt, &other[i]) : request_for(rt, &other[i]);
        ask.n_samples = 1;
        ask.n_ids = 3 + i;
        ask.seed = (uint64_t)i;
        submit(rt, &other[i], &ask);
        if (i == OTHERS / 2) {
            ask = everything(rt, a);
            submit(rt, a, &ask);
        }
    }
    if (!others) {
        const tn_request_args ask = everything(rt, a);
        a->preempt_at = preempt_at;
        submit(rt, a, &ask);
    }
    tn_engine_release(rt->engine);
    tn_request_wait(rt, a->id_of_request);
    for (int32_t i = 0; i < (others ? OTHERS : 0); i++)
        tn_request_wait(rt, other[i].id_of_request);
    tn_metrics m;
    tn_runtime_metrics(rt, &m, sizeof m);
    assert_true((m.preemptions > 0) == (preempt_at >= 0));
    tn_runtime_close(rt);
}

static void tokens_and_logprobs_are_the_same_whatever_is_around_them(void **state)
{
    static answer base, a;

    (void)state;
    ask_everything(NULL, NULL, -1, false, &base);
    for (int32_t k = 0; k < SAMPLES; k++) {
        assert_int_equal(base.n[k], 20); /* the 20th is the favoured stop id */
        assert_int_equal(base.id[k][19], 42);
        assert_int_equal(base.reason[k], TN_DONE_STOP);
    }
    assert_memory_not_equal(base.id[0], base.id[1], sizeof base.id[0]);
    ask_everything(NULL, NULL, -1, true, &a);
    assert_same(&base, &a);
    ask_everything("batch.max_chunk=7", NULL, -1, false, &a);
    assert_same(&base, &a);
    ask_everything("batch.max_chunk=1", "kv.prefix_cache=false", -1, true, &a);
    assert_same(&base, &a);
    for (int32_t at = 0; at < 19; at += 6) {
        ask_everything(NULL, NULL, at, false, &a);
        assert_same(&base, &a);
    }
    ask_everything("threads=1", NULL, -1, true, &a);
    assert_same(&base, &a);
    ask_everything("threads=2", NULL, -1, true, &a);
    assert_same(&base, &a);
    ask_everything("threads=2", "batch.max_chunk=5", 9, false, &a);
    assert_same(&base, &a);
}

static void samples_are_the_same_alone_and_beside_more_of_them(void **state)
{
    answer one, all;
    tn_runtime *rt = open_runtime(NULL, NULL);

    (void)state;
    tn_request_args ask = everything(rt, &all);
    run(rt, &all, &ask);
    ask = everything(rt, &one);
    ask.n_samples = 1;
    run(rt, &one, &ask);
    assert_memory_equal(one.id[0], all.id[0], sizeof one.id[0]);
    assert_memory_equal(one.logprob[0], all.logprob[0], sizeof one.logprob[0]);
    tn_runtime_close(rt);
}

/* ---- ends ---- */

static void min_tokens_holds_back_the_end_ids(void **state)
{
    answer a;
    tn_runtime *rt = open_runtime(NULL, NULL);
    const tn_logit_bias end = { end_id(rt), 100 };

    (void)state;
    tn_request_args ask = request_for(rt, &a);
    ask.logit_bias = &end;
    ask.n_logit_bias = 1;
    run(rt, &a, &ask);
    assert_int_equal(a.n[0], 1);
    assert_int_equal(a.id[0][0], end.id);
    assert_int_equal(a.reason[0], TN_DONE_STOP);

    ask = request_for(rt, &a);
    ask.logit_bias = &end;
    ask.n_logit_bias = 1;
    ask.min_tokens = 5;
    run(rt, &a, &ask);
    assert_int_equal(a.n[0], 6);
    for (int32_t i = 0; i < 5; i++)
        assert_int_not_equal(a.id[0][i], end.id);
    assert_int_equal(a.id[0][5], end.id);
    assert_int_equal(a.reason[0], TN_DONE_STOP);
    tn_runtime_close(rt);
}

static void ignore_eos_goes_on_and_a_stop_id_still_ends(void **state)
{
    answer a;
    tn_runtime *rt = open_runtime(NULL, NULL);
    const tn_logit_bias end = { end_id(rt), 100 };

    (void)state;
    tn_request_args ask = request_for(rt, &a);
    ask.logit_bias = &end;
    ask.n_logit_bias = 1;
    ask.ignore_eos = 1;
    run(rt, &a, &ask);
    assert_int_equal(a.n[0], NEW);
    assert_int_equal(a.id[0][NEW - 1], end.id);
    assert_int_equal(a.reason[0], TN_DONE_LENGTH);

    ask.stop_id = &end.id;
    ask.n_stop_ids = 1;
    a = (answer){ .preempt_at = -1 };
    run(rt, &a, &ask);
    assert_int_equal(a.n[0], 1);
    assert_int_equal(a.reason[0], TN_DONE_STOP);
    tn_runtime_close(rt);
}

static void min_tokens_holds_back_stop_strings(void **state)
{
    const int32_t letter = 65; /* in the tiny vocabulary a token of one letter */
    const tn_logit_bias always = { letter, 100 };
    answer a;
    tn_runtime *rt = open_runtime(NULL, NULL);
    char *text;
    size_t n_text;
    tn_error err = { 0 };

    (void)state;
    assert_int_equal(tn_detokenize(rt, &letter, 1, 0, &text, &n_text, &err), TN_OK);
    assert_int_equal(n_text, 1);
    const char stop[] = { text[0], text[0], 0 };
    const char *const list[] = { stop };
    tn_request_args ask = request_for(rt, &a);
    ask.logit_bias = &always;
    ask.n_logit_bias = 1;
    ask.stop = list;
    ask.n_stops = 1;
    run(rt, &a, &ask);
    assert_int_equal(a.n[0], 2);
    assert_int_equal(a.n_text[0], 0);

    ask.min_tokens = 7;
    a = (answer){ .preempt_at = -1 };
    run(rt, &a, &ask);
    assert_int_equal(a.n[0], 8);
    assert_int_equal(a.n_text[0], 6);
    assert_int_equal(a.reason[0], TN_DONE_STOP);
    tn_free_memory(text);
    tn_runtime_close(rt);
}

/* ---- numbers ---- */

static void logprobs_are_the_log_softmax_of_the_raw_logits(void **state)
{
    static answer a;
    const tn_logit_bias bias = { 12, 50 };
    tn_runtime *rt = open_runtime(NULL, NULL);
    const int32_t vocab = rt->setup.desc.vocab;

    (void)state;
    assert_true(vocab <= MAX_VOCAB);
    tn_request_args ask = request_for(rt, &a);
    ask.logit_bias = &bias;
    ask.n_logit_bias = 1;
    ask.max_tokens = 1;
    ask.n_top = vocab;
    ask.logprobs = 1;
    run(rt, &a, &ask);

    long double sum = 0;
    assert_int_equal(a.n_all, vocab);
    for (int32_t i = 0; i < vocab; i++)
        sum += expl((long double)a.all[i].logit);
    const double log_sum = (double)logl(sum);
    for (int32_t i = 0; i < vocab; i++)
        assert_true(fabs(a.all_logprob[i] - ((double)a.all[i].logit - log_sum)) < 1e-12);
    assert_int_equal(a.id[0][0], 12);
    assert_true(fabs(a.logprob[0][0] - ((double)a.logit - log_sum)) < 1e-12);
    assert_true(a.logit < a.all[0].logit); /* raw: without the bias that made it the best */

    ask = request_for(rt, &a);
    ask.n_top = 2;
    run(rt, &a, &ask);
    assert_false(a.had_logprobs);
    tn_runtime_close(rt);
}

/* ---- arguments ---- */

static void values_out_of_range_are_refused(void **state)
{
    const tn_logit_bias unknown = { 1 << 30, 1 };
    const int32_t bad_id = -5;
    answer a;
    tn_runtime *rt = open_runtime(NULL, NULL);
    const tn_request_args good = request_for(rt, &a);
    tn_request_args q;

    (void)state;
    q = good, q.repetition_penalty = 0;
    refuse(rt, &q, "repetition_penalty 0 is not in 0.01 to 100");
    q = good, q.presence_penalty = 3;
    refuse(rt, &q, "presence_penalty 3 is not in -2 to 2");
    q = good, q.min_tokens = NEW + 1;
    refuse(rt, &q, "min_tokens 25 is not in 0 to 24 (max_tokens)");
    q = good, q.logit_bias = &unknown, q.n_logit_bias = 1;
    refuse(rt, &q, "logit_bias id 1073741824 is not in the vocabulary");
    q = good, q.stop_id = &bad_id, q.n_stop_ids = 1;
    refuse(rt, &q, "stop id -5");
    q = good, q.n_stop_ids = 65;
    refuse(rt, &q, "65 stop ids; up to 64 are allowed");
    q = good, q.n_samples = 257;
    refuse(rt, &q, "n_samples is 257; 1 to 256 are allowed");
    q = good, q.ids = &bad_id, q.n_ids = 1, q.repetition_penalty = 2;
    refuse(rt, &q, "token id -5 at position 0");
    tn_runtime_close(rt);
}

static void defaults_come_from_the_profile_also_for_callers_of_an_older_header(void **state)
{
    answer now, before;
    tn_request_args ask;
    tn_runtime *rt = open_runtime(
        "generate={repetition_penalty: 1.7, presence_penalty: 0.5, frequency_penalty: -0.25, "
        "min_tokens: 9, ignore_eos: true, temperature: 0, top_p: 1}",
        NULL);

    (void)state;
    tn_request_defaults(rt, &ask, sizeof ask);
    assert_true(ask.repetition_penalty == 1.7F && ask.presence_penalty == 0.5F &&
                ask.frequency_penalty == -0.25F);
    assert_int_equal(ask.min_tokens, 9);
    assert_int_equal(ask.ignore_eos, 1);

    ask = request_for(rt, &now);
    run(rt, &now, &ask);
    ask = request_for(rt, &before);
    ask.size = offsetof(tn_request_args, repetition_penalty);
    memset((char *)&ask + ask.size, 0x7f, sizeof ask - ask.size);
    run(rt, &before, &ask);
    assert_same(&now, &before);
    assert_int_equal(now.n[0], NEW);
    tn_runtime_close(rt);
}

static int write_model(void **state)
{
    const tn_tiny_model model = TN_TINY_MODEL_DEFAULT;
    if (tn_temp_dir_setup(state))
        return -1;
    return tn_tiny_model_write(&model, tn_temp_path("model.gguf"), NULL) == TN_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_and_logprobs_are_the_same_whatever_is_around_them),
        cmocka_unit_test(samples_are_the_same_alone_and_beside_more_of_them),
        cmocka_unit_test(min_tokens_holds_back_the_end_ids),
        cmocka_unit_test(ignore_eos_goes_on_and_a_stop_id_still_ends),
        cmocka_unit_test(min_tokens_holds_back_stop_strings),
        cmocka_unit_test(logprobs_are_the_log_softmax_of_the_raw_logits),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(defaults_come_from_the_profile_also_for_callers_of_an_older_header),
    };
    return cmocka_run_group_tests(tests, write_model, tn_temp_dir_teardown);
}
