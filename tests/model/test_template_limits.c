/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of templates, and what random templates have once found; the texts are Jinja2's. */
#include "model/text/template/template.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static tn_status run(const char *text, size_t n, const tn_template_options *options, tn_strbuf *out,
                     tn_error *err)
{
    tn_template *t;
    TN_TRY(tn_template_parse(text, n, &t, err));
    json_t *context = json_pack("{s:[i,i], s:s}", "l", 1, 2, "s", "text");
    tn_status status = tn_template_render(t, context, options, out, err);
    json_decref(context);
    tn_template_destroy(t);
    return status;
}

static void expect(const char *text, const char *want)
{
    tn_strbuf out = TN_STRBUF(1 << 20);
    tn_error err = { 0 };
    if (run(text, strlen(text), &TN_TEMPLATE_DEFAULT, &out, &err))
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(tn_strbuf_text(&out), want);
    tn_strbuf_deinit(&out);
}

static void expect_failure(const char *text, const tn_template_options *options, tn_status want,
                           const char *part)
{
    tn_strbuf out = TN_STRBUF(1 << 20);
    tn_error err = { 0 };
    tn_status status = run(text, strlen(text), options, &out, &err);
    if (status != want || !strstr(err.text, part))
        fail_msg("%.200s: status %d, '%s', without '%s'", text, (int)status, err.text, part);
    tn_strbuf_deinit(&out);
}

static void refuse(const char *text, tn_status want, const char *part)
{
    expect_failure(text, &TN_TEMPLATE_DEFAULT, want, part);
}

/* begin, then 20000 times part, then end. */
static void refuse_deep(const char *begin, const char *part, const char *end)
{
    tn_strbuf text = TN_STRBUF(1 << 20);
    tn_strbuf_puts(&text, begin);
    for (int i = 0; i < 20000; i++)
        tn_strbuf_puts(&text, part);
    tn_strbuf_puts(&text, end);
    refuse(tn_strbuf_text(&text), TN_INVALID, "deeper than");
    tn_strbuf_deinit(&text);
}

static void endless_work_ends_at_the_limit_of_steps(void **state)
{
    (void)state;
    tn_template_options few = TN_TEMPLATE_DEFAULT;
    few.max_steps = 200000;
    const char *const templates[] = {
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% set b = l * 10000 %}{% endfor %}",
        "{% for a in range(100000) %}{% set b = ('x' * 100000) | replace('x', 'y') %}{% endfor %}",
        "{{ range(100000) | map('string') | map('upper') | sort | unique | join }}",
        "{% for a in range(100000) %}{{ 'xy' in 'x' * 10000 }}{% endfor %}",
    };

    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++)
        expect_failure(templates[i], &few, TN_INVALID, "more steps than are allowed");
}

static void big_values_end_at_the_limit_of_memory(void **state)
{
    (void)state;
    tn_template_options little = TN_TEMPLATE_DEFAULT;
    little.max_memory_bytes = 1 << 20;

    expect_failure("{{ 'a' * 10**7 }}", &little, TN_INVALID, "memory");
    expect_failure("{{ [0] * 10**6 }}", &little, TN_INVALID, "memory");
    expect_failure("{% set n = namespace(s='a') %}{% for i in range(60) %}{% set n.s = n.s + n.s "
                   "%}{% endfor %}",
                   &little, TN_INVALID, "memory");
    refuse("{{ 'ab' * 9223372036854775807 }}", TN_INVALID, "too long");
    refuse("{{ 'a' * 10**12 }}", TN_INVALID, "line 1: ");
    refuse("{{ [0] * 10**12 }}", TN_INVALID, "line 1: ");
    refuse("{{ '%77777777777777777777d' % 1 }}", TN_INVALID, "a width or precision");
    refuse("{{ '%.77777777777777777777f' % 1 }}", TN_INVALID, "a width or precision");
    refuse("{{ '%*7d' % (9223372036854775807, 1) }}", TN_INVALID, "a width or precision");
}

static void long_texts_end_at_the_limit_of_the_output(void **state)
{
    (void)state;
    tn_template_options small = TN_TEMPLATE_DEFAULT;
    small.max_output_bytes = 10000;

    expect_failure("{% for i in range(100000) %}some text{% endfor %}", &small, TN_INVALID,
                   "10000 bytes");
    expect_failure("{% set x %}{% for i in range(100000) %}text{% endfor %}{% endset %}", &small,
                   TN_INVALID, "10000 bytes");
    expect_failure("{{ '%0100000d' % 1 }}", &small, TN_INVALID, "line 1: ");
    expect_failure("{{ range(100000) | list | tojson }}", &small, TN_INVALID, "10000 bytes");
}

static void nesting_ends_at_the_limit_of_depth(void **state)
{
    (void)state;

    refuse("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", TN_INVALID, "nested deeper than");
    refuse("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", TN_INVALID,
           "nested deeper than");
    refuse("{% set n = namespace(l=[]) %}{% for i in range(5000) %}{% set n.l = [n.l] %}{% endfor "
           "%}{{ n.l }}",
           TN_INVALID, "nested deeper than");
    refuse("{% set n = namespace(l=[]) %}{% for i in range(5000) %}{% set n.l = [n.l] %}{% endfor "
           "%}{{ n.l | tojson }}",
           TN_INVALID, "nested deeper than");
    refuse("{% set n = namespace(a=[], b=[]) %}{% for i in range(5000) %}{% set n.a = [n.a] %}{% "
           "set n.b = [n.b] %}{% endfor %}{{ n.a == n.b }}",
           TN_INVALID, "nested deeper than");
    refuse_deep("", "{% if l %}", "");
    refuse_deep("", "{% for x in l %}", "");
}

