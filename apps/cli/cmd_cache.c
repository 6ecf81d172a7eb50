/* SPDX-License-Identifier: Apache-2.0 */
/* tenon cache list|clear: the packed weights on disk. */
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "core/base/alloc.h"
#include "model/formats/printable.h"
#include "runtime/cache_dir.h"
#include "runtime/pack_file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_TEXT_BYTES = 1 << 24 };

/* "2026-01-31T12:00:00Z" */
static void put_time(int64_t seconds, tn_strbuf *out)
{
    const time_t t = (time_t)seconds;
    struct tm parts;
    char text[32] = "";
    if (gmtime_r(&t, &parts))
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    tn_strbuf_puts(out, text);
}

/* "cpu-simd 0.1.0, cpu-ref 0.1.0" from the lines "plugin NAME VERSION HASH" of a key. */
static void put_plugins(const char *key, tn_strbuf *out)
{
    const char *comma = "";
    for (const char *line = key; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *name = line + strlen("plugin ");
        if (strncmp(line, "plugin ", strlen("plugin ")) != 0)
            continue;
        size_t n = strcspn(name, " \n");
        n += name[n] == ' ' ? 1 + strcspn(name + n + 1, " \n") : 0;
        tn_strbuf_puts(out, comma);
        tn_put_printable(out, name, n);
        comma = ", ";
    }
}

/* What people want to know of a file. */
typedef struct facts {
    tn_strbuf model, plugins, used;
    bool is_pack;
} facts;

static void read_facts(const tn_cache_file *file, facts *f)
{
    tn_strbuf label = TN_STRBUF(MAX_TEXT_BYTES), key = TN_STRBUF(MAX_TEXT_BYTES);
    *f = (facts){ TN_STRBUF(MAX_TEXT_BYTES), TN_STRBUF(MAX_TEXT_BYTES), TN_STRBUF(64), false };
    f->is_pack = tn_pack_file_describe(file->path, &label, &key);
    tn_put_printable(&f->model, tn_strbuf_text(&label), label.len);
    put_plugins(tn_strbuf_text(&key), &f->plugins);
    put_time(file->used_s, &f->used);
    tn_strbuf_deinit(&label);
    tn_strbuf_deinit(&key);
}

static void free_facts(facts *f)
{
    tn_strbuf_deinit(&f->model);
    tn_strbuf_deinit(&f->plugins);
    tn_strbuf_deinit(&f->used);
}

static int list_json(const char *dir, uint64_t limit, const tn_cache_list *list)
{
    json_t *files = json_array();
    for (size_t i = list->n; i-- > 0;) { /* the last used first */
        facts f;
        read_facts(&list->file[i], &f);
        if (f.is_pack)
            (void)json_array_append_new(
                files,
                json_pack("{s:s, s:s, s:s, s:I, s:s}", "path", list->file[i].path, "model",
                          tn_strbuf_text(&f.model), "plugins", tn_strbuf_text(&f.plugins), "bytes",
                          (json_int_t)list->file[i].bytes, "used", tn_strbuf_text(&f.used)));
        free_facts(&f);
    }
    return tn_cli_print_json(json_pack("{s:s, s:I, s:I, s:o}", "directory", dir, "bytes",
                                       (json_int_t)list->bytes, "limit_bytes", (json_int_t)limit,
                                       "files", files));
}

static int list_text(const char *dir, uint64_t limit, const tn_cache_list *list)
{
    tn_strbuf out = TN_STRBUF(MAX_TEXT_BYTES);
    char size[32], most[32];
    for (size_t i = list->n; i-- > 0;) {
        facts f;
        read_facts(&list->file[i], &f);
        if (f.is_pack)
            tn_strbuf_printf(&out, "%s  %9s  %s  %s\n", tn_strbuf_text(&f.used),
                             tn_cli_bytes(list->file[i].bytes, size), tn_strbuf_text(&f.model),
                             tn_strbuf_text(&f.plugins));
        free_facts(&f);
    }
    tn_strbuf_printf(&out, "%s: %s of %s\n", dir, tn_cli_bytes(list->bytes, size),
                     limit ? tn_cli_bytes(limit, most) : "none, it is switched off");
    const int status = tn_cli_print(&out);
    tn_strbuf_deinit(&out);
    return status;
}

static tn_status list(const char *dir, const tn_cli_options *o, int *exit_status, tn_error *err)
{
    tn_cache_list files;
    tn_profile_size limit;
    bool is_off;
    uint64_t most = 0;
    TN_TRY(tn_cache_limit(NULL, &limit, &is_off, err));
    TN_TRY(tn_cache_list_read(dir, &files, err));
    if (!is_off && tn_cache_limit_bytes(&limit, dir, &most, NULL))
        most = 0; /* no directory yet */
    *exit_status = (o->json ? list_json : list_text)(dir, most, &files);
    tn_cache_list_deinit(&files);
    return TN_OK;
}

static tn_status clear(const char *dir, const tn_cli_options *o, int *exit_status, tn_error *err)
{
    tn_cache_list gone;
    char size[32];
    TN_TRY(tn_cache_clear(dir, &gone, err));
    *exit_status = TN_EXIT_OK;
    if (o->json) {
        *exit_status = tn_cli_print_json(json_pack("{s:s, s:I, s:I}", "directory", dir,
                                                   "removed_files", (json_int_t)gone.n,
                                                   "removed_bytes", (json_int_t)gone.bytes));
    } else if (!o->quiet) {
        printf("%s: %zu files removed, %s\n", dir, gone.n, tn_cli_bytes(gone.bytes, size));
        *exit_status = tn_cli_flush();
    }
    tn_cache_list_deinit(&gone);
    return TN_OK;
}

int tn_cmd_cache(const tn_cli_options *o)
{
    tn_error err = { 0 };
    char *dir = NULL;
    int exit_status = TN_EXIT_OK;
    const char *word = o->word.item[0];
    tn_status status = tn_cache_dir_path(&dir, &err);
    if (!status && strcmp(word, "list") == 0)
        status = list(dir, o, &exit_status, &err);
    else if (!status && strcmp(word, "clear") == 0)
        status = clear(dir, o, &exit_status, &err);
    else if (!status)
        status =
            tn_fail(&err, TN_INVALID, "tenon cache %s: what is to be done? list or clear", word);
    tn_free(dir);
    return status ? tn_cli_error(status, &err) : exit_status;
}
