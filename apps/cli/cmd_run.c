/* SPDX-License-Identifier: Apache-2.0 */
/* tenon run: one completion, streamed as text or given as one JSON object. */
#include "apps/cli/commands.h"
#include "apps/cli/generation.h"
#include "apps/cli/input.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"
#include "apps/cli/terminal.h"
#include "core/base/alloc.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PROMPT_BYTES = 16 << 20 };

/* Set by Ctrl-C, read at each token on the engine thread. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* One answer. Written on the engine thread, read after wait. */
typedef struct answer {
    json_t *ids, *steps;
    tn_strbuf text;
    tn_result result;
    char error[256];
} answer;

typedef struct run {
    const tn_cli_options *options;
    tn_runtime *rt;
    char *file_text;     /* --file */
    int32_t *prompt_ids; /* --ids, or what the text became (for JSON) */
    size_t n_prompt_ids;
    tn_message message;
    tn_cli_progress load, prefill;
    bool streams, ended_with_newline;
    int32_t n_answers;
    answer *answer; /* [n_answers] */
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

static tn_status check_chat(const tn_runtime *rt, tn_error *err)
{
    tn_error why = { 0 };
    const tn_status status = tn_runtime_check_chat(rt, &why);
    return status ? tn_fail(err, status, "%s (--raw takes the text as it is)", why.text) : TN_OK;
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
        TN_TRY(tn_cli_read_text(o->file, MAX_PROMPT_BYTES, &r->file_text, &n, err));
        text = r->file_text;
    }
    if (!o->raw && (o->chat || tn_runtime_has_chat(r->rt))) {
        TN_TRY(check_chat(r->rt, err));
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

/* JSON has no infinities and no NaN. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *top_json(const tn_token *token, int32_t n)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < n && i < token->n_top; i++)
        json_array_append_new(list, json_pack("{s:i, s:o}", "id", (int)token->top[i].id, "logit",
                                              number((double)token->top[i].logit)));
    return list;
}

static json_t *logprobs_json(const tn_token *token, int32_t n)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < n && i < token->n_top; i++)
        json_array_append_new(list, json_pack("{s:i, s:o}", "id", (int)token->top[i].id, "logprob",
                                              number(token->top_logprob[i])));
    return list;
}

static json_t *step_json(const tn_cli_options *o, const tn_token *token)
{
    json_t *step = json_pack("{s:i, s:o, s:o}", "id", (int)token->id, "logit",
                             number((double)token->logit), "top", top_json(token, o->top_logits));
    if (o->has_logprobs) {
        json_object_set_new(step, "logprob", number(token->logprob));
        json_object_set_new(step, "logprobs", logprobs_json(token, o->logprobs));
    }
    return step;
}

static int32_t on_token(void *ctx, const tn_token *token)
{
    run *r = ctx;
    const tn_cli_options *o = r->options;
    answer *a = &r->answer[token->sample];
    tn_cli_progress_end(&r->prefill);
    if (o->json) {
        json_array_append_new(a->ids, json_integer(token->id));
        if (o->has_top_logits || o->has_logprobs)
            json_array_append_new(a->steps, step_json(o, token));
    }
    return r->write_error;
}

static void on_text(void *ctx, int32_t sample, const char *text, size_t n)
{
    run *r = ctx;
    if (n == 0)
        return;
    if (!r->streams) {
        tn_strbuf_append(&r->answer[sample].text, text, n);
        return;
    }
    r->ended_with_newline = text[n - 1] == '\n';
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
    answer *a = &r->answer[result->sample];
    tn_cli_progress_end(&r->prefill);
    a->result = *result;
    if (result->error)
        snprintf(a->error, sizeof a->error, "%s", result->error);
    a->result.error = NULL;
}

/* ---- output ---- */

/* What an answer adds to `object`. */
static void set_answer(const run *r, const answer *a, json_t *object)
{
    const char *reason = tn_cli_reason_name(a->result.reason);
    json_object_set(object, "ids", a->ids);
    /* The text may hold NUL characters. */
    json_object_set_new(object, "text", json_stringn(tn_strbuf_text(&a->text), a->text.len));
    json_object_set_new(object, "finish_reason", json_string(reason));
    if (r->options->has_top_logits || r->options->has_logprobs)
        json_object_set(object, "steps", a->steps);
}

/* All answers; what stands at the top is the first one. */
static json_t *samples_json(const run *r)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < r->n_answers; i++) {
        json_t *object = json_object();
        set_answer(r, &r->answer[i], object);
        json_array_append_new(list, object);
    }
    return list;
}

