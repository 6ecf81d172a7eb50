/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "tests/support/memory_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 3, COLS = 64, GROUP = 32, GROUPS = COLS / GROUP };

typedef struct fixture {
    uint8_t codes[ROWS * COLS];
    float scale[ROWS * GROUPS], zero[ROWS * GROUPS], values[ROWS * COLS];
} fixture;

static void fill(fixture *f)
{
    for (int i = 0; i < ROWS * COLS; i++) {
        f->codes[i] = (uint8_t)(i * 7 % 16);
        f->values[i] = (float)i * 0.5f;
    }
    for (int i = 0; i < ROWS * GROUPS; i++) {
        f->scale[i] = 0.25f * (float)(i + 1);
        f->zero[i] = (float)(i + 2);
    }
}

static tn_weight_info info_of(const char *name, const char *wfmt, int32_t group)
{
    return (tn_weight_info){
        .name = name, .wfmt = wfmt, .group = group, .values = group == 0, .rows = ROWS, .cols = COLS
    };
}

static tn_weight_rows rows_of(const fixture *f, int32_t group)
{
    if (group == 0)
        return (tn_weight_rows){
            .size = sizeof(tn_weight_rows), .rows = ROWS, .cols = COLS, .values = f->values
        };
    return (tn_weight_rows){ .size = sizeof(tn_weight_rows),
                             .rows = ROWS,
                             .cols = COLS,
                             .group = group,
                             .codes = f->codes,
                             .scale = f->scale,
                             .zero = f->zero };
}

static void values_follow_the_formula_of_each_format(void **state)
{
    (void)state;
    static const char *const formats[] = { "u4z.g32", "u4b.g32", "q8.g32" };
    fixture f;
    fill(&f);
    tn_error err;
    float values[ROWS * COLS];
    for (int format = 0; format < 3; format++) {
        tn_weight_rows rows = rows_of(&f, GROUP);

        assert_int_equal(tn_weight_rows_values(formats[format], &rows, values, &err), TN_OK);

        for (int i = 0; i < ROWS * COLS; i++) {
            float q = f.codes[i];
            float s = f.scale[i / GROUP];
            float z = f.zero[i / GROUP];
            float expected[] = { (q - z) * s, q * s + z,
                                 (q - 128.0f) * s }; /* all exact in f32 here */
            assert_true(values[i] == expected[format]);
        }
    }
}

static void rows_without_a_formula_are_refused(void **state)
{
    (void)state;
    fixture f;
    fill(&f);
    float values[ROWS * COLS];
    tn_error err;
    tn_weight_rows rows = rows_of(&f, GROUP);
    assert_int_equal(tn_weight_rows_values("q4_k", &rows, values, &err), TN_UNSUPPORTED);
    assert_non_null(strstr(err.text, "q4_k"));
    rows.zero = NULL;
    assert_int_equal(tn_weight_rows_values("u4b.g32", &rows, values, &err), TN_INVALID);
    assert_int_equal(tn_weight_rows_values("q8.g32", &rows, values, &err), TN_OK);
    rows.group = 48;
    assert_int_equal(tn_weight_rows_values("q8.g32", &rows, values, &err), TN_INVALID);
}

