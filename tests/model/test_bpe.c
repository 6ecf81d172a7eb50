/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "tests/model/text_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SLOWER 8.0
#else
#    define SLOWER 1.0
#endif

static text_fixture fixture;

static tn_tokenizer *create(const text_fixture *f)
{
    tn_tokenizer *t = NULL;
    tn_error err = { 0 };
    if (tn_tokenizer_create(&f->vocab, &t, &err))
        fail_msg("%s", err.text);
    return t;
}

/* Encodes and compares with the expected ids, given as text "1 2 3". */
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

static void expect_round_trip(const tn_tokenizer *t, const char *text, size_t n, unsigned flags)
{
    tn_ids ids = { 0 };
    tn_strbuf back = TN_STRBUF(64 << 20);
    assert_int_equal(tn_tokenizer_encode(t, text, n, flags, &ids, NULL), TN_OK);
    assert_int_equal(tn_tokenizer_decode(t, ids.id, ids.n, true, &back, NULL), TN_OK);
    assert_int_equal(back.len, n);
    assert_memory_equal(tn_strbuf_text(&back), text, n);
    tn_strbuf_deinit(&back);
    tn_ids_deinit(&ids);
}

static void unknown_pretokenizer_is_unsupported_and_names_the_known(void **state)
{
    (void)state;
    tn_tokenizer *t;
    tn_error err = { 0 };
    fixture_bpe(&fixture, "klingon");

    assert_int_equal(tn_tokenizer_create(&fixture.vocab, &t, &err), TN_UNSUPPORTED);

    assert_null(t);
    assert_non_null(strstr(err.text, "'klingon'"));
    assert_non_null(strstr(err.text, "smollm gpt-2 llama-bpe qwen2"));
}

static void unknown_vocabulary_kind_is_unsupported(void **state)
{
    (void)state;
    tn_tokenizer *t;
    fixture_bpe(&fixture, "gpt-2");

    fixture.vocab.kind = TN_VOCAB_NONE;
    assert_int_equal(tn_tokenizer_create(&fixture.vocab, &t, NULL), TN_UNSUPPORTED);
    fixture.vocab.kind = 77;
    assert_int_equal(tn_tokenizer_create(&fixture.vocab, &t, NULL), TN_UNSUPPORTED);
}

/* Ids by hand: bytes are 0..255; the merges make 256 he, 257 ll, 258 hell, 259 hello, 260 " h"
 * (U+0120 is the blank). */
static void merges_apply_by_rank_inside_pieces(void **state)
{
    (void)state;
    fixture_bpe(&fixture, "gpt-2");
    fixture_merge(&fixture, "h", "e");
    fixture_merge(&fixture, "l", "l");
    fixture_merge(&fixture, "he", "ll");
    fixture_merge(&fixture, "hell", "o");
    fixture_merge(&fixture, "\xC4\xA0", "h");
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "hello", 0, "259");
    expect_ids(t, "hellhe", 0, "258 256");
    expect_ids(t, "helll", 0, "258 108");
    expect_ids(t, "hello hello", 0, "259 32 259"); /* "h e" ranks before "U+0120 h" */
    expect_ids(t, " hi", 0, "260 105");
    expect_ids(t, "hel lo", 0, "256 108 32 108 111"); /* no merge over the border of two pieces */
    expect_ids(t, "", 0, "");
    tn_tokenizer_destroy(t);
}

/* The definition: again and again the pair of the least rank, the leftmost of these. Quadratic. */
static size_t merge_naively(const text_fixture *f, const char *text, size_t n, int32_t *ids)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint8_t)text[i];
    for (;;) {
        int32_t best_rank = f->vocab.n_merges, merged = -1;
        size_t best_at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            tn_text left = f->token[ids[i]], right = f->token[ids[i + 1]];
            char pair[256];
            int n_pair = snprintf(pair, sizeof(pair), "%.*s %.*s", (int)left.n, left.data,
                                  (int)right.n, right.data);
            for (int32_t rank = 0; rank < best_rank; rank++) {
                if (f->merge[rank].n == (size_t)n_pair &&
                    memcmp(f->merge[rank].data, pair, (size_t)n_pair) == 0) {
                    memmove(pair + left.n, pair + left.n + 1, right.n);
                    best_rank = rank;
                    best_at = i;
                    merged = fixture_find(f, pair, left.n + right.n);
                }
            }
        }
        if (merged < 0)
            return n;
        ids[best_at] = merged;
        memmove(ids + best_at + 1, ids + best_at + 2, (n - best_at - 2) * sizeof(*ids));
        n--;
    }
}

