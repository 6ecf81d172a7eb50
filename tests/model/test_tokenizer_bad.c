/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json and tokenizer.model that are broken or hostile: each is refused with the file, the
 * place and what is allowed, in less than a second and 64 MiB. */
#include "core/base/alloc.h"
#include "tests/model/hf_json.h"
#include "tests/support/hostile.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- tokenizer.json ---- */

/* A sound one; each case changes a part of it. */
static const char sound[] =
    "{\"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", \"special\": true}],\n"
    " \"normalizer\": {\"type\": \"Prepend\", \"prepend\": \"_\"},\n"
    " \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"a+\"}, \"behavior\": "
    "\"Isolated\"},\n"
    " \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
    "{\"id\": "
    "\"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}], \"special_tokens\": {\"<s>\": {\"ids\": [3]}}},\n"
    " \"decoder\": {\"type\": \"Strip\", \"content\": \"_\", \"start\": 1, \"stop\": 0},\n"
    " \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a "
    "b\"]}}";

static const struct {
    const char *from, *to;
    tn_status status;
    const char *text; /* after "tokenizer.json: " */
} cases[] = {
    { "{\"added", "\"added", TN_INVALID, "no valid JSON at line 1" },
    { "[\"a b\"]}}", "[\"a b\"", TN_INVALID, "no valid JSON at line 6" },
    { "\"b\": 1", "\"a\": 1", TN_INVALID, "no valid JSON at line 6, column" },
    { "\"<s>\", \"special", "\"\xC0\xAF\", \"special", TN_INVALID, "no valid JSON at line 1" },
    { "\"model\"", "\"nodel\"", TN_INVALID, "model is missing" },
    { "\"BPE\"", "\"Unigram\"", TN_UNSUPPORTED,
      "model: type 'Unigram' does not run; supported: BPE" },
    { "\"BPE\"", "7", TN_INVALID, "model: type is 7; a string is needed" },
    { "\"BPE\"", "\"BPE\", \"dropout\": 0.1", TN_UNSUPPORTED, "model: dropout makes ids random" },
    { "\"BPE\"", "\"BPE\", \"end_of_word_suffix\": \"</w>\"", TN_UNSUPPORTED,
      "model: end_of_word_suffix does not run" },
    { "\"BPE\"", "\"BPE\", \"byte_fallback\": 1", TN_INVALID,
      "model: byte_fallback is 1; true or false is needed" },
    { "\"BPE\"", "\"BPE\", \"unk_token\": \"<unk>\"", TN_INVALID, "unk_token" },
    { "\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}", "\"vocab\": [\"a\"]", TN_INVALID,
      "model: vocab is" },
    { "\"ab\": 2", "\"ab\": 1", TN_INVALID, "model: token 'ab' has the id of another token" },
    { "\"ab\": 2", "\"ab\": -2", TN_INVALID,
      "model: token 'ab' needs an id, an integer from 0 to 65539" },
    { "\"ab\": 2", "\"ab\": 2.5", TN_INVALID,
      "model: token 'ab' needs an id, an integer from 0 to 65539" },
    { "\"ab\": 2", "\"ab\": 2147483647", TN_INVALID,
      "model: token 'ab' needs an id, an integer from 0 to 65539" },
    { "\"ab\": 2", "\"ab\": 99999999999999999999", TN_INVALID, "no valid JSON at line 6" },
    { "[\"a b\"]", "null", TN_INVALID, "model: merges must be a list of two texts each" },
    { "\"a b\"", "\"a b c\"", TN_INVALID, "model: merges[0] must be two texts" },
    { "\"a b\"", "[\"a\"]", TN_INVALID, "model: merges[0] must be two texts" },
    { "\"a b\"", "\"a c\"", TN_INVALID, "model: merges[0]: the right part is no token" },
    { "\"a b\"", "\"b a\"", TN_INVALID, "model: merges[0]: the result is no token" },
    { "[{\"id\": 3, \"content\": \"<s>\", \"special\": true}]", "7", TN_INVALID,
      "added_tokens is" },
    { "\"id\": 3", "\"id\": 1", TN_INVALID, "model: token '<s>' has the id of another token" },
    { "\"<s>\", \"special", "\"a\", \"special", TN_INVALID,
      "model: token 'a' is added with the id 3, but the vocabulary gives it 0" },
    { "\"id\": 3", "\"id\": \"3\"", TN_INVALID,
      "added_tokens[0]: id is \"3\"; an integer from 0 to 16777215 is needed" },
    { "\"id\": 3", "\"id\": 16777215", TN_INVALID,
      "model: token '<s>' is added with the id 16777215, far" },
    { "\"content\": \"<s>\"", "\"content\": \"\"", TN_INVALID,
      "added_tokens[0]: content has 0 bytes, 1 to 1024 are allowed" },
    { "\"Prepend\"", "\"Precompiled\"", TN_UNSUPPORTED,
      "normalizer: Precompiled: type 'Precompiled' does not run; supported: NFC, NFD" },
    { "\"prepend\"", "\"append\"", TN_INVALID, "normalizer: Prepend: prepend is missing" },
    { "\"Split\"", "\"Sequence\"", TN_INVALID,
      "pre_tokenizer: a Sequence needs the list 'pretokenizers'" },
    { "\"Split\"", "\"UnicodeScripts\"", TN_UNSUPPORTED, "pre_tokenizer: UnicodeScripts: type" },
    { "\"a+\"", "\"a{1\\\\1\"", TN_UNSUPPORTED, "pre_tokenizer: Split: regular expression, byte" },
    { "\"a+\"", "\"(?:(?:a{16}){16}){16}b{3}{9}{9}{9}\"", TN_UNSUPPORTED,
      "pre_tokenizer: Split: the pattern, byte" },
    { "\"Isolated\"", "\"Alone\"", TN_UNSUPPORTED,
      "pre_tokenizer: Split: behavior is none of: Removed" },
    { "{\"ids\": [3]}", "{\"ids\": [4]}", TN_INVALID,
      "post_processor: TemplateProcessing: an id is no token of the vocabulary, 0 to 3" },
    { "{\"Sequence\": {\"id\": \"A\"}}", "{\"Sequence\": 7}", TN_UNSUPPORTED,
      "post_processor: TemplateProcessing: single[1] does not run" },
    { "\"start\": 1", "\"start\": -1", TN_INVALID,
      "decoder: Strip: start is -1; an integer from 0 to 1048576 is needed" },
    { "\"content\": \"_\"", "\"content\": \"__\"", TN_INVALID,
      "decoder: Strip: content is not one" },
    { "\"Strip\"", "\"WordPiece\"", TN_UNSUPPORTED, "decoder: WordPiece: type 'WordPiece'" },
};

