/* SPDX-License-Identifier: Apache-2.0 */
/* tenon run: one completion, streamed as text or given as one JSON object. */
#include "apps/cli/commands.h"
#include "apps/cli/generation.h"
#include "apps/cli/output.h"
#include "core/base/alloc.h"
#include "core/base/file_map.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PROMPT_BYTES = 16 << 20 };

/* Set by Ctrl-C, read at each token on the engine thread. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

typedef struct run {
    const tn_cli_options *options;
    tn_runtime *rt;
    char *file_text;     /* --file */
    int32_t *prompt_ids; /* --ids, or what the text became (for JSON) */
    size_t n_prompt_ids;
    tn_message message;
    tn_cli_progress load, prefill;
    bool ended_with_newline;
    /* written on the engine thread, read after wait */
    json_t *ids, *steps;
    tn_strbuf text;
    tn_result result;
    char error[256];
    atomic_int write_error;
} run;

/* ---- input ---- */

static tn_status parse_ids(run *r, const char *text, tn_error *err)
{
    size_t n = 1, i = 0;
    for (const char *c = text; *c; c++)
        n += *c == ',';
    r->prompt_ids = tn_alloc_array(n, sizeof *r->prompt_ids);
    if (!r->prompt_ids)
        return tn_fail_memory(err, "the prompt");
    for (const char *at = text;; at++) {
        char *end;
        errno = 0;
        const long id = strtol(at, &end, 10);
        if (errno || end == at || id < INT32_MIN || id > INT32_MAX || (*end && *end != ','))
            return tn_fail(
                err, TN_INVALID,
                "--ids takes token ids with commas between them, as in 1,2,3, not \"%s\"", text);
        r->prompt_ids[i++] = (int32_t)id;
        if (!*end)
            break;
        at = end;
    }
    r->n_prompt_ids = n;
    return TN_OK;
}

static tn_status read_stdin(char **out_text, size_t *out_n, tn_error *err)
{
    tn_strbuf text = TN_STRBUF(MAX_PROMPT_BYTES);
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        tn_strbuf_append(&text, piece, n);
    *out_n = text.len;
    tn_strbuf_append(&text, "", 1);
    *out_text = tn_strbuf_take(&text);
    if (*out_text)
        return TN_OK;
    return tn_fail(err, TN_INVALID, "the prompt on stdin is larger than %d bytes",
                   MAX_PROMPT_BYTES);
}

/* The prompt as the options give it: ids, a user turn, or raw text. */
static tn_status set_input(run *r, tn_request_args *ask, tn_error *err)
{
    const tn_cli_options *o = r->options;
    if (o->ids) {
        TN_TRY(parse_ids(r, o->ids, err));
        ask->ids = r->prompt_ids;
        ask->n_ids = (int32_t)r->n_prompt_ids;
        return TN_OK;
    }
    const char *text = o->prompt;
    size_t n = text ? strlen(text) : 0;
    if (o->file) {
        TN_TRY(strcmp(o->file, "-") == 0
                   ? read_stdin(&r->file_text, &n, err)
                   : tn_file_read(o->file, MAX_PROMPT_BYTES, &r->file_text, &n, err));
        text = r->file_text;
    }
    if (!o->raw && (o->chat || tn_runtime_has_chat(r->rt))) {
        r->message = (tn_message){ "user", text };
        ask->messages = &r->message;
        ask->n_messages = 1;
    } else {
        ask->text = text;
        ask->n_text = n;
    }
    return TN_OK;
}

static tn_status check_options(const tn_cli_options *o, tn_error *err)
{
    TN_TRY(tn_cli_need_model(o, err));
    if ((o->prompt != NULL) + (o->file != NULL) + (o->ids != NULL) != 1)
        return tn_fail(err, TN_INVALID,
                       "give the prompt as one of -p TEXT, --file FILE and --ids 1,2,3");
    if (o->chat && o->raw)
        return tn_fail(err, TN_INVALID, "--chat and --raw exclude each other");
    if (o->ids && (o->chat || o->raw))
        return tn_fail(err, TN_INVALID,
                       "--ids takes the prompt as it is; --chat and --raw are for text");
    return tn_cli_check_sampling(o, err);
}

/* ---- engine thread ---- */

static json_t *top_json(const tn_token *token)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < token->n_top; i++)
        json_array_append_new(list, json_pack("{s:i, s:f}", "id", (int)token->top[i].id, "logit",
                                              (double)token->top[i].logit));
    return list;
}

static int32_t on_token(void *ctx, const tn_token *token)
{
    run *r = ctx;
    tn_cli_progress_end(&r->prefill);
    if (r->options->json) {
        json_array_append_new(r->ids, json_integer(token->id));
        if (r->options->has_top_logits)
            json_array_append_new(r->steps,
                                  json_pack("{s:i, s:f, s:o}", "id", (int)token->id, "logit",
                                            (double)token->logit, "top", top_json(token)));
    }
    return r->write_error;
}

static void on_text(void *ctx, int32_t sample, const char *text, size_t n)
{
    run *r = ctx;
    (void)sample;
    if (n == 0)
        return;
    r->ended_with_newline = text[n - 1] == '\n';
    if (r->options->json) {
        tn_strbuf_append(&r->text, text, n);
        return;
    }
    if (fwrite(text, 1, n, stdout) != n || fflush(stdout))
        r->write_error = 1;
}

static void on_prefill(void *ctx, int32_t done, int32_t total)
{
    run *r = ctx;
    tn_cli_progress_update(&r->prefill, (uint64_t)done, (uint64_t)total);
}

static void on_done(void *ctx, const tn_result *result)
{
    run *r = ctx;
    tn_cli_progress_end(&r->prefill);
    r->result = *result;
    if (result->error)
        snprintf(r->error, sizeof r->error, "%s", result->error);
    r->result.error = NULL;
}

