/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "tests/model/text_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SPACE "\xE2\x96\x81"

static text_fixture fixture;

static tn_tokenizer *create(const text_fixture *f)
{
    tn_tokenizer *t = NULL;
    tn_error err = { 0 };
    if (tn_tokenizer_create(&f->vocab, &t, &err))
        fail_msg("%s", err.text);
    return t;
}

static void expect_ids(const tn_tokenizer *t, const char *text, unsigned flags,
                       const char *expected)
{
    tn_ids ids = { 0 };
    tn_strbuf shown = TN_STRBUF(1 << 16);
    tn_error err = { 0 };
    if (tn_tokenizer_encode(t, text, strlen(text), flags, &ids, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < ids.n; i++)
        tn_strbuf_printf(&shown, "%s%d", i > 0 ? " " : "", ids.id[i]);
    assert_string_equal(tn_strbuf_text(&shown), expected);
    tn_strbuf_deinit(&shown);
    tn_ids_deinit(&ids);
}

static void expect_text(const tn_tokenizer *t, const int32_t *ids, size_t n, bool special,
                        const char *expected)
{
    tn_strbuf out = TN_STRBUF(1 << 16);
    assert_int_equal(tn_tokenizer_decode(t, ids, n, special, &out, NULL), TN_OK);
    assert_string_equal(tn_strbuf_text(&out), expected);
    tn_strbuf_deinit(&out);
}

/* Ids: 259 the blank, 260 a, 261 b, 262 ab, 263 blank+a, 264 blank+ab. A higher score merges first.
 */
static void small_vocabulary(text_fixture *f)
{
    fixture_spm(f);
    (void)fixture_add(f, SPACE, TN_TOKEN_NORMAL, -10);
    (void)fixture_add(f, "a", TN_TOKEN_NORMAL, -11);
    (void)fixture_add(f, "b", TN_TOKEN_NORMAL, -12);
    (void)fixture_add(f, "ab", TN_TOKEN_NORMAL, -1);
    (void)fixture_add(f, SPACE "a", TN_TOKEN_NORMAL, -2);
    (void)fixture_add(f, SPACE "ab", TN_TOKEN_NORMAL, -3);
}

static void dummy_prefix_goes_before_text_and_not_before_nothing(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "ab", 0, "264");
    expect_ids(t, "aab", 0, "263 262");
    expect_ids(t, " ab", 0,
               "259 264"); /* the blank of the text stays, the prefix comes before it */
    expect_ids(t, "b a", 0, "259 261 263");
    expect_ids(t, "a ", 0, "263 259");
    expect_ids(t, "", 0, "");
    fixture.vocab.add_bos = 1;
    expect_ids(t, "", TN_ENCODE_BOS, "1");
    expect_ids(t, "b", TN_ENCODE_BOS, "1 259 261");
    tn_tokenizer_destroy(t);
}

static void without_dummy_prefix_text_stands_as_it_is(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    fixture.vocab.add_space_prefix = 0;
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "ab ab", 0, "262 264");
    expect_text(t, (const int32_t[]){ 264, 264 }, 2, false, " ab ab");
    tn_tokenizer_destroy(t);
}

static void decode_drops_the_dummy_prefix_only(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    tn_tokenizer *t = create(&fixture);

    expect_text(t, (const int32_t[]){ 264, 264 }, 2, false, "ab ab");
    expect_text(t, (const int32_t[]){ 1, 264, 2 }, 3, false, "ab");
    expect_text(t, (const int32_t[]){ 1, 264, 2 }, 3, true, "<s> ab</s>");
    expect_text(t, (const int32_t[]){ 259, 264 }, 2, false, " ab");
    expect_text(t, (const int32_t[]){ 3 + ' ', 260 }, 2, false,
                " a"); /* a blank that is a byte token is text */
    expect_text(t, (const int32_t[]){ 260, 0 }, 2, false, "a \xE2\x81\x87 ");
    expect_text(t, NULL, 0, false, "");
    tn_tokenizer_destroy(t);
}

