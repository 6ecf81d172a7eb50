/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/decoder.h"

#include "core/base/alloc.h"
#include "model/text/byte_alphabet.h"
#include "model/text/hf/pretokenizer.h"
#include "model/text/vocab_index.h"

#include <string.h>

enum { MAX_CONTENT_BYTES = 4096 };
#define MAX_PIECE_BYTES (64u << 20)
enum { D_REPLACE, D_STRIP, D_METASPACE, D_BYTES, D_BYTE_FALLBACK, D_FUSE };

/* ---- from JSON ---- */

static void keep_text(tn_json_reader *part, const char *text, size_t n, tn_hf_decoding *d)
{
    if (n > MAX_CONTENT_BYTES)
        tn_json_fail(part, TN_INVALID, "content has %zu bytes, at most %d are allowed", n,
                     MAX_CONTENT_BYTES);
    if (part->status)
        return;
    d->text = tn_strndup(text, n);
    d->n_text = n;
    if (!d->text)
        tn_json_fail(part, TN_NO_MEMORY, "no memory for the decoder");
}

static void read_replace(tn_json_reader *part, tn_hf_decoding *d)
{
    tn_text content = tn_hf_need_text(part, "content");
    d->kind = D_REPLACE;
    keep_text(part, content.data, content.n, d);
    tn_hf_read_pattern(part, "pattern", &d->pattern);
}

static void read_strip(tn_json_reader *part, tn_hf_decoding *d)
{
    char content[5] = "";
    d->kind = D_STRIP;
    tn_json_need(part, "content");
    tn_hf_read_char(part, "content", content);
    tn_json_int32(part, "start", 0, 1 << 20, &d->start);
    tn_json_int32(part, "stop", 0, 1 << 20, &d->stop);
    keep_text(part, content, strlen(content), d);
}

static void read_metaspace(tn_json_reader *part, tn_hf_decoding *d)
{
    char sign[5];
    d->kind = D_METASPACE;
    tn_hf_read_char(part, "replacement", sign);
    d->drop_first = tn_hf_read_prepend_scheme(part) != TN_PREPEND_NEVER;
    keep_text(part, sign, strlen(sign), d);
}

/* What sees tokens comes first; then ByteLevel, or ByteFallback and Fuse, which make one text of
 * them; then what sees the text. Only the beginning of a text can be stripped while it streams. */
static void check_order(tn_hf_decoder *decoder, tn_json_reader *part, const tn_hf_decoding *d)
{
    const bool joined = decoder->spells_bytes || decoder->byte_fallback || decoder->n_token >= 0;
    if (d->kind == D_FUSE && decoder->n_token < 0)
        decoder->n_token = decoder->n - 1;
    else if (d->kind == D_BYTE_FALLBACK && !joined)
        decoder->byte_fallback = true;
    else if (d->kind == D_BYTES && !joined)
        decoder->spells_bytes = true;
    else if (d->kind == D_STRIP && decoder->n_token >= 0 && decoder->text_strip < 0 &&
             d->stop == 0 && d->n_text == 1)
        decoder->text_strip = decoder->n - 1;
    else if (d->kind != D_FUSE && joined)
        tn_json_fail(
            part, TN_UNSUPPORTED,
            "does not run after what joins the tokens; supported there: Fuse, and after it "
            "one Strip of an ASCII character with stop 0");
}

static void read_part(void *ctx, tn_json_reader *part, const char *type)
{
    tn_hf_decoder *decoder = ctx;
    tn_hf_decoding *d = &decoder->part[decoder->n++];
    *d = (tn_hf_decoding){ 0 };
    if (strcmp(type, "Replace") == 0)
        read_replace(part, d);
    else if (strcmp(type, "Strip") == 0)
        read_strip(part, d);
    else if (strcmp(type, "Metaspace") == 0)
        read_metaspace(part, d);
    else if (strcmp(type, "ByteLevel") == 0)
        d->kind = D_BYTES;
    else if (strcmp(type, "ByteFallback") == 0)
        d->kind = D_BYTE_FALLBACK;
    else if (strcmp(type, "Fuse") == 0)
        d->kind = D_FUSE;
    else
        tn_hf_fail_type(part, type,
                        "ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip, Sequence");
    if (!part->status)
        check_order(decoder, part, d);
}

tn_status tn_hf_decoder_init(tn_hf_decoder *decoder, const json_t *root, tn_error *err)
{
    *decoder = (tn_hf_decoder){ .n_token = -1, .text_strip = -1 };
    TN_TRY(tn_hf_read_section(root, "decoder", "decoders", read_part, decoder, err));
    if (decoder->n_token < 0)
        decoder->n_token = decoder->n;
    decoder->none = decoder->n == 0;
    return TN_OK;
}

void tn_hf_decoder_deinit(tn_hf_decoder *decoder)
{
    for (int32_t i = 0; i < decoder->n; i++) {
        tn_pattern_destroy(decoder->part[i].pattern);
        tn_free(decoder->part[i].text);
    }
    *decoder = (tn_hf_decoder){ 0 };
}

