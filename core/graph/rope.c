/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Computed in f64 and rounded once to f32. Formulas: RoFormer (Su et al. 2021) for the frequencies;
 * linear (Chen et al. 2023); dynamic NTK, YaRN (Peng et al. 2023), llama3 and longrope (Ding et
 * al. 2024) as in Hugging Face transformers, modeling_rope_utils.py.
 */
#include "core/graph/rope.h"

#include <math.h>
#include <stdbool.h>

static const double two_pi = 6.283185307179586476925;

/* Trained length that scaling starts from. */
static double original_length(const tn_rope_desc *rope, int32_t max_length)
{
    return rope->original_length > 0 ? rope->original_length : max_length;
}

/* NTK by base: the base grows with the sequence so that the lowest frequency spans it. */
static double dynamic_base(const tn_rope_desc *rope, int32_t max_length, int32_t length)
{
    const double trained = original_length(rope, max_length), dim = rope->rotary_dim;
    const double n = length > trained ? length : trained;
    if (dim <= 2)
        return (double)rope->base;
    const double stretch = (double)rope->factor * n / trained - ((double)rope->factor - 1.0);
    return (double)rope->base * pow(stretch, dim / (dim - 2.0));
}

/* Dimension index whose wave turns `turns` times within the trained length (YaRN, eq. 17 solved for
 * the index). */
static double yarn_dim(const tn_rope_desc *rope, double trained, double turns)
{
    return rope->rotary_dim * log(trained / (turns * two_pi)) / (2.0 * log((double)rope->base));
}

static double yarn(const tn_rope_desc *rope, double trained, int32_t i, double freq)
{
    const double last = rope->rotary_dim - 1.0;
    const double fast = rope->beta_fast > 0 ? (double)rope->beta_fast : 32.0;
    const double slow = rope->beta_slow > 0 ? (double)rope->beta_slow : 1.0;
    const double low = fmax(floor(yarn_dim(rope, trained, fast)), 0.0);
    double high = fmin(ceil(yarn_dim(rope, trained, slow)), last);
    if (low == high)
        high += 0.001; /* transformers' guard against division by zero */
    const double ramp = fmin(fmax((i - low) / (high - low), 0.0), 1.0);
    return freq / (double)rope->factor * ramp + freq * (1.0 - ramp);
}

static double llama3(const tn_rope_desc *rope, double trained, double freq)
{
    const double low = (double)rope->low_freq_factor, high = (double)rope->high_freq_factor;
    const double turns = trained * freq / two_pi; /* trained length over wavelength */
    if (turns < low)
        return freq / (double)rope->factor;
    if (turns > high)
        return freq;
    const double smooth = (turns - low) / (high - low);
    return (1.0 - smooth) * freq / (double)rope->factor + smooth * freq;
}

static tn_status check(const tn_rope_desc *rope, int32_t max_length, tn_error *err)
{
    if (rope->rotary_dim <= 0 || rope->rotary_dim % 2 || !(rope->base > 0) || max_length <= 0)
        return tn_fail(
            err, TN_INVALID,
            "rope needs an even positive width, a positive base and a positive length; it has %d, "
            "%g and %d",
            (int)rope->rotary_dim, (double)rope->base, (int)max_length);
    if (rope->scaling == TN_ROPE_SCALING_NONE)
        return TN_OK;
    if (!(rope->factor >= 1) || !isfinite(rope->factor))
        return tn_fail(err, TN_INVALID, "rope scaling factor %g is not a number >= 1",
                       (double)rope->factor);
    if (rope->scaling == TN_ROPE_SCALING_LLAMA3 &&
        !(rope->low_freq_factor > 0 && rope->high_freq_factor > rope->low_freq_factor))
        return tn_fail(
            err, TN_INVALID,
            "llama3 rope scaling needs 0 < low_freq_factor < high_freq_factor; they are %g and %g",
            (double)rope->low_freq_factor, (double)rope->high_freq_factor);
    if (rope->scaling == TN_ROPE_SCALING_YARN && !(rope->base > 1))
        return tn_fail(err, TN_INVALID, "YaRN rope scaling needs a base above 1, not %g",
                       (double)rope->base);
    if (rope->scaling == TN_ROPE_SCALING_LONGROPE && !(rope->freq_factors && rope->long_factors))
        return tn_fail(err, TN_INVALID, "longrope scaling needs short and long factors");
    return TN_OK;
}

tn_status tn_rope_inv_freq(const tn_rope_desc *rope, int32_t max_length, int32_t length,
                           float *inv_freq, tn_error *err)
{
    TN_TRY(check(rope, max_length, err));
    const double trained = original_length(rope, max_length);
    const double base = rope->scaling == TN_ROPE_SCALING_DYNAMIC
                            ? dynamic_base(rope, max_length, length)
                            : (double)rope->base;
    const bool is_long = rope->long_factors && length > trained;
    const float *factors = is_long ? rope->long_factors : rope->freq_factors;
    for (int32_t i = 0; i < rope->rotary_dim / 2; i++) {
        double freq = pow(base, -2.0 * i / rope->rotary_dim);
        if (rope->scaling == TN_ROPE_SCALING_LINEAR)
            freq /= (double)rope->factor;
        else if (rope->scaling == TN_ROPE_SCALING_YARN)
            freq = yarn(rope, trained, i, freq);
        else if (rope->scaling == TN_ROPE_SCALING_LLAMA3)
            freq = llama3(rope, trained, freq);
        if (factors)
            freq /= (double)factors[i];
        inv_freq[i] = (float)freq;
    }
    return TN_OK;
}

int32_t tn_rope_depends_on_length(const tn_rope_desc *rope)
{
    return rope->scaling == TN_ROPE_SCALING_DYNAMIC || rope->long_factors;
}

float tn_rope_mscale(const tn_rope_desc *rope, int32_t max_length)
{
    const bool is_long = rope->scaling == TN_ROPE_SCALING_LONGROPE;
    if (!is_long && rope->scaling != TN_ROPE_SCALING_YARN)
        return 1;
    if (rope->attention_factor > 0)
        return rope->attention_factor;
    const double stretch = log((double)rope->factor);
    return (float)(is_long ? sqrt(1 + stretch / log(original_length(rope, max_length)))
                           : 0.1 * stretch + 1);
}