static void piece_keeps_its_blank(void **state)
{
    (void)state;
    tn_strbuf out = TN_STRBUF(100);
    small_vocabulary(&fixture);
    tn_tokenizer *t = create(&fixture);

    assert_int_equal(tn_tokenizer_piece(t, 264, false, &out, NULL), TN_OK);
    assert_string_equal(tn_strbuf_text(&out), " ab");
    assert_int_equal(tn_tokenizer_piece(t, 265, false, &out, NULL), TN_INVALID);
    tn_strbuf_deinit(&out);
    tn_tokenizer_destroy(t);
}

static void unknown_characters_fall_back_to_bytes(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "a\xC3\xA9", 0, "263 198 172"); /* 3 + 0xC3, 3 + 0xA9 */
    expect_ids(t, "a\n", 0, "263 13");
    tn_tokenizer_destroy(t);
}

static void invalid_bytes_become_byte_tokens(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    tn_tokenizer *t = create(&fixture);

    expect_ids(t,
               "a\xFF"
               "b\xE2\x82",
               0, "263 258 261 229 133");
    expect_ids(t,
               "\xFF"
               "ab",
               0, "259 258 262"); /* the prefix still comes first */
    tn_tokenizer_destroy(t);
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    uint64_t random = 0x5EED0003;
    small_vocabulary(&fixture);
    tn_tokenizer *t = create(&fixture);

    for (int sample = 0; sample < 400; sample++) {
        char text[100];
        size_t n = fixture_random(&random) % sizeof(text);
        for (size_t i = 0; i < n; i++)
            text[i] = sample % 2 ? (char)fixture_random(&random)
                                 : "ab \xC3\xA9\xFF\0"[fixture_random(&random) % 7];
        tn_ids ids = { 0 };
        tn_strbuf back = TN_STRBUF(1 << 16);
        assert_int_equal(tn_tokenizer_encode(t, text, n, 0, &ids, NULL), TN_OK);
        assert_int_equal(tn_tokenizer_decode(t, ids.id, ids.n, false, &back, NULL), TN_OK);
        assert_int_equal(back.len, n);
        assert_memory_equal(tn_strbuf_text(&back), text, n);
        tn_strbuf_deinit(&back);
        tn_ids_deinit(&ids);
    }
    tn_tokenizer_destroy(t);
}

static void control_tokens_are_parsed_only_when_asked(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "<s>ab</s>ab", TN_ENCODE_SPECIAL, "1 264 2 264");
    expect_ids(t, "<s>", 0, "259 63 118 65"); /* bytes of "<s>" */
    tn_tokenizer_destroy(t);
}

static void user_defined_tokens_are_always_whole(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    (void)fixture_add(&fixture, "<user>", TN_TOKEN_USER_DEFINED, 0); /* 265 */
    (void)fixture_add(&fixture, "abba", TN_TOKEN_USER_DEFINED, 0);   /* 266 */
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "a<user>b", 0, "263 265 261");
    expect_ids(t, "a<user>b", TN_ENCODE_SPECIAL, "263 265 261");
    expect_ids(t, "aabba", 0, "263 266");
    tn_tokenizer_destroy(t);
}

static void of_equal_texts_the_first_is_used(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    (void)fixture_add(&fixture, "ab", TN_TOKEN_NORMAL, 0); /* 265 */
    (void)fixture_add(&fixture, "<tenon:265>", TN_TOKEN_NORMAL,
                      0); /* 266: the text that would stand in for it */
    (void)fixture_add(&fixture, "", TN_TOKEN_NORMAL, 0);       /* 267 */
    (void)fixture_add(&fixture, "", TN_TOKEN_USER_DEFINED, 0); /* 268 */
    (void)fixture_add(&fixture, "<0x41>", TN_TOKEN_BYTE, 0);   /* 269 */
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "aab", 0, "263 262");
    expect_text(t, (const int32_t[]){ 265, 267, 268, 269 }, 4, false, "abA");
    expect_ids(t, "A", 0, "259 68");
    assert_int_equal(tn_tokenizer_find(t, "ab", 2), 262);
    tn_tokenizer_destroy(t);
}

