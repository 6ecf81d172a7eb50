/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes through a byte-level BPE and a SentencePiece tokenizer: they come back from decode, and
 * the token stream shows the same text. The first byte chooses the flags.
 */
#include "model/text/token_stream.h"
#include "model/text/utf8.h"
#include "tests/model/text_fixture.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static tn_tokenizer *create(const tn_vocab *vocab)
{
    tn_tokenizer *t;
    check(tn_tokenizer_create(vocab, &t, NULL) == TN_OK);
    return t;
}

static tn_tokenizer *create_bpe(text_fixture *f)
{
    fixture_bpe(f, "llama-bpe");
    (void)fixture_merge(f, "a", "b");
    (void)fixture_merge(f, "ab", "ab");
    (void)fixture_merge(f, "\xC4\xA0", "ab");
    (void)fixture_merge(f, "\xC3\x83", "\xC2\xA9"); /* the alphabet's letters for 0xC3 0xA9 */
    (void)fixture_add(f, "<|x|>", TN_TOKEN_CONTROL, 0);
    (void)fixture_add(f, "<|x|><", TN_TOKEN_CONTROL, 0);
    (void)fixture_add(f, "ba", TN_TOKEN_USER_DEFINED, 0);
    return create(&f->vocab);
}

static tn_tokenizer *create_spm(text_fixture *f)
{
    fixture_spm(f);
    (void)fixture_add(f, "\xE2\x96\x81", TN_TOKEN_NORMAL, -9);
    (void)fixture_add(f, "a", TN_TOKEN_NORMAL, -10);
    (void)fixture_add(f, "b", TN_TOKEN_NORMAL, -11);
    (void)fixture_add(f, "ab", TN_TOKEN_NORMAL, -1);
    (void)fixture_add(f,
                      "\xE2\x96\x81"
                      "ab",
                      TN_TOKEN_NORMAL, -2);
    (void)fixture_add(f, "<u>", TN_TOKEN_USER_DEFINED, 0);
    return create(&f->vocab);
}

/* Valid UTF-8 of text, with U+FFFD for each ill-formed part. */
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

static void check_stream(const tn_tokenizer *t, const tn_ids *ids, const tn_strbuf *whole)
{
    tn_strbuf shown = TN_STRBUF(16 << 20), expected = TN_STRBUF(16 << 20);
    tn_token_stream *s;
    bool stopped;
    check(tn_token_stream_create(t, NULL, 0, true, &s, NULL) == TN_OK);
    for (size_t i = 0; i < ids->n; i++)
        check(tn_token_stream_push(s, ids->id[i], &shown, &stopped, NULL) == TN_OK);
    check(tn_token_stream_finish(s, &shown, NULL) == TN_OK);
    tn_token_stream_destroy(s);
    replace_invalid(whole, &expected);
    check(shown.len == expected.len &&
          memcmp(tn_strbuf_text(&shown), tn_strbuf_text(&expected), shown.len) == 0);
    tn_strbuf_deinit(&expected);
    tn_strbuf_deinit(&shown);
}

static void check_text(const tn_tokenizer *t, const char *text, size_t n, unsigned flags,
                       bool comes_back)
{
    tn_ids ids = { 0 };
    tn_strbuf back = TN_STRBUF(16 << 20);
    check(tn_tokenizer_encode(t, text, n, flags, &ids, NULL) == TN_OK);
    check(tn_tokenizer_decode(t, ids.id, ids.n, true, &back, NULL) == TN_OK);
    check(!comes_back || (back.len == n && memcmp(tn_strbuf_text(&back), text, n) == 0));
    check_stream(t, &ids, &back);
    tn_strbuf_deinit(&back);
    tn_ids_deinit(&ids);
}

/* SentencePiece writes U+2581 as a blank. */
static bool has_space_sign(const char *text, size_t n)
{
    for (size_t i = 0; i + 3 <= n; i++) {
        if (memcmp(text + i, "\xE2\x96\x81", 3) == 0)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static text_fixture bpe_fixture, spm_fixture;
    static tn_tokenizer *bpe, *spm; /* kept for the process: creating them costs more than a run */
    if (!bpe) {
        bpe = create_bpe(&bpe_fixture);
        spm = create_spm(&spm_fixture);
    }
    if (size == 0)
        return 0;
    unsigned flags = data[0] & TN_ENCODE_SPECIAL;
    const char *text = (const char *)data + 1;
    check_text(bpe, text, size - 1, flags, true);
    check_text(spm, text, size - 1, flags, !flags && !has_space_sign(text, size - 1));
    return 0;
}
