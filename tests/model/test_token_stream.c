/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/alloc.h"
#include "model/text/token_stream.h"
#include "model/text/utf8.h"
#include "tests/model/text_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define FFFD "\xEF\xBF\xBD"

static text_fixture fixture;

static tn_tokenizer *create(const text_fixture *f)
{
    tn_tokenizer *t = NULL;
    tn_error err = { 0 };
    if (tn_tokenizer_create(&f->vocab, &t, &err))
        fail_msg("%s", err.text);
    return t;
}

/* Ids 0..255 are bytes. */
static tn_tokenizer *create_bytes(void)
{
    fixture_bpe(&fixture, "gpt-2");
    return create(&fixture);
}

static tn_token_stream *open_stream(const tn_tokenizer *t, const char *const *stops, size_t n_stops)
{
    tn_token_stream *s = NULL;
    assert_int_equal(tn_token_stream_create(t, stops, n_stops, false, &s, NULL), TN_OK);
    return s;
}

/* What one push shows; a final '!' says that the stream has stopped. */
static void expect_push(tn_token_stream *s, int32_t id, const char *expected)
{
    tn_strbuf out = TN_STRBUF(1 << 10);
    bool stopped = false;
    assert_int_equal(tn_token_stream_push(s, id, &out, &stopped, NULL), TN_OK);
    if (stopped)
        tn_strbuf_puts(&out, "!");
    assert_string_equal(tn_strbuf_text(&out), expected);
    tn_strbuf_deinit(&out);
}

static void expect_finish(tn_token_stream *s, const char *expected)
{
    tn_strbuf out = TN_STRBUF(1 << 10);
    assert_int_equal(tn_token_stream_finish(s, &out, NULL), TN_OK);
    assert_string_equal(tn_strbuf_text(&out), expected);
    tn_strbuf_deinit(&out);
    tn_token_stream_destroy(s);
}

static void character_split_over_tokens_appears_when_it_is_whole(void **state)
{
    (void)state;
    tn_tokenizer *t = create_bytes();
    tn_token_stream *s = open_stream(t, NULL, 0);

    expect_push(s, 'a', "a");
    expect_push(s, 0xE2, "");
    expect_push(s, 0x82, "");
    expect_push(s, 0xAC, "\xE2\x82\xAC");
    expect_push(s, 0xF0, "");
    expect_push(s, 0x9F, "");
    expect_push(s, 0x99, "");
    expect_push(s, 0x82, "\xF0\x9F\x99\x82");
    expect_finish(s, "");
    tn_tokenizer_destroy(t);
}

static void invalid_bytes_come_out_as_replacement_characters(void **state)
{
    (void)state;
    tn_tokenizer *t = create_bytes();
    tn_token_stream *s = open_stream(t, NULL, 0);

    expect_push(s, 0xFF, FFFD);
    expect_push(s, 0xE2, "");
    expect_push(s, 0x82, "");
    expect_push(s, 'b', FFFD "b"); /* the two bytes are one maximal subpart */
    expect_push(s, 0xE0, "");
    expect_push(s, 0x80, FFFD FFFD); /* overlong: neither byte can begin a character */
    expect_push(s, 0xED, "");
    expect_push(s, 0xA0, FFFD FFFD); /* a surrogate */
    expect_push(s, 0xF0, "");
    expect_push(s, 0x9F, "");
    expect_finish(s, FFFD); /* the cut character */
    tn_tokenizer_destroy(t);
}

static void stop_string_over_token_borders_is_never_shown(void **state)
{
    (void)state;
    const char *const stops[] = { "###" };
    tn_tokenizer *t = create_bytes();
    tn_token_stream *s = open_stream(t, stops, 1);

    expect_push(s, 'a', "a");
    expect_push(s, '#', "");
    expect_push(s, '#', "");
    expect_push(s, 'b', "##b"); /* no stop string after all */
    expect_push(s, '#', "");
    expect_push(s, '#', "");
    expect_push(s, '#', "!");
    expect_push(s, 'c', "!"); /* nothing after it */
    expect_finish(s, "");
    tn_tokenizer_destroy(t);
}