/* Merges of random tokens in random order: also ones whose parts rank later than their result is
 * used. */
static void add_random_merges(text_fixture *f, uint64_t *random, int n_merges)
{
    char parts[64][64] = { "a", "b", "c" };
    int n_parts = 3;
    for (int i = 0; i < n_merges; i++) {
        const char *left = parts[fixture_random(random) % (unsigned)n_parts],
                   *right = parts[fixture_random(random) % (unsigned)n_parts];
        if (strlen(left) + strlen(right) > 12)
            continue;
        tn_text merged = f->token[fixture_merge(f, left, right)];
        memcpy(parts[n_parts++], merged.data, merged.n); /* the rest is zero */
    }
}

static void merges_equal_the_naive_definition(void **state)
{
    (void)state;
    uint64_t random = 0x5EED0001;
    for (int round = 0; round < 60; round++) {
        fixture_bpe(&fixture, "gpt-2");
        add_random_merges(&fixture, &random, 40);
        tn_tokenizer *t = create(&fixture);
        for (int sample = 0; sample < 10; sample++) {
            char text[80];
            int32_t expected[80];
            size_t n = 1 + fixture_random(&random) % 79;
            for (size_t i = 0; i < n; i++)
                text[i] = (char)('a' + fixture_random(&random) % 3);
            tn_ids ids = { 0 };

            assert_int_equal(tn_tokenizer_encode(t, text, n, 0, &ids, NULL), TN_OK);

            assert_int_equal(ids.n, merge_naively(&fixture, text, n, expected));
            assert_memory_equal(ids.id, expected, ids.n * sizeof(*expected));
            tn_ids_deinit(&ids);
        }
        tn_tokenizer_destroy(t);
    }
}

static void any_bytes_come_back_from_every_pretokenizer(void **state)
{
    (void)state;
    const char *const names[] = { "smollm", "gpt-2", "llama-bpe", "qwen2", "default" };
    uint64_t random = 0x5EED0002;
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        fixture_bpe(&fixture, names[k]);
        add_random_merges(&fixture, &random, 30);
        (void)fixture_add(&fixture, "<|x|>", TN_TOKEN_CONTROL, 0);
        (void)fixture_add(&fixture, "ab", TN_TOKEN_USER_DEFINED, 0);
        tn_tokenizer *t = create(&fixture);
        for (int sample = 0; sample < 60; sample++) {
            char text[300];
            size_t n = fixture_random(&random) % sizeof(text);
            /* Bytes as they come, and bytes that are often UTF-8, blanks, digits and the special
             * token's. */
            for (size_t i = 0; i < n; i++) {
                uint32_t r = fixture_random(&random);
                text[i] = sample % 2 ? (char)r : "ab \n1'<|x|>\xC3\xA9\xE2\x82\xACs"[r % 18];
            }
            expect_round_trip(t, text, n, sample % 3 ? TN_ENCODE_SPECIAL : 0);
        }
        tn_tokenizer_destroy(t);
    }
}

static void byte_without_a_token_is_left_out(void **state)
{
    (void)state;
    fixture_bpe(&fixture, "gpt-2");
    (void)fixture_merge(&fixture, "a", "b");
    fixture.token['\x04'] = (tn_text){ "gone", 4 };
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "\x04", 0, "");
    expect_ids(t, "x\x04y\x04", 0, "120 121");
    tn_tokenizer_destroy(t);
}

static void whole_piece_that_is_a_token_needs_no_merges_in_llama_bpe(void **state)
{
    (void)state;
    fixture_bpe(&fixture, "llama-bpe");
    int32_t id = fixture_add(&fixture, "\xC4\xA0word", TN_TOKEN_NORMAL, 0);
    tn_tokenizer *t = create(&fixture);
    assert_int_equal(id, 256);

    expect_ids(t, "a word", 0, "97 256");
    expect_ids(t, "a words", 0, "97 32 119 111 114 100 115");
    tn_tokenizer_destroy(t);

    fixture.vocab.pre = "gpt-2";
    t = create(&fixture);
    expect_ids(t, "a word", 0, "97 32 119 111 114 100");
    tn_tokenizer_destroy(t);
}