static void memory_source_gives_back_what_was_added(void **state)
{
    (void)state;
    fixture f;
    fill(&f);
    tn_error err;
    tn_memory_source *m = NULL;
    assert_int_equal(tn_memory_source_create(&m, &err), TN_OK);
    const tn_weight_source *source = tn_memory_source_interface(m);
    tn_weight_rows plain = rows_of(&f, 0);
    tn_weight_rows coded = rows_of(&f, GROUP);
    assert_int_equal(tn_memory_source_add(
                         m,
                         &(tn_weight_info){
                             .name = "a", .wfmt = "f32", .values = 1, .rows = ROWS, .cols = COLS },
                         &plain, &err),
                     TN_OK);
    uint64_t id = source->id;
    tn_weight_info b = info_of("b", "u4b.g32", GROUP);
    assert_int_equal(tn_memory_source_add(m, &b, &coded, &err), TN_OK);
    assert_true(source->id != id);
    f.codes[COLS] ^= 1; /* the source has copies */

    tn_weight_info found;
    assert_int_equal(source->find(source->self, "none", &found), TN_UNSUPPORTED);
    assert_int_equal(source->find(source->self, "b", &found), TN_OK);
    tn_row_buffer buffer;
    tn_weight_rows out;
    assert_int_equal(tn_row_buffer_init(&buffer, &found, 2, &err), TN_OK);
    assert_int_equal(source->rows(source->self, &found, 1, 2, &buffer, &out, &err), TN_OK);

    assert_int_equal(out.rows, 2);
    assert_int_equal(out.row0, 1);
    assert_int_equal(out.codes[0], f.codes[COLS] ^ 1);
    assert_memory_equal(out.codes + 1, f.codes + COLS + 1, 2 * COLS - 1);
    assert_memory_equal(out.scale, f.scale + GROUPS, 2 * GROUPS * sizeof(float));
    assert_memory_equal(out.zero, f.zero + GROUPS, 2 * GROUPS * sizeof(float));
    assert_null(out.values);
    assert_int_equal(source->rows(source->self, &found, 2, 2, &buffer, &out, &err), TN_INVALID);
    tn_row_buffer_deinit(&buffer);

    float *values = NULL;
    assert_int_equal(source->find(source->self, "a", &found), TN_OK);
    assert_int_equal(tn_weight_values(source, &found, &values, &err), TN_OK);
    assert_memory_equal(values, f.values, sizeof(f.values));
    tn_free(values);
    tn_memory_source_destroy(m);
}

static void memory_source_refuses_what_does_not_fit(void **state)
{
    (void)state;
    fixture f;
    fill(&f);
    tn_error err;
    tn_memory_source *m = NULL;
    assert_int_equal(tn_memory_source_create(&m, &err), TN_OK);
    tn_weight_rows plain = rows_of(&f, 0);
    tn_weight_info info = info_of("a", "f32", 0);
    assert_int_equal(tn_memory_source_add(m, &info, &plain, &err), TN_OK);
    assert_int_equal(tn_memory_source_add(m, &info, &plain, &err), TN_INVALID); /* the name again */
    info = info_of("b", "u4b.g32", GROUP);
    assert_int_equal(tn_memory_source_add(m, &info, &plain, &err), TN_INVALID); /* no codes */
    info = info_of("c", "u4b.g48", 48);
    assert_int_equal(tn_memory_source_add(m, &info, &plain, &err), TN_UNSUPPORTED); /* 64 % 48 */
    info = info_of("d", "q5_k", 32);
    assert_int_equal(tn_memory_source_add(m, &info, &plain, &err), TN_UNSUPPORTED);
    tn_memory_source_destroy(m);
}

static void memory_source_survives_each_failing_allocation(void **state)
{
    (void)state;
    fixture f;
    fill(&f);
    tn_weight_rows coded = rows_of(&f, GROUP);
    tn_weight_info info = info_of("b", "u4b.g32", GROUP);
    int n_failed = 0;
    for (uint64_t n = 1; n < 100; n++) {
        tn_error err = { 0 };
        tn_memory_source *m = NULL;
        float *values = NULL;
        tn_weight_info found;
        tn_alloc_fail_at(n);
        tn_status st = tn_memory_source_create(&m, &err);
        if (!st)
            st = tn_memory_source_add(m, &info, &coded, &err);
        const tn_weight_source *source = m ? tn_memory_source_interface(m) : NULL;
        if (!st && source->find(source->self, "b", &found) == TN_OK)
            st = tn_weight_values(source, &found, &values, &err);
        tn_alloc_fail_at(0);
        tn_free(values);
        tn_memory_source_destroy(m);
        if (!st)
            break;
        assert_int_equal(st, TN_NO_MEMORY);
        n_failed++;
    }
    assert_in_range(n_failed, 8, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_follow_the_formula_of_each_format),
        cmocka_unit_test(rows_without_a_formula_are_refused),
        cmocka_unit_test(memory_source_gives_back_what_was_added),
        cmocka_unit_test(memory_source_refuses_what_does_not_fit),
        cmocka_unit_test(memory_source_survives_each_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
