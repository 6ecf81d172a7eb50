/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF bytes that are broken, hostile or too new: a message each, never a crash. */
#include "core/base/alloc.h"
#include "model/formats/gguf.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { F32 = 0, Q4_0 = 2, IQ3_S = 21 };
enum { N_TRUNCATIONS = 200, N_FLIPS = 2000 };

/* ---- bytes by hand ---- */

typedef struct raw {
    uint8_t bytes[2048];
    size_t n;
} raw;

static void put(raw *r, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        r->bytes[r->n++] = (uint8_t)(value >> (8 * i));
}

static void put_text(raw *r, const char *text)
{
    put(r, strlen(text), 8);
    memcpy(r->bytes + r->n, text, strlen(text));
    r->n += strlen(text);
}

static void head(raw *r, uint32_t version, uint64_t n_tensors, uint64_t n_pairs)
{
    memcpy(r->bytes, "GGUF", 4);
    r->n = 4;
    put(r, version, 4);
    put(r, n_tensors, 8);
    put(r, n_pairs, 8);
}

static void pair(raw *r, const char *key, uint32_t type)
{
    put_text(r, key);
    put(r, type, 4);
}

static void tensor(raw *r, const char *name, uint64_t dim0, uint64_t dim1, uint32_t type,
                   uint64_t offset)
{
    put_text(r, name);
    put(r, 2, 4);
    put(r, dim0, 8);
    put(r, dim1, 8);
    put(r, type, 4);
    put(r, offset, 8);
}

/* Padding to 32 bytes and n bytes of tensor data. */
static void data(raw *r, size_t n)
{
    r->n += (32 - r->n % 32) % 32 + n;
}

/* ---- one builder a case; r is zeroed ---- */

