/* SPDX-License-Identifier: Apache-2.0 */
/* Against the definitions written down plainly: whole-vocabulary arrays, counted anew each time. */
#include "core/base/alloc.h"
#include "runtime/logits_processor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 120, PROMPT = 30, NEW = 50, SAMPLES = 3 };

static const tn_logits_settings off = {
    .repetition_penalty = 1, .n_samples = 1, .max_tokens = NEW, .room = NEW, .vocab = VOCAB
};

static tn_logits_processor *create(const tn_logits_settings *s)
{
    tn_logits_processor *p = NULL;
    tn_error err = { 0 };
    if (tn_logits_processor_create(s, &p, &err))
        fail_msg("%s", err.text);
    return p;
}

static int32_t random_below(uint64_t seed, uint64_t at, int32_t n)
{
    return (int32_t)(tn_random_unit(seed, 77, at) * n);
}

/* The raw logits with the changes put in; checks that they are in order. */
static void edit(tn_logits_processor *p, int32_t sample, const float *raw, float *out)
{
    int32_t n = 0;
    memcpy(out, raw, VOCAB * sizeof *raw);
    const tn_token_logit *change = tn_logits_processor_run(p, sample, raw, &n);
    for (int32_t i = 0; i < n; i++) {
        assert_true(i == 0 || change[i - 1].id < change[i].id);
        out[change[i].id] = change[i].logit;
    }
}

/* What the settings mean for the tokens drawn so far. */
static void reference(const tn_logits_settings *s, const int32_t *drawn, int32_t n_drawn,
                      const float *raw, float *out)
{
    double logit[VOCAB];
    int32_t count[VOCAB] = { 0 };
    bool seen[VOCAB] = { false };
    for (int32_t i = 0; i < n_drawn; i++) {
        count[drawn[i]]++;
        seen[drawn[i]] = true;
    }
    for (int32_t i = 0; i < s->n_prompt; i++)
        seen[s->prompt[i]] = true;
    for (int32_t id = 0; id < VOCAB; id++)
        logit[id] = (double)raw[id];
    for (int32_t i = 0; i < s->n_bias; i++)
        logit[s->bias[i].id] += (double)s->bias[i].bias;
    for (int32_t id = 0; id < VOCAB; id++) {
        double r = (double)s->repetition_penalty;
        if (seen[id])
            logit[id] = logit[id] > 0 ? logit[id] / r : logit[id] * r;
        logit[id] -= (double)s->frequency_penalty * count[id] +
                     (count[id] > 0 ? (double)s->presence_penalty : 0.0);
    }
    for (int32_t i = 0; i < s->n_end_ids && n_drawn < s->min_tokens; i++)
        logit[s->end_id[i]] = -(double)INFINITY;
    for (int32_t id = 0; id < VOCAB; id++)
        out[id] = (float)logit[id];
}

