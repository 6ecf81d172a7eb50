/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/check/metrics.h"

#include "core/base/float16.h"

#include <tenon/plugin.h>

#include <math.h>

static const struct {
    int64_t most;
    const char *name;
} bins[TN_ULP_BINS] = {
    { 0, "0" },
    { 1, "1" },
    { 2, "2" },
    { 4, "3-4" },
    { 16, "5-16" },
    { 256, "17-256" },
    { 65536, "257-65536" },
    { INT64_MAX, "more" },
};

const char *tn_check_metrics_bin_name(int32_t bin)
{
    return bins[bin].name;
}

static float round_to(float x, int32_t dtype)
{
    if (dtype == TN_F16)
        return tn_f16_to_f32(tn_f32_to_f16(x));
    return dtype == TN_BF16 ? tn_bf16_to_f32(tn_f32_to_bf16(x)) : x;
}

/* Floats in their order on a line of integers, so that neighbours differ by 1. */
static int64_t ordered(float x, int32_t dtype)
{
    uint32_t bits = tn_f32_bits(x), sign = bits >> 31;
    int64_t magnitude = bits & 0x7fffffffu;
    if (dtype == TN_F16)
        magnitude = tn_f32_to_f16(x) & 0x7fffu;
    else if (dtype == TN_BF16)
        magnitude = tn_f32_to_bf16(x) & 0x7fffu;
    return sign ? -magnitude : magnitude;
}

static void count_ulp(float got, float expected, int32_t dtype, tn_check_metrics *m)
{
    const int64_t a = ordered(got, dtype), b = ordered(expected, dtype);
    const int64_t distance = a > b ? a - b : b - a;
    int32_t bin = 0;
    while (distance > bins[bin].most)
        bin++;
    m->ulp[bin]++;
}

/* |error| by limit; 0 when they are equal, infinite where nothing may differ. */
static double ratio_of(float got, float expected, float limit, bool *not_finite)
{
    *not_finite = false;
    if (got == expected || (isnan(got) && isnan(expected)))
        return 0;
    if (!isfinite(got) || !isfinite(expected)) {
        /* A value that the limit lets reach the other side of the largest number is no fault. */
        if (!isnan(got) && !isnan(expected) && isinf(limit))
            return 0;
        *not_finite = true;
        return HUGE_VAL;
    }
    const double error = fabs((double)got - (double)expected);
    return limit > 0 ? error / (double)limit : HUGE_VAL;
}

static void note_worst(tn_check_metrics *m, double ratio, int64_t r, int64_t c, float got,
                       float expected, float limit)
{
    if (m->worst_row >= 0 && !(ratio > m->worst))
        return;
    m->worst = ratio;
    m->worst_row = r;
    m->worst_col = c;
    m->got = (double)got;
    m->expected = (double)expected;
    m->limit = (double)limit;
}

void tn_check_metrics_compare(const float *got, const float *expected, const float *limit,
                              int64_t rows, int64_t width, int32_t dtype, tn_check_metrics *out)
{
    double all_error = 0, all_power = 0;
    *out = (tn_check_metrics){ .n = rows * width, .worst_row = -1 };
    for (int64_t r = 0; r < rows; r++) {
        double error = 0, power = 0;
        for (int64_t c = 0; c < width; c++) {
            const int64_t i = r * width + c;
            const float want = round_to(expected[i], dtype), most = limit ? limit[i] : 0;
            bool not_finite;
            const double ratio = ratio_of(got[i], want, most, &not_finite);
            const double e = (double)got[i] - (double)want;
            note_worst(out, ratio, r, c, got[i], want, most);
            out->n_bad += ratio > 1;
            out->n_not_finite += not_finite;
            if (!isfinite(e))
                continue;
            out->max_abs = fmax(out->max_abs, fabs(e));
            error += e * e;
            power += (double)want * (double)want;
            count_ulp(got[i], want, dtype, out);
        }
        all_error += error;
        all_power += power;
        if (power > 0)
            out->worst_row_nmse = fmax(out->worst_row_nmse, error / power);
    }
    out->nmse = all_power > 0 ? all_error / all_power : 0;
}

void tn_check_metrics_merge(tn_check_metrics *a, const tn_check_metrics *b)
{
    const int64_t n = a->n + b->n, n_bad = a->n_bad + b->n_bad;
    const int64_t n_not_finite = a->n_not_finite + b->n_not_finite;
    const double max_abs = fmax(a->max_abs, b->max_abs), nmse = fmax(a->nmse, b->nmse);
    const double row = fmax(a->worst_row_nmse, b->worst_row_nmse);
    int64_t ulp[TN_ULP_BINS];
    for (int32_t i = 0; i < TN_ULP_BINS; i++)
        ulp[i] = a->ulp[i] + b->ulp[i];
    if (b->n > 0 && (a->n == 0 || b->worst > a->worst))
        *a = *b;
    a->n = n;
    a->n_bad = n_bad;
    a->n_not_finite = n_not_finite;
    a->max_abs = max_abs;
    a->nmse = nmse;
    a->worst_row_nmse = row;
    for (int32_t i = 0; i < TN_ULP_BINS; i++)
        a->ulp[i] = ulp[i];
}