/* `sound` with the first `from` replaced. */
static tn_strbuf changed(const char *from, const char *to)
{
    tn_strbuf out = TN_STRBUF(64 << 20);
    const char *at = strstr(sound, from);
    assert_non_null(at);
    tn_strbuf_append(&out, sound, (size_t)(at - sound));
    tn_strbuf_puts(&out, to);
    tn_strbuf_puts(&out, at + strlen(from));
    return out;
}

static void expect_refusal(tn_status st, tn_status wanted, const tn_error *err, const char *text,
                           const char *name)
{
    if (st != wanted || !strstr(err->text, text) || strncmp(err->text, "tokenizer.", 10) != 0)
        fail_msg("%s: status %d, \"%s\"", name, st, err->text);
}

static void the_sound_file_loads(void **state)
{
    tn_tokenizer *t = NULL;
    (void)state;
    assert_int_equal(hf_tokenizer(sound, strlen(sound), &t, NULL), TN_OK);
    tn_tokenizer_destroy(t);
}

static void each_broken_tokenizer_json_is_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tn_strbuf text = changed(cases[i].from, cases[i].to);
        tn_tokenizer *t = NULL;
        tn_error err = { 0 };

        tn_test_refusal_begin();
        const tn_status st = hf_tokenizer(text.data, text.len, &t, &err);
        assert_true(tn_test_refusal_end());

        expect_refusal(st, cases[i].status, &err, cases[i].text, cases[i].to);
        assert_null(t);
        tn_strbuf_deinit(&text);
    }
}

