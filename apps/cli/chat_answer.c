/* SPDX-License-Identifier: Apache-2.0 */
/* One turn of a chat: prompt that fits, request, answer as it comes, what became of it. */
#include "apps/cli/chat.h"
#include "apps/cli/chat_prompt.h"
#include "apps/cli/chat_signal.h"
#include "apps/cli/generation.h"
#include "apps/cli/progress.h"
#include "apps/cli/terminal.h"
#include "core/base/alloc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct answer {
    bool json, ended_with_newline;
    tn_cli_progress prefill;
    /* written on the engine thread, read after wait */
    tn_strbuf text;
    tn_chat_known known; /* the prompt; its ids go on with the answer */
    size_t capacity;     /* of the ids */
    tn_result result;
    char error[256];
    atomic_int write_error;
} answer;

/* ---- engine thread ---- */

static int32_t on_token(void *ctx, const tn_token *token)
{
    answer *a = ctx;
    tn_cli_progress_end(&a->prefill);
    if (a->known.n_ids < a->capacity)
        a->known.id[a->known.n_ids++] = token->id;
    return a->write_error;
}

static void on_text(void *ctx, int32_t sample, const char *text, size_t n)
{
    answer *a = ctx;
    (void)sample;
    if (n == 0)
        return;
    tn_strbuf_append(&a->text, text, n);
    a->ended_with_newline = text[n - 1] == '\n';
    if (!a->json && (fwrite(text, 1, n, stdout) != n || fflush(stdout)))
        a->write_error = 1;
}

static void on_prefill(void *ctx, int32_t done, int32_t total)
{
    answer *a = ctx;
    tn_cli_progress_update(&a->prefill, (uint64_t)done, (uint64_t)total);
}

static void on_done(void *ctx, const tn_result *result)
{
    answer *a = ctx;
    tn_cli_progress_end(&a->prefill);
    a->result = *result;
    if (result->error)
        snprintf(a->error, sizeof a->error, "%s", result->error);
    a->result.error = NULL;
}

/* ---- the request ---- */

int32_t tn_chat_limit_tokens(tn_runtime *rt)
{
    tn_metrics m;
    tn_runtime_metrics(rt, &m, sizeof m);
    const int64_t pool = (int64_t)m.blocks * m.block_tokens;
    return pool < m.context_tokens ? (int32_t)pool : m.context_tokens;
}

/* Half of the context at most is kept free for the answer: in a small one max_tokens would leave
 * nothing for the conversation. */
static size_t reserve_tokens(int32_t limit, int32_t max_tokens)
{
    return (size_t)(max_tokens < limit / 2 ? max_tokens : limit / 2);
}

/* Everything that may be generated has its place, so that the engine thread allocates nothing. */
static tn_status make_room(answer *a, int32_t limit, tn_error *err)
{
    const size_t capacity = (size_t)limit + 1; /* the prompt has less */
    int32_t *id = tn_realloc_array(a->known.id, capacity, sizeof *id);
    if (!id)
        return tn_fail_memory(err, "the answer");
    a->known.id = id;
    a->capacity = capacity;
    return TN_OK;
}

static tn_status prepare(tn_chat *chat, answer *a, tn_request_args *ask, size_t *out_dropped,
                         tn_error *err)
{
    tn_chat_prompt prompt;
    const int32_t limit = tn_chat_limit_tokens(chat->rt);
    *out_dropped = 0;
    tn_request_defaults(chat->rt, ask, sizeof *ask);
    tn_cli_set_sampling(&chat->options, ask);
    TN_TRY(tn_chat_make_prompt(chat->rt, &chat->session, (size_t)limit,
                               reserve_tokens(limit, ask->max_tokens), &prompt, err));
    a->known = prompt.known;
    *out_dropped = prompt.n_dropped;
    TN_TRY(make_room(a, limit, err));
    ask->ids = a->known.id;
    ask->n_ids = (int32_t)a->known.n_prompt_ids;
    ask->ctx = a;
    ask->on_token = on_token;
    ask->on_text = on_text;
    ask->on_prefill = on_prefill;
    ask->on_done = on_done;
    return TN_OK;
}

static void say_dropped(size_t n_dropped, const tn_chat *chat)
{
    if (n_dropped > 0)
        fprintf(stderr,
                "[the context of %d tokens is full: dropped the %zu oldest turn%s, the model sees "
                "the last %zu of %zu]\n",
                (int)tn_chat_limit_tokens(chat->rt), n_dropped, n_dropped == 1 ? "" : "s",
                chat->session.n - chat->session.n_skipped, chat->session.n);
}

/* Ctrl-C ends the answer; TERM and HUP too, and the loop ends the program then. */
static void wait_or_cancel(tn_chat *chat, answer *a, uint64_t id)
{
    while (!tn_request_wait_for(chat->rt, id, 0.1))
        if (tn_chat_interrupted() || tn_chat_must_end() || a->write_error)
            tn_request_cancel(chat->rt, id);
}

