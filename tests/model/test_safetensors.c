/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors files: what is in one, and each way in which one can be wrong. */
#include "core/base/alloc.h"
#include "model/formats/safetensors.h"
#include "tests/support/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

/* Length, header, n_data bytes of tensors; exactly on the heap. */
static uint8_t *make_file(const char *header, size_t n_header, size_t n_data, size_t *out_n)
{
    *out_n = 8 + n_header + n_data;
    uint8_t *bytes = tn_alloc_array(*out_n, 1);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)n_header >> (8 * i));
    memcpy(bytes + 8, header, n_header);
    for (size_t i = 0; i < n_data; i++)
        bytes[8 + n_header + i] = (uint8_t)i;
    return bytes;
}

static tn_status parse(const char *header, size_t n_data, tn_safetensors *s, uint8_t **bytes,
                       tn_error *err)
{
    size_t n = 0;
    *bytes = make_file(header, strlen(header), n_data, &n);
    return tn_safetensors_parse(s, *bytes, n, err);
}

static void tensors_are_listed_by_name_with_type_shape_and_place(void **state)
{
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
        "\"a\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]},"
        "\"scalar\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[16,17]},"
        "\"none\":{\"dtype\":\"F64\",\"shape\":[0,5],\"data_offsets\":[17,17]}}   ";
    tn_safetensors s;
    uint8_t *bytes = NULL;
    tn_error err = { 0 };
    (void)state;
    if (parse(header, 17, &s, &bytes, &err))
        fail_msg("%s", err.text);

    assert_int_equal(s.n_tensors, 4);
    assert_string_equal(s.tensor[0].name, "a");
    assert_string_equal(s.tensor[1].name, "b");
    assert_int_equal(s.tensor[1].type, TN_ST_F16);
    assert_int_equal(s.tensor[1].n_dims, 2);
    assert_int_equal(s.tensor[1].dim[1], 3);
    assert_int_equal(s.tensor[1].bytes, 12);
    assert_int_equal(s.tensor[1].data[0], 4);
    assert_ptr_equal(s.tensor[1].data, bytes + s.tensor[1].offset);
    assert_int_equal(s.tensor[2].bytes, 0);
    assert_int_equal(s.tensor[3].n_dims, 0);
    tn_safetensors_deinit(&s);
    tn_free(bytes);
}

static void an_empty_table_is_a_file_without_tensors(void **state)
{
    tn_safetensors s;
    uint8_t *bytes = NULL;
    (void)state;
    assert_int_equal(parse("{}", 0, &s, &bytes, NULL), TN_OK);
    assert_int_equal(s.n_tensors, 0);
    tn_safetensors_deinit(&s);
    tn_free(bytes);
}

/* ---- broken ---- */

#define TENSOR(name, type, shape, place)                                                           \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" place "}"

static const struct {
    const char *header;
    size_t n_data;
    tn_status status;
    const char *text;
} broken[] = {
    { "", 0, TN_INVALID, "does not begin with {" },
    { " {}", 0, TN_INVALID, "does not begin with {" },
    { "[]", 0, TN_INVALID, "does not begin with {" },
    { "{", 0, TN_INVALID, "no valid JSON at line 1" },
    { "{}}", 0, TN_INVALID, "no valid JSON" },
    { "{\"a\":\"\xff\"}", 0, TN_INVALID, "no valid JSON" },
    { "{\"a\":1}", 0, TN_INVALID, "tensor a: an object is needed" },
    { "{\"a\":null}", 0, TN_INVALID, "tensor a: an object is needed" },
    { "{\"a\":{}}", 0, TN_INVALID, "tensor a has no dtype" },
    { "{\"\":{}}", 0, TN_INVALID, "name has 0 bytes" },
    { "{\"a\\u001b[2J\":{}}", 0, TN_INVALID, "control character 0x1b" },
    { "{" TENSOR("a", "F12", "[1]", "[0,4]") "}", 4, TN_UNSUPPORTED, "the dtype \"F12\"" },
    { "{\"a\":{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, TN_INVALID, "no dtype" },
    { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, TN_INVALID, "shape must be" },
    { "{" TENSOR("a", "F32", "1", "[0,4]") "}", 4, TN_INVALID, "shape must be an array" },
    { "{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, TN_INVALID, "at most 8" },
    { "{" TENSOR("a", "F32", "[-1]", "[0,4]") "}", 4, TN_INVALID, "shape[0] is no integer" },
    { "{" TENSOR("a", "F32", "[1.0]", "[0,4]") "}", 4, TN_INVALID, "shape[0] is no integer" },
    { "{" TENSOR("a", "F32", "[\"1\"]", "[0,4]") "}", 4, TN_INVALID, "shape[0] is no integer" },
    { "{" TENSOR("a", "F32", "[99999999999999999999]", "[0,4]") "}", 4, TN_INVALID, "no valid" },
    { "{" TENSOR("a", "F32", "[4294967296,4294967296]", "[0,4]") "}", 4, TN_INVALID, "overflows" },
    { "{" TENSOR("a", "F64", "[4611686018427387904]", "[0,0]") "}", 0, TN_INVALID, "make it" },
    { "{" TENSOR("a", "F32", "[1]", "[0]") "}", 4, TN_INVALID, "data_offsets must be two" },
    { "{" TENSOR("a", "F32", "[1]", "[0,4,8]") "}", 4, TN_INVALID, "data_offsets must be two" },
    { "{" TENSOR("a", "F32", "[1]", "[0,\"4\"]") "}", 4, TN_INVALID, "data_offsets must be two" },
    { "{" TENSOR("a", "F32", "[1]", "[4,0]") "}", 4, TN_INVALID, "data_offsets are 4 to 0" },
    { "{" TENSOR("a", "F32", "[1]", "[-4,0]") "}", 4, TN_INVALID, "data_offsets are -4 to 0" },
    { "{" TENSOR("a", "F32", "[2]", "[0,8]") "}", 4, TN_INVALID, "it is cut off or broken" },
    { "{" TENSOR("a", "F32", "[1]", "[0,9223372036854775807]") "}", 4, TN_INVALID, "cut off" },
    { "{" TENSOR("a", "F32", "[2]", "[0,4]") "}", 4, TN_INVALID, "shape and dtype F32 make it 8" },
    { "{" TENSOR("a", "F32", "[1]", "[0,8]") "}", 8, TN_INVALID, "shape and dtype F32 make it 4" },
    { "{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("a", "F32", "[1]", "[4,8]") "}", 8,
      TN_INVALID, "duplicate object key" },
    { "{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[0,4]") "}", 4,
      TN_INVALID, "overlap" },
    { "{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[1]", "[4,8]") "}", 8,
      TN_INVALID, "tensors a and b overlap" },
    { "{" TENSOR("a", "F32", "[1]", "[4,8]") "}", 8, TN_INVALID, "4 bytes before tensor a" },
    { "{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[8,12]") "}", 12,
      TN_INVALID, "4 bytes before tensor b belong to no tensor" },
    { "{" TENSOR("a", "F32", "[1]", "[0,4]") "}", 5, TN_INVALID, "1 bytes at the end" },
};

