/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each vocabulary of tests/model/tokenizers on the texts of texts.json: ids and decoded text as
 * Hugging Face's tokenizers and SentencePiece gave them (make_tokenizer_goldens.py). More strings:
 * test_tokenizers.py.
 */
#include "core/base/alloc.h"
#include "model/formats/file_map.h"
#include "model/text/token_stream.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_FILE_BYTES = 1 << 20, MAX_TEXT_BYTES = 1 << 16 };

static void path_of(const char *name, const char *end, char *out, size_t n)
{
    (void)snprintf(out, n, "%s/%s%s", TEST_TOKENIZERS, name, end);
}

static json_t *load_list(const char *name, const char *end)
{
    char path[1024];
    json_error_t where;
    path_of(name, end, path, sizeof path);
    json_t *list = json_load_file(path, JSON_ALLOW_NUL, &where);
    if (!json_is_array(list))
        fail_msg("%s:%d: %s", path, where.line, where.text);
    return list;
}

static tn_tokenizer *load_tokenizer(const char *name, int32_t kind, char **bytes)
{
    char path[1024];
    tn_tokenizer *t = NULL;
    tn_error err = { 0 };
    size_t n = 0;
    path_of(name, kind == TN_VOCAB_HF_JSON ? ".json" : ".model", path, sizeof path);
    if (tn_file_read(path, MAX_FILE_BYTES, bytes, &n, &err))
        fail_msg("%s", err.text);
    const tn_vocab vocab = { .kind = kind,
                             .bos = -1,
                             .eos = -1,
                             .eot = -1,
                             .unk = -1,
                             .pad = -1,
                             .add_bos = -1,
                             .add_eos = -1,
                             .add_space_prefix = -1,
                             .source = { *bytes, n } };
    if (tn_tokenizer_create(&vocab, &t, &err))
        fail_msg("%s: %s", name, err.text);
    return t;
}

/* A string, or {"hex": "ff41"}. */
static void bytes_of(const json_t *text, tn_strbuf *out)
{
    const char *hex = json_string_value(json_object_get(text, "hex"));
    unsigned byte;
    tn_strbuf_clear(out);
    if (json_is_string(text))
        tn_strbuf_append(out, json_string_value(text), json_string_length(text));
    for (; hex && sscanf(hex, "%2x", &byte) == 1; hex += 2)
        tn_strbuf_append(out, &(char){ (char)byte }, 1);
}

static void expect_ids(const char *name, size_t i, const json_t *wanted, const tn_ids *ids)
{
    bool same = json_array_size(wanted) == ids->n;
    for (size_t k = 0; same && k < ids->n; k++)
        same = json_integer_value(json_array_get(wanted, k)) == ids->id[k];
    if (!same)
        fail_msg("%s: other ids of text %zu", name, i);
}

/* As the token stream shows it: U+FFFD for what is no UTF-8. */
static void expect_text(const char *name, size_t i, const tn_tokenizer *t, const tn_ids *ids,
                        bool special, const json_t *wanted)
{
    tn_strbuf out = TN_STRBUF(MAX_TEXT_BYTES);
    tn_token_stream *stream;
    bool stopped;
    assert_int_equal(tn_token_stream_create(t, NULL, 0, special, &stream, NULL), TN_OK);
    for (size_t k = 0; k < ids->n; k++)
        assert_int_equal(tn_token_stream_push(stream, ids->id[k], &out, &stopped, NULL), TN_OK);
    assert_int_equal(tn_token_stream_finish(stream, &out, NULL), TN_OK);
    tn_token_stream_destroy(stream);
    if (json_string_length(wanted) != out.len ||
        memcmp(json_string_value(wanted), tn_strbuf_text(&out), out.len) != 0)
        fail_msg("%s: text %zu comes back as '%s', not '%s'", name, i, tn_strbuf_text(&out),
                 json_string_value(wanted));
    tn_strbuf_deinit(&out);
}

/* What a golden does not have is the text itself. */
static void expect_golden(const char *name, size_t i, const tn_tokenizer *t, unsigned flags,
                          const json_t *text, const json_t *golden)
{
    const json_t *plain = json_object_get(golden, "plain"), *full = json_object_get(golden, "full");
    tn_strbuf bytes = TN_STRBUF(MAX_TEXT_BYTES);
    tn_ids ids = { 0 };
    plain = plain ? plain : text;
    bytes_of(text, &bytes);
    assert_int_equal(tn_tokenizer_encode(t, tn_strbuf_text(&bytes), bytes.len, flags, &ids, NULL),
                     TN_OK);
    expect_ids(name, i, json_object_get(golden, "ids"), &ids);
    if (json_is_string(text)) {
        expect_text(name, i, t, &ids, false, plain);
        if (flags & TN_ENCODE_SPECIAL)
            expect_text(name, i, t, &ids, true, full ? full : plain);
    }
    tn_ids_deinit(&ids);
    tn_strbuf_deinit(&bytes);
}

static void expect_goldens(const char *name, int32_t kind, unsigned flags)
{
    char *source = NULL;
    json_t *texts = load_list("texts", ".json"), *goldens = load_list(name, ".golden.json");
    tn_tokenizer *t = load_tokenizer(name, kind, &source);
    assert_true(json_array_size(texts) == json_array_size(goldens) && json_array_size(texts) > 40);
    for (size_t i = 0; i < json_array_size(texts); i++)
        if (json_object_get(json_array_get(goldens, i), "ids"))
            expect_golden(name, i, t, flags, json_array_get(texts, i), json_array_get(goldens, i));
    tn_tokenizer_destroy(t);
    tn_free(source);
    json_decref(goldens);
    json_decref(texts);
}

static void a_tokenizer_json_gives_what_tokenizers_gives(void **state)
{
    static const char *const names[] = { "gpt2",   "llama3",           "qwen2",
                                         "llama2", "llama2_metaspace", "gemma" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect_goldens(names[i], TN_VOCAB_HF_JSON, TN_ENCODE_BOS | TN_ENCODE_SPECIAL);
}

/* sentencepiece looks for no special tokens in a text. */
static void a_tokenizer_model_gives_what_sentencepiece_gives(void **state)
{
    static const char *const names[] = { "spm_bpe", "spm_no_prefix", "spm_unigram", "spm_rules" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect_goldens(names[i], TN_VOCAB_SPM_MODEL, TN_ENCODE_BOS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tokenizer_json_gives_what_tokenizers_gives),
        cmocka_unit_test(a_tokenizer_model_gives_what_sentencepiece_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