static void stop_string_inside_one_token_cuts_it(void **state)
{
    (void)state;
    const char *const stops[] = { "b" };
    fixture_bpe(&fixture, "gpt-2");
    int32_t abc = fixture_add(&fixture, "aabc", TN_TOKEN_NORMAL, 0);
    tn_tokenizer *t = create(&fixture);
    tn_token_stream *s = open_stream(t, stops, 1);

    expect_push(s, abc, "aa!");
    expect_finish(s, "");
    tn_tokenizer_destroy(t);
}

static void held_back_text_comes_out_at_the_end(void **state)
{
    (void)state;
    const char *const stops[] = { "User:", "Us" FFFD };
    tn_tokenizer *t = create_bytes();
    tn_token_stream *s = open_stream(t, stops, 2);

    expect_push(s, 'U', "");
    expect_push(s, 's', "");
    expect_push(s, 'e', "");
    expect_finish(s, "Use");
    tn_tokenizer_destroy(t);
}

static void overlapping_stop_strings_cut_where_the_first_completes(void **state)
{
    (void)state;
    const char *const stops[] = { "abcd", "bc", "xbc" };
    tn_tokenizer *t = create_bytes();
    tn_token_stream *s = open_stream(t, stops, 3);

    expect_push(s, 'a', "");
    expect_push(s, 'a', "a"); /* "aa" begins none, "a" may */
    expect_push(s, 'b', "");
    expect_push(s, 'c', "a!"); /* "bc" completes before "abcd" could */
    expect_finish(s, "");

    s = open_stream(t, stops, 3);
    expect_push(s, 'x', "");
    expect_push(s, 'b', "");
    expect_push(s, 'c', "!"); /* "xbc" and "bc" complete together: the longer */
    expect_finish(s, "");
    tn_tokenizer_destroy(t);
}

static void stop_string_that_begins_another_cuts_first(void **state)
{
    (void)state;
    const char *const stops[] = { "ab", "abc" };
    tn_tokenizer *t = create_bytes();
    tn_token_stream *s = open_stream(t, stops, 2);

    expect_push(s, 'x', "x");
    expect_push(s, 'a', "");
    expect_push(s, 'b', "!"); /* "abc" can never complete */
    expect_finish(s, "");
    tn_tokenizer_destroy(t);
}

static void stop_string_completes_with_the_last_byte_of_a_character(void **state)
{
    (void)state;
    const char *const stops[] = { "\xE2\x82\xAC" };
    tn_tokenizer *t = create_bytes();
    tn_token_stream *s = open_stream(t, stops, 1);

    expect_push(s, 'a', "a");
    expect_push(s, 0xE2, "");
    expect_push(s, 0x82, "");
    expect_push(s, 0xAD, "\xE2\x82\xAD"); /* another character */
    expect_push(s, 0xE2, "");
    expect_push(s, 0x82, "");
    expect_push(s, 0xAC, "!");
    expect_finish(s, "");
    tn_tokenizer_destroy(t);
}

static void held_stop_strings_are_text_until_min_tokens(void **state)
{
    (void)state;
    const char *const stops[] = { "##" };
    tn_tokenizer *t = create_bytes();
    tn_token_stream *s = open_stream(t, stops, 1);

    tn_token_stream_hold_stops(s, 3);
    expect_push(s, '#', "");
    expect_push(s, '#', "#"); /* text, but its end may begin one */
    expect_push(s, 'a', "#a");
    expect_push(s, '#', "");
    expect_push(s, '#', "!");
    expect_finish(s, "");

    s = open_stream(t, stops, 1);
    tn_token_stream_hold_stops(s, 1);
    expect_push(s, '#', "");
    expect_push(s, '#', "!"); /* completes after min_tokens, though it began before */
    expect_finish(s, "");

    s = open_stream(t, stops, 1);
    tn_token_stream_hold_stops(s, 9);
    expect_push(s, '#', "");
    expect_push(s, '#', "#");
    expect_finish(s, "#"); /* the answer ended before min_tokens */
    tn_tokenizer_destroy(t);
}

