/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/options.h"

#include "runtime/nearest_name.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAMES = 64 };

const tn_cli_command *tn_cli_find_command(const char *name)
{
    for (const tn_cli_command *c = tn_cli_commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* `commands` holds the names with a space on each side. */
bool tn_cli_applies(const tn_cli_option *option, const tn_cli_command *command)
{
    if (!option->commands)
        return true;
    const size_t n = strlen(command->name);
    for (const char *at = option->commands; (at = strstr(at, command->name)); at += n)
        if (at[-1] == ' ' && at[n] == ' ')
            return true;
    return false;
}

static const tn_cli_option *find_long(const tn_cli_command *command, const char *name, size_t n)
{
    for (const tn_cli_option *o = tn_cli_option_table; o->name; o++)
        if (tn_cli_applies(o, command) && strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

static const tn_cli_option *find_short(const tn_cli_command *command, char letter)
{
    for (const tn_cli_option *o = tn_cli_option_table; o->name; o++)
        if (tn_cli_applies(o, command) && o->letter && o->letter == letter)
            return o;
    return NULL;
}

static tn_status unknown_option(const tn_cli_command *command, const char *word, tn_error *err)
{
    const char *names[MAX_NAMES];
    int n = 0;
    for (const tn_cli_option *o = tn_cli_option_table; o->name && n < MAX_NAMES - 1; o++)
        if (tn_cli_applies(o, command))
            names[n++] = o->name;
    names[n] = NULL;
    char name[64];
    const char *bare = word + strspn(word, "-");
    const size_t length = strcspn(bare, "=");
    tn_strbuf text = TN_STRBUF(sizeof name);
    tn_strbuf_append(&text, bare, length < sizeof name - 1 ? length : sizeof name - 1);
    const char *nearest = tn_nearest_name(tn_strbuf_text(&text), names);
    tn_status status =
        nearest ? tn_fail(err, TN_INVALID, "tenon %s has no option %s; did you mean --%s?",
                          command->name, word, nearest)
                : tn_fail(err, TN_INVALID, "tenon %s has no option %s; see tenon %s --help",
                          command->name, word, command->name);
    tn_strbuf_deinit(&text);
    return status;
}

/* ---- values ---- */

static tn_status parse_int(const tn_cli_option *o, const char *value, int32_t *out, tn_error *err)
{
    char *end;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || number < o->min || number > o->max)
        return tn_fail(err, TN_INVALID, "--%s takes a whole number from %lld to %lld, not \"%s\"",
                       o->name, (long long)o->min, (long long)o->max, value);
    *out = (int32_t)number;
    return TN_OK;
}

static tn_status parse_uint64(const tn_cli_option *o, const char *value, uint64_t *out,
                              tn_error *err)
{
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(value, &end, 10);
    if (errno || end == value || *end || strchr(value, '-'))
        return tn_fail(err, TN_INVALID,
                       "--%s takes a whole number from 0 to 18446744073709551615, not \"%s\"",
                       o->name, value);
    *out = number;
    return TN_OK;
}

static tn_status parse_real(const tn_cli_option *o, const char *value, double *out, tn_error *err)
{
    char *end;
    const double number = strtod(value, &end);
    if (end == value || *end || !isfinite(number))
        return tn_fail(err, TN_INVALID, "--%s takes a number, not \"%s\"", o->name, value);
    *out = number;
    return TN_OK;
}

static tn_status append(tn_cli_list *list, const char *what, const char *value, tn_error *err)
{
    if (list->n == TN_CLI_MAX_LIST)
        return tn_fail(err, TN_INVALID, "%s is given more than %d times", what, TN_CLI_MAX_LIST);
    list->item[list->n++] = value;
    return TN_OK;
}

/* The id at *at, which moves behind it. */
static bool read_id(const char **at, int32_t *out)
{
    char *end;
    errno = 0;
    const long id = strtol(*at, &end, 10);
    const bool valid = !errno && end != *at && id >= 0 && id <= INT32_MAX;
    *out = valid ? (int32_t)id : 0;
    *at = end;
    return valid;
}

static tn_status append_ids(const tn_cli_option *o, const char *value, tn_cli_ids *list,
                            tn_error *err)
{
    for (const char *at = value;; at++) {
        int32_t id;
        if (!read_id(&at, &id) || (*at && *at != ','))
            return tn_fail(err, TN_INVALID,
                           "--%s takes %s with commas between them, as in 1,2,3, not \"%s\"",
                           o->name, o->kind == TN_CLI_IDS ? "token ids" : "whole numbers", value);
        if (list->n == TN_CLI_MAX_LIST)
            return tn_fail(err, TN_INVALID, "--%s has more than %d %s", o->name, TN_CLI_MAX_LIST,
                           o->kind == TN_CLI_IDS ? "ids" : "values");
        list->item[list->n++] = id;
        if (!*at)
            return TN_OK;
    }
}

static tn_status append_biases(const tn_cli_option *o, const char *value, tn_cli_biases *list,
                               tn_error *err)
{
    for (const char *at = value;; at++) {
        char *end = NULL;
        int32_t id;
        double bias = 0;
        bool valid = read_id(&at, &id) && *at == '=';
        if (valid)
            bias = strtod(at + 1, &end);
        if (!valid || end == at + 1 || !isfinite(bias) || (*end && *end != ','))
            return tn_fail(err, TN_INVALID,
                           "--%s takes ID=VALUE with commas between them, as in 42=-100,7=1.5, "
                           "not \"%s\"",
                           o->name, value);
        if (list->n == TN_CLI_MAX_BIASES)
            return tn_fail(err, TN_INVALID, "--%s has more than %d values", o->name,
                           TN_CLI_MAX_BIASES);
        list->item[list->n++] = (tn_logit_bias){ id, (float)bias };
        at = end;
        if (!*at)
            return TN_OK;
    }
}

static tn_status set_value(const tn_cli_option *o, const char *value, tn_cli_options *out,
                           tn_error *err)
{
    char *field = (char *)out + o->offset;
    if (o->has_offset)
        *(bool *)((char *)out + o->has_offset) = true;
    switch (o->kind) {
    case TN_CLI_FLAG:
        *(bool *)field = true;
        return TN_OK;
    case TN_CLI_INT:
        return parse_int(o, value, (int32_t *)(void *)field, err);
    case TN_CLI_UINT64:
        return parse_uint64(o, value, (uint64_t *)(void *)field, err);
    case TN_CLI_REAL:
        return parse_real(o, value, (double *)(void *)field, err);
    case TN_CLI_REPEATED:
        return append((tn_cli_list *)(void *)field, o->name, value, err);
    case TN_CLI_IDS:
    case TN_CLI_NUMBERS:
        return append_ids(o, value, (tn_cli_ids *)(void *)field, err);
    case TN_CLI_BIASES:
        return append_biases(o, value, (tn_cli_biases *)(void *)field, err);
    default:
        *(const char **)(void *)field = value;
        return TN_OK;
    }
}

/* ---- words ---- */

typedef struct cursor {
    int argc, at;
    char **argv;
} cursor;

/* argv[at] is an option: "--name", "--name=value", "-n value" or "-n5". */
static tn_status parse_option(const tn_cli_command *command, cursor *c, tn_cli_options *out,
                              tn_error *err)
{
    const char *word = c->argv[c->at], *value = NULL;
    const tn_cli_option *o;
    if (word[1] == '-') {
        const size_t n = strcspn(word + 2, "=");
        o = find_long(command, word + 2, n);
        if (word[2 + n])
            value = word + 2 + n + 1;
    } else {
        o = find_short(command, word[1]);
        if (word[2])
            value = word + 2;
    }
    if (!o)
        return unknown_option(command, word, err);
    if (o->kind == TN_CLI_FLAG) {
        if (value)
            return tn_fail(err, TN_INVALID, "--%s takes no value", o->name);
        return set_value(o, NULL, out, err);
    }
    if (!value) {
        if (c->at + 1 >= c->argc)
            return tn_fail(err, TN_INVALID, "--%s needs a value: --%s %s", o->name, o->name,
                           o->value);
        value = c->argv[++c->at];
    }
    return set_value(o, value, out, err);
}

tn_status tn_cli_parse(const tn_cli_command *command, int argc, char **argv, tn_cli_options *out,
                       tn_error *err)
{
    cursor c = { .argc = argc, .argv = argv };
    bool only_words = false;
    *out = (tn_cli_options){ 0 };
    for (c.at = 0; c.at < argc; c.at++) {
        const char *word = argv[c.at];
        if (!only_words && strcmp(word, "--") == 0)
            only_words = true;
        else if (!only_words && word[0] == '-' && word[1])
            TN_TRY(parse_option(command, &c, out, err));
        else
            TN_TRY(append(&out->word, "a word", word, err));
    }
    if (out->help || (out->word.n >= command->min_words && out->word.n <= command->max_words))
        return TN_OK;
    if (command->max_words == 0)
        return tn_fail(err, TN_INVALID, "tenon %s takes no word \"%s\"; see tenon %s --help",
                       command->name, out->word.item[0], command->name);
    return tn_fail(err, TN_INVALID, "usage: tenon %s %s; see tenon %s --help", command->name,
                   command->words, command->name);
}

/* ---- help ---- */

static void write_option(const tn_cli_option *o, tn_strbuf *out)
{
    tn_strbuf left = TN_STRBUF(256);
    if (o->letter)
        tn_strbuf_printf(&left, "-%c, ", o->letter);
    tn_strbuf_printf(&left, "--%s", o->name);
    if (o->value)
        tn_strbuf_printf(&left, " %s", o->value);
    tn_strbuf_printf(out, "  %-24s %s\n", tn_strbuf_text(&left), o->text);
    tn_strbuf_deinit(&left);
}

static void write_command_help(const tn_cli_command *command, tn_strbuf *out)
{
    tn_strbuf_printf(out, "usage: tenon %s [OPTION]...%s%s\n\n%s\n\noptions:\n", command->name,
                     *command->words ? " " : "", command->words, command->text);
    for (const tn_cli_option *o = tn_cli_option_table; o->name; o++)
        if (tn_cli_applies(o, command) && o->commands)
            write_option(o, out);
    for (const tn_cli_option *o = tn_cli_option_table; o->name; o++)
        if (!o->commands)
            write_option(o, out);
}

void tn_cli_write_help(const tn_cli_command *command, tn_strbuf *out)
{
    if (command) {
        write_command_help(command, out);
        return;
    }
    tn_strbuf_puts(out, "usage: tenon COMMAND [OPTION]...\n\ncommands:\n");
    for (const tn_cli_command *c = tn_cli_commands; c->name; c++)
        tn_strbuf_printf(out, "  %-10s %s\n", c->name, c->text);
    tn_strbuf_puts(out, "\ntenon COMMAND --help shows the options of a command.\n"
                        "Exit status: 0 done, 1 failed, 2 wrong usage or bad input.\n");
}