static void random_settings_change_the_logits_as_the_definitions_say(void **state)
{
    int32_t prompt[PROMPT], drawn[SAMPLES][NEW];
    float raw[VOCAB], got[VOCAB], want[VOCAB];

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        tn_logit_bias bias[4];
        int32_t ends[3];
        tn_logits_settings s = off;
        for (int32_t i = 0; i < PROMPT; i++)
            prompt[i] = random_below(seed, (uint64_t)i, VOCAB);
        for (int32_t i = 0; i < 4; i++) /* ids that differ, the last ones of the vocabulary too */
            bias[i] = (tn_logit_bias){ VOCAB - 1 - i * (1 + random_below(seed, 40, 30)),
                                       (float)(tn_random_unit(seed, 5, (uint64_t)i) * 20 - 10) };
        for (int32_t i = 0; i < 3; i++)
            ends[i] = random_below(seed, 50 + (uint64_t)i, VOCAB);
        s.repetition_penalty = seed % 3 ? (float)(0.5 + tn_random_unit(seed, 6, 0) * 2) : 1;
        s.frequency_penalty = seed % 4 ? (float)(tn_random_unit(seed, 6, 1) * 4 - 2) : 0;
        s.presence_penalty = seed % 5 ? (float)(tn_random_unit(seed, 6, 2) * 4 - 2) : 0;
        s.min_tokens = seed % 2 ? 7 : 0;
        s.bias = bias;
        s.n_bias = random_below(seed, 60, 5);
        s.end_id = ends;
        s.n_end_ids = random_below(seed, 61, 4);
        s.prompt = prompt;
        s.n_prompt = random_below(seed, 62, PROMPT + 1);
        s.n_samples = SAMPLES;
        tn_logits_processor *p = create(&s);
        for (int32_t step = 0; p && step < NEW; step++) {
            for (int32_t k = 0; k < SAMPLES; k++) {
                for (int32_t id = 0; id < VOCAB; id++)
                    raw[id] =
                        (float)(tn_random_unit(seed, (uint32_t)k, (uint64_t)(step * VOCAB + id)) *
                                    20 -
                                10);
                reference(&s, drawn[k], step, raw, want);

                edit(p, k, raw, got);

                assert_memory_equal(got, want, sizeof got);
                /* Few ids, so that counts grow. */
                drawn[k][step] = random_below(seed, (uint64_t)(1000 + 100 * k + step), 40);
                tn_logits_processor_accept(p, k, drawn[k][step]);
            }
        }
        tn_logits_processor_destroy(p);
    }
}

/* Values worked out by hand from the definitions. */
static void each_setting_alone_does_what_it_is_named_for(void **state)
{
    const int32_t prompt[] = { 0, 1, 1 };
    const int32_t end = 4;
    const tn_logit_bias bias = { 3, -1.5F };
    const float raw[VOCAB] = { 2.0F, -2.0F, 3.0F, 1.0F, 9.0F };
    float got[VOCAB];
    tn_logits_settings s = off;
    tn_logits_processor *p;

    (void)state;
    s.prompt = prompt;
    s.n_prompt = 3;
    s.repetition_penalty = 2;
    p = create(&s);
    tn_logits_processor_accept(p, 0, 2);
    tn_logits_processor_accept(p, 0, 2); /* how often does not matter */
    edit(p, 0, raw, got);
    assert_true(got[0] == 1.0F && got[1] == -4.0F && got[2] == 1.5F && got[3] == 1.0F);
    tn_logits_processor_destroy(p);

    s.repetition_penalty = 1;
    s.presence_penalty = 0.5F;
    p = create(&s);
    tn_logits_processor_accept(p, 0, 2);
    tn_logits_processor_accept(p, 0, 2);
    edit(p, 0, raw, got);
    assert_true(got[0] == 2.0F && got[1] == -2.0F && got[2] == 2.5F); /* not the prompt's */
    tn_logits_processor_destroy(p);

    s.presence_penalty = 0;
    s.frequency_penalty = 0.5F;
    p = create(&s);
    tn_logits_processor_accept(p, 0, 2);
    tn_logits_processor_accept(p, 0, 2);
    edit(p, 0, raw, got);
    assert_true(got[0] == 2.0F && got[1] == -2.0F && got[2] == 2.0F);
    tn_logits_processor_destroy(p);

    s.frequency_penalty = 0;
    s.bias = &bias;
    s.n_bias = 1;
    s.min_tokens = 1;
    s.end_id = &end;
    s.n_end_ids = 1;
    p = create(&s);
    edit(p, 0, raw, got);
    assert_true(got[3] == -0.5F && got[4] == -INFINITY);
    tn_logits_processor_accept(p, 0, 0);
    edit(p, 0, raw, got);
    assert_true(got[3] == -0.5F && got[4] == 9.0F && got[0] == 2.0F);
    tn_logits_processor_destroy(p);
}

static void settings_that_change_nothing_need_no_processor(void **state)
{
    (void)state;
    assert_null(create(&off));
}