static void special_texts_are_found_leftmost_and_longest(void **state)
{
    (void)state;
    fixture_bpe(&fixture, "smollm");
    (void)fixture_add(&fixture, "<|a|>", TN_TOKEN_CONTROL, 0);      /* 256 */
    (void)fixture_add(&fixture, "<|a|><|b|>", TN_TOKEN_CONTROL, 0); /* 257 */
    (void)fixture_add(&fixture, "<|b|>", TN_TOKEN_CONTROL, 0);      /* 258 */
    (void)fixture_add(&fixture, "<t>", TN_TOKEN_USER_DEFINED, 0);   /* 259 */
    (void)fixture_add(&fixture, "t><", TN_TOKEN_USER_DEFINED, 0);   /* 260 */
    (void)fixture_add(&fixture, "<unk>", TN_TOKEN_UNKNOWN, 0);      /* 261 */
    (void)fixture_add(&fixture, "<|a|>", TN_TOKEN_CONTROL, 0); /* 262: the first of a text counts */
    (void)fixture_add(&fixture, "", TN_TOKEN_CONTROL, 0);      /* 263: never found */
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "<|a|>", TN_ENCODE_SPECIAL, "256");
    expect_ids(t, "x<|a|><|b|>y", TN_ENCODE_SPECIAL, "120 257 121");
    expect_ids(t, "<|a|><|a|><|b", TN_ENCODE_SPECIAL, "256 256 60 124 98");
    expect_ids(t, "<|<|b|>", TN_ENCODE_SPECIAL, "60 124 258");
    expect_ids(t, "<t><|b|>", TN_ENCODE_SPECIAL, "259 258"); /* not "t><", which begins later */
    expect_ids(t, "<unk>", TN_ENCODE_SPECIAL, "261");
    expect_ids(t, "<|b|><t>", 0,
               "60 124 98 124 62 259"); /* user-defined ones always, control ones not */
    tn_tokenizer_destroy(t);
}

static void special_text_is_not_found_beyond_the_end(void **state)
{
    (void)state;
    tn_ids ids = { 0 };
    fixture_bpe(&fixture, "gpt-2");
    (void)fixture_add(&fixture, "<|a|>", TN_TOKEN_CONTROL, 0);
    tn_tokenizer *t = create(&fixture);

    assert_int_equal(tn_tokenizer_encode(t, "<|a|>", 4, TN_ENCODE_SPECIAL, &ids, NULL), TN_OK);

    assert_int_equal(ids.n, 4);
    tn_ids_deinit(&ids);
    tn_tokenizer_destroy(t);
}

static void bos_and_eos_are_added_as_the_vocabulary_says(void **state)
{
    (void)state;
    fixture_bpe(&fixture, "gpt-2");
    fixture.vocab.bos = fixture_add(&fixture, "<s>", TN_TOKEN_CONTROL, 0);
    fixture.vocab.eos = fixture_add(&fixture, "</s>", TN_TOKEN_CONTROL, 0);
    tn_tokenizer *t = create(&fixture);

    expect_ids(t, "a", TN_ENCODE_BOS, "97");
    fixture.vocab.add_bos = 1;
    expect_ids(t, "a", TN_ENCODE_BOS, "256 97");
    expect_ids(t, "a", 0, "97");
    fixture.vocab.add_eos = 1;
    expect_ids(t, "", TN_ENCODE_BOS, "256 257");
    assert_int_equal(tn_tokenizer_bos(t), 256);
    tn_tokenizer_destroy(t);
}

