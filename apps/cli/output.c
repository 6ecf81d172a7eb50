/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/output.h"

#include "apps/cli/terminal.h"
#include "core/base/alloc.h"
#include "model/formats/json_memory.h"
#include "model/formats/printable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int tn_cli_error(tn_status status, const tn_error *err)
{
    /* A name or value of the message may hold anything, also what moves the cursor. */
    tn_strbuf text = TN_STRBUF(8 * sizeof err->text);
    tn_put_printable(&text, err->text, strlen(err->text));
    fprintf(stderr, "%stenon:%s %s\n", tn_cli_red(STDERR_FILENO), tn_cli_plain(STDERR_FILENO),
            text.len ? text.data : tn_status_name(status));
    tn_strbuf_deinit(&text);
    switch (status) {
    case TN_INVALID:
    case TN_UNSUPPORTED:
    case TN_UNAVAILABLE:
        return TN_EXIT_USAGE;
    default:
        return TN_EXIT_FAILED;
    }
}

int tn_cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return TN_EXIT_OK;
    fprintf(stderr, "tenon: cannot write to stdout: %s\n", strerror(errno));
    return TN_EXIT_FAILED;
}

int tn_cli_print(const tn_strbuf *text)
{
    if (text->failed) {
        fprintf(stderr, "tenon: cannot allocate memory for the output\n");
        return TN_EXIT_FAILED;
    }
    fwrite(tn_strbuf_text(text), 1, text->len, stdout);
    return tn_cli_flush();
}

int tn_cli_print_json(json_t *json)
{
    /* 9 digits tell any two floats apart. */
    char *text = json ? json_dumps(json, JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    if (!text || tn_json_failures() > 0) {
        tn_free(text);
        fprintf(stderr, "tenon: cannot allocate memory for the JSON output\n");
        return TN_EXIT_FAILED;
    }
    puts(text);
    tn_free(text);
    return tn_cli_flush();
}

tn_open_args tn_cli_open_args(const tn_cli_options *options, const char **sets, char *thread_set)
{
    int32_t n = 0;
    for (; n < options->set.n; n++)
        sets[n] = options->set.item[n];
    if (options->threads > 0) {
        snprintf(thread_set, 32, "threads=%d", (int)options->threads);
        sets[n++] = thread_set;
    }
    if (options->no_cache)
        sets[n++] = "cache.enabled=false";
    return (tn_open_args){ .size = sizeof(tn_open_args),
                           .profile = options->profile,
                           .model = options->model,
                           .set = sets,
                           .n_sets = n,
                           .plugin_dir = options->plugin_dir };
}

tn_status tn_cli_need_model(const tn_cli_options *options, tn_error *err)
{
    if (options->profile || options->model)
        return TN_OK;
    return tn_fail(err, TN_INVALID, "which model? give --profile FILE or --model PATH");
}

const char *tn_cli_bytes(uint64_t bytes, char text[32])
{
    static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1000 && unit < 4; unit++)
        value /= 1000;
    snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}
