/* SPDX-License-Identifier: Apache-2.0 */
/* Tensor types of GGUF against the committed goldens of the PyPI package `gguf`
 * (make_gguf_goldens.py): every block gives the same bits. test_gguf_types.py does fresh blocks. */
#include "core/base/hash.h"
#include "model/formats/little_endian.h"
#include "model/formats/weight_format.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_BYTES = 512, MAX_ELEMENTS = 256, MAX_LINE = 2048 };

/* The types that decode to values; the others decode to codes, which test_gguf.c checks. */
static const char *const types[] = { "Q5_0", "Q5_1", "Q2_K", "Q3_K",   "Q4_K",
                                     "Q5_K", "Q6_K", "Q8_K", "IQ4_NL", "IQ4_XS" };
enum { N_TYPES = (int)(sizeof(types) / sizeof(types[0])) };

static void each_type_that_is_read_as_values_has_its_row(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++) {
        const tn_weight_format *f = tn_weight_format_of_name(types[i]);
        assert_non_null(f);
        assert_non_null(f->decode);
        assert_int_equal(f->values, 1);
        assert_true(f->group > 0 && f->block_elements % (uint32_t)f->group == 0);
        assert_ptr_equal(tn_weight_format_of_type(f->ggml_type), f);
    }
}

static void sha256_of_values(const float *values, size_t n, char out[65])
{
    uint8_t bytes[MAX_ELEMENTS * 4];
    tn_sha256 h;
    for (size_t i = 0; i < n; i++)
        tn_store_u32(bytes + 4 * i, isnan(values[i]) ? 0x7fc00000u : tn_f32_bits(values[i]));
    tn_sha256_init(&h);
    tn_sha256_update(&h, bytes, 4 * n);
    tn_sha256_hex(&h, out);
}

static size_t bytes_of_hex(const char *hex, uint8_t *bytes)
{
    size_t n = strlen(hex) / 2;
    assert_true(n <= MAX_BYTES);
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    return n;
}

static void check_line(const char *type, const char *hex, const char *expected)
{
    const tn_weight_format *f = tn_weight_format_of_name(type);
    uint8_t block[MAX_BYTES];
    float values[MAX_ELEMENTS];
    char got[65];
    assert_non_null(f);
    assert_int_equal(bytes_of_hex(hex, block), f->block_bytes);
    assert_int_equal(f->values, 1);
    f->decode(block, 1, &(tn_row_buffer){ .values = values });
    sha256_of_values(values, f->block_elements, got);
    if (strcmp(got, expected) != 0)
        fail_msg("%s, block %s: values with sha256 %s, not %s", type, hex, got, expected);
}

static void every_golden_block_gives_the_bits_of_the_package_gguf(void **state)
{
    (void)state;
    int n_lines = 0;
    char line[MAX_LINE];
    char type[16], hex[2 * MAX_BYTES + 1], sha256[65];
    FILE *file = fopen(TEST_GOLDEN, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        assert_int_equal(sscanf(line, "%15s %1024s %64s", type, hex, sha256), 3);
        check_line(type, hex, sha256);
        n_lines++;
    }
    assert_int_equal(fclose(file), 0);
    assert_in_range(n_lines, 20 * N_TYPES, 10000);
}

static void two_blocks_in_a_row_are_as_two_calls(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++) {
        const tn_weight_format *f = tn_weight_format_of_name(types[i]);
        uint8_t blocks[2 * MAX_BYTES];
        float once[2 * MAX_ELEMENTS], twice[2 * MAX_ELEMENTS];
        for (size_t k = 0; k < sizeof(blocks); k++)
            blocks[k] = (uint8_t)(k * 37 % 59); /* no Inf or NaN scale */

        f->decode(blocks, 2, &(tn_row_buffer){ .values = once });
        f->decode(blocks, 1, &(tn_row_buffer){ .values = twice });
        f->decode(blocks + f->block_bytes, 1,
                  &(tn_row_buffer){ .values = twice + f->block_elements });

        assert_memory_equal(once, twice, 2 * f->block_elements * sizeof(float));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_that_is_read_as_values_has_its_row),
        cmocka_unit_test(every_golden_block_gives_the_bits_of_the_package_gguf),
        cmocka_unit_test(two_blocks_in_a_row_are_as_two_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
