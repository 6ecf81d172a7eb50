/* SPDX-License-Identifier: Apache-2.0 */
/* Man pages from the tables: tenon(1), and a page for each command. */
#include "apps/cli/options.h"

#include <ctype.h>
#include <string.h>

typedef struct example {
    const char *command, *line, *text;
} example;

/* One row a line, however long: it is a table. */
/* clang-format off */
static const example examples[] = {
    { "run", "tenon run --profile configs/demo.yaml -p \"Name the capital of France.\"", "answer a question" },
    { "run", "tenon run --model model.gguf --raw -p \"Once upon\" -n 50 --seed 1", "continue a text" },
    { "chat", "tenon chat --profile configs/cpu.yaml --system \"Answer in French.\"", "talk, with a system message" },
    { "inspect", "tenon inspect model.gguf", "tell what a file is" },
    { "inspect", "tenon inspect --profile configs/cpu.yaml --set kv.format=i8", "and what memory it takes to run it so" },
    { "tokenize", "echo Hello | tenon tokenize --model model.gguf", "the ids of a text" },
    { "template", "tenon template --file chat.jinja --context messages.json", "the text that a template makes" },
    { "plugins", "tenon plugins --plugin-dir .", "which plugins of a directory can be loaded" },
    { "explain", "tenon explain --profile configs/cpu.yaml", "the kernel, the layout and the memory of each node" },
    { "explain", "tenon explain --model model.gguf --dot | dot -Tsvg > graph.svg", "draw the graph" },
    { "check", "tenon check --profile configs/cpu.yaml --quick", "prove the plugins of a profile" },
    { "check", "tenon check --profile configs/cpu.yaml --html check.html --junit check.xml", "with a page to read and a file for the build server" },
    { "check", "tenon check --repro tenon-repro-ops-mine.linear-seed1.safetensors --plugin-dir .", "run the one case that failed again" },
    { "check", "tenon check --plugin ./acme.so", "prove one plugin, and see what it supports" },
    { "bench", "tenon bench configs/cpu.yaml configs/cpu-f16.yaml --decode 64", "compare two profiles" },
    { "convert", "tenon convert model.gguf model-hf --dtype f16", "a directory that other programs read" },
    { "convert", "tenon convert model-hf model.gguf --dtype f16", "and a file of a directory" },
    { "convert", "tenon convert model.Q4_0.gguf model-awq --type awq", "an AWQ checkpoint with the same codes" },
    { "pack", "tenon pack --profile configs/cpu.yaml", "make the next start of this profile immediate" },
    { "cache", "tenon cache list", "tell which packed weights there are, and how large they are" },
    { "help", "tenon help run --man | man -l -", "read a page of this manual" },
    { "version", "tenon version --json", "for scripts" },
};
/* clang-format on */

/* Text that roff shows as it is: an option's dashes stay dashes that can be copied. */
static void put_text(const char *text, tn_strbuf *out)
{
    if (*text == '.' || *text == '\'')
        tn_strbuf_puts(out, "\\&");
    for (const char *c = text; *c; c++) {
        const bool dash = *c == '-' && (c == text || c[-1] == ' ' || c[-1] == '-' || c[1] == '-');
        tn_strbuf_printf(out, *c == '\\' ? "\\e" : dash ? "\\-" : "%c", *c);
    }
}

/* A table's text as a sentence. */
static void put_sentence(const char *text, tn_strbuf *out)
{
    if (islower((unsigned char)*text))
        tn_strbuf_printf(out, "%c", toupper((unsigned char)*text++));
    put_text(text, out);
    tn_strbuf_puts(out, ".\n");
}

static void put_title(const char *command, tn_strbuf *out)
{
    tn_strbuf_puts(out, ".TH TENON");
    if (*command)
        tn_strbuf_puts(out, "\\-");
    for (const char *c = command; *c; c++)
        tn_strbuf_printf(out, "%c", toupper((unsigned char)*c));
    tn_strbuf_printf(out, " 1 \"\" \"tenon %s\" \"User Commands\"\n.SH NAME\n", tn_version());
}

static void put_option(const tn_cli_option *o, tn_strbuf *out)
{
    tn_strbuf_puts(out, ".TP\n");
    if (o->letter)
        tn_strbuf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
    tn_strbuf_puts(out, "\\fB\\-\\-");
    for (const char *c = o->name; *c; c++)
        tn_strbuf_printf(out, *c == '-' ? "\\-" : "%c", *c);
    tn_strbuf_puts(out, "\\fR");
    if (o->value)
        tn_strbuf_printf(out, " \\fI%s\\fR", o->value);
    tn_strbuf_puts(out, "\n");
    put_sentence(o->text, out);
}

static void put_options(const tn_cli_command *command, tn_strbuf *out)
{
    for (const tn_cli_option *o = tn_cli_option_table; o->name; o++)
        if (command ? o->commands && tn_cli_applies(o, command) : !o->commands)
            put_option(o, out);
}