static void control_tokens_show_only_when_asked(void **state)
{
    (void)state;
    tn_token_stream *s;
    fixture_bpe(&fixture, "gpt-2");
    int32_t end = fixture_add(&fixture, "<|im_end|>", TN_TOKEN_CONTROL, 0);
    tn_tokenizer *t = create(&fixture);

    s = open_stream(t, NULL, 0);
    expect_push(s, end, "");
    expect_finish(s, "");
    assert_int_equal(tn_token_stream_create(t, NULL, 0, true, &s, NULL), TN_OK);
    expect_push(s, end, "<|im_end|>");
    expect_finish(s, "");
    tn_tokenizer_destroy(t);
}

static void first_blank_of_sentencepiece_is_dropped_as_decode_does(void **state)
{
    (void)state;
    fixture_spm(&fixture);
    int32_t word = fixture_add(&fixture,
                               "\xE2\x96\x81"
                               "ab",
                               TN_TOKEN_NORMAL, 0);
    tn_tokenizer *t = create(&fixture);
    tn_token_stream *s = open_stream(t, NULL, 0);

    expect_push(s, 1, "");
    expect_push(s, word, "ab");
    expect_push(s, word, " ab");
    expect_push(s, 3 + 0xC3, "");
    expect_push(s, 3 + 0xA9, "\xC3\xA9");
    expect_finish(s, "");
    tn_tokenizer_destroy(t);
}

/* The stream's definition on the whole text: replace, then cut before the stop string that ends
 * first (the longest of these). */
static void expected_text(const tn_tokenizer *t, const int32_t *ids, size_t n,
                          const char *const *stops, size_t n_stops, tn_strbuf *out)
{
    tn_strbuf raw = TN_STRBUF(1 << 16);
    assert_int_equal(tn_tokenizer_decode(t, ids, n, false, &raw, NULL), TN_OK);
    for (size_t at = 0; at < raw.len;) {
        tn_utf8_unit unit = tn_utf8_next(raw.data + at, raw.len - at);
        if (unit.kind == TN_UTF8_CHAR)
            tn_strbuf_append(out, raw.data + at, unit.n);
        else
            tn_strbuf_puts(out, FFFD);
        at += unit.n;
    }
    tn_strbuf_deinit(&raw);
    size_t first_end = SIZE_MAX, cut = out->len;
    for (size_t i = 0; i < n_stops; i++) {
        const char *found = strstr(tn_strbuf_text(out), stops[i]);
        size_t begin = found ? (size_t)(found - out->data) : 0, end = begin + strlen(stops[i]);
        if (found && (end < first_end || (end == first_end && begin < cut))) {
            first_end = end;
            cut = begin;
        }
    }
    out->len = cut;
}

static void random_streams_equal_the_whole_text_and_show_whole_characters(void **state)
{
    (void)state;
    const char *const stops[] = { "aba", "bb", "ab\xC3\xA9", "\xE2\x82\xAC" };
    const uint8_t alphabet[] = { 'a', 'b', 'a', 'b', 0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xFF };
    uint64_t random = 0x5EED0006;
    tn_tokenizer *t = create_bytes();
    for (int sample = 0; sample < 3000; sample++) {
        size_t n_stops = fixture_random(&random) % 5;
        size_t n = fixture_random(&random) % 30;
        int32_t ids[30];
        tn_strbuf shown = TN_STRBUF(1 << 16), expected = TN_STRBUF(1 << 16);
        tn_token_stream *s = open_stream(t, stops, n_stops);
        bool stopped = false;
        for (size_t i = 0; i < n; i++) {
            ids[i] = alphabet[fixture_random(&random) % sizeof(alphabet)];
            assert_int_equal(tn_token_stream_push(s, ids[i], &shown, &stopped, NULL), TN_OK);
            assert_int_equal(tn_utf8_valid_prefix(tn_strbuf_text(&shown), shown.len), shown.len);
        }
        assert_int_equal(tn_token_stream_finish(s, &shown, NULL), TN_OK);
        tn_token_stream_destroy(s);

        expected_text(t, ids, n, stops, n_stops, &expected);

        assert_int_equal(shown.len, expected.len);
        assert_memory_equal(tn_strbuf_text(&shown), tn_strbuf_text(&expected), shown.len);
        tn_strbuf_deinit(&expected);
        tn_strbuf_deinit(&shown);
    }
    tn_tokenizer_destroy(t);
}

