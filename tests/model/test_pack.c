/* SPDX-License-Identifier: Apache-2.0 */
/* Codes that are there already into bytes of files: AWQ's tensors, blocks of Q4_0 and Q4_1. */
#include "core/base/alloc.h"
#include "model/formats/awq_pack.h"
#include "model/formats/hf_quant.h"
#include "model/formats/little_endian.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 24, COLS = 96, GROUP = 32, N_GROUPS = COLS / GROUP };

static uint8_t code_of(int row, int k)
{
    return (uint8_t)((row * 7 + k * 3 + row * k) & 15);
}

static uint8_t zero_of(int row, int g)
{
    return (uint8_t)((row + 5 * g) & 15);
}

static float scale_of(int row, int g)
{
    return (float)(1 + row * N_GROUPS + g) / 64.0f; /* exact in f16 */
}

static void put_all(tn_awq *a)
{
    uint8_t codes[GROUP];
    for (int row = ROWS - 1; row >= 0; row--)
        for (int g = 0; g < N_GROUPS; g++) {
            for (int k = 0; k < GROUP; k++)
                codes[k] = code_of(row, g * GROUP + k);
            tn_awq_put(a, row, g, codes, zero_of(row, g), tn_f32_to_f16(scale_of(row, g)));
        }
}

static void awq_has_eight_outputs_a_word_in_its_order(void **state)
{
    tn_awq a;
    (void)state;
    assert_int_equal(tn_awq_shape(&a, 8, 32, 32, NULL), TN_OK);
    assert_int_equal(tn_awq_begin(&a, NULL), TN_OK);

    for (uint8_t row = 0; row < 8; row++) {
        const uint8_t codes[32] = { row, (uint8_t)(15 - row) };
        tn_awq_put(&a, row, 0, codes, row, 0x3c00);
    }

    /* AutoAWQ, awq/utils/packing_utils.py: nibble i of a word is output order[i] of 0 2 4 6 1 3 5
     * 7. */
    assert_int_equal(tn_load_u32(a.data[0]), 0x75316420);
    assert_int_equal(tn_load_u32(a.data[0] + 4), 0x8ace9bdf);
    assert_int_equal(tn_load_u32(a.data[0] + 8), 0);
    assert_int_equal(tn_load_u32(a.data[1]), 0x75316420);
    assert_int_equal(tn_load_u16(a.data[2] + 14), 0x3c00);
    tn_awq_end(&a);
}

static void awq_is_read_back_as_it_was_put(void **state)
{
    tn_awq a;
    float scale[ROWS * N_GROUPS], zero[ROWS * N_GROUPS];
    uint8_t codes[ROWS * COLS];
    const tn_row_buffer rows = { .codes = codes, .scale = scale, .zero = zero };
    (void)state;
    assert_int_equal(tn_awq_shape(&a, ROWS, COLS, GROUP, NULL), TN_OK);
    assert_int_equal(tn_awq_begin(&a, NULL), TN_OK);
    put_all(&a);

    tn_st_tensor t[TN_AWQ_TENSORS];
    for (int i = 0; i < TN_AWQ_TENSORS; i++)
        t[i] = (tn_st_tensor){ .data = a.data[i] };
    const tn_hf_packed packed = { .method = TN_HF_AWQ,
                                  .group = GROUP,
                                  .rows = ROWS,
                                  .cols = COLS,
                                  .codes = &t[0],
                                  .zeros = &t[1],
                                  .scales = &t[2],
                                  .scale_format = tn_weight_format_of_name("F16") };
    tn_hf_packed_rows(&packed, 0, ROWS, 0, &rows);

    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < COLS; k++) {
            const int at = row * N_GROUPS + k / GROUP;
            assert_int_equal(codes[row * COLS + k], code_of(row, k));
            assert_true(scale[at] == scale_of(row, k / GROUP));
            assert_true(zero[at] == (float)zero_of(row, k / GROUP));
        }
    tn_awq_end(&a);
}

static void awq_refuses_outputs_that_fill_no_words(void **state)
{
    tn_awq a;
    tn_error err = { 0 };
    (void)state;
    assert_int_equal(tn_awq_shape(&a, 12, 32, 32, &err), TN_UNSUPPORTED);
    assert_non_null(strstr(err.text, "multiple of 8 outputs"));
    assert_int_equal(tn_awq_shape(&a, 8, 48, 32, &err), TN_UNSUPPORTED);
    assert_int_equal(tn_awq_shape(&a, 0, 32, 32, &err), TN_UNSUPPORTED);
}

static void every_allocation_of_awq_may_fail(void **state)
{
    tn_awq a;
    const int64_t live = tn_alloc_live();
    (void)state;
    for (uint64_t n = 1; n <= TN_AWQ_TENSORS; n++) {
        assert_int_equal(tn_awq_shape(&a, 8, 32, 32, NULL), TN_OK);
        tn_alloc_fail_at(n);
        assert_int_equal(tn_awq_begin(&a, NULL), TN_NO_MEMORY);
        tn_alloc_fail_at(0);
        assert_int_equal(tn_alloc_live(), live);
    }
}

static void blocks_of_codes_decode_to_the_codes(void **state)
{
    uint8_t codes[32], block[20], got[32];
    float scale = 0, zero = 0;
    const tn_row_buffer rows = { .codes = got, .scale = &scale, .zero = &zero };
    (void)state;
    for (int k = 0; k < 32; k++)
        codes[k] = code_of(3, k);

    tn_pack_q4_0(codes, -0.75f, block);
    tn_weight_format_of_name("Q4_0")->decode(block, 1, &rows);
    assert_memory_equal(got, codes, 32);
    assert_true(scale == -0.75f && zero == 8.0f);

    tn_pack_q4_1(codes, 0.1f, -1.25f, block);
    tn_weight_format_of_name("Q4_1")->decode(block, 1, &rows);
    assert_memory_equal(got, codes, 32);
    assert_true(scale == tn_f16_to_f32(tn_f32_to_f16(0.1f)) && zero == -1.25f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(awq_has_eight_outputs_a_word_in_its_order),
        cmocka_unit_test(awq_is_read_back_as_it_was_put),
        cmocka_unit_test(awq_refuses_outputs_that_fill_no_words),
        cmocka_unit_test(every_allocation_of_awq_may_fail),
        cmocka_unit_test(blocks_of_codes_decode_to_the_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
