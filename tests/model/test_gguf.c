/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files that are in order: what the writer wrote is what the reader gives. */
#include "core/base/alloc.h"
#include "core/base/float16.h"
#include "model/formats/gguf.h"
#include "model/formats/gguf_writer.h"
#include "model/formats/little_endian.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 7, COLS = 96, BLOCK = 32 };

static tn_model_file *open_tiny(const tn_tiny_model *m)
{
    tn_error err = { 0 };
    tn_model_file *file = NULL;
    assert_int_equal(tn_tiny_model_write(m, tn_temp_path("tiny.gguf"), &err), TN_OK);
    if (tn_model_file_open(tn_temp_path("tiny.gguf"), &file, &err))
        fail_msg("%s", err.text);
    return file;
}

/* A file with one tensor "t" of ROWS x COLS random values, which are written to `values`. */
static tn_model_file *open_matrix(const char *type, float *values)
{
    tn_error err = { 0 };
    tn_gguf_writer *w = NULL;
    tn_model_file *file = NULL;
    uint64_t random = 42;
    for (int i = 0; i < ROWS * COLS; i++)
        values[i] = tn_test_normal(&random) * (float)(1 + i / COLS);
    for (int i = 0; i < BLOCK; i++)
        values[i] = 0.0f; /* a block whose scale is 0 */
    assert_int_equal(tn_gguf_writer_create(&w, &err), TN_OK);
    tn_gguf_put_string(w, "general.architecture", "llama", 5);
    tn_gguf_put_tensor(w, "first", "F16", 0, 3, values); /* leaves padding before the next */
    tn_gguf_put_tensor(w, "t", type, ROWS, COLS, values);
    assert_int_equal(tn_gguf_writer_finish(w, tn_temp_path("matrix.gguf"), &err), TN_OK);
    tn_gguf_writer_destroy(w);
    assert_int_equal(tn_model_file_open(tn_temp_path("matrix.gguf"), &file, &err), TN_OK);
    return file;
}

/* Element i of a row of file bytes, by the block layouts of ggml-common.h, one element at a time.
 */
static double element(const char *type, const uint8_t *row, int i)
{
    size_t block_bytes = strcmp(type, "Q4_0") == 0 ? 18 : strcmp(type, "Q4_1") == 0 ? 20 : 34;
    const uint8_t *b = row + (size_t)(i / BLOCK) * block_bytes;
    int j = i % BLOCK;
    double d = (double)tn_f16_to_f32((uint16_t)(b[0] | b[1] << 8));
    if (strcmp(type, "Q8_0") == 0)
        return d * (int8_t)b[2 + j];
    size_t nibbles = strcmp(type, "Q4_0") == 0 ? 2 : 4;
    int q = j < 16 ? b[nibbles + j] & 15 : b[nibbles + j - 16] >> 4;
    if (nibbles == 2)
        return d * (q - 8);
    return d * q + (double)tn_f16_to_f32((uint16_t)(b[2] | b[3] << 8));
}

static void quantised_values_follow_the_block_layouts(void **state)
{
    (void)state;
    static const char *const types[] = { "Q4_0", "Q4_1", "Q8_0" };
    static const char *const wfmts[] = { "u4z.g32", "u4b.g32", "q8.g32" };
    static const double largest_error[] = { 1.0 / 8, 1.0 / 15,
                                            0.5 / 127 }; /* of the block's range, f16 aside */
    for (int k = 0; k < 3; k++) {
        float written[ROWS * COLS];
        tn_error err = { 0 };
        tn_model_file *file = open_matrix(types[k], written);
        const tn_weight_source *source = tn_model_file_weights(file);
        tn_weight_info info;
        float *values = NULL;
        size_t n_bytes = 0;
        uint8_t *bytes = tn_temp_read("matrix.gguf", &n_bytes);

        assert_int_equal(source->find(source->self, "t", &info), TN_OK);
        assert_int_equal(tn_weight_values(source, &info, &values, &err), TN_OK);

        assert_string_equal(info.wfmt, wfmts[k]);
        assert_int_equal(info.rows, ROWS);
        assert_int_equal(info.cols, COLS);
        assert_int_equal(info.group, BLOCK);
        const uint8_t *t =
            bytes + n_bytes - (info.file_bytes + 31) / 32 * 32; /* the last tensor, padded */
        for (int i = 0; i < ROWS * COLS; i++) {
            double expected =
                element(types[k], t + (size_t)(i / COLS) * (info.file_bytes / ROWS), i % COLS);
            double range = 8.0 * (1 + i / COLS);
            assert_true((double)values[i] == (double)(float)expected);
            assert_true(fabs((double)(values[i] - written[i])) < range * largest_error[k]);
        }
        assert_true(values[0] == 0.0f);
        source->done(source->self, &info);
        tn_free(bytes);
        tn_free(values);
        tn_model_file_close(file);
    }
}

