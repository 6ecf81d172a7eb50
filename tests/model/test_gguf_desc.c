/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions: defaults, and hyperparameters that are missing, senseless or against the tensors.
 */
#include "model/formats/gguf_writer.h"
#include "model/formats/model_file.h"
#include "tests/support/temp_dir.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { DIM = 64, VOCAB = 8 };

/* One metadata entry: an integer, a float (when real is not 0) or a text (when text is not NULL).
 */
typedef struct entry {
    const char *key;
    uint32_t integer;
    double real;
    const char *text;
} entry;

static const entry base[] = {
    { "general.architecture", 0, 0, "llama" },
    { "llama.block_count", 2, 0, NULL },
    { "llama.context_length", 512, 0, NULL },
    { "llama.embedding_length", DIM, 0, NULL },
    { "llama.feed_forward_length", 96, 0, NULL },
    { "llama.attention.head_count", 4, 0, NULL },
    { "llama.attention.layer_norm_rms_epsilon", 0, 1e-5, NULL },
};
enum { N_BASE = (int)(sizeof(base) / sizeof(base[0])) };

static void put(tn_gguf_writer *w, const entry *e)
{
    if (e->text)
        tn_gguf_put_string(w, e->key, e->text, strlen(e->text));
    else if (e->real != 0)
        tn_gguf_put_f32(w, e->key, (float)e->real);
    else
        tn_gguf_put_u32(w, e->key, e->integer);
}

/* The base with the changes in place of the entries of their keys, or added. */
static tn_model_file *open_changed(const entry *changes, int n_changes)
{
    static const float zeros[DIM * VOCAB];
    tn_error err = { 0 };
    tn_gguf_writer *w = NULL;
    tn_model_file *file = NULL;
    assert_int_equal(tn_gguf_writer_create(&w, &err), TN_OK);
    for (int i = 0; i < N_BASE; i++) {
        bool is_changed = false;
        for (int j = 0; j < n_changes; j++)
            is_changed = is_changed || strcmp(base[i].key, changes[j].key) == 0;
        if (!is_changed)
            put(w, &base[i]);
    }
    for (int j = 0; j < n_changes; j++)
        put(w, &changes[j]);
    tn_gguf_put_tensor(w, "token_embd.weight", "F16", VOCAB, DIM, zeros);
    assert_int_equal(tn_gguf_writer_finish(w, tn_temp_path("desc.gguf"), &err), TN_OK);
    tn_gguf_writer_destroy(w);
    assert_int_equal(tn_model_file_open(tn_temp_path("desc.gguf"), &file, &err), TN_OK);
    return file;
}

static void absent_keys_have_the_defaults_of_llama_cpp(void **state)
{
    (void)state;
    tn_model_file *file = open_changed(NULL, 0);
    tn_model_desc d;
    tn_error err = { 0 };

    assert_int_equal(tn_model_file_desc(file, &d, &err), TN_OK);

    assert_int_equal(d.kv_heads, 4);
    assert_int_equal(d.head_dim, DIM / 4);
    assert_int_equal(d.rope.rotary_dim, DIM / 4);
    assert_int_equal(d.vocab, VOCAB);
    assert_true(d.rope.base == 10000.0f && d.rope.factor == 1.0f);
    assert_int_equal(d.rope.scaling, TN_ROPE_SCALING_NONE);
    assert_null(d.rope.freq_factors);
    assert_string_equal(d.name, "");
    tn_model_file_close(file);
}

static void a_factor_without_a_scaling_type_is_linear(void **state)
{
    (void)state;
    static const entry factors[] = { { "llama.rope.scale_linear", 0, 4.0, NULL },
                                     { "llama.rope.scaling.factor", 0, 4.0, NULL } };
    for (int i = 0; i < 2; i++) {
        tn_model_file *file = open_changed(&factors[i], 1);
        tn_model_desc d;
        tn_error err = { 0 };
        assert_int_equal(tn_model_file_desc(file, &d, &err), TN_OK);
        assert_int_equal(d.rope.scaling, TN_ROPE_SCALING_LINEAR);
        assert_true(d.rope.factor == 4.0f);
        tn_model_file_close(file);
    }
}