static void put_examples(const tn_cli_command *command, tn_strbuf *out)
{
    tn_strbuf_puts(out, ".SH EXAMPLES\n");
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        if (command && strcmp(examples[i].command, command->name) != 0)
            continue;
        put_sentence(examples[i].text, out);
        tn_strbuf_puts(out, ".PP\n.nf\n.RS 4\n");
        put_text(examples[i].line, out);
        tn_strbuf_puts(out, "\n.RE\n.fi\n.PP\n");
    }
}

static void put_common(tn_strbuf *out)
{
    tn_strbuf_puts(
        out,
        ".SH EXIT STATUS\n"
        ".TP\n.B 0\nDone.\n.TP\n.B 1\nFailed.\n.TP\n.B 2\nWrong usage or bad input.\n"
        ".SH ENVIRONMENT\n"
        ".TP\n.B XDG_STATE_HOME\nWhere \\fBtenon chat\\fR keeps the history of the input; "
        "~/.local/state when it is not set.\n"
        ".TP\n.B XDG_CACHE_HOME\nPacked weights are kept in its directory tenon; ~/.cache when it "
        "is "
        "not set.\n"
        ".TP\n.B TENON_CACHE_LIMIT\nWhat they may take in all when the profile does not say: auto, "
        "20% of what is free, 2GiB, or 0 for no cache.\n"
        ".TP\n.B HOME\nThe home directory, for the defaults above and for ~ in \\fBtenon "
        "chat\\fR.\n"
        ".TP\n.B TERM\nWhen it is dumb or not set, \\fBtenon chat\\fR does not edit lines.\n"
        ".PP\nA profile may use any other variable, as ${NAME}.\n"
        ".SH FILES\n"
        ".TP\n.I ../lib/tenon/plugins\nThe plugins, from the directory of the program; "
        "\\fB\\-\\-plugin\\-dir\\fR names another.\n"
        ".TP\n.I ../share/tenon/configs\nProfiles to start from.\n"
        ".TP\n.I ../share/doc/tenon/docs/profile.md\nEvery key of a profile.\n"
        ".TP\n.I ~/.cache/tenon\nPacked weights; \\fBtenon cache\\fR lists and removes them.\n"
        ".TP\n.I ~/.local/state/tenon/chat_history\nWhat was typed in \\fBtenon chat\\fR.\n");
}

/* The other pages. */
static void put_see_also(const tn_cli_command *command, tn_strbuf *out)
{
    const char *comma = "";
    tn_strbuf_puts(out, ".SH SEE ALSO\n");
    if (command) {
        tn_strbuf_puts(out, "\\fBtenon\\fR(1)");
        comma = ", ";
    }
    for (const tn_cli_command *c = tn_cli_commands; c->name; c++) {
        if (c == command)
            continue;
        tn_strbuf_printf(out, "%s\\fBtenon\\-%s\\fR(1)", comma, c->name);
        comma = ", ";
    }
    tn_strbuf_puts(out, "\n");
}

static void put_command_page(const tn_cli_command *command, tn_strbuf *out)
{
    put_title(command->name, out);
    tn_strbuf_printf(out, "tenon\\-%s \\- ", command->name);
    put_text(command->text, out);
    tn_strbuf_printf(out, "\n.SH SYNOPSIS\n\\fBtenon %s\\fR [\\fIOPTION\\fR]... %s\n",
                     command->name, command->words);
    tn_strbuf_puts(out, ".SH DESCRIPTION\n");
    put_sentence(command->text, out);
    tn_strbuf_puts(out, "Results go to standard output, progress and errors to standard error.\n"
                        ".SH OPTIONS\n");
    put_options(command, out);
    tn_strbuf_puts(out, ".SS Options of every command\n");
    put_options(NULL, out);
}

static void put_program_page(tn_strbuf *out)
{
    put_title("", out);
    tn_strbuf_puts(out, "tenon \\- run language models through backend plugins\n.SH SYNOPSIS\n"
                        "\\fBtenon\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...\n.SH DESCRIPTION\n"
                        "A run profile, a YAML file, names the model, the plugins in order of "
                        "preference, the format of the cache and the limits. Commands that "
                        "need a model take a profile, a model file, or both; each command has a "
                        "page of its own.\n"
                        ".SH COMMANDS\n");
    for (const tn_cli_command *c = tn_cli_commands; c->name; c++) {
        tn_strbuf_printf(out, ".TP\n\\fB%s\\fR %s\n", c->name, c->words);
        put_sentence(c->text, out);
    }
    tn_strbuf_puts(out, ".SH OPTIONS\nThose of every command; the rest stands on its page.\n");
    put_options(NULL, out);
}

void tn_cli_write_man(const tn_cli_command *command, tn_strbuf *out)
{
    if (command)
        put_command_page(command, out);
    else
        put_program_page(out);
    put_common(out);
    put_examples(command, out);
    put_see_also(command, out);
}
