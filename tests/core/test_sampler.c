/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/sample/sampler.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

enum { VOCAB = 1000 };

static const tn_sampling plain = { .temperature = 1.0F, .top_p = 1.0F, .seed = 7 };

static int32_t draw(const tn_sampling *s, const float *logits, int32_t vocab, uint64_t position)
{
    void *scratch = tn_alloc(tn_sample_scratch_bytes(vocab));
    int32_t id = -1;
    tn_error err = { 0 };

    assert_non_null(scratch);
    const tn_sample_args args = {
        .sampling = s, .logits = logits, .vocab = vocab, .position = position
    };
    assert_int_equal(tn_sample(&args, scratch, &id, &err), TN_OK);
    tn_free(scratch);
    return id;
}

/* Logits in [-5, 5) from the project's own generator: fixed by the seed. */
static void fill_logits(float *logits, int32_t vocab, uint64_t seed)
{
    for (int32_t i = 0; i < vocab; i++)
        logits[i] = (float)(tn_random_unit(seed, 99, (uint64_t)i) * 10.0 - 5.0);
}

/* Known answers: Random123 1.14.0, tests/kat_vectors, lines "philox4x32 10" (Salmon et al. 2011).
 */
static void philox_gives_the_known_answers_of_random123(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } vector[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vector) / sizeof(vector[0]); i++) {
        uint32_t out[4];

        tn_philox(vector[i].counter, vector[i].key, out);

        assert_memory_equal(out, vector[i].expected, sizeof(out));
    }
}

static void random_unit_depends_on_seed_sample_and_position(void **state)
{
    double u = tn_random_unit(1, 2, 3);

    (void)state;
    assert_true(u == tn_random_unit(1, 2, 3));
    assert_true(u != tn_random_unit(2, 2, 3));
    assert_true(u != tn_random_unit(1, 3, 3));
    assert_true(u != tn_random_unit(1, 2, 4));
    assert_true(u != tn_random_unit(1ULL << 32 | 1U, 2, 3));
    assert_true(u != tn_random_unit(1, 2, 1ULL << 32 | 3U));
    double sum = 0.0;
    for (uint64_t i = 0; i < 10000; i++) {
        u = tn_random_unit(5, 0, i);
        assert_true(u >= 0.0 && u < 1.0);
        sum += u;
    }
    /* The mean of 10,000 uniforms has a standard deviation of 0.0029. */
    assert_true(fabs(sum / 10000.0 - 0.5) < 0.012);
}