static void plain_values_are_those_written(void **state)
{
    (void)state;
    static const char *const types[] = { "F32", "F16", "BF16" };
    static const double precision[] = { 0, 0x1p-11, 0x1p-8 };
    for (int k = 0; k < 3; k++) {
        float written[ROWS * COLS];
        tn_error err = { 0 };
        tn_model_file *file = open_matrix(types[k], written);
        const tn_weight_source *source = tn_model_file_weights(file);
        tn_weight_info info;
        float *values = NULL;

        assert_int_equal(source->find(source->self, "t", &info), TN_OK);
        assert_int_equal(tn_weight_values(source, &info, &values, &err), TN_OK);

        assert_int_equal(info.group, 0);
        assert_int_equal(info.values, 1);
        for (int i = 0; i < ROWS * COLS; i++)
            assert_true(fabs((double)(values[i] - written[i])) <=
                        fabs((double)written[i]) * precision[k]);
        tn_free(values);
        tn_model_file_close(file);
    }
}

/* Largest-magnitude value and 8-step grid of ggml's quantize_row_q4_0_ref, by hand: d = -4 / -8,
 * codes of x / d + 8. */
static void q4_0_codes_are_those_of_the_reference_quantiser(void **state)
{
    (void)state;
    float values[BLOCK] = {
        [0] = -4.0f, [1] = 3.5f, [2] = 3.2f, [3] = -0.26f, [4] = -0.24f, [5] = 1.0f
    };
    uint8_t block[18];

    tn_encode_q4_0(values, 1, block);

    assert_int_equal(block[0] | block[1] << 8, 0x3800); /* 0.5 */
    const uint8_t expected[] = { 0, 15, 14, 7, 8, 10, 8 };
    for (int i = 0; i < 7; i++)
        assert_int_equal(block[2 + i] & 15, expected[i]);
}

static void rows_outside_the_tensor_are_refused(void **state)
{
    (void)state;
    float written[ROWS * COLS];
    tn_error err = { 0 };
    tn_model_file *file = open_matrix("Q4_1", written);
    const tn_weight_source *source = tn_model_file_weights(file);
    tn_weight_info info;
    tn_row_buffer buffer;
    tn_weight_rows rows;
    assert_int_equal(source->find(source->self, "t", &info), TN_OK);
    assert_int_equal(tn_row_buffer_init(&buffer, &info, 4, &err), TN_OK);

    assert_int_equal(source->rows(source->self, &info, ROWS - 4, 4, &buffer, &rows, &err), TN_OK);
    assert_int_equal(source->rows(source->self, &info, ROWS - 3, 4, &buffer, &rows, &err),
                     TN_INVALID);
    assert_int_equal(source->rows(source->self, &info, -1, 1, &buffer, &rows, &err), TN_INVALID);
    info.handle = 99;
    assert_int_equal(source->rows(source->self, &info, 0, 1, &buffer, &rows, &err), TN_INVALID);

    tn_row_buffer_deinit(&buffer);
    tn_model_file_close(file);
}