static void stop_ids_are_the_ends_that_are_control_tokens(void **state)
{
    (void)state;
    fixture_bpe(&fixture, "gpt-2");
    (void)fixture_add(&fixture, "<|im_end|>", TN_TOKEN_CONTROL, 0);       /* 256 */
    (void)fixture_add(&fixture, "<|endoftext|>", TN_TOKEN_NORMAL, 0);     /* 257 */
    fixture.vocab.eos = fixture_add(&fixture, "END", TN_TOKEN_NORMAL, 0); /* 258 */
    fixture.vocab.eot = 256;
    tn_tokenizer *t = create(&fixture);

    const tn_ids *stops = tn_tokenizer_stop_ids(t);

    assert_int_equal(stops->n, 2);
    assert_int_equal(stops->id[0], 258);
    assert_int_equal(stops->id[1], 256);
    assert_true(tn_tokenizer_is_control(t, 256));
    assert_false(tn_tokenizer_is_control(t, 257));
    assert_false(tn_tokenizer_is_control(t, -1));
    assert_false(tn_tokenizer_is_control(t, 259));
    assert_int_equal(tn_tokenizer_find(t, "END", 3), 258);
    assert_int_equal(tn_tokenizer_find(t, "EN", 2), -1);
    assert_int_equal(tn_tokenizer_n_tokens(t), 259);
    tn_tokenizer_destroy(t);
}

static void vocabulary_without_types_hides_its_special_ids(void **state)
{
    (void)state;
    tn_strbuf out = TN_STRBUF(100);
    fixture_bpe(&fixture, "gpt-2");
    fixture.vocab.eos = fixture_add(&fixture, "</s>", TN_TOKEN_NORMAL, 0);
    fixture.vocab.type = NULL;
    tn_tokenizer *t = create(&fixture);

    assert_true(tn_tokenizer_is_control(t, 256));
    assert_int_equal(tn_tokenizer_decode(t, (const int32_t[]){ 97, 256 }, 2, false, &out, NULL),
                     TN_OK);
    assert_string_equal(tn_strbuf_text(&out), "a");
    assert_int_equal(tn_tokenizer_decode(t, (const int32_t[]){ 97, 256 }, 2, true, &out, NULL),
                     TN_OK);
    assert_string_equal(tn_strbuf_text(&out), "aa</s>");
    tn_strbuf_deinit(&out);
    tn_tokenizer_destroy(t);
}

static void ids_outside_the_vocabulary_are_invalid(void **state)
{
    (void)state;
    tn_strbuf out = TN_STRBUF(100);
    tn_error err = { 0 };
    fixture_bpe(&fixture, "gpt-2");
    tn_tokenizer *t = create(&fixture);

    assert_int_equal(tn_tokenizer_piece(t, 256, false, &out, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "256"));
    assert_int_equal(tn_tokenizer_piece(t, -1, true, &out, NULL), TN_INVALID);
    assert_int_equal(
        tn_tokenizer_decode(t, (const int32_t[]){ 97, INT32_MAX }, 2, false, &out, NULL),
        TN_INVALID);
    assert_int_equal(tn_tokenizer_piece(t, 255, false, &out, NULL), TN_OK);
    tn_strbuf_deinit(&out);
    tn_tokenizer_destroy(t);
}

static void token_outside_the_byte_alphabet_is_its_own_text(void **state)
{
    (void)state;
    tn_strbuf out = TN_STRBUF(100);
    fixture_bpe(&fixture, "gpt-2");
    int32_t literal = fixture_add(&fixture, "\xC4\xA0\xE4\xB8\xAD", TN_TOKEN_NORMAL, 0);
    int32_t user = fixture_add(&fixture, "\xC4\xA0", TN_TOKEN_USER_DEFINED, 0);
    tn_tokenizer *t = create(&fixture);

    assert_int_equal(
        tn_tokenizer_decode(t, (const int32_t[]){ literal, user, 32 }, 3, false, &out, NULL),
        TN_OK);

    assert_string_equal(tn_strbuf_text(&out), "\xC4\xA0\xE4\xB8\xAD\xC4\xA0 ");
    tn_strbuf_deinit(&out);
    tn_tokenizer_destroy(t);
}

static void broken_vocabularies_are_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = { "ab", " a", "a ", "", "x", "a  ", "a zz", "zz a", "a c" };
    tn_tokenizer *t;
    tn_error err = { 0 };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fixture_bpe(&fixture, "gpt-2");
        (void)fixture_merge(&fixture, "a", "b");
        fixture.merge[0] = (tn_text){ bad[i], strlen(bad[i]) };
        assert_int_equal(tn_tokenizer_create(&fixture.vocab, &t, &err), TN_INVALID);
        assert_non_null(strstr(err.text, "merge 0"));
    }
    fixture_bpe(&fixture, "gpt-2");
    fixture.vocab.eos = 256;
    assert_int_equal(tn_tokenizer_create(&fixture.vocab, &t, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "eos"));
    fixture_bpe(&fixture, "gpt-2");
    fixture.vocab.n_tokens = 0;
    assert_int_equal(tn_tokenizer_create(&fixture.vocab, &t, NULL), TN_INVALID);
}

