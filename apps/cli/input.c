/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/input.h"

#include "core/base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static tn_status read_all(FILE *file, const char *name, tn_strbuf *text, tn_error *err)
{
    char piece[8192];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, file)) > 0 && !text->failed)
        tn_strbuf_append(text, piece, n);
    if (ferror(file))
        return tn_fail(err, TN_INVALID, "%s cannot be read: %s", name, strerror(errno));
    return tn_strbuf_status(text, name, err);
}

/* Pipes and devices are read as files are: a shell hands in <(command) as one. */
tn_status tn_cli_read_text(const char *path, size_t max_bytes, char **out, size_t *out_n,
                           tn_error *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "rbe");
    tn_strbuf text = TN_STRBUF(max_bytes);
    if (!file)
        return tn_fail(err, TN_INVALID, "%s: %s", path, strerror(errno));
    tn_status status = read_all(file, is_stdin ? "stdin" : path, &text, err);
    if (!is_stdin)
        fclose(file);
    *out_n = text.len;
    *out = status ? NULL : tn_strbuf_take(&text);
    tn_strbuf_deinit(&text);
    if (!status && !*out)
        return tn_fail_memory(err, "the input");
    return status;
}