static void infinite_and_missing_logits_stay_what_they_are(void **state)
{
    const int32_t prompt[] = { 0, 1, 2 };
    const float raw[VOCAB] = { NAN, -INFINITY, INFINITY };
    float got[VOCAB];
    tn_logits_settings s = off;

    (void)state;
    s.prompt = prompt;
    s.n_prompt = 3;
    s.repetition_penalty = 1.3F;
    tn_logits_processor *p = create(&s);
    edit(p, 0, raw, got);
    assert_true(isnan(got[0]) && got[1] == -INFINITY && got[2] == INFINITY);
    tn_logits_processor_destroy(p);
}

static void every_token_of_the_vocabulary_may_be_drawn(void **state)
{
    float raw[VOCAB], got[VOCAB];
    tn_logits_settings s = off;

    (void)state;
    for (int32_t id = 0; id < VOCAB; id++)
        raw[id] = 1.0F;
    s.presence_penalty = 1;
    s.max_tokens = INT32_MAX; /* memory follows what the context leaves and the vocabulary */
    s.room = 3 * VOCAB;
    tn_logits_processor *p = create(&s);
    for (int32_t i = 0; i < 3 * VOCAB; i++)
        tn_logits_processor_accept(p, 0, (i * 7) % VOCAB);
    edit(p, 0, raw, got);
    for (int32_t id = 0; id < VOCAB; id++)
        assert_true(got[id] == 0.0F);
    tn_logits_processor_destroy(p);
}

