/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "core/base/log.h"
#include "model/formats/json_memory.h"
#include "runtime/nearest_name.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int show_help(const tn_cli_command *command)
{
    tn_strbuf text = TN_STRBUF(1 << 20);
    tn_cli_write_help(command, &text);
    const int status = tn_cli_print(&text);
    tn_strbuf_deinit(&text);
    return status;
}

static int unknown_command(const char *name)
{
    const char *names[64];
    int n = 0;
    for (const tn_cli_command *c = tn_cli_commands; c->name && n < 63; c++)
        names[n++] = c->name;
    names[n] = NULL;
    const char *nearest = tn_nearest_name(name, names);
    tn_error err = { 0 };
    return tn_cli_error(tn_fail(&err, TN_INVALID,
                                nearest ? "there is no command \"%.100s\"; did you mean %s?"
                                        : "there is no command \"%.100s\"; %s lists them",
                                name, nearest ? nearest : "tenon help"),
                        &err);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write, said in words */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that would be larger than ulimit -f */
    tn_json_count_failures();
    if (argc < 2) {
        tn_strbuf text = TN_STRBUF(1 << 20);
        tn_cli_write_help(NULL, &text);
        fputs(tn_strbuf_text(&text), stderr);
        tn_strbuf_deinit(&text);
        return TN_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return show_help(NULL);
    if (strcmp(name, "--version") == 0)
        name = "version";
    const tn_cli_command *command = tn_cli_find_command(name);
    if (!command)
        return unknown_command(name);
    tn_cli_options options;
    tn_error err = { 0 };
    const tn_status status = tn_cli_parse(command, argc - 2, argv + 2, &options, &err);
    if (status)
        return tn_cli_error(status, &err);
    if (options.help)
        return show_help(command);
    if (options.quiet || options.verbose)
        tn_log_configure(options.verbose ? TN_LOG_INFO : TN_LOG_ERROR, NULL, NULL);
    return command->run(&options);
}
