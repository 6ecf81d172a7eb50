/* SPDX-License-Identifier: Apache-2.0 */
/* Rope tables against values of Hugging Face transformers' ROPE_INIT_FUNCTIONS, written out as the
 * formulas of their papers. */
#include "core/graph/rope.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const tn_rope_desc plain = {
    .rotary_dim = 8, .base = 10000, .factor = 1, .pairing = TN_ROPE_HALVES
};

static void assert_near(float value, double expected)
{
    assert_true(fabs((double)value - expected) <= 1e-6 * fabs(expected));
}

static void plain_frequencies_are_powers_of_the_base(void **state)
{
    static const double expected[] = { 1, 0.1, 0.01, 0.001 };
    float freq[4];
    (void)state;
    assert_int_equal(tn_rope_inv_freq(&plain, 128, 64, freq, NULL), TN_OK);
    for (int i = 0; i < 4; i++)
        assert_near(freq[i], expected[i]);
}

static void linear_scaling_divides_every_frequency(void **state)
{
    tn_rope_desc rope = plain;
    float freq[4];
    (void)state;
    rope.scaling = TN_ROPE_SCALING_LINEAR;
    rope.factor = 4;
    assert_int_equal(tn_rope_inv_freq(&rope, 128, 64, freq, NULL), TN_OK);
    assert_near(freq[0], 0.25);
    assert_near(freq[3], 0.00025);
    assert_false(tn_rope_depends_on_length(&rope));
}

static void dynamic_scaling_changes_only_sequences_past_the_trained_length(void **state)
{
    tn_rope_desc rope = plain;
    float at[4], past[4];
    (void)state;
    rope.scaling = TN_ROPE_SCALING_DYNAMIC;
    rope.factor = 2;
    assert_true(tn_rope_depends_on_length(&rope));
    assert_int_equal(tn_rope_inv_freq(&rope, 128, 128, at, NULL), TN_OK);
    assert_int_equal(tn_rope_inv_freq(&rope, 128, 256, past, NULL), TN_OK);
    assert_near(at[3], 0.001);
    /* base * (factor * 256 / 128 - (factor - 1)) ^ (8 / 6) = 10000 * 3 ^ (4 / 3) */
    assert_near(past[0], 1.0);
    assert_near(past[3], pow(10000 * pow(3, 4.0 / 3.0), -0.75));
}

static void llama3_keeps_high_frequencies_and_divides_low_ones(void **state)
{
    tn_rope_desc rope = plain;
    float freq[4];
    (void)state;
    rope.scaling = TN_ROPE_SCALING_LLAMA3;
    rope.factor = 8;
    rope.low_freq_factor = 1;
    rope.high_freq_factor = 4;
    rope.original_length = 1024;
    assert_int_equal(tn_rope_inv_freq(&rope, 8192, 64, freq, NULL), TN_OK);
    assert_near(freq[0], 1);
    assert_near(freq[3], 0.001 / 8);
    /* turns = 1024 * 0.01 / 2 pi = 1.6297, smooth = (turns - 1) / 3 */
    const double smooth = (1024 * 0.01 / 6.283185307179586 - 1) / 3;
    assert_near(freq[2], (1 - smooth) * 0.01 / 8 + smooth * 0.01);
}

static void yarn_interpolates_low_frequencies_and_scales_attention(void **state)
{
    tn_rope_desc rope = plain;
    float freq[4];
    (void)state;
    rope.scaling = TN_ROPE_SCALING_YARN;
    rope.factor = 4;
    rope.original_length = 1024;
    assert_int_equal(tn_rope_inv_freq(&rope, 4096, 64, freq, NULL), TN_OK);
    /* corrections: 8 ln(1024 / (32 * 2 pi)) / (2 ln 10000) = 0.707 -> 0, and with 1 turn 2.212 ->
     * 3: ramp i / 3. */
    assert_near(freq[0], 1);
    assert_near(freq[1], 0.1 / 4 * (1.0 / 3) + 0.1 * (2.0 / 3));
    assert_near(freq[3], 0.001 / 4);
    assert_near(tn_rope_mscale(&rope, 4096), 0.1 * log(4) + 1);
    rope.attention_factor = 1.5f;
    assert_near(tn_rope_mscale(&rope, 4096), 1.5);
}

static void frequency_factors_divide(void **state)
{
    static const float factors[4] = { 1, 2, 4, 8 };
    tn_rope_desc rope = plain;
    float freq[4];
    (void)state;
    rope.freq_factors = factors;
    assert_int_equal(tn_rope_inv_freq(&rope, 128, 64, freq, NULL), TN_OK);
    assert_near(freq[1], 0.05);
    assert_near(freq[3], 0.001 / 8);
}

static void longrope_takes_its_long_factors_past_the_trained_length(void **state)
{
    static const float short_factors[4] = { 1, 1, 2, 2 }, long_factors[4] = { 2, 4, 8, 16 };
    tn_rope_desc rope = plain;
    float freq[4];
    (void)state;
    rope.scaling = TN_ROPE_SCALING_LONGROPE;
    rope.factor = 4;
    rope.original_length = 1024;
    rope.freq_factors = short_factors;
    rope.long_factors = long_factors;
    assert_true(tn_rope_depends_on_length(&rope));
    assert_int_equal(tn_rope_inv_freq(&rope, 4096, 1024, freq, NULL), TN_OK);
    assert_near(freq[3], 0.001 / 2);
    assert_int_equal(tn_rope_inv_freq(&rope, 4096, 1025, freq, NULL), TN_OK);
    assert_near(freq[0], 1.0 / 2);
    assert_near(freq[3], 0.001 / 16);
    assert_near(tn_rope_mscale(&rope, 4096), sqrt(1 + log(4) / log(1024)));
}

static void senseless_parameters_are_refused(void **state)
{
    float freq[4];
    tn_error err = { 0 };
    tn_rope_desc rope = plain;
    (void)state;
    rope.rotary_dim = 7;
    assert_int_equal(tn_rope_inv_freq(&rope, 128, 64, freq, &err), TN_INVALID);
    rope = plain;
    rope.base = NAN;
    assert_int_equal(tn_rope_inv_freq(&rope, 128, 64, freq, &err), TN_INVALID);
    rope = plain;
    rope.scaling = TN_ROPE_SCALING_LINEAR;
    rope.factor = 0.5f;
    assert_int_equal(tn_rope_inv_freq(&rope, 128, 64, freq, &err), TN_INVALID);
    rope = plain;
    rope.scaling = TN_ROPE_SCALING_LLAMA3;
    rope.low_freq_factor = 4;
    rope.high_freq_factor = 4;
    assert_int_equal(tn_rope_inv_freq(&rope, 128, 64, freq, &err), TN_INVALID);
    rope = plain;
    rope.scaling = TN_ROPE_SCALING_LONGROPE;
    assert_int_equal(tn_rope_inv_freq(&rope, 128, 64, freq, &err), TN_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_frequencies_are_powers_of_the_base),
        cmocka_unit_test(linear_scaling_divides_every_frequency),
        cmocka_unit_test(dynamic_scaling_changes_only_sequences_past_the_trained_length),
        cmocka_unit_test(llama3_keeps_high_frequencies_and_divides_low_ones),
        cmocka_unit_test(yarn_interpolates_low_frequencies_and_scales_attention),
        cmocka_unit_test(frequency_factors_divide),
        cmocka_unit_test(longrope_takes_its_long_factors_past_the_trained_length),
        cmocka_unit_test(senseless_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