/* 32 of them: compiled within the limits, or refused. */
static void many_large_patterns_stay_within_the_limits(void **state)
{
    static const char *const parts[] = { "(?i:\\\\p{L}|", "[^\\\\s\\\\p{L}a-z]+|",
                                         "(?:a{1,9}){1,9}|", "((((a))))" };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof parts / sizeof parts[0]; i++) {
        tn_strbuf regex = TN_STRBUF(1 << 20), list = TN_STRBUF(16 << 20);
        while (regex.len < (i % 2 ? 3000 : 60000))
            tn_strbuf_puts(&regex, parts[i / 2]);
        tn_strbuf_puts(&list, "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [");
        for (int k = 0; k < 32; k++)
            tn_strbuf_printf(&list,
                             "%s{\"type\": \"Split\", \"behavior\": \"Isolated\", \"pattern\": "
                             "{\"Regex\": \"%s\"}}",
                             k ? "," : "", tn_strbuf_text(&regex));
        tn_strbuf_puts(
            &list, "]}, \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}");
        tn_tokenizer *t = NULL;
        tn_error err = { 0 };

        tn_test_refusal_begin();
        const tn_status st = hf_tokenizer(list.data, list.len, &t, &err);
        assert_true(tn_test_refusal_end());

        if (st != TN_OK && st != TN_UNSUPPORTED)
            fail_msg("%s: status %d, \"%s\"", parts[i / 2], st, err.text);
        tn_tokenizer_destroy(t);
        tn_strbuf_deinit(&list);
        tn_strbuf_deinit(&regex);
    }
}

/* ---- tokenizer.model ---- */

/* Fields of protobuf (protobuf.dev/programming-guides/encoding). */
static void put_varint(tn_strbuf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        tn_strbuf_append(out, &(char){ (char)(value | 0x80) }, 1);
    tn_strbuf_append(out, &(char){ (char)value }, 1);
}

static void put_number(tn_strbuf *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3);
    put_varint(out, value);
}

static void put_bytes(tn_strbuf *out, unsigned field, const char *bytes, size_t n)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, n);
    tn_strbuf_append(out, bytes, n);
}

static void put_piece(tn_strbuf *out, const char *text, float score, unsigned type)
{
    tn_strbuf piece = TN_STRBUF(1 << 16);
    put_bytes(&piece, 1, text, strlen(text));
    put_varint(&piece, 2 << 3 | 5);
    tn_strbuf_append(&piece, (const char *)&score, sizeof score);
    put_number(&piece, 3, type);
    put_bytes(out, 1, piece.data, piece.len);
    tn_strbuf_deinit(&piece);
}

/* What a model is made of (sentencepiece_model.proto). */
typedef struct spm_parts {
    const char *unk, *last; /* texts of pieces */
    float score;
    uint64_t model_type, join_blanks, blanks_after;
    const char *charsmap;
    size_t n_charsmap;
} spm_parts;
#define SOUND_PARTS                                                                                \
    (spm_parts)                                                                                    \
    {                                                                                              \
        .unk = "<unk>", .last = "ab", .score = -1, .model_type = 2                                 \
    }

static tn_strbuf model_of(const spm_parts *parts)
{
    tn_strbuf out = TN_STRBUF(64 << 20), spec = TN_STRBUF(1 << 20);
    if (parts->unk)
        put_piece(&out, parts->unk, 0, 2);
    put_piece(&out, "<s>", 0, 3);
    put_piece(&out, "</s>", 0, 3);
    put_piece(&out, "a", -2, 1);
    put_piece(&out, "b", -3, 1);
    put_piece(&out, parts->last, parts->score, 1);
    put_number(&spec, 3, parts->model_type);
    put_number(&spec, 24, parts->blanks_after);
    put_bytes(&out, 2, spec.data, spec.len);
    tn_strbuf_clear(&spec);
    if (parts->charsmap)
        put_bytes(&spec, 2, parts->charsmap, parts->n_charsmap);
    put_number(&spec, 4, parts->join_blanks);
    put_bytes(&out, 3, spec.data, spec.len);
    tn_strbuf_deinit(&spec);
    return out;
}

static tn_status spm_tokenizer(const char *bytes, size_t n, tn_tokenizer **out, tn_error *err)
{
    const tn_vocab vocab = { .kind = TN_VOCAB_SPM_MODEL,
                             .bos = -1,
                             .eos = -1,
                             .eot = -1,
                             .unk = -1,
                             .pad = -1,
                             .add_bos = -1,
                             .add_eos = -1,
                             .add_space_prefix = -1,
                             .source = { bytes, n } };
    return tn_tokenizer_create(&vocab, out, err);
}

