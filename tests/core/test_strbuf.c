/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "core/base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void an_empty_buffer_reads_as_an_empty_string(void **state)
{
    (void)state;
    tn_strbuf b = TN_STRBUF(10);

    assert_string_equal(tn_strbuf_text(&b), "");
    tn_strbuf_append(&b, "x", 0);
    assert_null(b.data);
    tn_strbuf_deinit(&b);
}

static void appended_parts_follow_each_other(void **state)
{
    (void)state;
    tn_strbuf b = TN_STRBUF(1000);

    tn_strbuf_puts(&b, "layer.");
    tn_strbuf_printf(&b, "%d.%s", 12, "qkv");
    tn_strbuf_append(&b, "\0z", 2);

    assert_int_equal(b.len, 14);
    assert_memory_equal(b.data, "layer.12.qkv\0z", 15);
    assert_false(b.failed);
    tn_strbuf_deinit(&b);
}

static void a_buffer_grows_to_its_maximum_and_not_past_it(void **state)
{
    (void)state;
    tn_strbuf b = TN_STRBUF(1000);

    for (int i = 0; i < 1000; i++)
        tn_strbuf_puts(&b, "a");
    assert_false(b.failed);
    tn_strbuf_puts(&b, "a");

    assert_true(b.failed);
    assert_int_equal(b.len, 1000);
    assert_int_equal(strlen(b.data), 1000);
    tn_strbuf_deinit(&b);
}

static void failure_is_sticky_and_keeps_what_fitted(void **state)
{
    (void)state;
    tn_strbuf b = TN_STRBUF(5);

    tn_strbuf_puts(&b, "abc");
    tn_strbuf_printf(&b, "%s", "def");
    tn_strbuf_puts(&b, "g");

    assert_true(b.failed);
    assert_string_equal(tn_strbuf_text(&b), "abc");
    assert_null(tn_strbuf_take(&b));
    assert_null(b.data);
}

static void clear_keeps_memory_and_forgets_failure(void **state)
{
    (void)state;
    tn_strbuf b = TN_STRBUF(5);
    tn_strbuf_puts(&b, "abc");
    const char *data = b.data;
    tn_strbuf_puts(&b, "def");

    tn_strbuf_clear(&b);
    tn_strbuf_puts(&b, "xy");

    assert_ptr_equal(b.data, data);
    assert_string_equal(tn_strbuf_text(&b), "xy");
    assert_false(b.failed);
    tn_strbuf_deinit(&b);
}

static void take_gives_the_text_away_and_empties_the_buffer(void **state)
{
    (void)state;
    tn_strbuf b = TN_STRBUF(50);
    tn_strbuf_puts(&b, "abc");

    char *first = tn_strbuf_take(&b);
    tn_strbuf_puts(&b, "next");
    char *second = tn_strbuf_take(&b);
    char *empty = tn_strbuf_take(&b);

    assert_string_equal(first, "abc");
    assert_string_equal(second, "next");
    assert_string_equal(empty, "");
    tn_free(first);
    tn_free(second);
    tn_free(empty);
}

static void lack_of_memory_is_a_sticky_failure(void **state)
{
    (void)state;
    tn_strbuf b = TN_STRBUF(5000);
    tn_strbuf_puts(&b, "abc");
    tn_alloc_fail_at(1);

    tn_strbuf_printf(&b, "%01000d", 1);

    assert_true(b.failed);
    assert_string_equal(tn_strbuf_text(&b), "abc");
    tn_strbuf_deinit(&b);
}

static void the_status_tells_lack_of_memory_from_a_text_too_long(void **state)
{
    (void)state;
    tn_strbuf b = TN_STRBUF(100);
    tn_error err = { 0 };
    assert_int_equal(tn_strbuf_status(&b, "the text", &err), TN_OK);

    tn_alloc_fail_at(1);
    tn_strbuf_puts(&b, "abc");
    assert_int_equal(tn_strbuf_status(&b, "the text", &err), TN_NO_MEMORY);
    tn_strbuf_clear(&b);
    tn_strbuf_printf(&b, "%0101d", 1);
    assert_int_equal(tn_strbuf_status(&b, "the text", &err), TN_INVALID);

    assert_string_equal(err.text, "the text is longer than 100 bytes, the most that is allowed");
    tn_strbuf_deinit(&b);
}

static void a_zeroed_buffer_refuses_every_byte(void **state)
{
    (void)state;
    tn_strbuf b = { 0 };

    tn_strbuf_puts(&b, "a");

    assert_true(b.failed);
    tn_strbuf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_reads_as_an_empty_string),
        cmocka_unit_test(appended_parts_follow_each_other),
        cmocka_unit_test(a_buffer_grows_to_its_maximum_and_not_past_it),
        cmocka_unit_test(failure_is_sticky_and_keeps_what_fitted),
        cmocka_unit_test(clear_keeps_memory_and_forgets_failure),
        cmocka_unit_test(take_gives_the_text_away_and_empties_the_buffer),
        cmocka_unit_test(lack_of_memory_is_a_sticky_failure),
        cmocka_unit_test(the_status_tells_lack_of_memory_from_a_text_too_long),
        cmocka_unit_test(a_zeroed_buffer_refuses_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
