/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/convert/convert.h"

#include "apps/convert/convert_impl.h"
#include "core/base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool ends_in_gguf(const char *path)
{
    const size_t n = strlen(path);
    return n >= 5 && strcmp(path + n - 5, ".gguf") == 0;
}

/* What the target is to be: as said, as its name says, or what the source is not. */
static tn_status find_target(const tn_convert_args *args, const tn_model_file *file, bool *to_gguf,
                             tn_error *err)
{
    const bool from_gguf = strncmp(tn_model_file_format(file), "GGUF", 4) == 0;
    *to_gguf = args->to ? strcmp(args->to, "gguf") == 0 : !from_gguf || ends_in_gguf(args->target);
    if (*to_gguf && (args->max_shard_bytes || (args->type && strcmp(args->type, "plain") != 0)))
        return tn_fail(err, TN_INVALID,
                       "DST is a GGUF file: --max-shard-size is not for it, and of --type only "
                       "plain; without it codes of 4 bits stay codes");
    if (*to_gguf != from_gguf)
        return TN_OK;
    return tn_fail(err, TN_UNSUPPORTED,
                   from_gguf ? "%s is a GGUF file already; it can be made a Hugging Face "
                               "directory: give DST another name, or --to hf"
                             : "%s is a Hugging Face directory already; it can be made a GGUF "
                               "file: --to gguf",
                   args->source);
}

static tn_status convert(const tn_convert_args *args, tn_model_file *file,
                         tn_convert_report *report, tn_error *err)
{
    bool to_gguf = false;
    char *target = NULL;
    TN_TRY(find_target(args, file, &to_gguf, err));
    TN_TRY(tn_convert_place(args->target, !to_gguf, &target, err));
    const tn_status st =
        (to_gguf ? tn_convert_to_gguf : tn_convert_to_hf)(args, file, target, report, err);
    tn_free(target);
    return st;
}

void tn_convert_note(tn_convert_report *report, const char *format, ...)
{
    va_list args;
    if (report->n_notes == TN_CONVERT_MAX_NOTES)
        return;
    va_start(args, format);
    (void)vsnprintf(report->note[report->n_notes++], sizeof report->note[0], format, args);
    va_end(args);
}

tn_status tn_convert(const tn_convert_args *args, tn_convert_report *report, tn_error *err)
{
    tn_model_file *file = NULL;
    *report = (tn_convert_report){ 0 };
    if (args->to && strcmp(args->to, "hf") != 0 && strcmp(args->to, "gguf") != 0)
        return tn_fail(err, TN_INVALID, "--to %s: hf and gguf are allowed", args->to);
    TN_TRY(tn_model_file_open(args->source, &file, err));
    const tn_status st = convert(args, file, report, err);
    tn_model_file_close(file);
    return st;
}
