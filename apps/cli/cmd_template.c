/* SPDX-License-Identifier: Apache-2.0 */
/* tenon template: the text that a chat template makes of a context, byte for byte. A file is
 * rendered with the context alone, a model's template with the model's variables too. */
#include "apps/cli/commands.h"
#include "apps/cli/input.h"
#include "apps/cli/model_text.h"
#include "apps/cli/output.h"
#include "core/base/alloc.h"
#include "model/text/chat_template.h"
#include "model/text/template/template.h"

enum { MAX_CONTEXT_BYTES = 64 << 20, MAX_TEXT_BYTES = 64 << 20 };

static tn_status check_options(const tn_cli_options *o, tn_error *err)
{
    const bool has_model = o->model || o->profile;
    if ((o->file != NULL) == has_model)
        return tn_fail(err, TN_INVALID,
                       "which template? give --file FILE.jinja, or the model that has it by "
                       "--model or --profile");
    if (!o->context)
        return tn_fail(err, TN_INVALID,
                       "give --context FILE.json (- is stdin): an object with messages and what "
                       "else the template "
                       "reads");
    return TN_OK;
}

static tn_status read_context(const char *path, json_t **out, tn_error *err)
{
    json_error_t where;
    char *text;
    size_t n;
    TN_TRY(tn_cli_read_text(path, MAX_CONTEXT_BYTES, &text, &n, err));
    *out = json_loadb(text, n, JSON_ALLOW_NUL, &where);
    tn_free(text);
    if (!*out)
        return tn_fail(err, TN_INVALID, "%s:%d:%d: %s", path, where.line, where.column, where.text);
    if (json_is_object(*out))
        return TN_OK;
    return tn_fail(err, TN_INVALID, "%s: a JSON object is needed, such as {\"messages\": [...]}",
                   path);
}

static tn_status render_file(const tn_cli_options *o, const json_t *context, tn_strbuf *out,
                             tn_error *err)
{
    tn_template_options options = TN_TEMPLATE_DEFAULT;
    tn_template *template;
    char *text;
    size_t n;
    options.now = tn_template_local_time();
    TN_TRY(tn_cli_read_text(o->file, TN_TEMPLATE_MAX_BYTES, &text, &n, err));
    tn_status status = tn_template_parse(text, n, &template, err);
    tn_free(text);
    if (!status) {
        status = tn_template_render(template, context, &options, out, err);
        tn_template_destroy(template);
    }
    return status ? tn_error_wrap(err, status, "%s", o->file) : TN_OK;
}

static tn_status render_model(const tn_cli_options *o, json_t *context, tn_strbuf *out,
                              tn_error *err)
{
    tn_model_file *file;
    tn_tokenizer *tokenizer;
    tn_chat_template *chat = NULL;
    tn_status status = tn_cli_open_text(o, &file, &tokenizer, err);
    if (!status)
        status = tn_chat_template_create(tn_model_file_vocab(file), tokenizer, &chat, err);
    if (!status)
        status = tn_chat_template_render(chat, context, out, err);
    tn_chat_template_destroy(chat);
    tn_tokenizer_destroy(tokenizer);
    tn_model_file_close(file);
    return status;
}

int tn_cmd_template(const tn_cli_options *o)
{
    tn_error err = { 0 };
    json_t *context = NULL;
    tn_strbuf text = TN_STRBUF(MAX_TEXT_BYTES);
    int exit_status;
    tn_status status = check_options(o, &err);
    if (!status)
        status = read_context(o->context, &context, &err);
    if (!status)
        status =
            o->file ? render_file(o, context, &text, &err) : render_model(o, context, &text, &err);
    if (status)
        exit_status = tn_cli_error(status, &err);
    else if (o->json)
        exit_status =
            tn_cli_print_json(json_pack("{s:s%}", "text", tn_strbuf_text(&text), text.len));
    else
        exit_status = tn_cli_print(&text);
    json_decref(context);
    tn_strbuf_deinit(&text);
    return exit_status;
}
