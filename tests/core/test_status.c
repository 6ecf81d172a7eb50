/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/log.h"
#include "core/base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void fail_sets_code_and_text_and_returns_the_code(void **state)
{
    (void)state;
    tn_error err = { 0 };

    tn_status status = tn_fail(&err, TN_INVALID, "%s: %d rows", "layer.0.q", 7);

    assert_int_equal(status, TN_INVALID);
    assert_int_equal(err.code, TN_INVALID);
    assert_string_equal(err.text, "layer.0.q: 7 rows");
}

static void fail_without_an_error_still_returns_the_code(void **state)
{
    (void)state;

    assert_int_equal(tn_fail(NULL, TN_UNAVAILABLE, "no device"), TN_UNAVAILABLE);
    assert_int_equal(tn_fail_memory(NULL, "a pool"), TN_NO_MEMORY);
    assert_int_equal(tn_error_wrap(NULL, TN_INTERNAL, "file"), TN_INTERNAL);
}

static void long_text_is_cut_at_251_bytes(void **state)
{
    (void)state;
    tn_error err = { 0 };
    char text[400];
    memset(text, 'a', sizeof(text));
    text[399] = '\0';

    tn_fail(&err, TN_INVALID, "%s", text);

    assert_int_equal(strlen(err.text), 251);
}

/* A character of `size` bytes that starts `before` bytes before the cut must vanish if it does not
 * fit. */
static void check_cut(const char *character, size_t start, size_t expected)
{
    tn_error err = { 0 };
    char text[400];
    memset(text, 'a', sizeof(text));
    memcpy(text + start, character, strlen(character));
    text[399] = '\0';

    tn_fail(&err, TN_INVALID, "%s", text);

    assert_int_equal(strlen(err.text), expected);
    assert_memory_equal(err.text, text, expected);
}

static void long_text_is_cut_between_utf8_characters(void **state)
{
    (void)state;

    check_cut("\xC3\xA9", 250, 250);         /* U+00E9, one of two bytes fits */
    check_cut("\xC3\xA9", 249, 251);         /* fits whole */
    check_cut("\xE2\x82\xAC", 249, 249);     /* U+20AC, two of three */
    check_cut("\xE2\x82\xAC", 248, 251);     /* fits whole */
    check_cut("\xF0\x9F\x98\x80", 248, 248); /* U+1F600, three of four */
    check_cut("\xF0\x9F\x98\x80", 250, 250); /* one of four */
    check_cut("\xF0\x9F\x98\x80", 247, 251); /* fits whole */
}

static void wrap_puts_the_context_first_and_keeps_the_code(void **state)
{
    (void)state;
    tn_error err = { 0 };
    tn_fail(&err, TN_UNSUPPORTED, "type 99 is not known");

    tn_status status = tn_error_wrap(&err, TN_INVALID, "%s", "model.gguf");

    assert_int_equal(status, TN_UNSUPPORTED);
    assert_int_equal(err.code, TN_UNSUPPORTED);
    assert_string_equal(err.text, "model.gguf: type 99 is not known");
}

static void wrap_of_an_unset_error_is_still_a_failure(void **state)
{
    (void)state;
    tn_error err = { 0 };

    assert_int_equal(tn_error_wrap(&err, TN_INVALID, "model.gguf"), TN_INVALID);
    assert_int_equal(err.code, TN_INVALID);
}

static void fail_may_print_its_own_text(void **state)
{
    (void)state;
    tn_error err = { 0 };
    tn_fail(&err, TN_INVALID, "inner");

    tn_fail(&err, TN_INTERNAL, "outer (%s)", err.text);

    assert_string_equal(err.text, "outer (inner)");
}

static void every_status_has_a_name(void **state)
{
    (void)state;

    assert_string_equal(tn_status_name(TN_OK), "ok");
    assert_string_equal(tn_status_name(TN_NO_MEMORY), "no memory");
    assert_string_equal(tn_status_name(TN_INTERNAL), "internal");
    assert_string_equal(tn_status_name(-1), "unknown status");
    assert_string_equal(tn_status_name(7), "unknown status");
}

static void collect_line(void *ctx, int32_t level, const char *module, const char *text)
{
    char *line = ctx;
    size_t used = strlen(line);

    snprintf(line + used, 256 - used, "[%d %s %s]", (int)level, module, text);
}

static void log_passes_lines_up_to_the_level_to_the_sink(void **state)
{
    (void)state;
    char lines[256] = "";
    tn_log_configure(TN_LOG_INFO, collect_line, lines);

    tn_log(TN_LOG_INFO, "kv", "%d blocks", 3);
    tn_log(TN_LOG_DEBUG, "kv", "dropped");
    tn_log(TN_LOG_ERROR, "kv", "full");
    tn_log_configure(TN_LOG_WARNING, NULL, NULL);

    assert_string_equal(lines, "[2 kv 3 blocks][0 kv full]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_sets_code_and_text_and_returns_the_code),
        cmocka_unit_test(fail_without_an_error_still_returns_the_code),
        cmocka_unit_test(long_text_is_cut_at_251_bytes),
        cmocka_unit_test(long_text_is_cut_between_utf8_characters),
        cmocka_unit_test(wrap_puts_the_context_first_and_keeps_the_code),
        cmocka_unit_test(wrap_of_an_unset_error_is_still_a_failure),
        cmocka_unit_test(fail_may_print_its_own_text),
        cmocka_unit_test(every_status_has_a_name),
        cmocka_unit_test(log_passes_lines_up_to_the_level_to_the_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