/* ---- output ---- */

static int print_json(run *r)
{
    const tn_result *d = &r->result;
    tn_metrics m;
    tn_runtime_metrics(r->rt, &m, sizeof m);
    json_t *prompt = json_array();
    for (size_t i = 0; i < r->n_prompt_ids; i++)
        json_array_append_new(prompt, json_integer(r->prompt_ids[i]));
    /* The text may hold NUL characters. */
    json_t *text = json_stringn(tn_strbuf_text(&r->text), r->text.len);
    json_t *object =
        json_pack("{s:s, s:s, s:o, s:O, s:o, s:s}", "model", tn_runtime_model(r->rt), "profile",
                  r->options->profile ? r->options->profile : "default", "prompt_ids", prompt,
                  "ids", r->ids, "text", text, "finish_reason", tn_cli_reason_name(d->reason));
    if (object && r->options->has_top_logits)
        json_object_set(object, "steps", r->steps);
    if (object) {
        json_object_set_new(object, "usage",
                            json_pack("{s:i, s:i, s:i}", "prompt_tokens", (int)d->prompt_tokens,
                                      "cached_tokens", (int)d->cached_tokens, "completion_tokens",
                                      (int)d->completion_tokens));
        json_object_set_new(object, "timing",
                            json_pack("{s:f, s:f, s:f}", "load_s", m.load_s, "prefill_tok_s",
                                      tn_cli_prefill_rate(d), "decode_tok_s",
                                      tn_cli_decode_rate(d)));
    }
    return tn_cli_print_json(object);
}

static void print_statistics(const run *r)
{
    const tn_result *d = &r->result;
    tn_metrics m;
    tn_runtime_metrics(r->rt, &m, sizeof m);
    fprintf(stderr,
            "[loaded in %.2f s; prompt %d tokens, %.1f tok/s; answer %d tokens, %.1f tok/s; %s]\n",
            m.load_s, (int)d->prompt_tokens, tn_cli_prefill_rate(d), (int)d->completion_tokens,
            tn_cli_decode_rate(d), tn_cli_reason_name(d->reason));
}

static int report(run *r)
{
    tn_error err = { 0 };
    if (r->write_error)
        return tn_cli_error(tn_fail(&err, TN_INTERNAL, "cannot write to stdout"), &err);
    if (r->result.reason == TN_DONE_FAILED)
        return tn_cli_error(tn_fail(&err, TN_INTERNAL, "%s", r->error), &err);
    if (r->options->json)
        return print_json(r);
    if (!r->ended_with_newline)
        putchar('\n');
    const int status = tn_cli_flush();
    if (!r->options->quiet)
        print_statistics(r);
    return status;
}

/* ---- the whole ---- */

/* With --json the ids of the prompt are reported: text is tokenised here, so that what is shown is
 * what was run. */
static tn_status ids_of_input(run *r, tn_request_args *ask, tn_error *err)
{
    if (!r->options->json || ask->ids)
        return TN_OK;
    TN_TRY(tn_request_prompt_ids(r->rt, ask, &r->prompt_ids, &r->n_prompt_ids, err));
    ask->text = NULL;
    ask->messages = NULL;
    ask->n_messages = 0;
    ask->ids = r->prompt_ids;
    ask->n_ids = (int32_t)r->n_prompt_ids;
    return TN_OK;
}

static void wait_or_cancel(run *r, uint64_t id)
{
    while (!tn_request_wait_for(r->rt, id, 0.1))
        if (interrupted || r->write_error)
            tn_request_cancel(r->rt, id);
}

static tn_status ask_model(run *r, tn_error *err)
{
    tn_request_args ask;
    uint64_t id;
    tn_request_defaults(r->rt, &ask, sizeof ask);
    tn_cli_set_sampling(r->options, &ask);
    TN_TRY(set_input(r, &ask, err));
    TN_TRY(ids_of_input(r, &ask, err));
    ask.ctx = r;
    ask.on_token = on_token;
    ask.on_text = on_text;
    ask.on_prefill = on_prefill;
    ask.on_done = on_done;
    TN_TRY(tn_request_submit(r->rt, &ask, &id, err));
    wait_or_cancel(r, id);
    return TN_OK;
}

static void on_load(void *ctx, uint64_t done, uint64_t total)
{
    tn_cli_progress_update(ctx, done, total);
}

static tn_status open_runtime(run *r, tn_error *err)
{
    const char *sets[TN_CLI_MAX_LIST + 1];
    char thread_set[32];
    tn_open_args args = tn_cli_open_args(r->options, sets, thread_set);
    args.on_load = on_load;
    args.ctx = &r->load;
    tn_status status = tn_runtime_open(&args, &r->rt, err);
    tn_cli_progress_end(&r->load);
    return status;
}

int tn_cmd_run(const tn_cli_options *options)
{
    tn_error err = { 0 };
    run r = { .options = options,
              .ids = json_array(),
              .steps = json_array(),
              .text = TN_STRBUF((size_t)1 << 30) };
    tn_cli_progress_init(&r.load, "loading", options);
    tn_cli_progress_init(&r.prefill, "reading the prompt", options);
    tn_status status = check_options(options, &err);
    if (!status)
        status = open_runtime(&r, &err);
    if (!status) {
        signal(SIGINT, on_interrupt);
        status = ask_model(&r, &err);
    }
    const int exit_status = status ? tn_cli_error(status, &err) : report(&r);
    tn_runtime_close(r.rt);
    json_decref(r.ids);
    json_decref(r.steps);
    tn_strbuf_deinit(&r.text);
    tn_free(r.prompt_ids);
    tn_free(r.file_text);
    return exit_status;
}
