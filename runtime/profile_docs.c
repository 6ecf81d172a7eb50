/* SPDX-License-Identifier: Apache-2.0 */
/* docs/profile.md from the table of keys. */
#include "runtime/profile_internal.h"

#include <string.h>

static const char intro[] =
    "# The run profile\n"
    "\n"
    "<!-- Generated from runtime/profile_schema.c by tenon_profile_docs; edit that instead. -->\n"
    "\n"
    "A profile is a YAML file that says which model runs, on what, and with which plugins. Every "
    "key\n"
    "has a default but `model`, so the smallest profile is one line. `--model M` without a "
    "profile\n"
    "uses the defaults of this page.\n"
    "\n"
    "```yaml\n"
    "model: ${TENON_MODELS}/SmolLM2-135M-Instruct.Q4_1.gguf\n"
    "plugins: [cpu-simd, cpu-ref]\n"
    "kv: {format: i8, block_tokens: 64}\n"
    "generate: {temperature: 0.7, max_tokens: 256}\n"
    "```\n"
    "\n"
    "- **Layers.** `extends: other.yaml` puts this profile on top of another (up to 8 of them). "
    "Maps\n"
    "  merge key by key, lists replace, `--model` and `--set` count last.\n"
    "- **Paths** are relative to the file they stand in; those of `--model` and `--set` to the "
    "working\n"
    "  directory. The path of a plugin must be absolute in a file.\n"
    "- **`${VAR}`** in a value is the environment variable VAR, an error when it is not set;\n"
    "  `${VAR:-text}` gives a text for that case, and `$${` is a plain `${`. Inside `{...}` and "
    "`[...]`\n"
    "  YAML wants quotes around such a value.\n"
    "- **`--set key.path=value`** changes one value: `--set kv.format=i8`,\n"
    "  `--set plugins=cpu-simd,cpu-ref`, `--set 'bind.layer.0.*=cpu-ref'`,\n"
    "  `--set 'context.rope_scaling={type: linear, factor: 2}'`.\n"
    "- **Strict.** Unknown and duplicate keys, wrong types, values out of range, numbers in "
    "quotes,\n"
    "  `yes` or `on` for a boolean, anchors, aliases, merge keys, tags and second documents are "
    "errors,\n"
    "  with file, line and column. A profile has at most 1 MiB and 8 levels.\n"
    "\n";

static void write_row(tn_strbuf *out, const tn_profile_key *key)
{
    char allowed[TN_ALLOWED_BYTES];

    tn_strbuf_printf(out, "| `%s` | ", key->path);
    for (const char *c = tn_profile_key_allowed(key, allowed); *c; c++)
        tn_strbuf_printf(out, *c == '|' ? "\\%c" : "%c", *c);
    if (key->type == TN_KEY_ENUM_INT && key->unit)
        tn_strbuf_printf(out, " %s", key->unit);
    if (key->fallback)
        tn_strbuf_printf(out, " | `%s` | ", key->fallback);
    else
        tn_strbuf_puts(out, " | | ");
    tn_strbuf_printf(out, "%s |\n", key->help);
}

static void write_head(tn_strbuf *out, const char *title, const char *help)
{
    tn_strbuf_printf(out, "## %s\n\n", title);
    if (*help)
        tn_strbuf_printf(out, "%s\n\n", help);
    tn_strbuf_puts(out, "| key | value | default | meaning |\n|---|---|---|---|\n");
}

static bool is_inside(const tn_profile_key *key, const char *section)
{
    size_t n = strlen(section);

    return strncmp(key->path, section, n) == 0 && key->path[n] == '.';
}

/* The keys that no section holds. */
static void write_top(tn_strbuf *out)
{
    const char *section = "?";

    write_head(out, "Top level", "");
    for (size_t i = 0; i < tn_profile_n_keys; i++) {
        const tn_profile_key *key = &tn_profile_keys[i];
        if (key->type == TN_KEY_SECTION)
            section = key->path;
        else if (!is_inside(key, section))
            write_row(out, key);
    }
}

static void write_section(tn_strbuf *out, const tn_profile_key *section)
{
    write_head(out, section->path, section->help);
    for (size_t i = 0; i < tn_profile_n_keys; i++) {
        if (is_inside(&tn_profile_keys[i], section->path))
            write_row(out, &tn_profile_keys[i]);
    }
}

void tn_profile_write_docs(tn_strbuf *out)
{
    tn_strbuf_puts(out, intro);
    write_top(out);
    for (size_t i = 0; i < tn_profile_n_keys; i++) {
        if (tn_profile_keys[i].type != TN_KEY_SECTION)
            continue;
        tn_strbuf_puts(out, "\n");
        write_section(out, &tn_profile_keys[i]);
    }
}

/* Keys inside the maps of a list cannot be set one by one. */
static bool can_be_set(const tn_profile_key *key)
{
    return key->type != TN_KEY_SECTION && key->type != TN_KEY_EXTENDS && !strchr(key->path, '[');
}

void tn_profile_write_keys(tn_strbuf *out)
{
    for (size_t i = 0; i < tn_profile_n_keys; i++)
        if (can_be_set(&tn_profile_keys[i]))
            tn_strbuf_printf(out, "%s ", tn_profile_keys[i].path);
}

void tn_profile_write_choices(tn_strbuf *out)
{
    for (size_t i = 0; i < tn_profile_n_keys; i++) {
        const tn_profile_key *key = &tn_profile_keys[i];
        if (!can_be_set(key) || (!key->allowed && key->type != TN_KEY_BOOL))
            continue;
        tn_strbuf_printf(out, "      %s) values=\"%s", key->path, key->allowed ? "" : "true false");
        for (size_t k = 0; key->allowed && key->allowed[k]; k++)
            tn_strbuf_printf(out, "%s ", key->allowed[k]);
        tn_strbuf_puts(out, "\" ;;\n");
    }
}
