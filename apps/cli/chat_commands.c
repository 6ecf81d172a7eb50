/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/chat_commands.h"

#include "apps/cli/generation.h"
#include "core/base/alloc.h"
#include "runtime/nearest_name.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAMES = 128 };

#define BLANKS " \t\r\n"

/* ---- conversation ---- */

static bool reset(tn_chat *chat, const char *argument)
{
    (void)argument;
    tn_chat_reset(&chat->session);
    tn_chat_say(chat, "the conversation is empty%s\n",
                chat->session.system ? "; the system message stays" : "");
    return true;
}

static bool set_system(tn_chat *chat, const char *argument)
{
    tn_error err = { 0 };
    tn_chat_session *s = &chat->session;
    if (!argument) {
        tn_chat_say(chat, "%s\n",
                    s->system ? s->system : "no system message but what the template has");
        return true;
    }
    const bool none = strcmp(argument, "\"\"") == 0;
    const tn_status status = tn_chat_set_system(s, none ? NULL : argument, &err);
    if (status) {
        tn_chat_report(chat, status, &err);
        return true;
    }
    tn_chat_forget_prefix(s);
    tn_chat_say(chat, none ? "no system message any more\n" : "the system message is set\n");
    return true;
}

static bool retry(tn_chat *chat, const char *argument)
{
    tn_chat_session *s = &chat->session;
    (void)argument;
    if (s->n > 0)
        tn_chat_answer(chat);
    else
        tn_chat_say(chat, "there is no turn to answer again\n");
    return true;
}

/* ---- files ---- */

/* "~/x" as a shell takes it. */
static char *expand_home(const char *path)
{
    const char *home = getenv("HOME");
    tn_strbuf text = TN_STRBUF(1 << 14);
    if (home && path[0] == '~' && path[1] == '/')
        tn_strbuf_printf(&text, "%s%s", home, path + 1);
    else
        tn_strbuf_puts(&text, path);
    return tn_strbuf_take(&text);
}

typedef tn_status (*file_action)(tn_chat *chat, char **path, tn_error *err);

