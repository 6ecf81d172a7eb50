/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every template of tests/model/templates, for all its contexts, against the text that Jinja2 gave
 * (make_template_goldens.py); and with each allocation failing in turn.
 */
#include "core/base/alloc.h"
#include "model/text/template/template.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *shared; /* contexts by name */

static json_t *load_json(const char *name)
{
    char path[1024];
    json_error_t error;
    snprintf(path, sizeof path, "%s/%s.json", TEST_TEMPLATES, name);
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (!json)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return json;
}

static void load_template(const char *name, tn_strbuf *out)
{
    char path[1024], block[4096];
    snprintf(path, sizeof path, "%s/%s.jinja", TEST_TEMPLATES, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot read %s", path);
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;)
        tn_strbuf_append(out, block, n);
    fclose(file);
}

/* The text of one case, or an error of parsing or rendering. */
static tn_status run(const tn_strbuf *text, const json_t *one, tn_strbuf *out, tn_error *err)
{
    const json_t *context = json_object_get(one, "context");
    tn_template_options options = TN_TEMPLATE_DEFAULT;
    tn_template *t;
    options.now = json_integer_value(json_object_get(one, "now"));
    if (json_is_string(context))
        context = json_object_get(shared, json_string_value(context));
    TN_TRY(tn_template_parse(tn_strbuf_text(text), text->len, &t, err));
    tn_status status = tn_template_render(t, context, &options, out, err);
    tn_template_destroy(t);
    return status;
}

static bool is_text(const json_t *want, const tn_strbuf *got)
{
    return json_is_string(want) && json_string_length(want) == got->len &&
           memcmp(json_string_value(want), tn_strbuf_text(got), got->len) == 0;
}

static void check_case(const char *name, const tn_strbuf *text, const json_t *one)
{
    const json_t *want = json_object_get(one, "text"), *context = json_object_get(one, "context");
    const char *where = json_is_string(context) ? json_string_value(context) : "of its own";
    tn_strbuf out = TN_STRBUF(1 << 20);
    tn_error err = { 0 };
    tn_status status = run(text, one, &out, &err);
    if (!status && !is_text(want, &out))
        fail_msg("%s, context %s: got\n%s\nnot\n%s", name, where, tn_strbuf_text(&out),
                 want ? json_string_value(want) : "an error");
    if (status && want)
        fail_msg("%s, context %s: %s", name, where, err.text);
    if (status && strncmp(err.text, "line ", 5) != 0)
        fail_msg("%s, context %s: an error without its line: %s", name, where, err.text);
    tn_strbuf_deinit(&out);
}

/* A failed allocation is lack of memory, or does not show in the text. */
static void check_lack_of_memory(const char *name, const tn_strbuf *text, const json_t *one)
{
    const json_t *want = json_object_get(one, "text");
    tn_strbuf out = TN_STRBUF(1 << 20);
    tn_error err = { 0 };
    uint64_t n = tn_alloc_count(), n_failed = 0;
    assert_int_equal(run(text, one, &out, &err), TN_OK);
    n = tn_alloc_count() - n;
    for (uint64_t i = 1; i <= n; i++) {
        tn_strbuf_deinit(&out);
        out = TN_STRBUF(1 << 20);
        err = (tn_error){ 0 };
        tn_alloc_fail_at(i);
        tn_status status = run(text, one, &out, &err);
        tn_alloc_fail_at(0);
        if (!status && !is_text(want, &out))
            fail_msg("%s: another text when allocation %d of %d fails", name, (int)i, (int)n);
        if (status && status != TN_NO_MEMORY)
            fail_msg("%s: allocation %d of %d: status %d: %s", name, (int)i, (int)n, (int)status,
                     err.text);
        n_failed += status != TN_OK;
    }
    assert_true(n_failed > 0);
    tn_strbuf_deinit(&out);
}

/* The first case that has a text, or NULL. */
static const json_t *find_text(const json_t *cases)
{
    for (size_t i = 0; i < json_array_size(cases); i++)
        if (json_object_get(json_array_get(cases, i), "text"))
            return json_array_get(cases, i);
    return NULL;
}

/* Calls check for each case of each template; counts the templates. */
static size_t for_each_template(void check(const char *name, const tn_strbuf *text,
                                           const json_t *cases))
{
    size_t n_templates = 0;
    DIR *folder = opendir(TEST_TEMPLATES);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[256];
        tn_strbuf text = TN_STRBUF(1 << 20);
        const size_t n = strlen(entry->d_name);
        if (n < 7 || n >= sizeof name || strcmp(entry->d_name + n - 6, ".jinja") != 0)
            continue;
        memcpy(name, entry->d_name, n - 6);
        name[n - 6] = '\0';
        load_template(name, &text);
        json_t *cases = load_json(name);
        check(name, &text, cases);
        json_decref(cases);
        tn_strbuf_deinit(&text);
        n_templates++;
    }
    closedir(folder);
    return n_templates;
}

static void check_all_cases(const char *name, const tn_strbuf *text, const json_t *cases)
{
    assert_true(json_array_size(cases) > 0);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(name, text, json_array_get(cases, i));
}

static void check_memory_once(const char *name, const tn_strbuf *text, const json_t *cases)
{
    const json_t *one = find_text(cases);
    if (one)
        check_lack_of_memory(name, text, one);
}

static void templates_give_the_text_of_jinja2(void **state)
{
    (void)state;

    assert_true(for_each_template(check_all_cases) >= 45);
}

static void templates_survive_that_any_allocation_fails(void **state)
{
    (void)state;

    assert_true(for_each_template(check_memory_once) >= 45);
}

static int load_contexts(void **state)
{
    (void)state;
    shared = load_json("contexts");
    return 0;
}

static int drop_contexts(void **state)
{
    (void)state;
    json_decref(shared);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_give_the_text_of_jinja2),
        cmocka_unit_test(templates_survive_that_any_allocation_fails),
    };
    return cmocka_run_group_tests(tests, load_contexts, drop_contexts);
}
