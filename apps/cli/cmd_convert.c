/* SPDX-License-Identifier: Apache-2.0 */
/* tenon convert: a GGUF file as a Hugging Face directory, and the reverse. */
#include "apps/cli/chat_signal.h"
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "apps/cli/progress.h"
#include "apps/convert/convert.h"

#include <stdlib.h>
#include <string.h>

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    tn_cli_progress_update(ctx, done, total);
    return !tn_chat_interrupted() && !tn_chat_must_end();
}

static json_t *to_json(const tn_cli_options *o, const tn_convert_report *r)
{
    json_t *formats = json_array();
    for (int32_t i = 0; i < r->n_formats; i++)
        (void)json_array_append_new(formats, json_pack("{sssisI}", "name", r->format[i].name,
                                                       "tensors", (int)r->format[i].tensors,
                                                       "bytes", (json_int_t)r->format[i].bytes));
    json_t *notes = json_array();
    for (int32_t i = 0; i < r->n_notes; i++)
        (void)json_array_append_new(notes, json_string(r->note[i]));
    return json_pack("{sssosIs{sfsfss}so}", "path", o->word.item[1], "formats", formats, "bytes",
                     (json_int_t)r->bytes, "largest_rounding_error", "error", r->largest_error,
                     "relative", r->relative_error, "tensor", r->error_tensor, "notes", notes);
}

static int show(const tn_cli_options *o, const tn_convert_report *r)
{
    tn_strbuf out = TN_STRBUF(1 << 16);
    char bytes[32];
    tn_strbuf_printf(&out, "%s: %s\n", o->word.item[1], tn_cli_bytes(r->bytes, bytes));
    for (int32_t i = 0; i < r->n_formats; i++)
        tn_strbuf_printf(&out, "%-4s  %d tensors, %s\n", r->format[i].name,
                         (int)r->format[i].tensors, tn_cli_bytes(r->format[i].bytes, bytes));
    if (r->error_tensor[0])
        tn_strbuf_printf(
            &out, "largest rounding error %.3g, in %s, %.2g of the largest weight of its row\n",
            r->largest_error, r->error_tensor, r->relative_error);
    else
        tn_strbuf_puts(&out, "exact\n");
    for (int32_t i = 0; i < r->n_notes; i++)
        tn_strbuf_printf(&out, "note: %s\n", r->note[i]);
    const int status = tn_cli_print(&out);
    tn_strbuf_deinit(&out);
    return status;
}

/* Decimal units as transformers' save_pretrained has them, and binary ones. */
static tn_status parse_size(const char *text, uint64_t *bytes, tn_error *err)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = { { "", 1 },
                  { "B", 1 },
                  { "KB", 1000 },
                  { "MB", 1000 * 1000 },
                  { "GB", 1000 * 1000 * 1000 },
                  { "KiB", 1 << 10 },
                  { "MiB", 1 << 20 },
                  { "GiB", 1 << 30 } };
    const size_t n_digits = text ? strspn(text, "0123456789") : 0;
    *bytes = 0;
    if (!text)
        return TN_OK;
    const uint64_t number = n_digits > 0 && n_digits < 10 ? strtoull(text, NULL, 10) : 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text + n_digits, units[i].name) == 0)
            *bytes = number * units[i].bytes;
    if (*bytes > 0)
        return TN_OK;
    return tn_fail(err, TN_INVALID,
                   "--max-shard-size %.64s: a number of at most 9 digits and KB, MB, GB, KiB, MiB "
                   "or GiB is needed",
                   text);
}

int tn_cmd_convert(const tn_cli_options *o)
{
    tn_error err = { 0 };
    tn_cli_progress progress;
    tn_convert_report report;
    tn_convert_args args = { .source = o->word.item[0],
                             .target = o->word.item[1],
                             .to = o->to,
                             .type = o->type,
                             .dtype = o->dtype,
                             .progress = on_progress,
                             .ctx = &progress };
    tn_status status = parse_size(o->max_shard_size, &args.max_shard_bytes, &err);
    if (status)
        return tn_cli_error(status, &err);
    tn_chat_signals_install();
    tn_cli_progress_init(&progress, "converting", TN_CLI_BYTES, o);
    status = tn_convert(&args, &report, &err);
    tn_cli_progress_end(&progress);
    if (status)
        return tn_cli_error(status, &err);
    if (o->json)
        return tn_cli_print_json(to_json(o, &report));
    return o->quiet ? TN_EXIT_OK : show(o, &report);
}