static void two_tensors(raw *r)
{
    head(r, 3, 2, 1);
    pair(r, "k", TN_GGUF_U32);
    put(r, 7, 4);
    tensor(r, "a", 4, 2, F32, 0);
    tensor(r, "b", 32, 1, Q4_0, 32);
    data(r, 32 + 18);
}
static void not_gguf(raw *r)
{
    put_text(r, "PK\x03\x04 something else");
}
static void version_1(raw *r)
{
    head(r, 1, 0, 0);
}
static void version_4(raw *r)
{
    head(r, 4, 0, 0);
}
static void big_endian(raw *r)
{
    head(r, 0x03000000, 0, 0);
}
static void header_cut(raw *r)
{
    head(r, 3, 0, 0);
    r->n = 17;
}
static void too_many_tensors(raw *r)
{
    head(r, 3, (uint64_t)1 << 60, 0);
}
static void too_many_pairs(raw *r)
{
    head(r, 3, 0, UINT64_MAX);
}
static void string_of_2_63(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "general.name", TN_GGUF_STRING);
    put(r, (uint64_t)1 << 63, 8);
}
static void key_of_2_63(raw *r)
{
    head(r, 3, 0, 1);
    put(r, (uint64_t)1 << 63, 8);
    put(r, 0, 8);
}
static void key_empty(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "", TN_GGUF_U32);
    put(r, 0, 8);
}
static void key_with_escape(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "\x1b[2J", TN_GGUF_U32);
    put(r, 0, 8);
}
static void key_twice(raw *r)
{
    head(r, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        pair(r, "llama.block_count", TN_GGUF_U32);
        put(r, 1, 4);
    }
}
static void value_type_unknown(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "k", 13);
    put(r, 0, 8);
}
static void bool_of_2(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "k", TN_GGUF_BOOL);
    put(r, 2, 1);
}
/* Arrays in arrays, `depth` deep in all; the innermost holds two bytes. */
static void nested_arrays(raw *r, int depth)
{
    head(r, 3, 0, 2);
    pair(r, "nested", TN_GGUF_ARRAY);
    for (int i = 1; i < depth; i++) {
        put(r, TN_GGUF_ARRAY, 4);
        put(r, 1, 8);
    }
    put(r, TN_GGUF_U8, 4);
    put(r, 2, 8);
    put(r, 7, 2);
    pair(r, "after", TN_GGUF_U32);
    put(r, 3, 4);
}
static void array_of_arrays(raw *r)
{
    nested_arrays(r, 2);
}
static void arrays_as_deep_as_allowed(raw *r)
{
    nested_arrays(r, TN_GGUF_MAX_ARRAY_DEPTH + 1);
}
static void arrays_too_deep(raw *r)
{
    nested_arrays(r, TN_GGUF_MAX_ARRAY_DEPTH + 2);
}
static void array_in_array_too_long(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "k", TN_GGUF_ARRAY);
    put(r, TN_GGUF_ARRAY, 4);
    put(r, 1, 8);
    put(r, TN_GGUF_U64, 4);
    put(r, (uint64_t)1 << 61, 8);
}
static void alignment_nested(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "general.alignment", TN_GGUF_ARRAY);
    put(r, TN_GGUF_ARRAY, 4);
    put(r, 1, 8);
    put(r, TN_GGUF_U8, 4);
    put(r, 1, 8);
    put(r, 32, 1);
}
static void array_type_unknown(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "k", TN_GGUF_ARRAY);
    put(r, 77, 4);
    put(r, 1, 8);
}
static void array_too_long(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "k", TN_GGUF_ARRAY);
    put(r, TN_GGUF_U64, 4);
    put(r, UINT64_MAX / 8 + 2, 8); /* times 8 is 8, modulo 2^64 */
}
static void strings_cut(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "k", TN_GGUF_ARRAY);
    put(r, TN_GGUF_STRING, 4);
    put(r, 2, 8);
    put_text(r, "one");
    put(r, 99, 8);
}
static void with_alignment(raw *r, uint32_t alignment)
{
    head(r, 3, 0, 1);
    pair(r, "general.alignment", TN_GGUF_U32);
    put(r, alignment, 4);
}
static void alignment_0(raw *r)
{
    with_alignment(r, 0);
}
static void alignment_3(raw *r)
{
    with_alignment(r, 3);
}
static void alignment_24(raw *r)
{
    with_alignment(r, 24);
}
static void alignment_2_31(raw *r)
{
    with_alignment(r, (uint32_t)1 << 31);
}
static void alignment_text(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "general.alignment", TN_GGUF_STRING);
    put_text(r, "32");
}
static void one_tensor(raw *r, uint64_t dim0, uint64_t dim1, uint32_t type, uint64_t offset)
{
    head(r, 3, 1, 0);
    tensor(r, "t", dim0, dim1, type, offset);
    data(r, 128);
}
static void dimension_0(raw *r)
{
    one_tensor(r, 4, 0, F32, 0);
}
static void dimension_2_31(raw *r)
{
    one_tensor(r, (uint64_t)1 << 31, 1, F32, 0);
}
static void product_overflows(raw *r)
{
    head(r, 3, 1, 0);
    put_text(r, "t");
    put(r, 4, 4);
    for (int i = 0; i < 4; i++)
        put(r, (uint64_t)1 << 30, 8); /* 2^120 values: 0 modulo 2^64 */
    put(r, F32, 4);
    put(r, 0, 8);
    data(r, 128);
}
static void dimensions(raw *r, uint32_t n)
{
    head(r, 3, 1, 0);
    put_text(r, "t");
    put(r, n, 4);
    for (uint32_t i = 0; i < n; i++)
        put(r, 1, 8);
    put(r, F32, 4);
    put(r, 0, 8);
    data(r, 128);
}
static void no_dimensions(raw *r)
{
    dimensions(r, 0);
}
static void five_dimensions(raw *r)
{
    dimensions(r, 5);
}
static void past_the_end(raw *r)
{
    one_tensor(r, 4, 9, F32, 0); /* 144 of 128 bytes */
}
static void offset_past_the_end(raw *r)
{
    one_tensor(r, 4, 1, F32, 160);
}
static void offset_wraps(raw *r)
{
    one_tensor(r, 4, 1, F32, UINT64_MAX - 31);
}
static void offset_unaligned(raw *r)
{
    one_tensor(r, 4, 1, F32, 4);
}
static void columns_no_blocks(raw *r)
{
    one_tensor(r, 33, 1, Q4_0, 0);
}
static void type_known_unread(raw *r)
{
    one_tensor(r, 256, 1, IQ3_S, 0);
}
static void type_unknown(raw *r)
{
    one_tensor(r, 256, 1, 4711, 0);
}
static void overlap(raw *r)
{
    head(r, 3, 2, 0);
    tensor(r, "b", 4, 1, F32, 32);
    tensor(r, "a", 4, 4, F32, 0); /* 64 bytes */
    data(r, 128);
}
static void name_twice(raw *r)
{
    head(r, 3, 2, 0);
    tensor(r, "t", 4, 1, F32, 0);
    tensor(r, "t", 4, 1, F32, 32);
    data(r, 128);
}
static void name_too_long(raw *r)
{
    char name[TN_GGUF_MAX_NAME_BYTES + 2] = { 0 };
    memset(name, 'n', sizeof(name) - 1);
    head(r, 3, 1, 0);
    tensor(r, name, 4, 1, F32, 0);
    data(r, 128);
}
static void vocabulary(raw *r, uint64_t n_types, uint32_t type_of_types)
{
    head(r, 3, 0, 3);
    pair(r, "tokenizer.ggml.model", TN_GGUF_STRING);
    put_text(r, "gpt2");
    pair(r, "tokenizer.ggml.tokens", TN_GGUF_ARRAY);
    put(r, TN_GGUF_STRING, 4);
    put(r, 2, 8);
    put_text(r, "a");
    put_text(r, "b");
    pair(r, "tokenizer.ggml.token_type", TN_GGUF_ARRAY);
    put(r, type_of_types, 4);
    put(r, n_types, 8);
    for (uint64_t i = 0; i < n_types; i++)
        put(r, 1, 4);
}
static void token_types_too_few(raw *r)
{
    vocabulary(r, 1, TN_GGUF_I32);
}
static void token_types_floats(raw *r)
{
    vocabulary(r, 2, TN_GGUF_F32);
}
static void vocabulary_without_tokens(raw *r)
{
    head(r, 3, 0, 1);
    pair(r, "tokenizer.ggml.model", TN_GGUF_STRING);
    put_text(r, "gpt2");
}
static void spm_without_scores(raw *r)
{
    head(r, 3, 0, 2);
    pair(r, "tokenizer.ggml.model", TN_GGUF_STRING);
    put_text(r, "llama");
    pair(r, "tokenizer.ggml.tokens", TN_GGUF_ARRAY);
    put(r, TN_GGUF_STRING, 4);
    put(r, 1, 8);
    put_text(r, "a");
}