static void the_description_has_what_the_metadata_says(void **state)
{
    (void)state;
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    m.rotary_dim = 8;
    m.freq_factors = 1;
    m.rope_scaling = "yarn";
    m.rope_factor = 4.0f;
    m.vocab = 320;
    tn_model_file *file = open_tiny(&m);
    tn_model_desc d;
    tn_error err = { 0 };

    assert_int_equal(tn_model_file_desc(file, &d, &err), TN_OK);

    assert_string_equal(d.arch, "llama");
    assert_string_equal(d.name, "tiny");
    assert_int_equal(d.dim, m.dim);
    assert_int_equal(d.n_layers, m.layers);
    assert_int_equal(d.heads, m.heads);
    assert_int_equal(d.kv_heads, m.kv_heads);
    assert_int_equal(d.head_dim, m.head_dim);
    assert_int_equal(d.ffn, m.ffn);
    assert_int_equal(d.vocab, 320);
    assert_int_equal(d.max_length, m.context);
    assert_int_equal(d.act, TN_ACT_SILU);
    assert_true(d.norm_eps == m.eps);
    assert_int_equal(d.rope.pairing, TN_ROPE_INTERLEAVED);
    assert_int_equal(d.rope.rotary_dim, 8);
    assert_int_equal(d.rope.scaling, TN_ROPE_SCALING_YARN);
    assert_int_equal(d.rope.original_length, m.context);
    assert_true(d.rope.factor == 4.0f && d.rope.base == 10000.0f && d.rope.beta_fast == 32.0f);
    for (int i = 0; i < 4; i++)
        assert_true(d.rope.freq_factors[i] == 1.0f + (float)i / 4.0f);
    tn_model_file_close(file);
}

static void equal_files_have_equal_ids_and_others_do_not(void **state)
{
    (void)state;
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    uint64_t id[3];
    for (int i = 0; i < 3; i++) {
        m.seed = i == 2 ? 8 : 7; /* another seed changes the weights only */
        tn_model_file *file = open_tiny(&m);
        id[i] = tn_model_file_weights(file)->id;
        tn_model_file_close(file);
    }
    assert_true(id[0] == id[1]);
    assert_true(id[0] != id[2]);
}

static bool text_is(tn_text text, const char *expected)
{
    return text.n == strlen(expected) && memcmp(text.data, expected, text.n) == 0;
}

static void a_byte_level_vocabulary_is_read(void **state)
{
    (void)state;
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    tn_model_file *file = open_tiny(&m);

    const tn_vocab *v = tn_model_file_vocab(file);

    assert_int_equal(v->kind, TN_VOCAB_BPE);
    assert_string_equal(v->pre, "smollm");
    assert_true(text_is(v->token[1], "<|im_start|>"));
    assert_true(text_is(v->token[3 + 'A'], "A"));
    assert_true(text_is(v->token[3 + ' '], "\xc4\xa0")); /* U+0120 */
    assert_true(text_is(v->merge[1], "h e"));
    assert_int_equal(v->type[1], TN_TOKEN_CONTROL);
    assert_null(v->score);
    assert_int_equal(v->bos, 1);
    assert_int_equal(v->eos, 2);
    assert_int_equal(v->pad, -1);
    assert_int_equal(v->add_bos, 0);
    assert_int_equal(v->add_space_prefix, 0);
    assert_non_null(strstr(v->chat_template, "<|im_start|>"));
    tn_model_file_close(file);
}

static void a_sentencepiece_vocabulary_with_a_pad_id_of_all_ones_is_read(void **state)
{
    (void)state;
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    m.spm = 1;
    tn_model_file *file = open_tiny(&m);

    const tn_vocab *v = tn_model_file_vocab(file);

    assert_int_equal(v->kind, TN_VOCAB_SPM);
    assert_int_equal(v->type[0], TN_TOKEN_UNKNOWN);
    assert_true(text_is(v->token[3 + 0x0a], "<0x0A>"));
    assert_int_equal(v->type[3 + 0x0a], TN_TOKEN_BYTE);
    assert_true(v->score[260] == -1.0f);
    assert_int_equal(v->n_merges, 0);
    assert_int_equal(v->pad, -1);
    assert_int_equal(v->add_bos, 1);
    assert_int_equal(v->add_space_prefix, 1);
    assert_null(v->chat_template);
    tn_model_file_close(file);
}