/* ---- one token ---- */

typedef struct replacing {
    const tn_hf_decoding *d;
    const char *text;
    tn_strbuf *out;
} replacing;

static tn_status take_segment(void *ctx, size_t from, size_t to, bool is_match, tn_error *err)
{
    const replacing *r = ctx;
    if (is_match)
        tn_strbuf_append(r->out, r->d->text, r->d->n_text);
    else
        tn_strbuf_append(r->out, r->text + from, to - from);
    return r->out->failed ? tn_fail_memory(err, "the text of a token") : TN_OK;
}

static tn_status replace(const tn_hf_decoding *d, const char *text, size_t n, tn_strbuf *out,
                         tn_error *err)
{
    replacing r = { d, text, out };
    tn_pattern_scratch *scratch = tn_pattern_scratch_create(n);
    if (!scratch)
        return tn_fail_memory(err, "the text of a token");
    tn_status st = tn_pattern_segments(d->pattern, scratch, text, n, take_segment, &r, err);
    tn_pattern_scratch_destroy(scratch);
    return st;
}

static bool has_at(const tn_hf_decoding *d, const char *text, size_t n, size_t at)
{
    return n - at >= d->n_text && memcmp(text + at, d->text, d->n_text) == 0;
}

static void strip(const tn_hf_decoding *d, const char *text, size_t n, tn_strbuf *out)
{
    size_t from = 0, to = n;
    for (int32_t i = 0; i < d->start && has_at(d, text, n, from); i++)
        from += d->n_text;
    for (int32_t i = 0;
         i < d->stop && to - from >= d->n_text && has_at(d, text, to, to - d->n_text); i++)
        to -= d->n_text;
    tn_strbuf_append(out, text + from, to - from);
}

static void put_blanks(const tn_hf_decoding *d, const char *text, size_t n, bool is_first,
                       tn_strbuf *out)
{
    for (size_t at = 0; at < n;) {
        bool sign = has_at(d, text, n, at);
        if (!sign)
            tn_strbuf_append(out, text + at, 1);
        else if (!is_first || !d->drop_first)
            tn_strbuf_puts(out, " ");
        at += sign ? d->n_text : 1;
    }
}

static tn_status run_part(const tn_hf_decoding *d, const tn_strbuf *text, bool is_first,
                          tn_strbuf *out, tn_error *err)
{
    const char *bytes = tn_strbuf_text(text);
    int32_t byte;
    char value;
    switch (d->kind) {
    case D_REPLACE:
        return replace(d, bytes, text->len, out, err);
    case D_STRIP:
        strip(d, bytes, text->len, out);
        return TN_OK;
    case D_METASPACE:
        put_blanks(d, bytes, text->len, is_first, out);
        return TN_OK;
    case D_BYTES:
        if (!tn_byte_alphabet_get(bytes, text->len, out))
            tn_strbuf_append(out, bytes, text->len);
        return TN_OK;
    default: /* D_BYTE_FALLBACK: the bytes of a run stand side by side without more ado */
        byte = tn_byte_token_value((tn_text){ bytes, text->len });
        value = (char)byte;
        tn_strbuf_append(out, byte >= 0 ? &value : bytes, byte >= 0 ? 1 : text->len);
        return TN_OK;
    }
}

/* The Strip of the whole text: it may take several tokens altogether. */
static void put_text(const tn_hf_decoder *decoder, const tn_strbuf *piece,
                     tn_hf_decode_state *state, tn_strbuf *out)
{
    const char *text = tn_strbuf_text(piece);
    size_t at = 0;
    const tn_hf_decoding *d = decoder->text_strip < 0 ? NULL : &decoder->part[decoder->text_strip];
    while (d && !state->text_begun && state->stripped < d->start && at < piece->len &&
           text[at] == d->text[0]) {
        at++;
        state->stripped++;
    }
    state->text_begun = state->text_begun || at < piece->len;
    tn_strbuf_append(out, text + at, piece->len - at);
}

tn_status tn_hf_decoder_step(const tn_hf_decoder *decoder, tn_text token, tn_hf_decode_state *state,
                             tn_strbuf *out, tn_error *err)
{
    tn_strbuf text = TN_STRBUF(MAX_PIECE_BYTES), next = TN_STRBUF(MAX_PIECE_BYTES);
    tn_status st = TN_OK;
    if (decoder->none && state->begun)
        tn_strbuf_puts(&text, " ");
    tn_strbuf_append(&text, token.data, token.n);
    for (int32_t i = 0; !st && i < decoder->n_token; i++) {
        tn_strbuf_clear(&next);
        st = run_part(&decoder->part[i], &text, !state->begun, &next, err);
        tn_strbuf swap = text;
        text = next;
        next = swap;
    }
    state->begun = true;
    if (!st && (text.failed || next.failed))
        st = tn_fail_memory(err, "the text of a token");
    if (!st)
        put_text(decoder, &text, state, out);
    tn_strbuf_deinit(&next);
    tn_strbuf_deinit(&text);
    return st;
}