static const struct {
    const char *name;
    void (*build)(raw *);
    tn_status status;
    const char *text;
} cases[] = {
    { "two_tensors", two_tensors, TN_OK, "" },
    { "not_gguf", not_gguf, TN_INVALID, "no GGUF file" },
    { "version_1", version_1, TN_UNSUPPORTED, "version 1" },
    { "version_4", version_4, TN_UNSUPPORTED, "version 4" },
    { "big_endian", big_endian, TN_UNSUPPORTED, "big-endian" },
    { "header_cut", header_cut, TN_INVALID, "ends inside the header" },
    { "too_many_tensors", too_many_tensors, TN_INVALID, "1152921504606846976 tensors" },
    { "too_many_pairs", too_many_pairs, TN_INVALID, "metadata entries" },
    { "string_of_2_63", string_of_2_63, TN_INVALID, "length of 9223372036854775808" },
    { "key_of_2_63", key_of_2_63, TN_INVALID, "a metadata key" },
    { "key_empty", key_empty, TN_INVALID, "empty" },
    { "key_with_escape", key_with_escape, TN_INVALID, "0x1b" },
    { "key_twice", key_twice, TN_INVALID, "llama.block_count occurs twice" },
    { "value_type_unknown", value_type_unknown, TN_INVALID, "k has type 13" },
    { "bool_of_2", bool_of_2, TN_INVALID, "bool" },
    { "array_of_arrays", array_of_arrays, TN_OK, "" },
    { "arrays_as_deep_as_allowed", arrays_as_deep_as_allowed, TN_OK, "" },
    { "arrays_too_deep", arrays_too_deep, TN_INVALID, "nested nests arrays more than 8 deep" },
    { "array_in_array_too_long", array_in_array_too_long, TN_INVALID, "2305843009213693952" },
    { "alignment_nested", alignment_nested, TN_INVALID, "an array of array" },
    { "array_type_unknown", array_type_unknown, TN_INVALID, "type 77" },
    { "array_too_long", array_too_long, TN_INVALID, "elements" },
    { "strings_cut", strings_cut, TN_INVALID, "length of 99" },
    { "alignment_0", alignment_0, TN_INVALID, "general.alignment is 0" },
    { "alignment_3", alignment_3, TN_INVALID, "general.alignment is 3" },
    { "alignment_24", alignment_24, TN_INVALID, "power of two" },
    { "alignment_2_31", alignment_2_31, TN_INVALID, "general.alignment is 2147483648" },
    { "alignment_text", alignment_text, TN_INVALID, "of type string" },
    { "dimension_0", dimension_0, TN_INVALID, "dimension 1 is 0" },
    { "dimension_2_31", dimension_2_31, TN_INVALID, "dimension 0 is 2147483648" },
    { "product_overflows", product_overflows, TN_INVALID, "overflows" },
    { "no_dimensions", no_dimensions, TN_INVALID, "0 dimensions" },
    { "five_dimensions", five_dimensions, TN_INVALID, "5 dimensions" },
    { "past_the_end", past_the_end, TN_INVALID, "reaches past" },
    { "offset_past_the_end", offset_past_the_end, TN_INVALID, "reaches past" },
    { "offset_wraps", offset_wraps, TN_INVALID, "reaches past" },
    { "offset_unaligned", offset_unaligned, TN_INVALID, "alignment" },
    { "columns_no_blocks", columns_no_blocks, TN_INVALID, "33 columns" },
    { "type_known_unread", type_known_unread, TN_UNSUPPORTED, "IQ3_S" },
    { "type_unknown", type_unknown, TN_UNSUPPORTED, "4711" },
    { "overlap", overlap, TN_INVALID, "tensors a and b overlap" },
    { "name_twice", name_twice, TN_INVALID, "two tensors have the name t" },
    { "name_too_long", name_too_long, TN_INVALID, "tensor name" },
    { "token_types_too_few", token_types_too_few, TN_INVALID, "has 1 elements" },
    { "token_types_floats", token_types_floats, TN_INVALID, "array of f32" },
    { "vocabulary_without_tokens", vocabulary_without_tokens, TN_INVALID, "tokenizer.ggml.tokens" },
    { "spm_without_scores", spm_without_scores, TN_INVALID, "tokenizer.ggml.scores" },
};

