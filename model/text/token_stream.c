/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/token_stream.h"

#include "core/base/alloc.h"
#include "model/text/tokenizer_impl.h"
#include "model/text/utf8.h"

#include <string.h>

#define MAX_STOPS      64
#define MAX_STOP_BYTES 1024
/* Of one token's text at most 64 KiB (vocab_index.c), and what is held back is shorter than a stop
 * string. */
#define MAX_TEXT_BYTES (1u << 20)

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

struct tn_token_stream {
    const tn_tokenizer *tokenizer;
    bool special, stopped;
    tn_decode_state decode;
    tn_strbuf raw;  /* decoded bytes; between calls at most the beginning of one character */
    tn_strbuf text; /* valid UTF-8 not yet shown; between calls a proper prefix of a stop string, or
                       empty */
    int32_t n_held; /* ids to come that complete no stop string */
    size_t n_stops, max_stop_bytes;
    struct {
        char *text; /* owned */
        size_t n;
    } stop[MAX_STOPS];
};

static tn_status copy_stops(tn_token_stream *s, const char *const *stops, size_t n_stops,
                            tn_error *err)
{
    if (n_stops > MAX_STOPS)
        return tn_fail(err, TN_INVALID, "%zu stop strings, at most %d are allowed", n_stops,
                       MAX_STOPS);
    for (size_t i = 0; i < n_stops; i++) {
        size_t n = strlen(stops[i]);
        if (n < 1 || n > MAX_STOP_BYTES)
            return tn_fail(err, TN_INVALID, "stop string %zu has %zu bytes, 1 to %d are allowed",
                           i + 1, n, MAX_STOP_BYTES);
        /* Then a stop string begins and ends where a character does, and what is shown is never cut
         * inside one. */
        if (tn_utf8_valid_prefix(stops[i], n) < n)
            return tn_fail(err, TN_INVALID, "stop string %zu is not UTF-8", i + 1);
        char *copy = tn_strdup(stops[i]);
        if (!copy)
            return tn_fail_memory(err, "a stop string");
        s->stop[s->n_stops].text = copy;
        s->stop[s->n_stops++].n = n;
        if (n > s->max_stop_bytes)
            s->max_stop_bytes = n;
    }
    return TN_OK;
}

tn_status tn_token_stream_create(const tn_tokenizer *t, const char *const *stops, size_t n_stops,
                                 bool special, tn_token_stream **out, tn_error *err)
{
    *out = NULL;
    tn_token_stream *s = tn_alloc_array(1, sizeof(*s));
    if (!s)
        return tn_fail_memory(err, "a token stream");
    s->tokenizer = t;
    s->special = special;
    s->raw = s->text = TN_STRBUF(MAX_TEXT_BYTES);
    tn_status st = copy_stops(s, stops, n_stops, err);
    if (st)
        tn_token_stream_destroy(s);
    else
        *out = s;
    return st;
}

void tn_token_stream_hold_stops(tn_token_stream *s, int32_t n_ids)
{
    s->n_held = n_ids;
}

void tn_token_stream_destroy(tn_token_stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_stops; i++)
        tn_free(s->stop[i].text);
    tn_strbuf_deinit(&s->raw);
    tn_strbuf_deinit(&s->text);
    tn_free(s);
}

/* The bytes from n on move to the front. */
static void drop_front(tn_strbuf *b, size_t n)
{
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n + 1); /* with the NUL */
    b->len -= n;
}

/* Moves whole characters from raw to text, U+FFFD for what can be none; at the end of the answer
 * also for a cut one. */
static void move_characters(tn_token_stream *s, bool at_end)
{
    size_t at = 0;
    while (at < s->raw.len) {
        tn_utf8_unit unit = tn_utf8_next(s->raw.data + at, s->raw.len - at);
        if (unit.kind == TN_UTF8_PARTIAL && !at_end)
            break;
        if (unit.kind == TN_UTF8_CHAR)
            tn_strbuf_append(&s->text, s->raw.data + at, unit.n);
        else
            tn_strbuf_puts(&s->text, REPLACEMENT);
        at += unit.n;
    }
    drop_front(&s->raw, at);
}

/* True when stop string i ends at byte `end` of the text. */
static bool ends_with_stop(const tn_token_stream *s, size_t i, size_t end)
{
    size_t n = s->stop[i].n;
    return n <= end && memcmp(s->text.data + end - n, s->stop[i].text, n) == 0;
}

/*
 * The stop string that completes first, and of those that complete at one byte the longest: so the
 * answer is cut at the same place however it is cut into tokens. Ends up to `checked` were looked
 * at by earlier calls. Returns its beginning, or text.len.
 */
static size_t find_stop(const tn_token_stream *s, size_t checked, bool *out_found)
{
    *out_found = false;
    for (size_t end = checked + 1; end <= s->text.len; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < s->n_stops; i++) {
            if (s->stop[i].n > longest && ends_with_stop(s, i, end))
                longest = s->stop[i].n;
        }
        if (longest > 0) {
            *out_found = true;
            return end - longest;
        }
    }
    return s->text.len;
}

/* Bytes at the end of the text that a stop string may begin with: the longest such suffix. */
static size_t held_back(const tn_token_stream *s)
{
    size_t n = s->max_stop_bytes > 0 ? s->max_stop_bytes - 1 : 0;
    for (n = n < s->text.len ? n : s->text.len; n > 0; n--) {
        for (size_t i = 0; i < s->n_stops; i++) {
            if (n < s->stop[i].n && memcmp(s->text.data + s->text.len - n, s->stop[i].text, n) == 0)
                return n;
        }
    }
    return 0;
}

static tn_status advance(tn_token_stream *s, bool at_end, tn_strbuf *out, tn_error *err)
{
    size_t checked = s->text.len;
    move_characters(s, at_end);
    if (s->n_held > 0)
        checked = s->text.len;
    if (s->raw.failed || s->text.failed)
        return tn_fail_memory(err, "the text of tokens");
    size_t n_show = find_stop(s, checked, &s->stopped);
    if (!s->stopped && !at_end)
        n_show -= held_back(s);
    if (n_show > 0)
        tn_strbuf_append(out, s->text.data, n_show);
    if (out->failed)
        return tn_fail_memory(err, "the text of tokens");
    drop_front(&s->text, s->stopped ? s->text.len : n_show);
    return TN_OK;
}

tn_status tn_token_stream_push(tn_token_stream *s, int32_t id, tn_strbuf *out, bool *out_stopped,
                               tn_error *err)
{
    *out_stopped = s->stopped;
    if (s->stopped)
        return TN_OK;
    TN_TRY(tn_tokenizer_decode_step(s->tokenizer, id, s->special, &s->decode, &s->raw, err));
    TN_TRY(advance(s, false, out, err));
    s->n_held -= s->n_held > 0;
    *out_stopped = s->stopped;
    return TN_OK;
}

tn_status tn_token_stream_finish(tn_token_stream *s, tn_strbuf *out, tn_error *err)
{
    return s->stopped ? TN_OK : advance(s, true, out, err);
}