static void check_refuses_values_out_of_range_and_names_them(void **state)
{
    const struct {
        tn_sampling s;
        const char *word;
    } bad[] = {
        { { .temperature = -0.1F, .top_p = 1 }, "temperature" },
        { { .temperature = NAN, .top_p = 1 }, "temperature" },
        { { .temperature = INFINITY, .top_p = 1 }, "temperature" },
        { { .top_k = -1, .top_p = 1 }, "top_k" },
        { { .top_p = 0 }, "top_p" },
        { { .top_p = 1.5F }, "top_p" },
        { { .top_p = NAN }, "top_p" },
        { { .top_p = 1, .min_p = -0.5F }, "min_p" },
        { { .top_p = 1, .min_p = 1.01F }, "min_p" },
        { { .top_p = 1, .min_p = NAN }, "min_p" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tn_error err = { 0 };

        assert_int_equal(tn_sampling_check(&bad[i].s, &err), TN_INVALID);
        assert_non_null(strstr(err.text, bad[i].word));
    }
    assert_int_equal(tn_sampling_check(&plain, NULL), TN_OK);
}

static void greedy_takes_the_lowest_id_of_a_tie_and_never_nan(void **state)
{
    const float logits[] = { NAN, 1.0F, 3.0F, -INFINITY, 3.0F, NAN };
    const tn_sampling greedy = { .top_p = 1.0F };

    (void)state;
    assert_int_equal(draw(&greedy, logits, 6, 0), 2);
}

static void an_infinite_logit_wins_every_draw(void **state)
{
    const float logits[] = { 1.0F, INFINITY, 3.0F };

    (void)state;
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(draw(&plain, logits, 3, i), 1);
}

static void nothing_to_draw_is_an_error(void **state)
{
    const float none[] = { -INFINITY, NAN, -INFINITY };
    const float some[] = { 1.0F, 2.0F, 3.0F };
    const uint32_t empty = 0, only_2 = 4;
    const tn_token_logit never_2 = { 2, -INFINITY };
    tn_sample_args args = { .sampling = &plain, .logits = none, .vocab = 3 };
    uint64_t scratch[6];
    int32_t id = 0;
    tn_error err = { 0 };

    (void)state;
    assert_true(tn_sample_scratch_bytes(3) <= sizeof(scratch));
    assert_int_equal(tn_sample(&args, scratch, &id, &err), TN_INVALID);
    args.logits = some;
    args.mask = &empty;
    assert_int_equal(tn_sample(&args, scratch, &id, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "mask"));
    args.mask = &only_2;
    assert_int_equal(tn_sample(&args, scratch, &id, &err), TN_OK);
    assert_int_equal(id, 2);
    args.change = &never_2;
    args.n_changes = 1;
    assert_int_equal(tn_sample(&args, scratch, &id, &err), TN_INVALID);
    assert_int_equal(id, -1);
}

static void a_masked_token_is_never_drawn(void **state)
{
    float logits[VOCAB];
    uint32_t mask[(VOCAB + 31) / 32];
    void *scratch = tn_alloc(tn_sample_scratch_bytes(VOCAB));
    const tn_sampling greedy = { .top_p = 1.0F };

    (void)state;
    assert_non_null(scratch);
    fill_logits(logits, VOCAB, 3);
    for (int32_t w = 0; w < (VOCAB + 31) / 32; w++)
        mask[w] = 0x55555555U;
    for (uint64_t i = 0; i < 200; i++) {
        const tn_sample_args args = { .sampling = i % 2 ? &plain : &greedy,
                                      .logits = logits,
                                      .vocab = VOCAB,
                                      .mask = mask,
                                      .position = i };
        int32_t id = -1;

        assert_int_equal(tn_sample(&args, scratch, &id, NULL), TN_OK);
        assert_int_equal(id % 2, 0);
    }
    tn_free(scratch);
}

static void changed_logits_draw_as_if_they_were_the_raw_ones(void **state)
{
    static const tn_sampling settings[] = {
        { .top_p = 1.0F },
        { .temperature = 0.8F, .top_p = 1.0F, .seed = 1 },
        { .temperature = 1.3F, .top_p = 0.7F, .top_k = 40, .min_p = 0.01F, .seed = 2 },
    };
    float raw[VOCAB], edited[VOCAB];
    tn_token_logit change[VOCAB];
    uint32_t mask[(VOCAB + 31) / 32];
    void *scratch = tn_alloc(tn_sample_scratch_bytes(VOCAB));

    (void)state;
    assert_non_null(scratch);
    memset(mask, 0x77, sizeof(mask)); /* changed ids are masked too, and must be passed over */
    for (uint64_t round = 0; round < 200; round++) {
        int32_t n = 0, by_change = -1, by_edit = -2;
        fill_logits(raw, VOCAB, round);
        memcpy(edited, raw, sizeof(raw));
        for (int32_t id = 0; id < VOCAB; id++) {
            double u = tn_random_unit(round, 1, (uint64_t)id);
            if (u > 0.3)
                continue;
            edited[id] = u < 0.02 ? -INFINITY : (float)(u * 40.0 - 6.0);
            change[n++] = (tn_token_logit){ id, edited[id] };
        }
        tn_sample_args args = { .sampling = &settings[round % 3],
                                .logits = edited,
                                .vocab = VOCAB,
                                .mask = round % 2 ? mask : NULL,
                                .sample = 3,
                                .position = round };
        assert_int_equal(tn_sample(&args, scratch, &by_edit, NULL), TN_OK);
        args.logits = raw;
        args.change = change;
        args.n_changes = n;

        assert_int_equal(tn_sample(&args, scratch, &by_change, NULL), TN_OK);

        assert_int_equal(by_change, by_edit);
    }
    tn_free(scratch);
}

static void log_sum_exp_is_the_normaliser_of_the_softmax(void **state)
{
    const float thirds[] = { 2.0F, 2.0F, NAN, -INFINITY, 2.0F };
    const float large[] = { 5000.0F, 4000.0F };
    const float infinite[] = { 1.0F, INFINITY };
    const float none[] = { NAN, -INFINITY };
    float logits[VOCAB];
    double p = 0.0, log_sum;

    (void)state;
    assert_true(fabs(tn_log_sum_exp(thirds, 5) - (2.0 + log(3.0))) < 1e-15);
    assert_true(tn_log_sum_exp(large, 2) == 5000.0);
    assert_true(tn_log_sum_exp(infinite, 2) == (double)INFINITY);
    assert_true(tn_log_sum_exp(none, 2) == -(double)INFINITY);
    fill_logits(logits, VOCAB, 8);
    log_sum = tn_log_sum_exp(logits, VOCAB);
    for (int32_t i = 0; i < VOCAB; i++)
        p += exp((double)logits[i] - log_sum);
    assert_true(fabs(p - 1.0) < 1e-12);
}

static void frequencies_follow_the_softmax(void **state)
{
    /* p = exp(l / T) / sum: with T = 2 the probabilities of 0, 2 ln 2, 2 ln 5 are 1/8, 2/8, 5/8. */
    const float logits[] = { 0.0F, 1.38629436F, 3.21887582F };
    const tn_sampling s = { .temperature = 2.0F, .top_p = 1.0F, .seed = 11 };
    int32_t hits[3] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < 8000; i++)
        hits[draw(&s, logits, 3, i)]++;

    /* Four standard deviations of a binomial with n = 8000. */
    assert_in_range(hits[0], 1000 - 120, 1000 + 120);
    assert_in_range(hits[1], 2000 - 155, 2000 + 155);
    assert_in_range(hits[2], 5000 - 174, 5000 + 174);
}

