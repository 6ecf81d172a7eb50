/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/memory_report.h"

#include "apps/cli/output.h"

#include <inttypes.h>

static void put_line(const char *head, const char *what, uint64_t bytes, tn_strbuf *out)
{
    char text[32];
    tn_strbuf_printf(out, "%-15s %-13s %10s", head, what, tn_cli_bytes(bytes, text));
}

void tn_cli_put_memory(const tn_setup *s, const tn_memory_need *need, tn_strbuf *out)
{
    char text[32];
    put_line("memory", "weights", need->weight_bytes, out);
    tn_strbuf_puts(out, "  packed\n");
    put_line("", "kv", need->kv_bytes, out);
    tn_strbuf_printf(out, "  %s, %d blocks of %d tokens, %" PRIu64 " B a token%s\n",
                     s->profile->kv.format, (int)need->blocks, (int)need->block_tokens,
                     need->kv_token_bytes,
                     tn_device_is_host(&s->binding->device[0]) ? "; touched as it fills" : "");
    put_line("", "activations", need->activation_bytes, out);
    tn_strbuf_printf(out, "  for batches of %d tokens\n", (int)s->binding->max_tokens);
    put_line("", "workspace", need->workspace_bytes, out);
    tn_strbuf_puts(out, "  of kernels\n");
    put_line("", "total", need->total_bytes, out);
    if (need->free_bytes)
        tn_strbuf_printf(out, "  %s are free now", tn_cli_bytes(need->free_bytes, text));
    tn_strbuf_puts(out, "\n");
}

json_t *tn_cli_memory_json(const tn_setup *s, const tn_memory_need *need)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:s, s:i}", "weights",
        (json_int_t)need->weight_bytes, "kv", (json_int_t)need->kv_bytes, "activations",
        (json_int_t)need->activation_bytes, "workspace", (json_int_t)need->workspace_bytes, "total",
        (json_int_t)need->total_bytes, "free", (json_int_t)need->free_bytes, "kv_bytes_per_token",
        (json_int_t)need->kv_token_bytes, "kv_blocks", (int)need->blocks, "block_tokens",
        (int)need->block_tokens, "kv_format", s->profile->kv.format, "context", (int)s->context);
}