/* ---- running ---- */

/* Decode one row of every tensor, ask for everything else. */
static void use(tn_model_file *file)
{
    const tn_weight_source *source = tn_model_file_weights(file);
    tn_error err = { 0 };
    tn_model_desc desc;
    tn_status st = tn_model_file_desc(file, &desc, &err);
    assert_true(st == TN_OK || err.text[0]);
    for (int32_t i = 0; i < tn_model_file_n_tensors(file); i++) {
        tn_weight_info info;
        tn_row_buffer buffer;
        tn_weight_rows rows;
        assert_int_equal(tn_model_file_tensor(file, i, &info, &err), TN_OK);
        assert_int_equal(tn_row_buffer_init(&buffer, &info, 1, &err), TN_OK);
        assert_int_equal(source->rows(source->self, &info, info.rows - 1, 1, &buffer, &rows, &err),
                         TN_OK);
        tn_row_buffer_deinit(&buffer);
    }
    for (int32_t i = 0; i < tn_model_file_n_facts(file); i++)
        assert_non_null(tn_model_file_fact(file, i).value);
}

/* A copy of exactly n bytes on the heap, so that AddressSanitizer sees a read past it. */
static tn_status open_copy(const uint8_t *bytes, size_t n, tn_error *err)
{
    tn_model_file *file = NULL;
    uint8_t *copy = tn_alloc(n);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    tn_status st = tn_gguf_open_memory(&(tn_gguf_bytes){ copy, n }, 1, &file, err);
    if (!st)
        use(file);
    else
        assert_null(file);
    tn_model_file_close(file);
    tn_free(copy);
    return st;
}