static void values_out_of_range_are_refused_with_the_range(void **state)
{
    const tn_logit_bias unknown = { VOCAB, 1 }, negative = { -1, 1 }, steep = { 1, 101 },
                        twice[] = { { 3, 1 }, { 4, 1 }, { 3, 0 } };
    const struct {
        tn_logits_settings s;
        const char *words;
    } bad[] = {
        { { .repetition_penalty = 0 }, "repetition_penalty 0 is not in 0.01 to 100" },
        { { .repetition_penalty = NAN }, "repetition_penalty nan is not in 0.01 to 100" },
        { { .repetition_penalty = 101 }, "repetition_penalty 101 is not in 0.01 to 100" },
        { { .repetition_penalty = 1, .frequency_penalty = 2.5F },
          "frequency_penalty 2.5 is not in -2 to 2" },
        { { .repetition_penalty = 1, .presence_penalty = -3 },
          "presence_penalty -3 is not in -2 to 2" },
        { { .repetition_penalty = 1, .min_tokens = -1 },
          "min_tokens -1 is not in 0 to 50 (max_tokens)" },
        { { .repetition_penalty = 1, .min_tokens = 51 },
          "min_tokens 51 is not in 0 to 50 (max_tokens)" },
        { { .repetition_penalty = 1, .bias = &unknown, .n_bias = 1 },
          "logit_bias id 120 is not in the vocabulary of 120" },
        { { .repetition_penalty = 1, .bias = &negative, .n_bias = 1 },
          "logit_bias id -1 is not in the vocabulary of 120" },
        { { .repetition_penalty = 1, .bias = &steep, .n_bias = 1 },
          "logit_bias 101 is not in -100 to 100" },
        { { .repetition_penalty = 1, .bias = twice, .n_bias = 3 }, "logit_bias gives id 3 twice" },
        { { .repetition_penalty = 1, .bias = twice, .n_bias = 1025 },
          "1025 logit biases; up to 1024 are allowed" },
        { { .repetition_penalty = 1, .n_bias = 1 }, "1 logit biases" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tn_logits_settings s = bad[i].s;
        tn_logits_processor *p;
        tn_error err = { 0 };
        s.n_samples = 1;
        s.max_tokens = s.room = NEW;
        s.vocab = VOCAB;
        assert_int_equal(tn_logits_processor_create(&s, &p, &err), TN_INVALID);
        if (!strstr(err.text, bad[i].words))
            fail_msg("said \"%s\", not \"%s\"", err.text, bad[i].words);
        assert_null(p);
    }
}

static void every_failed_allocation_is_reported(void **state)
{
    const int32_t prompt[] = { 5, 6 };
    tn_logits_settings s = off;
    tn_status st = TN_NO_MEMORY;

    (void)state;
    s.prompt = prompt;
    s.n_prompt = 2;
    s.repetition_penalty = 1.1F;
    s.n_samples = SAMPLES;
    for (uint64_t at = 1; st == TN_NO_MEMORY; at++) {
        tn_logits_processor *p;
        tn_alloc_fail_at(at);
        st = tn_logits_processor_create(&s, &p, NULL);
        assert_true(at > 9 ? p != NULL : p == NULL); /* 3, and 2 a sample */
        tn_logits_processor_destroy(p);
    }
    tn_alloc_fail_at(0);
    assert_int_equal(st, TN_OK);
}

/*
 * The whole way from raw logits to draws: the frequencies of many draws against the probabilities
 * that the definitions give, by Pearson's chi-square. 40,000 draws with a fixed seed; the limit is
 * the 99.9 % point for the tokens that top-p keeps (up to 20: 45.3, Abramowitz and Stegun, table
 * 26.8).
 */
static void draws_after_penalties_follow_temperature_and_top_p(void **state)
{
    enum { N = 20, DRAWS = 40000 };
    const tn_logit_bias bias[] = { { 3, 2.5F }, { 11, -1.0F } };
    const int32_t prompt[] = { 0, 5, 9 };
    const int32_t drawn[] = { 2, 2, 7, 2, 11 };
    const tn_sampling sampling = { .temperature = 0.9F, .top_p = 0.9F, .seed = 20 };
    tn_logits_settings s = off;
    float raw[VOCAB], edited[VOCAB];
    double p[N], total = 0, kept = 0, chi = 0;
    int32_t order[N], hits[N] = { 0 }, n_kept = 0;
    void *scratch = tn_alloc(tn_sample_scratch_bytes(N));

    (void)state;
    assert_non_null(scratch);
    for (int32_t i = 0; i < VOCAB; i++)
        raw[i] = i < N ? (float)(tn_random_unit(3, 0, (uint64_t)i) * 4 - 2) : -INFINITY;
    s.prompt = prompt;
    s.n_prompt = 3;
    s.bias = bias;
    s.n_bias = 2;
    s.repetition_penalty = 1.5F;
    s.frequency_penalty = 0.3F;
    s.presence_penalty = 0.4F;
    reference(&s, drawn, 5, raw, edited);
    for (int32_t i = 0; i < N; i++) {
        p[i] = exp((double)edited[i] / (double)sampling.temperature);
        total += p[i];
        int32_t at = i;
        for (; at > 0 && p[order[at - 1]] < p[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    while (kept < (double)sampling.top_p * total)
        kept += p[order[n_kept++]];
    assert_true(n_kept > 5 && n_kept < N);

    tn_logits_processor *processor = create(&s);
    for (int32_t i = 0; i < 5; i++)
        tn_logits_processor_accept(processor, 0, drawn[i]);
    for (uint64_t i = 0; i < DRAWS; i++) {
        tn_sample_args a = { .sampling = &sampling, .logits = raw, .vocab = N, .position = i };
        int32_t id = -1;
        a.change = tn_logits_processor_run(processor, 0, raw, &a.n_changes);
        assert_int_equal(tn_sample(&a, scratch, &id, NULL), TN_OK);
        hits[id]++;
    }
    for (int32_t i = 0; i < N; i++) {
        double expected = i < n_kept ? p[order[i]] / kept * DRAWS : 0;
        double off_by = hits[order[i]] - expected;
        if (i < n_kept)
            chi += off_by * off_by / expected;
        else
            assert_int_equal(hits[order[i]], 0);
    }
    assert_true(chi < 45.3);
    tn_logits_processor_destroy(processor);
    tn_free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_settings_change_the_logits_as_the_definitions_say),
        cmocka_unit_test(each_setting_alone_does_what_it_is_named_for),
        cmocka_unit_test(settings_that_change_nothing_need_no_processor),
        cmocka_unit_test(infinite_and_missing_logits_stay_what_they_are),
        cmocka_unit_test(every_token_of_the_vocabulary_may_be_drawn),
        cmocka_unit_test(values_out_of_range_are_refused_with_the_range),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(draws_after_penalties_follow_temperature_and_top_p),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
