/* SPDX-License-Identifier: Apache-2.0 */
/* Files whose tensors are streamed: GGUF against the same file written at once, safetensors read
 * back. */
#include "model/formats/file_map.h"
#include "model/formats/gguf_writer.h"
#include "model/formats/safetensors.h"
#include "model/formats/safetensors_writer.h"
#include "tests/support/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const float values[] = { 1, 2, 3, 4, 5, 6 };

static void a_streamed_gguf_has_the_bytes_of_one_put_at_once(void **state)
{
    tn_error err = { 0 };
    tn_gguf_writer *whole = NULL, *streamed = NULL;
    tn_file_map a, b;
    (void)state;
    assert_int_equal(tn_gguf_writer_create(&whole, &err), TN_OK);
    assert_int_equal(tn_gguf_writer_create(&streamed, &err), TN_OK);

    tn_gguf_put_u32(whole, "k", 7);
    tn_gguf_put_tensor(whole, "a", "F32", 2, 3, values);
    tn_gguf_put_tensor(whole, "b", "F32", 0, 1, values);
    assert_int_equal(tn_gguf_writer_finish(whole, tn_temp_path("whole.gguf"), &err), TN_OK);
    tn_gguf_put_u32(streamed, "k", 7);
    tn_gguf_declare(streamed, "a", "F32", 2, 3);
    tn_gguf_declare(streamed, "b", "F32", 0, 1);
    const uint64_t bytes = tn_gguf_writer_bytes(streamed);
    assert_int_equal(tn_gguf_writer_begin(streamed, tn_temp_path("streamed.gguf"), &err), TN_OK);
    assert_int_equal(tn_gguf_writer_stream(streamed, values, 10, &err), TN_OK);
    assert_int_equal(tn_gguf_writer_stream(streamed, (const char *)values + 10, 14, &err), TN_OK);
    assert_int_equal(tn_gguf_writer_stream(streamed, values, 4, &err), TN_OK);
    assert_int_equal(tn_gguf_writer_end(streamed, &err), TN_OK);

    assert_int_equal(tn_file_map_open(&a, tn_temp_path("whole.gguf"), &err), TN_OK);
    assert_int_equal(tn_file_map_open(&b, tn_temp_path("streamed.gguf"), &err), TN_OK);
    assert_int_equal(a.size, b.size);
    assert_int_equal(b.size, bytes);
    assert_memory_equal(a.data, b.data, a.size);
    tn_file_map_close(&a);
    tn_file_map_close(&b);
    tn_gguf_writer_destroy(whole);
    tn_gguf_writer_destroy(streamed);
}

static void a_gguf_with_bytes_missing_is_not_left_behind(void **state)
{
    tn_error err = { 0 };
    tn_gguf_writer *w = NULL;
    (void)state;
    assert_int_equal(tn_gguf_writer_create(&w, &err), TN_OK);

    tn_gguf_declare(w, "a", "F32", 2, 3);
    assert_int_equal(tn_gguf_writer_begin(w, tn_temp_path("short.gguf"), &err), TN_OK);
    assert_int_equal(tn_gguf_writer_stream(w, values, 20, &err), TN_OK);

    assert_int_equal(tn_gguf_writer_end(w, &err), TN_INTERNAL);
    tn_gguf_writer_destroy(w);
    assert_int_not_equal(access(tn_temp_path("short.gguf"), F_OK), 0);
}

static void a_safetensors_file_is_read_back_as_it_was_declared(void **state)
{
    const int64_t matrix[] = { 2, 3 }, vector[] = { 1 };
    tn_error err = { 0 };
    tn_safetensors_writer *w = NULL;
    tn_safetensors s;
    tn_file_map map;
    (void)state;
    assert_int_equal(tn_safetensors_writer_create(&w, &err), TN_OK);

    tn_safetensors_declare(w, "m.weight", "F32", 2, matrix);
    tn_safetensors_declare(w, "v.bias", "F16", 1, vector);
    const uint64_t bytes = tn_safetensors_writer_bytes(w);
    assert_int_equal(tn_safetensors_writer_begin(w, tn_temp_path("m.safetensors"), &err), TN_OK);
    assert_int_equal(tn_safetensors_writer_put(w, values, 24, &err), TN_OK);
    assert_int_equal(tn_safetensors_writer_put(w, "\0\x3c", 2, &err), TN_OK);
    assert_int_equal(tn_safetensors_writer_put(w, values, 1, &err), TN_INTERNAL);
    assert_int_equal(tn_safetensors_writer_end(w, &err), TN_OK);

    assert_int_equal(tn_file_map_open(&map, tn_temp_path("m.safetensors"), &err), TN_OK);
    assert_int_equal(map.size, bytes);
    assert_int_equal(tn_safetensors_parse(&s, map.data, map.size, &err), TN_OK);
    assert_int_equal(s.n_tensors, 2);
    assert_int_equal(s.header_bytes % 8, 0);
    assert_string_equal(s.tensor[0].type_name, "F32");
    assert_int_equal(s.tensor[0].dim[1], 3);
    assert_memory_equal(s.tensor[0].data, values, 24);
    assert_memory_equal(s.tensor[1].data, "\0\x3c", 2);
    tn_safetensors_deinit(&s);
    tn_file_map_close(&map);
    tn_safetensors_writer_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_streamed_gguf_has_the_bytes_of_one_put_at_once),
        cmocka_unit_test(a_gguf_with_bytes_missing_is_not_left_behind),
        cmocka_unit_test(a_safetensors_file_is_read_back_as_it_was_declared),
    };
    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
