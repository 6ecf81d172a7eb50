/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/nearest_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const known[] = { "temperature", "threads", "top_k", "top_p", "kv", NULL };

static void the_nearest_name_is_found(void **state)
{
    (void)state;

    assert_string_equal(tn_nearest_name("temprature", known), "temperature");
    assert_string_equal(tn_nearest_name("thread", known), "threads");
    assert_string_equal(tn_nearest_name("vk", known), "kv"); /* swapped neighbours are one edit */
    assert_string_equal(tn_nearest_name("kw", known), "kv");
    assert_string_equal(tn_nearest_name("top_p", known), "top_p");
}

static void the_first_of_equally_near_names_wins(void **state)
{
    (void)state;

    assert_string_equal(tn_nearest_name("top_x", known), "top_k");
}

static void a_far_word_has_no_nearest_name(void **state)
{
    (void)state;
    char huge[400];
    memset(huge, 't', sizeof(huge) - 1);
    huge[399] = '\0';

    assert_null(tn_nearest_name("banana", known));
    assert_null(tn_nearest_name("xx", known));
    assert_null(tn_nearest_name("", known));
    assert_null(tn_nearest_name(huge, known));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_name_is_found),
        cmocka_unit_test(the_first_of_equally_near_names_wins),
        cmocka_unit_test(a_far_word_has_no_nearest_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