static void text_over_the_limit_is_invalid(void **state)
{
    (void)state;
    tn_ids ids = { 0 };
    fixture_bpe(&fixture, "gpt-2");
    tn_tokenizer *t = create(&fixture);

    assert_int_equal(tn_tokenizer_encode(t, "", (16u << 20) + 1, 0, &ids, NULL), TN_INVALID);

    assert_int_equal(ids.n, 0);
    tn_ids_deinit(&ids);
    tn_tokenizer_destroy(t);
}

static double seconds_to_encode(const tn_tokenizer *t, const char *text, size_t n, unsigned flags)
{
    clock_t begin = clock();
    expect_round_trip(t, text, n, flags);
    return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

static void one_long_piece_takes_no_quadratic_time(void **state)
{
    (void)state;
    const size_t n = 1u << 20;
    char *text = tn_alloc(n);
    fixture_bpe(&fixture, "smollm");
    (void)fixture_merge(&fixture, "a", "a");
    (void)fixture_merge(&fixture, "aa", "aa");
    (void)fixture_merge(&fixture, "aaaa", "aaaa");
    (void)fixture_add(&fixture, "<<<<|", TN_TOKEN_CONTROL, 0);
    tn_tokenizer *t = create(&fixture);

    memset(text, 'a', n);
    assert_true(seconds_to_encode(t, text, n, 0) < 1.0 * SLOWER);
    memset(text, ' ', n);
    assert_true(seconds_to_encode(t, text, n, 0) < 1.0 * SLOWER);
    memset(text, '<', n);
    assert_true(seconds_to_encode(t, text, n, TN_ENCODE_SPECIAL) < 1.0 * SLOWER);
    tn_tokenizer_destroy(t);
    tn_free(text);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    tn_status st = TN_NO_MEMORY;
    fixture_bpe(&fixture, "smollm");
    (void)fixture_merge(&fixture, "a", "b");
    (void)fixture_add(&fixture, "<|x|>", TN_TOKEN_CONTROL, 0);

    for (uint64_t at = 1; st == TN_NO_MEMORY; at++) {
        tn_tokenizer *t = NULL;
        tn_ids ids = { 0 };
        tn_alloc_fail_at(at);
        st = tn_tokenizer_create(&fixture.vocab, &t, NULL);
        if (!st)
            st = tn_tokenizer_encode(t, "ab abab<|x|>12", 14, TN_ENCODE_SPECIAL, &ids, NULL);
        assert_true(st == TN_OK || ids.n == 0);
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
        cmocka_unit_test(unknown_pretokenizer_is_unsupported_and_names_the_known),
        cmocka_unit_test(unknown_vocabulary_kind_is_unsupported),
        cmocka_unit_test(merges_apply_by_rank_inside_pieces),
        cmocka_unit_test(merges_equal_the_naive_definition),
        cmocka_unit_test(any_bytes_come_back_from_every_pretokenizer),
        cmocka_unit_test(byte_without_a_token_is_left_out),
        cmocka_unit_test(whole_piece_that_is_a_token_needs_no_merges_in_llama_bpe),
        cmocka_unit_test(special_texts_are_found_leftmost_and_longest),
        cmocka_unit_test(special_text_is_not_found_beyond_the_end),
        cmocka_unit_test(bos_and_eos_are_added_as_the_vocabulary_says),
        cmocka_unit_test(stop_ids_are_the_ends_that_are_control_tokens),
        cmocka_unit_test(vocabulary_without_types_hides_its_special_ids),
        cmocka_unit_test(ids_outside_the_vocabulary_are_invalid),
        cmocka_unit_test(token_outside_the_byte_alphabet_is_its_own_text),
        cmocka_unit_test(broken_vocabularies_are_invalid),
        cmocka_unit_test(text_over_the_limit_is_invalid),
        cmocka_unit_test(one_long_piece_takes_no_quadratic_time),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