static void vocabulary_without_bytes_calls_the_rest_unknown(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    for (int32_t id = 3; id < 259; id++)
        fixture.type[id] = TN_TOKEN_UNUSED;
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "aza", 0, "263 0 260");
    expect_ids(t, "a\xFF", 0, "263 0");
    tn_tokenizer_destroy(t);
}

static void text_that_cannot_be_spelled_is_an_error(void **state)
{
    (void)state;
    tn_ids ids = { 0 };
    tn_error err = { 0 };
    small_vocabulary(&fixture);
    for (int32_t id = 0; id < 259; id++)
        fixture.type[id] = TN_TOKEN_CONTROL;
    fixture.vocab.unk = -1;
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "ab", 0, "264");
    assert_int_equal(tn_tokenizer_encode(t, "aza", 3, 0, &ids, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "no token for"));
    assert_int_equal(tn_tokenizer_encode(t, "a\xFF", 2, 0, &ids, &err), TN_INVALID);
    assert_int_equal(ids.n, 0);
    tn_ids_deinit(&ids);
    tn_tokenizer_destroy(t);
}

static void vocabulary_without_types_and_scores_is_read_by_its_texts(void **state)
{
    (void)state;
    small_vocabulary(&fixture);
    fixture.vocab.type = NULL;
    fixture.vocab.score =
        NULL; /* then the earlier token merges first: ab before blank+a, as with the scores */
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "ab\xC3\xA9", 0, "264 198 172");
    assert_true(tn_tokenizer_is_control(t, 1));
    tn_tokenizer_destroy(t);
}

static void score_that_is_no_number_is_invalid(void **state)
{
    (void)state;
    tn_tokenizer *t;
    tn_error err = { 0 };
    small_vocabulary(&fixture);
    fixture.score[262] = NAN;

    assert_int_equal(tn_tokenizer_create(&fixture.vocab, &t, &err), TN_INVALID);

    assert_non_null(strstr(err.text, "token 262"));
}

/* SentencePiece's BPE by its definition: the neighbours whose join is a token of the highest score,
 * the leftmost of these. */
static size_t merge_naively(const text_fixture *f, int32_t *ids, size_t n)
{
    for (;;) {
        int32_t merged = -1;
        size_t best_at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            char pair[128];
            tn_text left = f->token[ids[i]], right = f->token[ids[i + 1]];
            memcpy(pair, left.data, left.n);
            memcpy(pair + left.n, right.data, right.n);
            int32_t id = fixture_find(f, pair, left.n + right.n);
            if (id >= 0 && (merged < 0 || f->score[id] > f->score[merged])) {
                merged = id;
                best_at = i;
            }
        }
        if (merged < 0)
            return n;
        ids[best_at] = merged;
        memmove(ids + best_at + 1, ids + best_at + 2, (n - best_at - 2) * sizeof(*ids));
        n--;
    }
}

static void merges_equal_the_naive_definition(void **state)
{
    (void)state;
    uint64_t random = 0x5EED0004;
    for (int round = 0; round < 30; round++) {
        small_vocabulary(&fixture);
        for (int i = 0; i < 30; i++) { /* joins of two tokens, so that all can come out of merges */
            char text[64] = { 0 };
            tn_text left = fixture.token[259 + fixture_random(&random) %
                                                   (unsigned)(fixture.vocab.n_tokens - 259)];
            tn_text right = fixture.token[259 + fixture_random(&random) %
                                                    (unsigned)(fixture.vocab.n_tokens - 259)];
            if (left.n + right.n > 20)
                continue;
            memcpy(text, left.data, left.n);
            memcpy(text + left.n, right.data, right.n);
            if (fixture_find(&fixture, text, left.n + right.n) < 0)
                (void)fixture_add(&fixture, text, TN_TOKEN_NORMAL,
                                  -(float)(fixture_random(&random) % 1000));
        }
        tn_tokenizer *t = create(&fixture);
        for (int sample = 0; sample < 10; sample++) {
            char text[60];
            int32_t expected[61] = { 259 };
            size_t n = 1 + fixture_random(&random) % sizeof(text);
            for (size_t i = 0; i < n; i++) {
                text[i] = "ab "[fixture_random(&random) % 3];
                expected[i + 1] = text[i] == ' ' ? 259 : text[i] == 'a' ? 260 : 261;
            }
            tn_ids ids = { 0 };

            assert_int_equal(tn_tokenizer_encode(t, text, n, 0, &ids, NULL), TN_OK);

            assert_int_equal(ids.n, merge_naively(&fixture, expected, n + 1));
            assert_memory_equal(ids.id, expected, ids.n * sizeof(*expected));
            tn_ids_deinit(&ids);
        }
        tn_tokenizer_destroy(t);
    }
}