static int32_t rank_of(const float *logits, int32_t vocab, int32_t id)
{
    int32_t rank = 0;

    for (int32_t i = 0; i < vocab; i++)
        rank += logits[i] > logits[id] || (logits[i] == logits[id] && i < id);
    return rank;
}

static void top_k_keeps_exactly_the_k_best_with_ties_to_the_lower_id(void **state)
{
    float logits[VOCAB];
    const tn_sampling s = { .temperature = 100.0F, .top_k = 5, .top_p = 1.0F, .seed = 2 };
    int32_t seen[5] = { 0 };

    (void)state;
    for (int32_t i = 0; i < VOCAB; i++)
        logits[i] = (float)(i * 37 % 7); /* many ties at the border */
    for (uint64_t i = 0; i < 300; i++) {
        int32_t rank = rank_of(logits, VOCAB, draw(&s, logits, VOCAB, i));

        assert_in_range(rank, 0, 4);
        seen[rank]++;
    }
    for (int32_t i = 0; i < 5; i++)
        assert_true(seen[i] > 0);
}

static void top_p_keeps_the_smallest_set_that_reaches_it(void **state)
{
    /* Probabilities 0.5, 0.25, 0.125, 0.125 (powers of two): top_p 0.7 needs two tokens, 0.76
     * three. */
    const float logits[] = { -0.6931472F, -2.0794415F, 0.0F - 1.3862944F, -2.0794415F };
    tn_sampling s = { .temperature = 1.0F, .top_p = 0.7F, .seed = 3 };
    int32_t seen[4] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < 400; i++)
        seen[draw(&s, logits, 4, i)]++;
    assert_true(seen[0] > 0 && seen[2] > 0);
    assert_int_equal(seen[1] + seen[3], 0);

    s.top_p = 0.76F;
    for (uint64_t i = 0; i < 400; i++)
        seen[draw(&s, logits, 4, i)]++;
    assert_true(seen[1] > 0);
    assert_int_equal(seen[3], 0);
}

