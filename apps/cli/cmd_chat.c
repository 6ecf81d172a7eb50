/* SPDX-License-Identifier: Apache-2.0 */
/* tenon chat: a conversation at the terminal, or turns from a pipe. */
#include "apps/cli/chat.h"
#include "apps/cli/chat_edit.h"
#include "apps/cli/chat_input.h"
#include "apps/cli/chat_signal.h"
#include "apps/cli/commands.h"
#include "apps/cli/generation.h"
#include "apps/cli/progress.h"
#include "core/base/alloc.h"
#include "model/text/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- talking to the person ---- */

void tn_chat_say(const tn_chat *chat, const char *format, ...)
{
    FILE *out = chat->interactive && !chat->options.json ? stdout : stderr;
    va_list args;
    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    fflush(out);
}

void tn_chat_report(tn_chat *chat, tn_status status, const tn_error *err)
{
    (void)tn_cli_error(status, err); /* the exit status is told at the end */
    chat->failed = true;
}

/* ---- model ---- */

static void on_load(void *ctx, uint64_t done, uint64_t total)
{
    tn_cli_progress_update(ctx, done, total);
}

tn_status tn_chat_open_runtime(const tn_cli_options *options, tn_runtime **out, tn_error *err)
{
    const char *sets[TN_CLI_MAX_SETS];
    char thread_set[32];
    tn_cli_progress load;
    tn_open_args args = tn_cli_open_args(options, sets, thread_set);
    args.on_load = on_load;
    args.ctx = &load;
    tn_cli_progress_init(&load, "loading", TN_CLI_BYTES, options);
    tn_status status = tn_runtime_open(&args, out, err);
    tn_cli_progress_end(&load);
    if (status)
        return status;
    tn_error why = { 0 };
    status = tn_runtime_check_chat(*out, &why);
    if (!status)
        return TN_OK;
    status = tn_fail(err, status, "%s: %s; tenon run --raw continues text", tn_runtime_model(*out),
                     why.text);
    tn_runtime_close(*out);
    *out = NULL;
    return status;
}

/* ---- turns ---- */

static tn_status check_turn(const tn_chat_turn_input *turn, tn_error *err)
{
    const tn_strbuf *text = &turn->text;
    if (turn->too_long)
        return tn_fail(err, TN_INVALID, "this turn is longer than %d bytes",
                       TN_CHAT_MAX_TURN_BYTES);
    const size_t n_valid = tn_utf8_valid_prefix(tn_strbuf_text(text), text->len);
    const size_t n_text = strlen(tn_strbuf_text(text));
    if (n_valid < text->len || n_text < text->len)
        return tn_fail(err, TN_INVALID, "this turn is no text: byte %zu is no UTF-8 character",
                       (n_valid < n_text ? n_valid : n_text) + 1);
    return TN_OK;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

/* False when the program is to end. */
static bool take_turn(tn_chat *chat, const tn_chat_turn_input *turn, tn_chat_edit *edit)
{
    tn_error err = { 0 };
    const char *text = tn_strbuf_text(&turn->text);
    tn_status status = check_turn(turn, &err);
    if (!status && is_blank(text))
        return true;
    if (!status && edit)
        tn_chat_edit_remember(edit, text, turn->literal);
    if (!status && text[0] == '/' && !turn->literal)
        return tn_chat_command(chat, text);
    if (!status)
        status = tn_chat_add_turn(&chat->session, text, &err);
    if (status)
        tn_chat_report(chat, status, &err);
    else
        tn_chat_answer(chat);
    return true;
}

/* Ctrl-C while nothing is answered: the first drops what is typed, two at an empty prompt leave.
 * From a pipe it ends the program. */
static bool go_on_after_interrupt(tn_chat *chat, bool typed, bool *hinted)
{
    tn_chat_take_interrupt();
    if (tn_chat_must_end())
        return false;
    if (!chat->interactive) {
        chat->failed = true;
        return false;
    }
    fputs("\n", stderr);
    if (!typed && *hinted)
        return false;
    if (!typed)
        fputs("Ctrl-C again or Ctrl-D ends the program; /help lists the commands\n", stderr);
    *hinted = !typed;
    return true;
}

static void loop(tn_chat *chat, const tn_chat_lines *lines, tn_chat_edit *edit)
{
    tn_chat_turn_input turn = { .text = TN_STRBUF(TN_CHAT_MAX_TURN_BYTES) };
    bool hinted = false, go_on = true;
    while (go_on && !chat->broken) {
        const int got = tn_chat_read_turn(lines, &turn);
        if (got == TN_CHAT_INTERRUPTED) {
            go_on = go_on_after_interrupt(chat, turn.typed, &hinted);
            continue;
        }
        hinted = false;
        if (got == TN_CHAT_END && chat->interactive)
            fputs("\n", stderr); /* behind the prompt */
        go_on = got == TN_CHAT_READ && take_turn(chat, &turn, edit);
    }
    tn_strbuf_deinit(&turn.text);
}

/* ---- the whole ---- */

static void greet(const tn_chat *chat)
{
    if (chat->interactive && !chat->options.quiet)
        fprintf(stderr, "%s, context %d tokens. /help lists the commands, Ctrl-D ends.\n",
                tn_runtime_model(chat->rt), (int)tn_chat_limit_tokens(chat->rt));
}

static void converse(tn_chat *chat)
{
    tn_chat_edit *edit = NULL;
    tn_chat_plain plain = { .fd = STDIN_FILENO,
                            .prompt_fd = chat->interactive ? STDERR_FILENO : -1 };
    tn_chat_signals_install();
    if (chat->interactive && isatty(STDOUT_FILENO) && !chat->options.json) {
        char *history = tn_chat_history_path();
        edit = tn_chat_edit_open(history);
        tn_free(history);
    }
    const tn_chat_lines lines = { edit ? tn_chat_edit_read : tn_chat_plain_read,
                                  edit ? (void *)edit : (void *)&plain };
    greet(chat);
    loop(chat, &lines, edit);
    tn_chat_edit_close(edit);
}

static tn_status begin(tn_chat *chat, tn_error *err)
{
    const tn_cli_options *o = &chat->options;
    TN_TRY(tn_cli_need_model(o, err));
    TN_TRY(tn_cli_check_sampling(o, err));
    TN_TRY(tn_chat_set_system(&chat->session, o->system, err));
    return tn_chat_open_runtime(o, &chat->rt, err);
}

int tn_cmd_chat(const tn_cli_options *options)
{
    tn_error err = { 0 };
    tn_chat chat = { .options = *options, .interactive = isatty(STDIN_FILENO) != 0 };
    int exit_status;
    const tn_status status = begin(&chat, &err);
    if (status) {
        exit_status = tn_cli_error(status, &err);
    } else {
        converse(&chat);
        /* At a terminal every error was seen and dealt with. */
        exit_status =
            chat.broken || (chat.failed && !chat.interactive) ? TN_EXIT_FAILED : TN_EXIT_OK;
    }
    tn_runtime_close(chat.rt);
    tn_chat_session_deinit(&chat.session);
    tn_free(chat.profile);
    return exit_status;
}