/* A long text goes to the library in parts; a piece with an inner blank forbids that, and the ids
 * must not differ. */
static void long_text_in_parts_gives_the_ids_of_the_whole(void **state)
{
    (void)state;
    static text_fixture whole;
    uint64_t random = 0x5EED0005;
    const size_t n = 300000;
    char *text = tn_alloc(n);
    for (size_t i = 0; i < n; i++)
        text[i] = "aabb z\xFF"[i % 90000 == 70000 ? 6 : fixture_random(&random) % 6];
    small_vocabulary(&fixture);
    (void)fixture_add(&fixture, SPACE SPACE, TN_TOKEN_NORMAL, -4);
    whole = fixture;
    whole.vocab.token = whole.token;
    whole.vocab.type = whole.type;
    whole.vocab.score = whole.score;
    (void)fixture_add(&whole, "q" SPACE "q", TN_TOKEN_NORMAL, -5);
    tn_tokenizer *in_parts = create(&fixture), *at_once = create(&whole);
    tn_ids a = { 0 }, b = { 0 };

    assert_int_equal(tn_tokenizer_encode(in_parts, text, n, 0, &a, NULL), TN_OK);
    assert_int_equal(tn_tokenizer_encode(at_once, text, n, 0, &b, NULL), TN_OK);

    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.id, b.id, a.n * sizeof(*a.id));
    tn_ids_deinit(&b);
    tn_ids_deinit(&a);
    tn_tokenizer_destroy(at_once);
    tn_tokenizer_destroy(in_parts);
    tn_free(text);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    tn_status st = TN_NO_MEMORY;
    small_vocabulary(&fixture);

    for (uint64_t at = 1; st == TN_NO_MEMORY; at++) {
        tn_tokenizer *t = NULL;
        tn_ids ids = { 0 };
        tn_alloc_fail_at(at);
        st = tn_tokenizer_create(&fixture.vocab, &t, NULL);
        if (!st)
            st = tn_tokenizer_encode(t, "<s>ab \xFF", 7, TN_ENCODE_SPECIAL, &ids, NULL);
        tn_ids_deinit(&ids);
        tn_tokenizer_destroy(t);
        assert_true(at < 1000);
    }
    tn_alloc_fail_at(0);

    assert_int_equal(st, TN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dummy_prefix_goes_before_text_and_not_before_nothing),
        cmocka_unit_test(without_dummy_prefix_text_stands_as_it_is),
        cmocka_unit_test(decode_drops_the_dummy_prefix_only),
        cmocka_unit_test(piece_keeps_its_blank),
        cmocka_unit_test(unknown_characters_fall_back_to_bytes),
        cmocka_unit_test(invalid_bytes_become_byte_tokens),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(control_tokens_are_parsed_only_when_asked),
        cmocka_unit_test(user_defined_tokens_are_always_whole),
        cmocka_unit_test(of_equal_texts_the_first_is_used),
        cmocka_unit_test(vocabulary_without_bytes_calls_the_rest_unknown),
        cmocka_unit_test(text_that_cannot_be_spelled_is_an_error),
        cmocka_unit_test(vocabulary_without_types_and_scores_is_read_by_its_texts),
        cmocka_unit_test(score_that_is_no_number_is_invalid),
        cmocka_unit_test(merges_equal_the_naive_definition),
        cmocka_unit_test(long_text_in_parts_gives_the_ids_of_the_whole),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
