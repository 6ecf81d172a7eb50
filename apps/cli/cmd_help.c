/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/commands.h"
#include "apps/cli/output.h"

#include <stdio.h>

int tn_cmd_help(const tn_cli_options *options)
{
    tn_error err = { 0 };
    const tn_cli_command *command = NULL;
    tn_strbuf text = TN_STRBUF(1 << 20);
    if (options->word.n > 0) {
        command = tn_cli_find_command(options->word.item[0]);
        if (!command)
            return tn_cli_error(tn_fail(&err, TN_INVALID,
                                        "there is no command \"%s\"; tenon help lists them",
                                        options->word.item[0]),
                                &err);
    }
    if (options->man)
        tn_cli_write_man(command, &text);
    else if (options->bash_completion)
        tn_cli_write_bash_completion(&text);
    else
        tn_cli_write_help(command, &text);
    const int status = tn_cli_print(&text);
    tn_strbuf_deinit(&text);
    return status;
}

int tn_cmd_version(const tn_cli_options *options)
{
    if (options->json)
        return tn_cli_print_json(
            json_pack("{s:s, s:i}", "version", tn_version(), "plugin_abi_major", 1));
    printf("tenon %s (plugin ABI 1.%u)\n", tn_version(), TN_ABI_MINOR);
    return tn_cli_flush();
}