static bool with_path(tn_chat *chat, const char *argument, file_action act)
{
    tn_error err = { 0 };
    char *path = expand_home(argument);
    tn_status status = path ? act(chat, &path, &err) : tn_fail_memory(&err, "the path");
    if (status)
        tn_chat_report(chat, status, &err);
    tn_free(path);
    return true;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static tn_status save_to(tn_chat *chat, char **path, tn_error *err)
{
    TN_TRY(tn_chat_save(&chat->session, *path, err));
    tn_chat_say(chat, "saved %zu turn%s to %s\n", chat->session.n, plural(chat->session.n), *path);
    return TN_OK;
}

static tn_status load_from(tn_chat *chat, char **path, tn_error *err)
{
    TN_TRY(tn_chat_load(&chat->session, *path, err));
    tn_chat_say(chat, "loaded %zu turn%s from %s\n", chat->session.n, plural(chat->session.n),
                *path);
    return TN_OK;
}

/* The new model is there before the old one goes: when it cannot be loaded, nothing has changed. */
static tn_status switch_profile(tn_chat *chat, char **path, tn_error *err)
{
    tn_cli_options options = chat->options;
    tn_runtime *rt;
    options.profile = *path;
    TN_TRY(tn_chat_open_runtime(&options, &rt, err));
    tn_runtime_close(chat->rt);
    chat->rt = rt;
    chat->options = options;
    char *old = chat->profile;
    chat->profile = *path;
    *path = old;
    chat->last = (tn_result){ 0 };
    tn_chat_forget_prefix(&chat->session);
    tn_chat_say(chat, "now with profile %s, model %s; the conversation goes on\n", chat->profile,
                tn_runtime_model(rt));
    return TN_OK;
}

static bool save(tn_chat *chat, const char *argument)
{
    return with_path(chat, argument, save_to);
}

static bool load(tn_chat *chat, const char *argument)
{
    return with_path(chat, argument, load_from);
}

static bool profile(tn_chat *chat, const char *argument)
{
    return with_path(chat, argument, switch_profile);
}

/* ---- settings and facts ---- */

static bool is_settable(const tn_cli_option *o)
{
    return o->commands && strstr(o->commands, " run ") && strstr(o->commands, " chat ") &&
           o->has_offset &&
           (o->kind == TN_CLI_INT || o->kind == TN_CLI_UINT64 || o->kind == TN_CLI_REAL);
}

static size_t value_bytes(const tn_cli_option *o)
{
    return o->kind == TN_CLI_INT      ? sizeof(int32_t)
           : o->kind == TN_CLI_UINT64 ? sizeof(uint64_t)
                                      : sizeof(double);
}

static tn_status unknown_setting(const char *name, tn_error *err)
{
    const char *names[MAX_NAMES];
    int n = 0;
    tn_strbuf known = TN_STRBUF(160);
    for (const tn_cli_option *o = tn_cli_option_table; o->name && n < MAX_NAMES - 1; o++) {
        if (!is_settable(o))
            continue;
        names[n++] = o->name;
        tn_strbuf_printf(&known, " %s", o->name);
    }
    names[n] = NULL;
    const char *nearest = tn_nearest_name(name, names);
    tn_status status =
        nearest ? tn_fail(err, TN_INVALID, "/set has no setting \"%.40s\"; did you mean %s?", name,
                          nearest)
                : tn_fail(err, TN_INVALID, "/set has no setting \"%.40s\"; it has%s", name,
                          tn_strbuf_text(&known));
    tn_strbuf_deinit(&known);
    return status;
}

/* The option parser reads and checks the value; then that one field is taken over. */
static tn_status take_option(tn_cli_options *options, const char *name, const char *word,
                             tn_error *err)
{
    const tn_cli_option *o = tn_cli_option_table;
    while (o->name && !(is_settable(o) && strcmp(o->name, name) == 0))
        o++;
    if (!o->name)
        return unknown_setting(name, err);
    tn_cli_options parsed;
    char *argv[] = { (char *)(uintptr_t)word }; /* the parser does not write it */
    TN_TRY(tn_cli_parse(tn_cli_find_command("chat"), 1, argv, &parsed, err));
    memcpy((char *)options + o->offset, (const char *)&parsed + o->offset, value_bytes(o));
    *(bool *)((char *)options + o->has_offset) = true;
    if (o->offset == offsetof(tn_cli_options, temperature))
        options->greedy = false;
    return TN_OK;
}

tn_status tn_chat_set_option(tn_cli_options *options, const char *argument, tn_error *err)
{
    const size_t n_name = strcspn(argument, BLANKS "=");
    const char *value = argument + n_name + strspn(argument + n_name, BLANKS "=");
    tn_strbuf word = TN_STRBUF(256);
    if (n_name == 0 || !*value)
        return tn_fail(err, TN_INVALID,
                       "/set takes a name and a value, as in /set temperature 0.5");
    tn_strbuf_puts(&word, "--");
    tn_strbuf_append(&word, argument, n_name);
    for (size_t i = 2; i < word.len; i++)
        if (word.data[i] == '_') /* top_p, as in profiles */
            word.data[i] = '-';
    const size_t n_option = word.len;
    tn_strbuf_printf(&word, "=%s", value);
    tn_status status;
    if (word.failed) {
        status = tn_fail(err, TN_INVALID, "/set: \"%.40s...\" is too long", argument);
    } else {
        char *name = tn_strndup(word.data + 2, n_option - 2);
        status =
            name ? take_option(options, name, word.data, err) : tn_fail_memory(err, "the setting");
        tn_free(name);
    }
    tn_strbuf_deinit(&word);
    return status;
}

static bool set(tn_chat *chat, const char *argument)
{
    tn_error err = { 0 };
    const tn_status status = tn_chat_set_option(&chat->options, argument, &err);
    if (status)
        tn_chat_report(chat, status, &err);
    return true;
}

static bool stats(tn_chat *chat, const char *argument)
{
    tn_metrics m;
    const tn_result *d = &chat->last;
    const int32_t limit = tn_chat_limit_tokens(chat->rt);
    const int32_t used = d->prompt_tokens + d->completion_tokens;
    char pool[32], here[32];
    (void)argument;
    tn_runtime_metrics(chat->rt, &m, sizeof m);
    const uint64_t tokens = (uint64_t)m.blocks * (uint64_t)m.block_tokens;
    const uint64_t token_bytes = tokens > 0 ? m.kv_bytes / tokens : 0;
    tn_chat_say(chat,
                "prompt    %d tokens, %d of them cached, %.1f tok/s\n"
                "answer    %d tokens, %.1f tok/s\n"
                "context   %d of %d tokens\n"
                "KV cache  %s of %s\n"
                "turns     %zu, the model sees %zu\n"
                "model     %s, loaded in %.2f s\n",
                (int)d->prompt_tokens, (int)d->cached_tokens, tn_cli_prefill_rate(d),
                (int)d->completion_tokens, tn_cli_decode_rate(d), (int)used, (int)limit,
                tn_cli_bytes((uint64_t)used * token_bytes, here), tn_cli_bytes(m.kv_bytes, pool),
                chat->session.n, chat->session.n - chat->session.n_skipped,
                tn_runtime_model(chat->rt), m.load_s);
    return true;
}

static bool help(tn_chat *chat, const char *argument)
{
    (void)argument;
    for (const tn_chat_command_row *c = tn_chat_command_table; c->name; c++)
        tn_chat_say(chat, "/%-8s %-10s %s\n", c->name, c->argument, c->text);
    tn_chat_say(chat, "A line that ends in \\ goes on in the next one; lines between \"\"\" and "
                      "\"\"\" are one turn.\n"
                      "Ctrl-C stops the answer, Ctrl-D ends the program.\n");
    return true;
}

static bool quit(tn_chat *chat, const char *argument)
{
    (void)chat;
    (void)argument;
    return false;
}

/* ---- the table ---- */

/* clang-format off */
const tn_chat_command_row tn_chat_command_table[] = {
    { "help", "", "show this", false, help },
    { "reset", "", "forget the conversation; the system message stays", false, reset },
    { "system", "[TEXT]", "set the system message (\"\": none), or show it", false, set_system },
    { "retry", "", "answer the last turn again", false, retry },
    { "set", "KEY VALUE", "change a sampling option, as in /set temperature 0.5", true, set },
    { "stats", "", "tokens, speed, context and memory", false, stats },
    { "save", "FILE", "write the conversation as JSON", true, save },
    { "load", "FILE", "read a conversation in place of this one", true, load },
    { "profile", "FILE", "go on with another profile: other plugins, KV format or model", true, profile },
    { "quit", "", "end the program", false, quit },
    { NULL, NULL, NULL, false, NULL },
};
/* clang-format on */

static tn_status unknown_command(const char *name, tn_error *err)
{
    const char *names[MAX_NAMES];
    int n = 0;
    for (const tn_chat_command_row *c = tn_chat_command_table; c->name && n < MAX_NAMES - 1; c++)
        names[n++] = c->name;
    names[n] = NULL;
    const char *nearest = tn_nearest_name(name, names);
    if (nearest)
        return tn_fail(err, TN_INVALID, "there is no command /%.40s; did you mean /%s?", name,
                       nearest);
    return tn_fail(err, TN_INVALID,
                   "there is no command /%.40s; /help lists them, and \"\"\"/...\"\"\" is a turn",
                   name);
}

static tn_status check_argument(const tn_chat_command_row *c, const char *argument, tn_error *err)
{
    if (c->needs_argument && !argument)
        return tn_fail(err, TN_INVALID, "usage: /%s %s", c->name, c->argument);
    if (!*c->argument && argument)
        return tn_fail(err, TN_INVALID, "/%s takes nothing, not \"%.40s\"", c->name, argument);
    return TN_OK;
}

tn_status tn_chat_parse_command(const char *line, const tn_chat_command_row **out,
                                char **out_argument, tn_error *err)
{
    const size_t n_name = strcspn(line + 1, BLANKS);
    const char *rest = line + 1 + n_name;
    rest += strspn(rest, BLANKS);
    size_t n_rest = strlen(rest);
    while (n_rest > 0 && strchr(BLANKS, rest[n_rest - 1]))
        n_rest--;
    *out = NULL;
    *out_argument = NULL;
    char *name = tn_strndup(line + 1, n_name);
    char *argument = tn_strndup(rest, n_rest);
    const tn_chat_command_row *c = tn_chat_command_table;
    tn_status status;
    while (name && c->name && strcmp(c->name, name) != 0)
        c++;
    if (!name || !argument)
        status = tn_fail_memory(err, "the command");
    else if (!c->name)
        status = unknown_command(name, err);
    else
        status = check_argument(c, n_rest > 0 ? argument : NULL, err);
    tn_free(name);
    if (status || n_rest == 0) {
        tn_free(argument);
        argument = NULL;
    }
    *out = status ? NULL : c;
    *out_argument = argument;
    return status;
}

bool tn_chat_command(tn_chat *chat, const char *line)
{
    const tn_chat_command_row *row;
    char *argument;
    tn_error err = { 0 };
    const tn_status status = tn_chat_parse_command(line, &row, &argument, &err);
    if (status)
        tn_chat_report(chat, status, &err);
    const bool go_on = status || row->run(chat, argument);
    tn_free(argument);
    return go_on;
}
