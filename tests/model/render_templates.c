/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render_templates < in > out: one JSON object {"template", "contexts", "now"} a line; for each a
 * line with an array of {"text"} or {"error", "status"}, one for each context. For tests that hold
 * the interpreter against Jinja2, with many templates in one process.
 */
#include "model/text/template/template.h"

#include <jansson.h>
#include <stdio.h>

static json_t *as_error(tn_status status, const tn_error *err)
{
    return json_pack("{s:s, s:s}", "error", err->text, "status",
                     status == TN_UNSUPPORTED ? "unsupported" : "invalid");
}

static json_t *render(const tn_template *t, const json_t *context,
                      const tn_template_options *options)
{
    tn_strbuf out = TN_STRBUF(options->max_output_bytes);
    tn_error err = { 0 };
    tn_status status = tn_template_render(t, context, options, &out, &err);
    json_t *result = status ? as_error(status, &err)
                            : json_pack("{s:s%}", "text", tn_strbuf_text(&out), out.len);
    tn_strbuf_deinit(&out);
    return result;
}

static json_t *render_all(const json_t *line)
{
    const json_t *text = json_object_get(line, "template"), *now = json_object_get(line, "now"),
                 *contexts = json_object_get(line, "contexts");
    json_t *results = json_array();
    tn_template_options options = TN_TEMPLATE_DEFAULT;
    tn_template *t;
    tn_error err = { 0 };
    if (json_is_integer(now))
        options.now = json_integer_value(now);
    tn_status status =
        tn_template_parse(json_string_value(text), json_string_length(text), &t, &err);
    for (size_t i = 0; i < json_array_size(contexts); i++)
        json_array_append_new(results, status ? as_error(status, &err)
                                              : render(t, json_array_get(contexts, i), &options));
    tn_template_destroy(t);
    return results;
}

/* The next object of stdin; NULL at the end. */
static json_t *read_line(json_error_t *error)
{
    int c = getchar();
    while (c == '\n')
        c = getchar();
    if (c == EOF)
        return NULL;
    ungetc(c, stdin);
    return json_loadf(stdin, JSON_ALLOW_NUL | JSON_DISABLE_EOF_CHECK, error);
}

int main(void)
{
    json_error_t error = { 0 };
    json_t *line;
    int failed = 0;
    while (!failed && (line = read_line(&error))) {
        json_t *results = render_all(line);
        failed = json_dumpf(results, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(results);
        json_decref(line);
    }
    if (*error.text)
        fprintf(stderr, "render_templates: line %d of the input: %s\n", error.line, error.text);
    return failed || *error.text ? 1 : 0;
}
