/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void size_arithmetic_detects_overflow(void **state)
{
    (void)state;
    size_t out = 1;

    assert_true(tn_size_mul(SIZE_MAX / 2, 2, &out));
    assert_true(out == SIZE_MAX - 1);
    assert_false(tn_size_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(out == 0);
    assert_true(tn_size_mul(SIZE_MAX, 0, &out));
    assert_true(tn_size_mul(0, SIZE_MAX, &out));
    assert_true(tn_size_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_false(tn_size_add(SIZE_MAX, 1, &out));
    assert_true(out == 0);
}

static void blocks_of_zero_bytes_are_valid(void **state)
{
    (void)state;
    void *blocks[] = { tn_alloc(0), tn_alloc_array(0, 8), tn_alloc_aligned(0),
                       tn_realloc_array(NULL, 0, 8) };

    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        assert_non_null(blocks[i]);
        tn_free(blocks[i]);
    }
    tn_free(NULL);
}

static void arrays_are_zeroed_and_refuse_overflow(void **state)
{
    (void)state;
    unsigned char *a = tn_alloc_array(1000, 3);

    assert_non_null(a);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(a[i], 0);
    assert_null(tn_alloc_array(SIZE_MAX / 2, 3));
    assert_null(tn_realloc_array(a, SIZE_MAX / 2, 3));
    a[2999] = 7; /* the failed call left the block alone */
    tn_free(a);
}

static void realloc_keeps_the_bytes(void **state)
{
    (void)state;
    char *a = tn_realloc_array(NULL, 4, 1);
    memcpy(a, "abc", 4);

    a = tn_realloc_array(a, 100000, 1);

    assert_non_null(a);
    assert_string_equal(a, "abc");
    tn_free(a);
}

static void aligned_blocks_start_at_256_bytes(void **state)
{
    (void)state;

    for (size_t n = 1; n < 5000; n += 611) {
        void *block = tn_alloc_aligned(n);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 256, 0);
        memset(block, 0xAA, n);
        tn_free(block);
    }
}

static void pages_are_zeroed_and_lazy(void **state)
{
    (void)state;
    size_t n = (size_t)1 << 36; /* 64 GiB: only possible when pages are not touched */
    unsigned char *pages = tn_pages_alloc(n);

    assert_non_null(pages);
    assert_int_equal(pages[0], 0);
    assert_int_equal(pages[n - 1], 0);
    tn_pages_release(pages, n);
    tn_pages_release(NULL, 5);
}

static void string_copies_end_with_nul(void **state)
{
    (void)state;
    const char unterminated[3] = { 'a', 'b', 'c' };
    char *whole = tn_strdup("tenon");
    char *cut = tn_strndup(unterminated, 3);
    char *shorter = tn_strndup("ab", 10);

    assert_string_equal(whole, "tenon");
    assert_string_equal(cut, "abc");
    assert_string_equal(shorter, "ab");
    tn_free(whole);
    tn_free(cut);
    tn_free(shorter);
}

static void *alloc_kind(int kind)
{
    switch (kind) {
    case 0:
        return tn_alloc(8);
    case 1:
        return tn_alloc_array(2, 4);
    case 2:
        return tn_realloc_array(NULL, 2, 4);
    case 3:
        return tn_alloc_aligned(8);
    case 4:
        return tn_strdup("x");
    default:
        return tn_strndup("xy", 1);
    }
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;

    for (int kind = 0; kind < 6; kind++) {
        tn_alloc_fail_at(2);
        void *first = alloc_kind(kind);
        void *second = alloc_kind(kind);
        void *third = alloc_kind(kind);
        assert_non_null(first);
        assert_null(second);
        assert_non_null(third);
        tn_free(first);
        tn_free(third);
    }
    tn_alloc_fail_at(1);
    assert_null(tn_pages_alloc(4096));
}

static void zero_switches_the_failure_off(void **state)
{
    (void)state;
    tn_alloc_fail_at(1);
    tn_alloc_fail_at(0);

    void *block = tn_alloc(1);

    assert_non_null(block);
    tn_free(block);
}

static void every_allocation_is_counted(void **state)
{
    (void)state;
    uint64_t before = tn_alloc_count();

    for (int kind = 0; kind < 6; kind++)
        tn_free(alloc_kind(kind));

    assert_int_equal(tn_alloc_count() - before, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_arithmetic_detects_overflow),
        cmocka_unit_test(blocks_of_zero_bytes_are_valid),
        cmocka_unit_test(arrays_are_zeroed_and_refuse_overflow),
        cmocka_unit_test(realloc_keeps_the_bytes),
        cmocka_unit_test(aligned_blocks_start_at_256_bytes),
        cmocka_unit_test(pages_are_zeroed_and_lazy),
        cmocka_unit_test(string_copies_end_with_nul),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(zero_switches_the_failure_off),
        cmocka_unit_test(every_allocation_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