static tn_status ask_model(tn_chat *chat, answer *a, size_t *out_dropped, tn_error *err)
{
    tn_request_args ask;
    uint64_t id;
    TN_TRY(prepare(chat, a, &ask, out_dropped, err));
    say_dropped(*out_dropped, chat);
    TN_TRY(tn_request_submit(chat->rt, &ask, &id, err));
    wait_or_cancel(chat, a, id);
    if (a->result.reason == TN_DONE_FAILED)
        return tn_fail(err, TN_INTERNAL, "%s", a->error);
    if (a->text.failed)
        return tn_fail_memory(err, "the answer");
    return TN_OK;
}

/* ---- what became of it ---- */

static int print_json(const answer *a, size_t n_dropped)
{
    const tn_result *d = &a->result;
    return tn_cli_print_json(json_pack(
        "{s:s%, s:s, s:{s:i, s:i, s:i}, s:{s:f, s:f}, s:I}", "text", tn_strbuf_text(&a->text),
        a->text.len, "finish_reason", tn_cli_reason_name(d->reason), "usage", "prompt_tokens",
        (int)d->prompt_tokens, "cached_tokens", (int)d->cached_tokens, "completion_tokens",
        (int)d->completion_tokens, "timing", "prefill_tok_s", tn_cli_prefill_rate(d),
        "decode_tok_s", tn_cli_decode_rate(d), "dropped_turns", (json_int_t)n_dropped));
}

/* Why the answer ends where the model did not end it. */
static void say_end(const tn_chat *chat, const answer *a)
{
    const tn_result *d = &a->result;
    const int32_t limit = tn_chat_limit_tokens(chat->rt);
    if (chat->options.quiet)
        return;
    if (d->reason == TN_DONE_CANCELLED)
        fprintf(stderr, "[stopped]\n");
    else if (d->reason == TN_DONE_LENGTH && d->prompt_tokens + d->completion_tokens >= limit)
        fprintf(stderr, "[cut: the context of %d tokens is full]\n", (int)limit);
    else if (d->reason == TN_DONE_LENGTH)
        fprintf(stderr, "[cut after %d tokens: max_tokens]\n", (int)d->completion_tokens);
}

static void say_statistics(const tn_chat *chat, const tn_result *d)
{
    if (chat->options.verbose)
        fprintf(stderr,
                "%s[prompt %d tokens, %d of them cached, %.1f tok/s; answer %d tokens, %.1f "
                "tok/s; %s]%s\n",
                tn_cli_dim(STDERR_FILENO), (int)d->prompt_tokens, (int)d->cached_tokens,
                tn_cli_prefill_rate(d), (int)d->completion_tokens, tn_cli_decode_rate(d),
                tn_cli_reason_name(d->reason), tn_cli_plain(STDERR_FILENO));
}

static void print_answer(tn_chat *chat, const answer *a, size_t n_dropped)
{
    int status;
    if (a->json) {
        status = print_json(a, n_dropped);
    } else {
        if (!a->ended_with_newline)
            putchar('\n');
        status = tn_cli_flush();
        if (!status)
            say_end(chat, a);
    }
    chat->broken = chat->broken || status != TN_EXIT_OK;
    say_statistics(chat, &a->result);
}

/* The answer becomes part of the conversation; one that was stopped before its first word takes
 * its turn with it. A NUL character would end the message: it is left out. */
static tn_status keep(tn_chat *chat, answer *a, tn_error *err)
{
    tn_chat_session *s = &chat->session;
    char *text = a->text.data;
    size_t n = 0;
    if (a->result.reason == TN_DONE_CANCELLED && a->text.len == 0) {
        if (!s->turn[s->n - 1].answer)
            tn_chat_remove_turn(s);
        return TN_OK;
    }
    for (size_t i = 0; i < a->text.len; i++)
        if (text[i])
            text[n++] = text[i];
    if (text)
        text[n] = '\0';
    TN_TRY(tn_chat_set_answer(s, tn_strbuf_text(&a->text), err));
    chat->last = a->result;
    TN_TRY(
        tn_chat_know_answer(chat->rt, &a->known, tn_strbuf_text(&a->text), a->result.reason, err));
    tn_chat_set_known(s, &a->known);
    return TN_OK;
}

static void fail_turn(tn_chat *chat, tn_status status, const tn_error *err)
{
    tn_chat_session *s = &chat->session;
    if (!s->turn[s->n - 1].answer)
        tn_chat_remove_turn(s);
    if (chat->options.json && tn_cli_print_json(json_pack("{s:s}", "error", err->text)))
        chat->broken = true;
    tn_chat_report(chat, status, err);
}

void tn_chat_answer(tn_chat *chat)
{
    tn_error err = { 0 };
    size_t n_dropped = 0;
    answer a = { .json = chat->options.json, .text = TN_STRBUF((size_t)1 << 30) };
    tn_cli_progress_init(&a.prefill, "reading the prompt", TN_CLI_TOKENS, &chat->options);
    tn_status status = ask_model(chat, &a, &n_dropped, &err);
    if (!status)
        print_answer(chat, &a, n_dropped);
    else if (a.text.len > 0 && !a.json)
        putchar('\n');
    if (!status)
        status = keep(chat, &a, &err);
    if (status)
        fail_turn(chat, status, &err);
    if (chat->interactive) /* it was for the answer; from a pipe it ends the program as well */
        tn_chat_take_interrupt();
    tn_strbuf_deinit(&a.text);
    tn_chat_known_deinit(&a.known);
}
