/* SPDX-License-Identifier: Apache-2.0 */
/* Packed weights of 4 bits on the host: their size, their values, and what is refused. */
#include "plugins/cuda-w4a16/weights.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

static w4_weights packed_as(const char *wfmt, int32_t group, int32_t cols, int32_t rows,
                            int32_t is_glu)
{
    const tn_part part = { .size = sizeof part, .out = rows, .group = group, .wfmt = wfmt };
    tn_error why = { 0 };
    w4_weights w;
    if (w4_weights_init(&part, cols, rows, is_glu, 0, &w, &why))
        fail_msg("%s", why.text);
    return w;
}

/* Of models: SmolLM2-135M, Qwen2-0.5B, Llama-2-7B, Llama-3-8B, Mistral-7B, each at its widths. */
static void packed_weights_are_4_bits_and_parameters_and_hardly_more(void **state)
{
    static const struct {
        const char *wfmt;
        int32_t group, cols, rows, is_glu;
    } cases[] = {
        { "u4b.g32", 32, 576, 960, 0 },        { "u4b.g32", 32, 576, 576, 0 },
        { "u4b.g32", 32, 576, 3072, 1 },       { "u4b.g32", 32, 1536, 576, 0 },
        { "u4z.g64", 64, 896, 1152, 0 },       { "u4z.g128", 128, 896, 9728, 1 },
        { "u4z.g128", 128, 4864, 896, 0 },     { "u4z.g128", 128, 4096, 22016, 1 },
        { "u4z.g128", 128, 11008, 4096, 0 },   { "u4z.g128", 128, 4096, 6144, 0 },
        { "u4z.g4096", 4096, 4096, 28672, 1 }, { "u4z.g14336", 14336, 14336, 4096, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const w4_weights w =
            packed_as(cases[i].wfmt, cases[i].group, cases[i].cols, cases[i].rows, cases[i].is_glu);
        const double n = (double)cases[i].cols * cases[i].rows;
        const double ideal = n / 2 + n / cases[i].group * 4;
        assert_true((double)w.bytes >= ideal && (double)w.bytes <= 1.02 * ideal);
    }
}

enum { COLS = 96, ROWS = 70, GROUPS = COLS / 32 };

typedef struct rows_case {
    uint8_t codes[ROWS * COLS];
    float scale[ROWS * GROUPS], zero[ROWS * GROUPS];
    uint8_t *blob;
    w4_weights w;
    tn_error err;
} rows_case;

static void make_rows(rows_case *c, const char *wfmt, int32_t is_glu)
{
    for (int32_t i = 0; i < ROWS * COLS; i++)
        c->codes[i] = (uint8_t)((i * 7 + i / COLS * 5 + i / 16) % 16);
    for (int32_t i = 0; i < ROWS * GROUPS; i++) {
        c->scale[i] = (float)(1 + i % 9) / 256.0f;
        c->zero[i] = (float)(i % 17) / (strncmp(wfmt, "u4b", 3) == 0 ? 8.0f : 1.0f);
    }
    c->w = packed_as(wfmt, 32, COLS, ROWS, is_glu);
    c->blob = calloc(1, c->w.bytes);
    assert_non_null(c->blob);
}

/* Rows [row0, row0 + n) as one call of pack. */
static tn_status pack_rows(rows_case *c, int32_t row0, int32_t n)
{
    const tn_weight_rows rows = { .size = sizeof rows,
                                  .rows = n,
                                  .cols = COLS,
                                  .group = 32,
                                  .row0 = row0,
                                  .codes = c->codes + row0 * COLS,
                                  .scale = c->scale + row0 * GROUPS,
                                  .zero = c->zero + row0 * GROUPS };
    return w4_weights_pack(&c->w, &rows, 0, c->blob, &c->err);
}

static void rows_come_back_however_they_were_split(void **state)
{
    static const char *const formats[] = { "u4z.g32", "u4b.g32" };
    rows_case c;
    float got[COLS];
    (void)state;
    for (int32_t i = 0; i < 4; i++) {
        make_rows(&c, formats[i % 2], i / 2);
        for (int32_t row = 0, n = 1; row < ROWS; row += n, n = n % 5 + 1)
            assert_int_equal(pack_rows(&c, row, row + n > ROWS ? ROWS - row : n), TN_OK);
        for (int32_t r = 0; r < ROWS; r++) {
            w4_weights_row(&c.w, c.blob, r, got);
            for (int32_t k = 0; k < COLS; k++) {
                const float q = c.codes[r * COLS + k], s = c.scale[r * GROUPS + k / 32],
                            z = c.zero[r * GROUPS + k / 32];
                assert_true(got[k] == (i % 2 ? q * s + z : (q - z) * s));
            }
        }
        free(c.blob);
    }
}

static void assert_refused(const char *wfmt, int32_t group, int32_t values, int32_t cols,
                           const char *reason)
{
    const tn_part part = { .size = sizeof part, .group = group, .values = values, .wfmt = wfmt };
    tn_error why = { 0 };
    w4_weights w;
    assert_int_equal(w4_weights_init(&part, cols, 64, 0, 0, &w, &why), TN_UNSUPPORTED);
    assert_string_equal(why.text, reason);
}

static void what_is_not_taken_is_said(void **state)
{
    (void)state;
    assert_refused("q8.g32", 32, 0, 64, "weight format q8.g32: u4z and u4b are taken");
    assert_refused("f16", 0, 0, 64, "weight format f16: u4z and u4b are taken");
    assert_refused("q4_k", 0, 1, 256, "weight format q4_k: u4z and u4b are taken");
    assert_refused(NULL, 0, 0, 64, "weight format (none): u4z and u4b are taken");
    assert_refused("u4z.g16", 16, 0, 64,
                   "groups of 16 of 64 input columns: 32, 64, 128 and all are taken");
    assert_refused("u4z.g64", 64, 0, 96,
                   "groups of 64 of 96 input columns: 32, 64, 128 and all are taken");
    assert_refused("u4z.g100", 100, 0, 100, "100 input columns, a multiple of 8 is taken");
}

static void parameters_that_f16_does_not_hold_are_refused(void **state)
{
    static const struct {
        const char *wfmt;
        float scale, zero;
        const char *reason;
    } cases[] = {
        { "u4z.g32", 1.0f, 2.5f, "a zero point of 2.5, whole numbers to 16 are taken" },
        { "u4z.g32", 1.0f, 17.0f, "a zero point of 17, " },
        { "u4z.g32", 1.0f, -1.0f, "a zero point of -1, " },
        { "u4z.g32", 5000.0f, 16.0f,
          "weights from -80000 to -5000 by 5000 are beyond the largest f16, 65504" },
        { "u4b.g32", 1.0f, 70000.0f,
          "weights from 70000 to 70015 by 1 are beyond the largest f16, 65504" },
        { "u4b.g32", NAN, 0.0f, "by nan are beyond the largest f16, 65504" },
    };
    rows_case c;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_rows(&c, cases[i].wfmt, 0);
        c.scale[5] = cases[i].scale;
        c.zero[5] = cases[i].zero;
        assert_int_equal(pack_rows(&c, 0, ROWS), TN_INVALID);
        assert_non_null(strstr(c.err.text, cases[i].reason));
        free(c.blob);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_weights_are_4_bits_and_parameters_and_hardly_more),
        cmocka_unit_test(rows_come_back_however_they_were_split),
        cmocka_unit_test(what_is_not_taken_is_said),
        cmocka_unit_test(parameters_that_f16_does_not_hold_are_refused),
    };
    return cmocka_run_group_tests_name("w4_weights", tests, NULL, NULL);
}