static void bad_stop_strings_and_ids_are_invalid(void **state)
{
    (void)state;
    const char *const empty[] = { "a", "" };
    const char *const broken[] = { "\xC3" };
    const char *many[65];
    static char huge[1026];
    const char *const long_one[] = { huge };
    tn_strbuf out = TN_STRBUF(100);
    bool stopped;
    tn_token_stream *s;
    tn_error err = { 0 };
    for (size_t i = 0; i < 65; i++)
        many[i] = "x";
    memset(huge, 'x', 1025);
    tn_tokenizer *t = create_bytes();

    assert_int_equal(tn_token_stream_create(t, empty, 2, false, &s, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "stop string 2"));
    assert_null(s);
    assert_int_equal(tn_token_stream_create(t, broken, 1, false, &s, NULL), TN_INVALID);
    assert_int_equal(tn_token_stream_create(t, many, 65, false, &s, NULL), TN_INVALID);
    assert_int_equal(tn_token_stream_create(t, long_one, 1, false, &s, NULL), TN_INVALID);
    s = open_stream(t, many, 64);
    assert_int_equal(tn_token_stream_push(s, 256, &out, &stopped, NULL), TN_INVALID);
    tn_token_stream_destroy(s);
    tn_tokenizer_destroy(t);
}

static void full_output_is_an_error_not_a_loss(void **state)
{
    (void)state;
    tn_strbuf out = TN_STRBUF(1);
    bool stopped;
    tn_tokenizer *t = create_bytes();
    tn_token_stream *s = open_stream(t, NULL, 0);

    assert_int_equal(tn_token_stream_push(s, 'a', &out, &stopped, NULL), TN_OK);
    assert_int_equal(tn_token_stream_push(s, 'a', &out, &stopped, NULL), TN_NO_MEMORY);
    tn_token_stream_destroy(s);
    tn_strbuf_deinit(&out);
    tn_tokenizer_destroy(t);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    const char *const stops[] = { "xy", "z" };
    tn_status st = TN_NO_MEMORY;
    tn_tokenizer *t = create_bytes();

    for (uint64_t at = 1; st == TN_NO_MEMORY; at++) {
        tn_token_stream *s;
        tn_strbuf out = TN_STRBUF(100);
        bool stopped;
        tn_alloc_fail_at(at);
        st = tn_token_stream_create(t, stops, 2, false, &s, NULL);
        if (!st)
            st = tn_token_stream_push(s, 'x', &out, &stopped, NULL);
        if (!st)
            st = tn_token_stream_finish(s, &out, NULL);
        tn_token_stream_destroy(s);
        tn_strbuf_deinit(&out);
        assert_true(at < 100);
    }
    tn_alloc_fail_at(0);

    assert_int_equal(st, TN_OK);
    tn_tokenizer_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(character_split_over_tokens_appears_when_it_is_whole),
        cmocka_unit_test(invalid_bytes_come_out_as_replacement_characters),
        cmocka_unit_test(stop_string_over_token_borders_is_never_shown),
        cmocka_unit_test(stop_string_inside_one_token_cuts_it),
        cmocka_unit_test(held_back_text_comes_out_at_the_end),
        cmocka_unit_test(overlapping_stop_strings_cut_where_the_first_completes),
        cmocka_unit_test(stop_string_that_begins_another_cuts_first),
        cmocka_unit_test(stop_string_completes_with_the_last_byte_of_a_character),
        cmocka_unit_test(held_stop_strings_are_text_until_min_tokens),
        cmocka_unit_test(control_tokens_show_only_when_asked),
        cmocka_unit_test(first_blank_of_sentencepiece_is_dropped_as_decode_does),
        cmocka_unit_test(random_streams_equal_the_whole_text_and_show_whole_characters),
        cmocka_unit_test(bad_stop_strings_and_ids_are_invalid),
        cmocka_unit_test(full_output_is_an_error_not_a_loss),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
