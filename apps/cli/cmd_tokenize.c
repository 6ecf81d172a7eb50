/* SPDX-License-Identifier: Apache-2.0 */
/* tenon tokenize: the bytes of stdin, kept exactly, to ids; with --decode the reverse. Reads the
 * model's metadata only. */
#include "apps/cli/commands.h"
#include "apps/cli/input.h"
#include "apps/cli/model_text.h"
#include "apps/cli/output.h"
#include "core/base/alloc.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INPUT_BYTES = 16 << 20 };

static tn_status parse_ids(const char *text, size_t n, tn_ids *ids, tn_error *err)
{
    if (strlen(text) != n)
        return tn_fail(err, TN_INVALID, "stdin has a NUL byte at %zu; token ids are digits",
                       strlen(text));
    for (const char *at = text;;) {
        while (isspace((unsigned char)*at) || *at == ',')
            at++;
        if (!*at)
            return TN_OK;
        char *end;
        errno = 0;
        const long id = strtol(at, &end, 10);
        if (errno || end == at || id < INT32_MIN || id > INT32_MAX)
            return tn_fail(err, TN_INVALID, "stdin has something that is no token id: \"%.20s\"",
                           at);
        TN_TRY(tn_ids_append(ids, (int32_t)id, err));
        at = end;
    }
}

static int print_ids(const tn_cli_options *o, const tn_ids *ids)
{
    if (o->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < ids->n; i++)
            json_array_append_new(list, json_integer(ids->id[i]));
        return tn_cli_print_json(json_pack("{s:o}", "ids", list));
    }
    for (size_t i = 0; i < ids->n; i++)
        printf("%s%d", i ? " " : "", (int)ids->id[i]);
    putchar('\n');
    return tn_cli_flush();
}

/* Decoded bytes go out as they are; JSON needs UTF-8, so there they are shown as text only when
 * they are. */
static int print_text(const tn_cli_options *o, const tn_strbuf *text, tn_error *err)
{
    if (!o->json)
        return tn_cli_print(text);
    json_t *value = json_stringn(tn_strbuf_text(text), text->len);
    if (!value)
        return tn_cli_error(
            tn_fail(err, TN_INVALID,
                    "these ids do not decode to UTF-8 text; leave --json out for the bytes"),
            err);
    return tn_cli_print_json(json_pack("{s:o}", "text", value));
}

int tn_cmd_tokenize(const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_model_file *file = NULL;
    tn_tokenizer *tokenizer = NULL;
    tn_ids ids = { 0 };
    tn_strbuf text = TN_STRBUF((size_t)1 << 30);
    char *input = NULL;
    size_t n_input = 0;
    int exit_status = TN_EXIT_OK;

    tn_status status = tn_cli_open_text(o, &file, &tokenizer, &err);
    if (!status)
        status = tn_cli_read_text("-", MAX_INPUT_BYTES, &input, &n_input, &err);
    if (!status && o->decode) {
        status = parse_ids(input, n_input, &ids, &err);
        if (!status)
            status = tn_tokenizer_decode(tokenizer, ids.id, ids.n, !o->no_special, &text, &err);
        if (!status)
            exit_status = print_text(o, &text, &err);
    } else if (!status) {
        const unsigned flags = o->no_special ? 0 : TN_ENCODE_BOS | TN_ENCODE_SPECIAL;
        status = tn_tokenizer_encode(tokenizer, input, n_input, flags, &ids, &err);
        if (!status)
            exit_status = print_ids(o, &ids);
    }
    if (status)
        exit_status = tn_cli_error(status, &err);
    tn_ids_deinit(&ids);
    tn_free(input);
    tn_strbuf_deinit(&text);
    tn_tokenizer_destroy(tokenizer);
    tn_model_file_close(file);
    return exit_status;
}