static void each_broken_file_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        raw r = { .n = 0 };
        tn_error err = { 0 };
        cases[i].build(&r);

        tn_status st = open_copy(r.bytes, r.n, &err);

        if (st != cases[i].status || !strstr(err.text, cases[i].text))
            fail_msg("%s: status %d, \"%s\"", cases[i].name, st, err.text);
    }
}

static void each_broken_file_cut_anywhere_is_refused_or_opens(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        raw r = { .n = 0 };
        cases[i].build(&r);
        for (size_t n = 0; n < r.n; n++) {
            tn_error err = { 0 };
            if (open_copy(r.bytes, n, &err))
                assert_true(err.text[0]);
        }
    }
}

static uint8_t *tiny_bytes(size_t *out_n)
{
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    tn_error err = { 0 };
    m.type = "Q4_1";
    m.embed_type = "Q8_0";
    m.dim = m.ffn = 32;
    m.heads = 2;
    m.layers = 1;
    assert_int_equal(tn_tiny_model_write(&m, tn_temp_path("bad.gguf"), &err), TN_OK);
    uint8_t *bytes = tn_temp_read("bad.gguf", out_n);
    assert_non_null(bytes);
    return bytes;
}

static void a_model_cut_anywhere_is_refused(void **state)
{
    (void)state;
    size_t n = 0;
    uint8_t *bytes = tiny_bytes(&n);
    for (size_t i = 0; i < N_TRUNCATIONS; i++) {
        tn_error err = { 0 };
        size_t cut = i * (n - 32) / N_TRUNCATIONS; /* the last 32 bytes may be padding */
        tn_status st = open_copy(bytes, cut, &err);
        if (st != TN_INVALID || !err.text[0])
            fail_msg("cut to %zu of %zu bytes: status %d", cut, n, st);
    }
    tn_free(bytes);
}

static void a_model_with_a_flipped_byte_opens_or_is_refused(void **state)
{
    (void)state;
    size_t n = 0;
    uint64_t random = 2024;
    int n_refused = 0;
    uint8_t *bytes = tiny_bytes(&n);
    for (int i = 0; i < N_FLIPS; i++) {
        tn_error err = { 0 };
        /* Half of the flips hit the first kilobyte, where counts and types are. */
        size_t at = (size_t)(tn_test_random(&random) % (i % 2 ? n : 1024));
        uint8_t flip = (uint8_t)(1 + tn_test_random(&random) % 255);
        bytes[at] ^= flip;
        if (open_copy(bytes, n, &err)) {
            n_refused++;
            assert_true(err.text[0]);
        }
        bytes[at] ^= flip;
    }
    assert_in_range(n_refused, 100, N_FLIPS - 100);
    tn_free(bytes);
}

static void a_missing_or_empty_file_or_a_directory_is_named(void **state)
{
    (void)state;
    tn_error err = { 0 };
    tn_model_file *file = NULL;
    assert_int_equal(tn_model_file_open(tn_temp_path("missing.gguf"), &file, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "missing.gguf"));
    assert_int_equal(tn_model_file_open(tn_temp_path("."), &file, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "directory"));
    FILE *empty = fopen(tn_temp_path("empty.gguf"), "wb");
    assert_non_null(empty);
    assert_int_equal(fclose(empty), 0);
    assert_int_equal(tn_model_file_open(tn_temp_path("empty.gguf"), &file, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "empty.gguf"));
    assert_non_null(strstr(err.text, "it is empty"));
    assert_null(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_broken_file_is_refused_with_its_reason),
        cmocka_unit_test(each_broken_file_cut_anywhere_is_refused_or_opens),
        cmocka_unit_test(a_model_cut_anywhere_is_refused),
        cmocka_unit_test(a_model_with_a_flipped_byte_opens_or_is_refused),
        cmocka_unit_test(a_missing_or_empty_file_or_a_directory_is_named),
    };
    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
