/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata for people: one line a key, safe to print on a terminal. */
#include "model/formats/gguf.h"
#include "model/formats/little_endian.h"

#include <inttypes.h>
#include <string.h>

/* A longer string is cut, and its length told. */
enum { SHOWN_BYTES = 512 };
/* A line: every byte may become four. */
enum { LINE_BYTES = 4 * TN_GGUF_MAX_KEY_BYTES + 256 };

/* Length of the well-formed UTF-8 sequence at p (RFC 3629, table 3-7 of Unicode), 0 when there is
 * none. */
static size_t utf8_length(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool is_overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool is_outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return is_overlong || is_outside ? 0 : length;
}

static void escape(tn_strbuf *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length(p + i, n - i);
        bool is_control = length == 1 ? p[i] < 0x20 || p[i] == 0x7f
                                      : length == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0; /* C1 */
        if (length && !is_control)
            tn_strbuf_append(out, p + i, length);
        else if (p[i] == '\n')
            tn_strbuf_puts(out, "\\n");
        else
            tn_strbuf_printf(out, "\\x%02x", p[i]);
        i += length && !is_control ? length : 1;
    }
}

static void print_string(tn_strbuf *out, const tn_gguf_pair *pair)
{
    size_t n = (size_t)pair->n;
    bool is_cut = n > SHOWN_BYTES;
    if (is_cut)
        n = SHOWN_BYTES;
    while (is_cut && n > SHOWN_BYTES - 4 && (pair->data[n] & 0xc0) == 0x80)
        n--; /* not inside a character */
    escape(out, pair->data, n);
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
        escape(&line, (const uint8_t *)g->pair[i].key.data, g->pair[i].key.n);
        (*out)[i].key = settle(&line, arena);
        print_value(&line, &g->pair[i]);
        (*out)[i].value = settle(&line, arena);
        if (!(*out)[i].key || !(*out)[i].value)
            st = tn_fail_memory(err, "the list of metadata");
    }
    tn_strbuf_deinit(&line);
    return st;
}
