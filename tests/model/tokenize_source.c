/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenize_source json|model|file FILE: a tokenizer.json or tokenizer.model without a model around
 * it, or that of a model file, for the tests that hold it against Python's packages. Stdin has records: a byte of flags
 * (TN_ENCODE_*; 4: the ids of `n` are decoded as they are), 4 bytes of length, little-endian, and
 * the bytes of a text (with 4: int32 ids). Stdout has a line for each: ids with blanks between, a
 * tab, the decoded bytes without control tokens in hexadecimal, a tab, and with them. A stream that
 * shows something else than the whole decode ends the program.
 */
#include "core/base/alloc.h"
#include "model/formats/file_map.h"
#include "model/formats/model_file.h"
#include "model/text/token_stream.h"
#include "model/text/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RECORD = 16 << 20, RAW_IDS = 4 };

static void check(tn_status st, const tn_error *err)
{
    if (!st)
        return;
    (void)fprintf(stderr, "%s: %s\n", tn_status_name(st), err->text);
    exit(1);
}

static tn_tokenizer *open_source(const char *kind, const char *path, char **bytes)
{
    tn_error err = { 0 };
    tn_tokenizer *t = NULL;
    size_t n = 0;
    check(tn_file_read(path, 128 << 20, bytes, &n, &err), &err);
    tn_vocab vocab = { .kind = strcmp(kind, "json") == 0 ? TN_VOCAB_HF_JSON : TN_VOCAB_SPM_MODEL,
                       .bos = -1,
                       .eos = -1,
                       .eot = -1,
                       .unk = -1,
                       .pad = -1,
                       .add_bos = -1,
                       .add_eos = -1,
                       .add_space_prefix = -1,
                       .source = { *bytes, n } };
    check(tn_tokenizer_create(&vocab, &t, &err), &err);
    return t;
}

static tn_tokenizer *open_file(const char *path, tn_model_file **file)
{
    tn_error err = { 0 };
    tn_tokenizer *t = NULL;
    check(tn_model_file_open(path, file, &err), &err);
    check(tn_tokenizer_create(tn_model_file_vocab(*file), &t, &err), &err);
    return t;
}

/* Valid UTF-8 of text, with U+FFFD for each ill-formed part, as the stream shows it. */
static void replace_invalid(const tn_strbuf *text, tn_strbuf *out)
{
    for (size_t at = 0; at < text->len;) {
        tn_utf8_unit unit = tn_utf8_next(text->data + at, text->len - at);
        if (unit.kind == TN_UTF8_CHAR)
            tn_strbuf_append(out, text->data + at, unit.n);
        else
            tn_strbuf_puts(out, "\xEF\xBF\xBD");
        at += unit.n;
    }
}

static void put_hex(const tn_strbuf *text)
{
    for (size_t i = 0; i < text->len; i++)
        (void)printf("%02x", (unsigned char)text->data[i]);
}

static void put_decoded(const tn_tokenizer *t, const tn_ids *ids, bool special)
{
    tn_strbuf whole = TN_STRBUF(64 << 20), shown = TN_STRBUF(64 << 20), valid = TN_STRBUF(64 << 20);
    tn_error err = { 0 };
    tn_token_stream *stream;
    bool stopped;
    check(tn_tokenizer_decode(t, ids->id, ids->n, special, &whole, &err), &err);
    check(tn_token_stream_create(t, NULL, 0, special, &stream, &err), &err);
    for (size_t i = 0; i < ids->n; i++)
        check(tn_token_stream_push(stream, ids->id[i], &shown, &stopped, &err), &err);
    check(tn_token_stream_finish(stream, &shown, &err), &err);
    tn_token_stream_destroy(stream);
    replace_invalid(&whole, &valid);
    if (valid.len != shown.len ||
        memcmp(tn_strbuf_text(&valid), tn_strbuf_text(&shown), shown.len) != 0)
        check(tn_fail(&err, TN_INTERNAL, "the stream shows another text than the decode"), &err);
    put_hex(&whole);
    tn_strbuf_deinit(&valid);
    tn_strbuf_deinit(&shown);
    tn_strbuf_deinit(&whole);
}

static void run_record(const tn_tokenizer *t, unsigned flags, const char *text, size_t n)
{
    tn_ids ids = { 0 };
    tn_error err = { 0 };
    if (flags & RAW_IDS) {
        for (size_t i = 0; i + 4 <= n; i += 4) {
            int32_t id;
            memcpy(&id, text + i, 4);
            check(tn_ids_append(&ids, id, &err), &err);
        }
    } else {
        check(tn_tokenizer_encode(t, text, n, flags, &ids, &err), &err);
    }
    for (size_t i = 0; i < ids.n; i++)
        (void)printf("%s%d", i ? " " : "", ids.id[i]);
    (void)printf("\t");
    put_decoded(t, &ids, false);
    (void)printf("\t");
    put_decoded(t, &ids, true);
    (void)printf("\n");
    tn_ids_deinit(&ids);
}

int main(int argc, char **argv)
{
    char *source = NULL;
    unsigned char head[5];
    if (argc != 3)
        return 2;
    tn_model_file *file = NULL;
    tn_tokenizer *t = strcmp(argv[1], "file") == 0 ? open_file(argv[2], &file)
                                                   : open_source(argv[1], argv[2], &source);
    while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
        size_t n = head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16 | (size_t)head[4] << 24;
        char *text = n <= MAX_RECORD ? tn_alloc(n + 1) : NULL;
        if (!text || fread(text, 1, n, stdin) != n)
            return 2;
        run_record(t, head[0], text, n);
        tn_free(text);
    }
    tn_tokenizer_destroy(t);
    tn_model_file_close(file);
    tn_free(source);
    return 0;
}
