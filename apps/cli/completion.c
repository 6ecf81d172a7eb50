/* SPDX-License-Identifier: Apache-2.0 */
/* The completion for bash: commands, options, and the values of options as the tables name them. */
#include "apps/cli/options.h"
#include "runtime/profile.h"

#include <string.h>

/* What stands behind an option or in place of a command's word; see the function below. */
static const char *value_kind(const char *value)
{
    static const char *const kinds[][2] = {
        { "FILE", "files" },     { "PATH", "gguf" },         { "[PATH]", "gguf" },
        { "DIR", "dirs" },       { "[PROFILE]...", "yaml" }, { "KEY=VALUE", "keys" },
        { "[COMMAND]", "help" }, { "list|clear", "cache" },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i][0], value) == 0)
            return kinds[i][1];
    return "nothing";
}

static void put_commands(tn_strbuf *out)
{
    for (const tn_cli_command *c = tn_cli_commands; c->name; c++)
        tn_strbuf_printf(out, "%s%s", c == tn_cli_commands ? "" : " ", c->name);
}

/* "run) options="--a --b " words=nothing ;;" */
static void put_command(const tn_cli_command *c, tn_strbuf *out)
{
    tn_strbuf_printf(out, "    %s) words=%s options=\"", c->name, value_kind(c->words));
    for (const tn_cli_option *o = tn_cli_option_table; o->name; o++)
        if (tn_cli_applies(o, c))
            tn_strbuf_printf(out, "--%s ", o->name);
    tn_strbuf_puts(out, "\" ;;\n");
}

/* "run:--file) words=files ;;": what comes next when the option is the word before. */
static void put_values(const tn_cli_command *c, tn_strbuf *out)
{
    for (const tn_cli_option *o = tn_cli_option_table; o->name; o++) {
        if (!o->value || !tn_cli_applies(o, c))
            continue;
        tn_strbuf_printf(out, "    %s:--%s", c->name, o->name);
        if (o->letter)
            tn_strbuf_printf(out, " | %s:-%c", c->name, o->letter);
        tn_strbuf_printf(out, ") words=%s ;;\n",
                         strcmp(o->name, "profile") == 0 ? "yaml" : value_kind(o->value));
    }
}

/* compopt fails when the function is not called by readline. */
static const char tail[] =
    "  if [ \"${word#-}\" != \"$word\" ] && [ \"$words\" = \"$plain\" ]; then\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n    return\n  fi\n"
    "  case \"$words\" in\n"
    "    files) mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;\n"
    "    dirs) mapfile -t COMPREPLY < <(compgen -d -- \"$word\") ;;\n"
    "    yaml) mapfile -t COMPREPLY < <(compgen -d -- \"$word\"; compgen -f -X '!*.y*ml' -- "
    "\"$word\") ;;\n"
    "    gguf) mapfile -t COMPREPLY < <(compgen -d -- \"$word\"; compgen -f -X '!*.gguf' -- "
    "\"$word\") ;;\n"
    "    cache) mapfile -t COMPREPLY < <(compgen -W \"list clear\" -- \"$word\") ;;\n"
    "    help) mapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$word\") ;;\n"
    "    keys) mapfile -t COMPREPLY < <(compgen -S = -W \"$keys\" -- \"$word\")\n"
    "      compopt -o nospace 2>/dev/null ;;\n"
    "    values) mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$word\") ;;\n"
    "  esac\n"
    "  case \"$words\" in files | dirs | yaml | gguf) compopt -o filenames 2>/dev/null ;; esac\n"
    "}\ncomplete -F _tenon tenon\n";

/* Bash splits at "=": in --set kv.format=f and --file=x the word is behind a word "=". */
static const char head[] =
    "# bash completion for tenon, made by tenon help --bash-completion\n_tenon() {\n"
    "  local at=$COMP_CWORD command=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]}\n"
    "  local key='' before words=nothing plain options='' values='' commands keys\n"
    "  COMPREPLY=()\n"
    "  if [ \"$word\" = = ]; then\n    word=''\n    at=$((at + 1))\n  fi\n"
    "  before=${COMP_WORDS[at - 1]}\n"
    "  if [ \"$before\" = = ] && [ \"$at\" -gt 3 ]; then\n"
    "    before=${COMP_WORDS[at - 2]}\n"
    "    if [ \"${before#-}\" = \"$before\" ]; then\n      key=$before\n      before=--set\n    "
    "fi\n"
    "  fi\n  commands=\"";

void tn_cli_write_bash_completion(tn_strbuf *out)
{
    tn_strbuf_puts(out, head);
    put_commands(out);
    tn_strbuf_puts(out, "\"\n  keys=\"");
    tn_profile_write_keys(out);
    tn_strbuf_puts(out,
                   "\"\n  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                   "    mapfile -t COMPREPLY < <(compgen -W \"$commands --help\" -- \"$word\")\n"
                   "    return\n  fi\n  case \"$command\" in\n");
    for (const tn_cli_command *c = tn_cli_commands; c->name; c++)
        put_command(c, out);
    tn_strbuf_puts(out, "  esac\n  plain=$words\n  case \"$command:$before\" in\n");
    for (const tn_cli_command *c = tn_cli_commands; c->name; c++)
        put_values(c, out);
    tn_strbuf_puts(out, "  esac\n  if [ -n \"$key\" ]; then\n    words=values\n"
                        "    case \"$key\" in\n");
    tn_profile_write_choices(out);
    tn_strbuf_puts(out, "    esac\n  fi\n");
    tn_strbuf_puts(out, tail);
}