static const char *fact(const tn_model_file *file, const char *key)
{
    for (int32_t i = 0; i < tn_model_file_n_facts(file); i++)
        if (strcmp(tn_model_file_fact(file, i).key, key) == 0)
            return tn_model_file_fact(file, i).value;
    return "";
}

static void facts_are_printable_and_arrays_are_counted(void **state)
{
    (void)state;
    tn_error err = { 0 };
    tn_gguf_writer *w = NULL;
    tn_model_file *file = NULL;
    char text[700];
    memset(text, 'x', sizeof(text));
    const tn_text words[2] = { { "a", 1 }, { "b", 1 } };
    assert_int_equal(tn_gguf_writer_create(&w, &err), TN_OK);
    tn_gguf_put_string(w, "escape", "\x1b[2J\n\xc3\xa9\xff\xc2\x9b", 10);
    tn_gguf_put_string(w, "long", text, sizeof(text));
    tn_gguf_put_strings(w, "words", words, 2);
    tn_gguf_put_i32(w, "minus", -5);
    tn_gguf_put_f32(w, "tenth", 0.1f);
    tn_gguf_put_bool(w, "yes", 1);
    assert_int_equal(tn_gguf_writer_finish(w, tn_temp_path("facts.gguf"), &err), TN_OK);
    tn_gguf_writer_destroy(w);

    assert_int_equal(tn_model_file_open(tn_temp_path("facts.gguf"), &file, &err), TN_OK);

    assert_string_equal(fact(file, "escape"), "\\x1b[2J\\n\xc3\xa9\\xff\\xc2\\x9b");
    assert_non_null(strstr(fact(file, "long"), "xxx... [700 bytes]"));
    assert_string_equal(fact(file, "words"), "[2 strings]");
    assert_string_equal(fact(file, "minus"), "-5");
    assert_string_equal(fact(file, "tenth"), "0.1");
    assert_string_equal(fact(file, "yes"), "true");
    assert_string_equal(tn_model_file_format(file), "GGUF v3");
    assert_int_equal(tn_model_file_vocab(file)->kind, TN_VOCAB_NONE);
    tn_model_desc d;
    assert_int_equal(tn_model_file_desc(file, &d, &err), TN_INVALID);
    assert_non_null(strstr(err.text, "general.architecture"));
    tn_model_file_close(file);
}

/* Bytes of a file with an array of n elements of n_bytes each under "a", and "b" = 7 after it. */
static uint8_t *file_with_array(uint32_t element, uint64_t n, size_t n_bytes, size_t *out_n)
{
    size_t size = 4 + 4 + 16 + (8 + 1 + 4) + 4 + 8 + (size_t)n * n_bytes + (8 + 1 + 4) + 4;
    uint8_t *bytes = tn_alloc_array(size, 1);
    assert_non_null(bytes);
    uint8_t *p = bytes;
    memcpy(p, "GGUF\x03\0\0\0", 8);
    tn_store_u64(p + 16, 2); /* pairs, after no tensors */
    tn_store_u64(p + 24, 1);
    p[32] = 'a';
    tn_store_u32(p + 33, TN_GGUF_ARRAY);
    tn_store_u32(p + 37, element);
    tn_store_u64(p + 41, n);
    p += 49 + n * n_bytes;
    tn_store_u64(p, 1);
    p[8] = 'b';
    tn_store_u32(p + 9, TN_GGUF_U32);
    tn_store_u32(p + 13, 7);
    *out_n = size;
    return bytes;
}