static void top_p_counts_inside_what_top_k_left(void **state)
{
    /* Top-2 leaves 2/3 and 1/3: top_p 0.6 is reached by the first alone, though it has only half of
     * all. */
    const float logits[] = { -0.6931472F, -1.3862944F, -2.0794415F, -2.0794415F };
    const tn_sampling s = { .temperature = 1.0F, .top_k = 2, .top_p = 0.6F, .seed = 3 };

    (void)state;
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(draw(&s, logits, 4, i), 0);
}

static void min_p_drops_what_is_far_below_the_best(void **state)
{
    const float logits[] = { -0.6931472F, -1.3862944F, -2.0794415F, -2.0794415F };
    const tn_sampling s = { .temperature = 1.0F, .top_p = 1.0F, .min_p = 0.3F, .seed = 5 };
    int32_t seen[4] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < 400; i++)
        seen[draw(&s, logits, 4, i)]++;
    assert_true(seen[0] > 0 && seen[1] > 0);
    assert_int_equal(seen[2] + seen[3], 0);
}

static void top_logits_are_sorted_with_ties_to_the_lower_id_and_nan_last(void **state)
{
    float logits[VOCAB];
    tn_token_logit top[VOCAB];

    (void)state;
    for (int32_t i = 0; i < VOCAB; i++)
        logits[i] = i % 100 == 1 ? NAN : (float)(i * 37 % 101);
    for (int32_t k = 1; k <= VOCAB; k = k * 3 + 1) {
        tn_top_logits(logits, VOCAB, k, top);
        for (int32_t i = 1; i < k; i++) {
            bool ordered =
                top[i - 1].logit > top[i].logit ||
                (top[i - 1].logit == top[i].logit && top[i - 1].id < top[i].id) ||
                (isnan(top[i].logit) && (!isnan(top[i - 1].logit) || top[i - 1].id < top[i].id));
            assert_true(ordered);
        }
        assert_true(top[0].logit == 100.0F);
    }
    tn_top_logits(logits, 3, 100, top);
    assert_int_equal(top[0].id, 2);
    assert_int_equal(top[2].id, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers_of_random123),
        cmocka_unit_test(random_unit_depends_on_seed_sample_and_position),
        cmocka_unit_test(check_refuses_values_out_of_range_and_names_them),
        cmocka_unit_test(greedy_takes_the_lowest_id_of_a_tie_and_never_nan),
        cmocka_unit_test(an_infinite_logit_wins_every_draw),
        cmocka_unit_test(nothing_to_draw_is_an_error),
        cmocka_unit_test(a_masked_token_is_never_drawn),
        cmocka_unit_test(changed_logits_draw_as_if_they_were_the_raw_ones),
        cmocka_unit_test(log_sum_exp_is_the_normaliser_of_the_softmax),
        cmocka_unit_test(frequencies_follow_the_softmax),
        cmocka_unit_test(top_k_keeps_exactly_the_k_best_with_ties_to_the_lower_id),
        cmocka_unit_test(top_p_keeps_the_smallest_set_that_reaches_it),
        cmocka_unit_test(top_p_counts_inside_what_top_k_left),
        cmocka_unit_test(min_p_drops_what_is_far_below_the_best),
        cmocka_unit_test(top_logits_are_sorted_with_ties_to_the_lower_id_and_nan_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