static int print_json(run *r)
{
    const tn_result *d = &r->answer[0].result;
    tn_metrics m;
    tn_runtime_metrics(r->rt, &m, sizeof m);
    json_t *prompt = json_array();
    for (size_t i = 0; i < r->n_prompt_ids; i++)
        json_array_append_new(prompt, json_integer(r->prompt_ids[i]));
    json_t *object =
        json_pack("{s:s, s:s, s:o}", "model", tn_runtime_model(r->rt), "profile",
                  r->options->profile ? r->options->profile : "default", "prompt_ids", prompt);
    if (object) {
        set_answer(r, &r->answer[0], object);
        if (r->n_answers > 1)
            json_object_set_new(object, "samples", samples_json(r));
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
    const tn_result *d = &r->answer[0].result;
    tn_metrics m;
    tn_runtime_metrics(r->rt, &m, sizeof m);
    fprintf(stderr, "%s[loaded in %.2f s; prompt %d tokens, %.1f tok/s", tn_cli_dim(STDERR_FILENO),
            m.load_s, (int)d->prompt_tokens, tn_cli_prefill_rate(d));
    for (int32_t i = 0; i < r->n_answers; i++, d++)
        fprintf(stderr, "; answer %d tokens, %.1f tok/s; %s", (int)d->completion_tokens,
                tn_cli_decode_rate(d), tn_cli_reason_name(d->reason));
    fprintf(stderr, "]%s\n", tn_cli_plain(STDERR_FILENO));
}

/* Several answers are told apart by a line before each. */
static void print_answers(const run *r)
{
    for (int32_t i = 0; i < r->n_answers; i++) {
        const tn_strbuf *text = &r->answer[i].text;
        printf("--- sample %d of %d ---\n", (int)i + 1, (int)r->n_answers);
        fwrite(tn_strbuf_text(text), 1, text->len, stdout);
        putchar('\n');
    }
}

static int report(run *r)
{
    tn_error err = { 0 };
    if (r->write_error)
        return tn_cli_error(tn_fail(&err, TN_INTERNAL, "cannot write to stdout"), &err);
    for (int32_t i = 0; i < r->n_answers; i++) {
        if (r->answer[i].result.reason == TN_DONE_FAILED)
            return tn_cli_error(tn_fail(&err, TN_INTERNAL, "%s", r->answer[i].error), &err);
        if (r->answer[i].text.failed)
            return tn_cli_error(tn_fail_memory(&err, "the text of the answer"), &err);
    }
    if (r->options->json)
        return print_json(r);
    if (!r->streams)
        print_answers(r);
    else if (!r->ended_with_newline)
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
    tn_cli_progress_init(&r->prefill, "reading the prompt", TN_CLI_TOKENS, r->options);
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
    const char *sets[TN_CLI_MAX_SETS];
    char thread_set[32];
    tn_open_args args = tn_cli_open_args(r->options, sets, thread_set);
    args.on_load = on_load;
    args.ctx = &r->load;
    tn_cli_progress_init(&r->load, "loading", TN_CLI_BYTES, r->options);
    tn_status status = tn_runtime_open(&args, &r->rt, err);
    tn_cli_progress_end(&r->load);
    return status;
}

static tn_status make_answers(run *r, tn_error *err)
{
    r->n_answers = r->options->has_samples ? r->options->samples : 1;
    r->streams = r->n_answers == 1 && !r->options->json;
    r->answer = tn_alloc_array((size_t)r->n_answers, sizeof *r->answer);
    if (!r->answer)
        return tn_fail_memory(err, "the answers");
    for (int32_t i = 0; i < r->n_answers; i++)
        r->answer[i] = (answer){ .ids = json_array(),
                                 .steps = json_array(),
                                 .text = TN_STRBUF((size_t)1 << 30) };
    return TN_OK;
}

static void free_answers(run *r)
{
    for (int32_t i = 0; r->answer && i < r->n_answers; i++) {
        json_decref(r->answer[i].ids);
        json_decref(r->answer[i].steps);
        tn_strbuf_deinit(&r->answer[i].text);
    }
    tn_free(r->answer);
}

int tn_cmd_run(const tn_cli_options *options)
{
    tn_error err = { 0 };
    run r = { .options = options };
    tn_status status = check_options(options, &err);
    if (!status)
        status = make_answers(&r, &err);
    if (!status)
        status = open_runtime(&r, &err);
    if (!status) {
        signal(SIGINT, on_interrupt);
        status = ask_model(&r, &err);
    }
    const int exit_status = status ? tn_cli_error(status, &err) : report(&r);
    tn_runtime_close(r.rt);
    free_answers(&r);
    tn_free(r.prompt_ids);
    tn_free(r.file_text);
    return exit_status;
}