static void each_broken_file_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        tn_safetensors s;
        uint8_t *bytes = NULL;
        tn_error err = { 0 };

        tn_test_refusal_begin();
        tn_status st = parse(broken[i].header, broken[i].n_data, &s, &bytes, &err);
        assert_true(tn_test_refusal_end());

        if (st != broken[i].status || !strstr(err.text, broken[i].text))
            fail_msg("%s: status %d, \"%s\"", broken[i].header, st, err.text);
        assert_int_equal(s.n_tensors, 0);
        tn_free(bytes);
    }
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    static const char header[] = "{" TENSOR("a", "F32", "[2,2]", "[0,16]") "}";
    size_t n = 0;
    uint8_t *bytes = make_file(header, strlen(header), 16, &n);
    (void)state;
    for (size_t cut = 0; cut < n; cut++) {
        tn_safetensors s;
        tn_error err = { 0 };
        uint8_t *copy = tn_alloc(cut);
        memcpy(copy, bytes, cut);
        assert_int_equal(tn_safetensors_parse(&s, copy, cut, &err), TN_INVALID);
        assert_true(err.text[0] != '\0');
        tn_free(copy);
    }
    tn_free(bytes);
}

/* ---- large ---- */

/* A header of n bytes: begin, then `piece` again and again, then end. */
static void refuse_large(const char *begin, const char *piece, const char *end, size_t n,
                         const char *text)
{
    const size_t n_piece = strlen(piece), n_begin = strlen(begin), n_end = strlen(end);
    size_t n_file = 0;
    char *header = tn_alloc(n);
    assert_non_null(header);
    for (size_t i = 0; i < n; i++)
        header[i] = i < n_begin ? begin[i] : piece[(i - n_begin) % n_piece];
    memcpy(header + n - n_end, end, n_end);
    uint8_t *bytes = make_file(header, n, 0, &n_file);
    tn_free(header);
    tn_safetensors s;
    tn_error err = { 0 };

    tn_test_refusal_begin();
    const tn_status st = tn_safetensors_parse(&s, bytes, n_file, &err);
    assert_true(tn_test_refusal_end());

    if (st != TN_INVALID || !strstr(err.text, text))
        fail_msg("%s...: status %d, \"%s\"", begin, st, err.text);
    tn_free(bytes);
}

static void a_large_header_is_refused_within_64_mib(void **state)
{
    (void)state;
    refuse_large("{\"a\":", "[", "]}", 90 * MIB, "nested deeper");
    refuse_large("{\"a\":[", "{},", "{}]}", 90 * MIB, "more values");
    refuse_large("{\"a\":[", "[],", "[]]}", 196000, "tensor a: an object is needed");
    refuse_large("{\"a\":[", "{},", "{}]}", 196000, "tensor a: an object is needed");
    refuse_large("{\"", "a", "\":1}", 90 * MIB, "a longer string");
    refuse_large("{\"a\":[\"a\"",
                 ",\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "\"]}",
                 90 * MIB, "more ");
    refuse_large("{\"", "a", "\":1}", 4 * MIB, "a tensor's name has");
    refuse_large("{", " ", "}1", 30 * MIB, "no valid JSON");
    refuse_large("{}", " ", " ", 100000001, "at most 100000000 are allowed");
}

static void padding_after_the_header_is_no_part_of_it(void **state)
{
    size_t n = 0;
    char *header = tn_alloc(90 * MIB);
    (void)state;
    memset(header, ' ', 90 * MIB);
    memcpy(header, "{}", 2);
    uint8_t *bytes = make_file(header, 90 * MIB, 0, &n);
    tn_free(header);
    tn_safetensors s;

    tn_test_memory_limit(64 * MIB);
    const tn_status st = tn_safetensors_parse(&s, bytes, n, NULL);
    tn_test_memory_limit(0);

    assert_int_equal(st, TN_OK);
    tn_safetensors_deinit(&s);
    tn_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_listed_by_name_with_type_shape_and_place),
        cmocka_unit_test(an_empty_table_is_a_file_without_tensors),
        cmocka_unit_test(each_broken_file_is_refused_with_its_reason),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_large_header_is_refused_within_64_mib),
        cmocka_unit_test(padding_after_the_header_is_no_part_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