static void arrays_of_ten_million_elements_take_no_memory(void **state)
{
    (void)state;
    enum { MANY = 10 * 1000 * 1000 };
    static const struct {
        uint32_t element;
        uint64_t n;
        size_t n_bytes;
        const char *fact;
    } cases[] = {
        { TN_GGUF_U8, 3, 1, "[3 u8]" },
        { TN_GGUF_U8, MANY, 1, "[10000000 u8]" },
        { TN_GGUF_U8, (uint64_t)3 << 25, 1, "[100663296 u8]" },
        { TN_GGUF_F64, MANY, 8, "[10000000 f64]" },
        { TN_GGUF_STRING, MANY, 8, "[10000000 strings]" }, /* empty ones */
    };
    uint64_t n_allocations = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tn_error err = { 0 };
        tn_model_file *file = NULL;
        size_t n = 0;
        uint8_t *bytes = file_with_array(cases[i].element, cases[i].n, cases[i].n_bytes, &n);

        uint64_t before = tn_alloc_count();
        tn_status st = tn_gguf_open_memory(&(tn_gguf_bytes){ bytes, n }, 1, &file, &err);
        uint64_t made = tn_alloc_count() - before;

        if (st)
            fail_msg("%s", err.text);
        assert_string_equal(fact(file, "a"), cases[i].fact);
        assert_string_equal(fact(file, "b"), "7");
        assert_true(n_allocations == 0 || made == n_allocations);
        n_allocations = made;
        tn_model_file_close(file);
        tn_free(bytes);
    }
}

static void writer_errors_come_out_of_finish_and_leave_no_file(void **state)
{
    (void)state;
    float values[40] = { 0 };
    tn_error err = { 0 };
    tn_gguf_writer *w = NULL;
    assert_int_equal(tn_gguf_writer_create(&w, &err), TN_OK);
    tn_gguf_put_tensor(w, "t", "Q4_0", 1, 40, values);
    tn_gguf_put_tensor(w, "u", "Q9_9", 1, 32, values);
    assert_int_equal(tn_gguf_writer_finish(w, tn_temp_path("none.gguf"), &err), TN_INVALID);
    assert_non_null(strstr(err.text, "tensor t"));
    tn_gguf_writer_destroy(w);
    size_t n = 0;
    assert_null(tn_temp_read("none.gguf", &n));

    assert_int_equal(tn_gguf_writer_create(&w, &err), TN_OK);
    assert_int_equal(tn_gguf_writer_finish(w, tn_temp_path("no/such/dir.gguf"), &err), TN_INVALID);
    tn_gguf_writer_destroy(w);
}

static void each_failing_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    tn_error err = { 0 };
    tn_status st = TN_NO_MEMORY;
    assert_int_equal(tn_tiny_model_write(&m, tn_temp_path("memory.gguf"), &err), TN_OK);
    uint64_t n = 0;
    while (st) {
        tn_model_file *file = NULL;
        tn_alloc_fail_at(++n);
        st = tn_model_file_open(tn_temp_path("memory.gguf"), &file, &err);
        tn_alloc_fail_at(0);
        assert_true(st == TN_OK || (st == TN_NO_MEMORY && !file));
        tn_model_file_close(file);
    }
    assert_in_range(n, 8, 1000);
    for (n = 0, st = TN_NO_MEMORY; st && n < 2000;) {
        tn_alloc_fail_at(++n);
        st = tn_tiny_model_write(&m, tn_temp_path("memory.gguf"), &err);
        tn_alloc_fail_at(0);
        assert_true(st == TN_OK || st == TN_NO_MEMORY);
    }
    assert_in_range(n, 20, 1999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantised_values_follow_the_block_layouts),
        cmocka_unit_test(plain_values_are_those_written),
        cmocka_unit_test(q4_0_codes_are_those_of_the_reference_quantiser),
        cmocka_unit_test(rows_outside_the_tensor_are_refused),
        cmocka_unit_test(the_description_has_what_the_metadata_says),
        cmocka_unit_test(equal_files_have_equal_ids_and_others_do_not),
        cmocka_unit_test(a_byte_level_vocabulary_is_read),
        cmocka_unit_test(a_sentencepiece_vocabulary_with_a_pad_id_of_all_ones_is_read),
        cmocka_unit_test(facts_are_printable_and_arrays_are_counted),
        cmocka_unit_test(arrays_of_ten_million_elements_take_no_memory),
        cmocka_unit_test(writer_errors_come_out_of_finish_and_leave_no_file),
        cmocka_unit_test(each_failing_allocation_is_an_error_without_a_leak),
    };
    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