static void deep_expressions_are_refused_before_they_run(void **state)
{
    (void)state;
    const char *const parts[] = {
        "(", "[", "not ", "-", "1 + (", "x[", "f(", "{1: ", "a if b else "
    };

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        refuse_deep("{{ ", parts[i], "x }}");
    refuse_deep("{{ l", ".x", " }}"); /* to the left: a deep tree too */
    refuse_deep("{{ l", "|d", " }}");
}

static void templates_that_are_no_text_or_too_long_are_refused(void **state)
{
    (void)state;
    tn_strbuf text = TN_STRBUF(4 << 20);

    refuse("a\xFF", TN_INVALID, "UTF-8 at byte 1");
    for (size_t i = 0; i <= TN_TEMPLATE_MAX_BYTES / 8; i++)
        tn_strbuf_puts(&text, "12345678");
    refuse(tn_strbuf_text(&text), TN_INVALID, "at most");
    tn_strbuf_deinit(&text);
}

static void what_is_not_supported_names_line_and_construct(void **state)
{
    (void)state;

    refuse("a\n{% include 'x' %}", TN_UNSUPPORTED, "line 2: ");
    refuse("\n\n{% block b %}{% endblock %}", TN_UNSUPPORTED, "line 3: ");
    refuse("{{ 'x' | pprint }}", TN_UNSUPPORTED, "pprint");
    refuse("\n{{ 'x'.encode() }}", TN_UNSUPPORTED, "line 2: the attribute 'encode'");
    refuse("{{ 2 ** 64 }}", TN_UNSUPPORTED, "more than 64 bits");
    refuse("{{ ''.__class__ }}", TN_UNSUPPORTED, "__class__");
    refuse("{{ strftime_now('%Y') }}", TN_UNSUPPORTED, "clock");
}

static void blocks_with_a_result_other_than_text_are_refused(void **state)
{
    (void)state;

    refuse("{% filter length %}abc{% endfilter %}", TN_INVALID, "filter block needs a text");
    refuse("{% call dict() %}x{% endcall %}", TN_INVALID, "call block needs a text");
    expect("{% set n | length %}abc{% endset %}{{ n + 1 }}", "4");
}

static void generators_fail_when_they_are_read(void **state)
{
    (void)state;

    expect("{{ [s | items, 1] | length }}", "2");
    expect("{% set x = ['a', []] | map('abs') %}ok", "ok");
    expect("{{ [-1, nope] | map('abs') | first }}", "1");
    expect("{% set x = l | select('nosuch') %}ok", "ok");
    refuse("{{ s | items | list }}", TN_INVALID, "Can only get item pairs from a mapping");
    refuse("{{ ['a', []] | map('abs') | list }}", TN_INVALID, "abs needs a number");
}

static void formats_show_an_undefined_value_as_nothing(void **state)
{
    (void)state;

    expect("[{{ '%s' % nope }}][{{ 'x' % nope }}][{{ '%s-%s' % (nope, 1) }}]", "[][x][-1]");
    refuse("{{ '%d' % nope }}", TN_INVALID, "'nope' is undefined");
}

static void keys_must_be_hashable(void **state)
{
    (void)state;

    refuse("{{ l is filter }}", TN_INVALID, "unhashable type: 'list'");
    refuse("{{ {} is test }}", TN_INVALID, "unhashable type: 'dict'");
    refuse("{{ {l: 1} }}", TN_INVALID, "unhashable type: 'list'");
    refuse("{{ {((1, 2), 3): 1} }}", TN_UNSUPPORTED, "a tuple that holds tuples");
}

static void undefined_values_make_no_dict(void **state)
{
    (void)state;

    refuse("{{ dict(nope) }}", TN_INVALID, "'nope' is undefined");
    refuse("{{ namespace(nope) }}", TN_INVALID, "'nope' is undefined");
    expect("{{ urlencode | default('d') }}{{ l | urlencode | default('x') if false }}", "d");
}

static void slices_of_what_is_no_sequence_are_refused(void **state)
{
    (void)state;

    refuse("{{ 1[2:] }}", TN_UNSUPPORTED, "a slice of a value of type int");
    refuse("{{ none[:1] }}", TN_UNSUPPORTED, "NoneType");
    refuse("{{ [] | truncate(5) }}", TN_UNSUPPORTED, "truncate of a value of type list");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endless_work_ends_at_the_limit_of_steps),
        cmocka_unit_test(big_values_end_at_the_limit_of_memory),
        cmocka_unit_test(long_texts_end_at_the_limit_of_the_output),
        cmocka_unit_test(nesting_ends_at_the_limit_of_depth),
        cmocka_unit_test(deep_expressions_are_refused_before_they_run),
        cmocka_unit_test(templates_that_are_no_text_or_too_long_are_refused),
        cmocka_unit_test(what_is_not_supported_names_line_and_construct),
        cmocka_unit_test(blocks_with_a_result_other_than_text_are_refused),
        cmocka_unit_test(generators_fail_when_they_are_read),
        cmocka_unit_test(formats_show_an_undefined_value_as_nothing),
        cmocka_unit_test(keys_must_be_hashable),
        cmocka_unit_test(undefined_values_make_no_dict),
        cmocka_unit_test(slices_of_what_is_no_sequence_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
