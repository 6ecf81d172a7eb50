/* SPDX-License-Identifier: Apache-2.0 */
/* f16 and bf16 conversion, held against definitions computed in f64 and exhaustively against each
 * other. */
#include "core/base/float16.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* IEEE 754-2019, table 3.5, binary16, from the fields. */
static double f16_by_definition(uint16_t half)
{
    double sign = half & 0x8000 ? -1.0 : 1.0;
    int exponent = (half >> 10) & 31;
    int fraction = half & 1023;
    if (exponent == 0)
        return sign * ldexp(fraction, -24);
    if (exponent == 31)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    return sign * ldexp(1024 + fraction, exponent - 25);
}

static void every_half_has_the_value_of_its_fields(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 65536; half++) {
        double expected = f16_by_definition((uint16_t)half);
        double value = (double)tn_f16_to_f32((uint16_t)half);
        if (isnan(expected))
            assert_true(isnan(value));
        else
            assert_true(value == expected && signbit(value) == signbit(expected));
    }
}

static void every_half_survives_the_round_trip(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 65536; half++) {
        float value = tn_f16_to_f32((uint16_t)half);
        if (isnan(value))
            assert_true(isnan(tn_f16_to_f32(tn_f32_to_f16(value))));
        else
            assert_int_equal(tn_f32_to_f16(value), half);
    }
}

static void middles_of_neighbours_round_to_the_even_half(void **state)
{
    (void)state;
    for (uint16_t half = 0; half < 0x7bff; half++) {
        double low = f16_by_definition(half);
        double high = f16_by_definition((uint16_t)(half + 1));
        float middle = (float)((low + high) / 2); /* exact: one bit more than binary16 has */
        uint16_t even = half & 1 ? (uint16_t)(half + 1) : half;
        assert_int_equal(tn_f32_to_f16(middle), even);
        assert_int_equal(tn_f32_to_f16(nextafterf(middle, 0.0f)), half);
        assert_int_equal(tn_f32_to_f16(nextafterf(middle, INFINITY)), half + 1);
        assert_int_equal(tn_f32_to_f16(-middle), even | 0x8000);
    }
}

static void values_past_the_largest_half_become_infinite(void **state)
{
    (void)state;
    assert_int_equal(tn_f32_to_f16(65504.0f), 0x7bff);
    assert_int_equal(tn_f32_to_f16(nextafterf(65520.0f, 0.0f)), 0x7bff);
    assert_int_equal(tn_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(tn_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(tn_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(tn_f32_to_f16(1e-30f), 0);
}

static void bf16_rounds_to_nearest_even_and_keeps_nan(void **state)
{
    (void)state;
    assert_int_equal(tn_f32_to_bf16(1.0f), 0x3f80);
    assert_int_equal(tn_f32_to_bf16(tn_f32_from_bits(0x3f808000)),
                     0x3f80); /* a tie, down to even */
    assert_int_equal(tn_f32_to_bf16(tn_f32_from_bits(0x3f818000)), 0x3f82); /* a tie, up to even */
    assert_int_equal(tn_f32_to_bf16(tn_f32_from_bits(0x3f808001)), 0x3f81);
    assert_int_equal(tn_f32_to_bf16(tn_f32_from_bits(0x7f7fffff)),
                     0x7f80); /* the largest f32: Inf */
    assert_true(isnan(tn_bf16_to_f32(tn_f32_to_bf16(tn_f32_from_bits(0x7fffffff)))));
    for (uint32_t half = 0; half < 0x7f80; half++)
        assert_int_equal(tn_f32_to_bf16(tn_bf16_to_f32((uint16_t)half)), half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_has_the_value_of_its_fields),
        cmocka_unit_test(every_half_survives_the_round_trip),
        cmocka_unit_test(middles_of_neighbours_round_to_the_even_half),
        cmocka_unit_test(values_past_the_largest_half_become_infinite),
        cmocka_unit_test(bf16_rounds_to_nearest_even_and_keeps_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
