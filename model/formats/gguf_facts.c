/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata for people: one line a key, safe to print on a terminal. */
#include "model/formats/gguf.h"
#include "model/formats/little_endian.h"
#include "model/formats/printable.h"

#include <inttypes.h>
#include <string.h>

/* A longer string is cut, and its length told. */
enum { SHOWN_BYTES = 512 };
/* A line: every byte may become four. */
enum { LINE_BYTES = 4 * TN_GGUF_MAX_KEY_BYTES + 256 };

static void print_string(tn_strbuf *out, const tn_gguf_pair *pair)
{
    size_t n = (size_t)pair->n;
    bool is_cut = n > SHOWN_BYTES;
    if (is_cut)
        n = SHOWN_BYTES;
    while (is_cut && n > SHOWN_BYTES - 4 && (pair->data[n] & 0xc0) == 0x80)
        n--; /* not inside a character */
    tn_put_printable(out, pair->data, n);
    if (is_cut)
        tn_strbuf_printf(out, "... [%" PRIu64 " bytes]", pair->n);
}

static void print_value(tn_strbuf *out, const tn_gguf_pair *pair)
{
    int64_t integer = 0;
    if (pair->type == TN_GGUF_ARRAY)
        tn_strbuf_printf(out, "[%" PRIu64 " %s%s]", pair->n, tn_gguf_type_name(pair->element),
                         pair->element == TN_GGUF_STRING && pair->n != 1 ? "s" : "");
    else if (pair->type == TN_GGUF_STRING)
        print_string(out, pair);
    else if (pair->type == TN_GGUF_F32)
        tn_strbuf_printf(out, "%.7g", (double)tn_load_f32(pair->data));
    else if (pair->type == TN_GGUF_F64)
        tn_strbuf_printf(out, "%.15g", tn_load_f64(pair->data));
    else if (pair->type == TN_GGUF_BOOL)
        tn_strbuf_puts(out, pair->data[0] ? "true" : "false");
    else if (pair->type == TN_GGUF_U64)
        tn_strbuf_printf(out, "%" PRIu64, tn_load_u64(pair->data));
    else if (tn_gguf_int_at(pair, 0, &integer))
        tn_strbuf_printf(out, "%" PRId64, integer);
}

/* The text of `line` in `arena`; leaves line empty. */
static const char *settle(tn_strbuf *line, tn_arena *arena)
{
    const char *text =
        line->failed ? NULL : tn_arena_copy(arena, tn_strbuf_text(line), line->len + 1);
    tn_strbuf_clear(line);
    return text;
}

tn_status tn_gguf_facts(const tn_gguf *g, tn_arena *arena, tn_model_fact **out, tn_error *err)
{
    tn_status st = TN_OK;
    tn_strbuf line = TN_STRBUF(LINE_BYTES);
    *out = tn_arena_alloc(arena, g->n_pairs * sizeof(**out));
    if (!*out)
        return tn_fail_memory(err, "the list of metadata");
    for (size_t i = 0; i < g->n_pairs && !st; i++) {
        tn_put_printable(&line, g->pair[i].key.data, g->pair[i].key.n);
        (*out)[i].key = settle(&line, arena);
        print_value(&line, &g->pair[i]);
        (*out)[i].value = settle(&line, arena);
        if (!(*out)[i].key || !(*out)[i].value)
            st = tn_fail_memory(err, "the list of metadata");
    }
    tn_strbuf_deinit(&line);
    return st;
}