static void refuse_model(const char *bytes, size_t n, tn_status wanted, const char *text)
{
    tn_tokenizer *t = NULL;
    tn_error err = { 0 };

    tn_test_refusal_begin();
    const tn_status st = spm_tokenizer(bytes, n, &t, &err);
    assert_true(tn_test_refusal_end());

    expect_refusal(st, wanted, &err, text, text);
    assert_null(t);
}

static void each_tokenizer_model_of_wrong_parts_is_refused(void **state)
{
    static const struct {
        spm_parts parts;
        tn_status status;
        const char *text;
    } models[] = {
        { { .last = "ab", .model_type = 2 }, TN_INVALID, "unk is not defined" },
        { { .unk = "<unk>", .last = "a", .model_type = 2 }, TN_INVALID, "a is already defined" },
        { { .unk = "<unk>", .last = "", .model_type = 2 }, TN_INVALID, "piece must not be empty" },
        { { .unk = "<unk>", .last = "ab", .model_type = 2, .score = NAN },
          TN_INVALID,
          "score of piece 5 is not a finite number" },
        { { .unk = "<unk>", .last = "ab", .model_type = 2, .blanks_after = 1 },
          TN_UNSUPPORTED,
          "treat_whitespace_as_suffix" },
        { { .unk = "<unk>", .last = "ab", .model_type = 2, .join_blanks = 1 },
          TN_UNSUPPORTED,
          "joins blanks" },
        { { .unk = "<unk>", .last = "ab", .model_type = 2, .charsmap = "abc", .n_charsmap = 3 },
          TN_INVALID,
          "precompiled_charsmap of 3 bytes" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        tn_strbuf bytes = model_of(&models[i].parts);
        refuse_model(bytes.data, bytes.len, models[i].status, models[i].text);
        tn_strbuf_deinit(&bytes);
    }
}

static void what_is_no_model_is_refused(void **state)
{
    static const char endless[] = "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                      group[] = "\x0b\x0c", beyond[] = "\x0a\x7fxyz", no_field[] = "\x02\x01x";
    (void)state;
    refuse_model("", 0, TN_INVALID, "0 pieces");
    refuse_model("{\"version\": 1}", 14, TN_INVALID, "is no SentencePiece model");
    refuse_model("version https://git-lfs.github.com/spec/v1\n", 43, TN_INVALID,
                 "is no SentencePiece model");
    refuse_model(endless, sizeof endless - 1, TN_INVALID,
                 "is no SentencePiece model, or is cut off");
    refuse_model(group, sizeof group - 1, TN_INVALID, "is no SentencePiece model, or is cut off");
    refuse_model(beyond, sizeof beyond - 1, TN_INVALID, "is no SentencePiece model, or is cut off");
    refuse_model(no_field, sizeof no_field - 1, TN_INVALID,
                 "is no SentencePiece model, or is cut off");
}

static void a_tokenizer_model_cut_anywhere_is_refused(void **state)
{
    tn_strbuf bytes = model_of(&SOUND_PARTS);
    tn_tokenizer *t = NULL;
    tn_error err = { 0 };
    (void)state;
    if (spm_tokenizer(bytes.data, bytes.len, &t, &err))
        fail_msg("%s", err.text);
    tn_tokenizer_destroy(t);
    for (size_t n = 0; n < bytes.len; n++) {
        char *copy = tn_alloc(n);
        memcpy(copy, bytes.data, n);
        err = (tn_error){ 0 };
        assert_int_not_equal(spm_tokenizer(copy, n, &t, &err), TN_OK);
        assert_true(strncmp(err.text, "tokenizer.model", 15) == 0);
        tn_free(copy);
    }
    tn_strbuf_deinit(&bytes);
}

/* Two bytes each. */
static void a_million_empty_pieces_are_refused(void **state)
{
    const size_t n = 16 << 20;
    char *bytes = tn_alloc(n);
    (void)state;
    for (size_t i = 0; i < n; i++)
        bytes[i] = i % 2 ? '\0' : '\n';
    refuse_model(bytes, n, TN_INVALID, "piece 0 is empty");
    tn_free(bytes);
}

/* libsentencepiece follows the double array of its normaliser without a look at its bounds: a unit
 * of the trie that leads to unit 2^20, and one whose value lies past the texts. */
static void a_normalizer_that_leads_out_of_its_table_is_refused(void **state)
{
    (void)state;
    for (int is_value = 0; is_value < 2; is_value++) {
        uint32_t trie[1 + 256] = { 1024 };
        char charsmap[sizeof trie + 1] = "";
        for (size_t i = 1; i <= 256; i++)
            trie[i] = is_value ? 0x80000000u | 1u << 30 : 1u << 30;
        memcpy(charsmap, trie, sizeof trie);
        spm_parts parts = SOUND_PARTS;
        parts.charsmap = charsmap;
        parts.n_charsmap = sizeof charsmap;
        tn_strbuf bytes = model_of(&parts);
        refuse_model(bytes.data, bytes.len, TN_INVALID, "precompiled_charsmap");
        tn_strbuf_deinit(&bytes);
    }
}

/* ---- lack of memory ---- */

typedef tn_status (*open_fn)(const char *bytes, size_t n, tn_tokenizer **out, tn_error *err);

/* Make a tokenizer, encode and decode, with the n-th allocation failing. */
static tn_status use_failing_at(uint64_t n, open_fn open, const char *bytes, size_t size,
                                tn_error *err)
{
    static const char text[] = "ab <s>ba\xFF";
    tn_tokenizer *t = NULL;
    tn_ids ids = { 0 };
    tn_strbuf out = TN_STRBUF(1 << 16);
    tn_alloc_fail_at(n);
    tn_status st = open(bytes, size, &t, err);
    if (!st)
        st = tn_tokenizer_encode(t, text, sizeof text - 1, TN_ENCODE_BOS | TN_ENCODE_SPECIAL, &ids,
                                 err);
    if (!st)
        st = tn_tokenizer_decode(t, ids.id, ids.n, true, &out, err);
    tn_alloc_fail_at(0);
    tn_strbuf_deinit(&out);
    tn_ids_deinit(&ids);
    tn_tokenizer_destroy(t);
    return st;
}

/* Or no error: without memory for compiled code PCRE2 interprets an expression. */
static void expect_errors_without_a_leak(open_fn open, const char *bytes, size_t size)
{
    tn_error err = { 0 };
    const int64_t live = tn_alloc_live();
    const uint64_t before = tn_alloc_count();
    assert_int_equal(use_failing_at(0, open, bytes, size, &err), TN_OK);
    const uint64_t n = tn_alloc_count() - before;
    uint64_t n_failed = 0;
    for (uint64_t i = 1; i <= n; i++) {
        const tn_status st = use_failing_at(i, open, bytes, size, &err);
        n_failed += st != TN_OK;
        if (st && st != TN_NO_MEMORY)
            fail_msg("allocation %d: status %d, \"%s\"", (int)i, st, err.text);
        assert_int_equal(tn_alloc_live(), live);
    }
    assert_in_range(n_failed, 10, n);
}

static void each_failing_allocation_is_an_error_without_a_leak(void **state)
{
    spm_parts parts = SOUND_PARTS;
    tn_strbuf model = model_of(&parts);
    (void)state;
    expect_errors_without_a_leak(hf_tokenizer, sound, strlen(sound));
    expect_errors_without_a_leak(spm_tokenizer, model.data, model.len);
    tn_strbuf_deinit(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sound_file_loads),
        cmocka_unit_test(each_broken_tokenizer_json_is_refused_with_its_place),
        cmocka_unit_test(many_large_patterns_stay_within_the_limits),
        cmocka_unit_test(each_tokenizer_model_of_wrong_parts_is_refused),
        cmocka_unit_test(what_is_no_model_is_refused),
        cmocka_unit_test(a_tokenizer_model_cut_anywhere_is_refused),
        cmocka_unit_test(a_million_empty_pieces_are_refused),
        cmocka_unit_test(a_normalizer_that_leads_out_of_its_table_is_refused),
        cmocka_unit_test(each_failing_allocation_is_an_error_without_a_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