static const struct {
    entry change;
    tn_status status;
    const char *text;
} wrong[] = {
    { { "llama.block_count", 0, 0, NULL }, TN_INVALID, "llama.block_count is 0" },
    { { "llama.block_count", 4097, 0, NULL }, TN_INVALID, "llama.block_count is 4097" },
    { { "llama.block_count", 0, 2.0, NULL }, TN_INVALID, "an integer is needed" },
    { { "llama.block_count", 0, 0, "two" }, TN_INVALID, "of type string" },
    { { "llama.embedding_length", 1u << 31, 0, NULL }, TN_INVALID, "2147483648" },
    { { "llama.embedding_length", 96, 0, NULL }, TN_INVALID, "8 x 64" },
    { { "llama.embedding_length", 66, 0, NULL }, TN_INVALID, "no multiple" },
    { { "llama.attention.head_count", UINT32_MAX, 0, NULL }, TN_INVALID, "4294967295" },
    { { "llama.attention.head_count_kv", 3, 0, NULL }, TN_INVALID, "head_count_kv 3" },
    { { "llama.attention.head_count_kv", 8, 0, NULL }, TN_INVALID, "head_count_kv 8" },
    { { "llama.attention.key_length", 15, 0, NULL }, TN_INVALID, "even" },
    { { "llama.attention.value_length", 32, 0, NULL }, TN_UNSUPPORTED, "value_length 32" },
    { { "llama.attention.layer_norm_rms_epsilon", 0, -1e-5, NULL }, TN_INVALID, "above 0" },
    { { "llama.attention.layer_norm_rms_epsilon", 0, INFINITY, NULL }, TN_INVALID, "finite" },
    { { "llama.rope.freq_base", 0, NAN, NULL }, TN_INVALID, "finite" },
    { { "llama.rope.dimension_count", 18, 0, NULL }, TN_INVALID, "head size 16" },
    { { "llama.rope.dimension_count", 7, 0, NULL }, TN_INVALID, "even" },
    { { "llama.rope.scaling.type", 0, 0, "cubic" }, TN_UNSUPPORTED, "cubic" },
    { { "llama.vocab_size", 9, 0, NULL }, TN_INVALID, "9 x 64" },
    { { "llama.expert_count", 8, 0, NULL }, TN_UNSUPPORTED, "experts" },
    { { "general.architecture", 0, 0, "" }, TN_INVALID, "lacks general.architecture" },
    { { "general.architecture", 7, 0, NULL }, TN_INVALID, "general.architecture is of type u32" },
};

static void each_wrong_hyperparameter_is_refused_with_key_and_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        tn_model_file *file = open_changed(&wrong[i].change, 1);
        tn_model_desc d;
        tn_error err = { 0 };

        tn_status st = tn_model_file_desc(file, &d, &err);

        if (st != wrong[i].status || !strstr(err.text, wrong[i].text) ||
            !strstr(err.text, "desc.gguf"))
            fail_msg("case %zu (%s): status %d, \"%s\"", i, wrong[i].change.key, st, err.text);
        tn_model_file_close(file);
    }
}

static void each_missing_hyperparameter_is_named(void **state)
{
    (void)state;
    for (int i = 1; i < N_BASE; i++) {
        entry renamed = base[i]; /* under another key it does not count */
        static const char *const other = "unrelated";
        tn_gguf_writer *w = NULL;
        tn_model_file *file = NULL;
        tn_model_desc d;
        tn_error err = { 0 };
        renamed.key = other;
        assert_int_equal(tn_gguf_writer_create(&w, &err), TN_OK);
        for (int j = 0; j < N_BASE; j++)
            put(w, j == i ? &renamed : &base[j]);
        assert_int_equal(tn_gguf_writer_finish(w, tn_temp_path("lack.gguf"), &err), TN_OK);
        tn_gguf_writer_destroy(w);
        assert_int_equal(tn_model_file_open(tn_temp_path("lack.gguf"), &file, &err), TN_OK);

        assert_int_equal(tn_model_file_desc(file, &d, &err), TN_INVALID);

        assert_non_null(strstr(err.text, "lacks"));
        assert_non_null(strstr(err.text, base[i].key));
        tn_model_file_close(file);
    }
}

static void another_architecture_is_described_as_far_as_possible(void **state)
{
    (void)state;
    const entry changes[] = { { "general.architecture", 0, 0, "novel" },
                              { "novel.block_count", 5, 0, NULL } };
    tn_model_file *file = open_changed(changes, 2);
    tn_model_desc d;
    tn_error err = { 0 };

    assert_int_equal(tn_model_file_desc(file, &d, &err), TN_OK);

    assert_string_equal(d.arch, "novel");
    assert_int_equal(d.n_layers, 5);
    assert_int_equal(d.vocab, VOCAB);
    tn_model_file_close(file);
}

static void head_counts_by_layer_are_read_when_they_are_equal(void **state)
{
    (void)state;
    for (int32_t last = 4; last <= 8; last += 4) {
        const int32_t heads[2] = { 4, last };
        tn_gguf_writer *w = NULL;
        tn_model_file *file = NULL;
        tn_model_desc d;
        tn_error err = { 0 };
        static const float zeros[DIM * VOCAB];
        assert_int_equal(tn_gguf_writer_create(&w, &err), TN_OK);
        for (int i = 0; i < N_BASE; i++)
            if (strcmp(base[i].key, "llama.attention.head_count") != 0)
                put(w, &base[i]);
        tn_gguf_put_i32s(w, "llama.attention.head_count", heads, 2);
        tn_gguf_put_tensor(w, "token_embd.weight", "F16", VOCAB, DIM, zeros);
        assert_int_equal(tn_gguf_writer_finish(w, tn_temp_path("heads.gguf"), &err), TN_OK);
        tn_gguf_writer_destroy(w);
        assert_int_equal(tn_model_file_open(tn_temp_path("heads.gguf"), &file, &err), TN_OK);

        assert_int_equal(tn_model_file_desc(file, &d, &err), last == 4 ? TN_OK : TN_UNSUPPORTED);

        tn_model_file_close(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_have_the_defaults_of_llama_cpp),
        cmocka_unit_test(a_factor_without_a_scaling_type_is_linear),
        cmocka_unit_test(each_wrong_hyperparameter_is_refused_with_key_and_value),
        cmocka_unit_test(each_missing_hyperparameter_is_named),
        cmocka_unit_test(another_architecture_is_described_as_far_as_possible),
        cmocka_unit_test(head_counts_by_layer_are_read_when_they_are_equal),
    };
    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
