/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/template.h"

#include "core/base/alloc.h"
#include "model/text/template/eval.h"
#include "model/text/template/strftime.h"
#include "model/text/utf8.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

struct tn_template {
    tn_arena arena; /* tree and text */
    tpl_tree tree;
};

/* ---- parsing ---- */

/* As Jinja2 reads a template: "\r\n" and "\r" are line ends, and the last one of the text is
 * dropped. */
static tn_status normalize(tpl_env *e, const char *text, size_t n, const char **out, size_t *out_n)
{
    char *copy;
    size_t at = 0;
    TN_TRY(tpl_alloc(e, n, 1, &copy));
    for (size_t i = 0; i < n; i++) {
        const bool cr = text[i] == '\r';
        if (cr && i + 1 < n && text[i + 1] == '\n')
            continue;
        copy[at++] = (char)(cr ? '\n' : text[i]);
    }
    *out = copy;
    *out_n = at > 0 && copy[at - 1] == '\n' ? at - 1 : at;
    return TN_OK;
}

static tn_status check_text(const char *text, size_t n, tn_error *err)
{
    if (n > TN_TEMPLATE_MAX_BYTES)
        return tn_fail(err, TN_INVALID, "the template has %zu bytes, at most %d are allowed", n,
                       TN_TEMPLATE_MAX_BYTES);
    const size_t valid = tn_utf8_valid_prefix(text, n);
    if (valid < n)
        return tn_fail(err, TN_INVALID, "the template is not UTF-8 at byte %zu", valid);
    return TN_OK;
}

tn_status tn_template_parse(const char *text, size_t n, tn_template **out, tn_error *err)
{
    *out = NULL;
    TN_TRY(check_text(text, n, err));
    tn_template *t = tn_alloc_array(1, sizeof *t);
    if (!t)
        return tn_fail_memory(err, "the chat template");
    tpl_env e = { .max_bytes = (size_t)256 << 20,
                  .steps_left = 100000000,
                  .max_depth = TPL_MAX_TREE_DEPTH,
                  .line = 1,
                  .err = err };
    const char *clean;
    size_t n_clean;
    tn_status status = normalize(&e, text, n, &clean, &n_clean);
    if (!status)
        status = tpl_parse(&e, clean, n_clean, &t->tree);
    t->arena = e.arena;
    if (status) {
        tn_template_destroy(t);
        return status;
    }
    *out = t;
    return TN_OK;
}

void tn_template_destroy(tn_template *t)
{
    if (!t)
        return;
    tn_arena_deinit(&t->arena);
    tn_free(t);
}

/* ---- rendering ---- */

static tn_status run(tpl_env *e, const tn_template *t, const json_t *context)
{
    tpl_value globals;
    tpl_scope *scope;
    int flow = TPL_FLOW_ON;
    TN_TRY(tpl_from_json(e, context, &globals));
    if (globals.kind != TPL_DICT)
        return tn_fail(e->err, TN_INVALID, "the context of a template must be a JSON object");
    e->globals = globals.u.dict;
    TN_TRY(tpl_scope_new(e, NULL, t->tree.scope, &scope));
    return tpl_exec(e, scope, t->tree.root, &flow);
}

tn_status tn_template_render(const tn_template *t, const json_t *context,
                             const tn_template_options *options, tn_strbuf *out, tn_error *err)
{
    tn_strbuf text = TN_STRBUF(options->max_output_bytes);
    tpl_env e = { .max_bytes = options->max_memory_bytes,
                  .steps_left = options->max_steps,
                  .max_depth = options->max_depth,
                  .line = 1,
                  .err = err,
                  .out = &text,
                  .max_output_bytes = options->max_output_bytes,
                  .now = options->now };
    tn_status status = run(&e, t, context);
    if (!status)
        status = tn_strbuf_status(&text, "the text of the chat template", err);
    if (!status) {
        tn_strbuf_append(out, tn_strbuf_text(&text), text.len);
        status = tn_strbuf_status(out, "the text of the chat template", err);
    }
    tn_strbuf_deinit(&text);
    tn_arena_deinit(&e.arena);
    return status;
}

int64_t tn_template_local_time(void)
{
    const time_t now = time(NULL);
    struct tm local;
    if (now == (time_t)-1 || !localtime_r(&now, &local))
        return TN_TEMPLATE_NO_TIME;
    return tpl_days_of(local.tm_year + 1900, local.tm_mon + 1, local.tm_mday) * 86400 +
           local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec;
}
