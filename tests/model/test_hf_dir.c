/* SPDX-License-Identifier: Apache-2.0 */
/* What a Hugging Face directory in order gives: description, weights, vocabulary, facts. */
#include "core/base/alloc.h"
#include "tests/support/hf_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static tn_model_file *open_model(const tn_hf_test *t)
{
    tn_error err = { 0 };
    tn_model_file *file = NULL;
    if (tn_hf_open_memory(t->file, t->n, &file, &err))
        fail_msg("%s", err.text);
    return file;
}

static tn_model_desc describe(tn_model_file *file)
{
    tn_error err = { 0 };
    tn_model_desc desc;
    if (tn_model_file_desc(file, &desc, &err))
        fail_msg("%s", err.text);
    return desc;
}

/* The description after a change of config.json. */
static tn_model_desc describe_changed(const char *from, const char *to)
{
    tn_hf_test t;
    tn_hf_test_init(&t);
    tn_hf_test_change(&t, "config.json", from, to);
    tn_model_file *file = open_model(&t);
    const tn_model_desc desc = describe(file);
    tn_model_file_close(file);
    tn_hf_test_deinit(&t);
    return desc;
}

static void the_description_has_what_the_config_says(void **state)
{
    tn_hf_test t;
    (void)state;
    tn_hf_test_init(&t);
    tn_model_file *file = open_model(&t);
    const tn_model_desc d = describe(file);
    assert_string_equal(tn_model_file_format(file), "Hugging Face");
    assert_string_equal(d.arch, "llama");
    assert_int_equal(d.n_layers, 1);
    assert_int_equal(d.dim, 8);
    assert_int_equal(d.heads, 2);
    assert_int_equal(d.kv_heads, 1);
    assert_int_equal(d.head_dim, 4);
    assert_int_equal(d.ffn, 12);
    assert_int_equal(d.vocab, 16);
    assert_int_equal(d.max_length, 32);
    assert_int_equal(d.rope.pairing, TN_ROPE_HALVES);
    assert_true(d.norm_eps == 1e-5f);
    assert_true(d.source_id != 0);
    tn_model_file_close(file);
    tn_hf_test_deinit(&t);
}

static void settings_that_are_absent_have_the_defaults_of_their_class(void **state)
{
    (void)state;
    assert_true(describe_changed("\"rms_norm_eps\": 1e-05", "\"a\": 1").norm_eps == 1e-6f);
    assert_true(describe_changed("\"rope_theta\": 10000.0", "\"a\": 1").rope.base == 10000.0f);
    assert_int_equal(describe_changed("\"silu\"", "null").act, TN_ACT_SILU);
    /* Mistral's class looks back 4096 tokens unless the file says null. */
    static const char old[] =
        "\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"]";
    assert_int_equal(describe_changed(old, "\"model_type\": \"mistral\"").window, 4096);
    assert_int_equal(
        describe_changed(old, "\"model_type\": \"mistral\", \"sliding_window\": null").window, 0);
}

static void weights_have_the_names_of_the_core(void **state)
{
    tn_hf_test t;
    tn_error err = { 0 };
    tn_weight_info info;
    (void)state;
    tn_hf_test_init(&t);
    tn_model_file *file = open_model(&t);
    const tn_weight_source *source = tn_model_file_weights(file);
    assert_int_equal(tn_model_file_n_tensors(file), 12);
    assert_int_equal(source->find(source->self, "blk.0.attn_k.weight", &info), TN_OK);
    assert_int_equal(info.rows, 4);
    assert_int_equal(info.cols, 8);
    assert_string_equal(info.wfmt, "f32");
    assert_int_equal(info.file_bytes, 128);
    assert_int_equal(source->find(source->self, "blk.0.attn_k.bias", &info), TN_UNSUPPORTED);
    assert_int_equal(source->find(source->self, "blk.0.attn_norm.weight", &info), TN_OK);
    float *values = NULL;
    assert_int_equal(tn_weight_values(source, &info, &values, &err), TN_OK);
    assert_int_equal(info.cols, 8);
    assert_true(values[7] == values[0] && values[0] > 0.18f && values[0] < 0.19f);
    tn_free(values);
    tn_weight_rows rows;
    assert_int_equal(source->rows(source->self, &info, 1, 1, &(tn_row_buffer){ 0 }, &rows, &err),
                     TN_INVALID);
    tn_model_file_close(file);
    tn_hf_test_deinit(&t);
}

static void every_plain_type_is_read(void **state)
{
    /* The norm's 8 f32 become 4 f64, 16 f16 or bf16 of the same bits 0x3e..., as a vector of that
     * many. */
    static const struct {
        const char *type;
        int32_t n;
        float value; /* of 0x3e3e..., by numpy */
    } types[] = { { "F64", 4, 7.041529e-09f },
                  { "F32", 8, 0.18578431f },
                  { "F16", 16, 1.5605469f },
                  { "BF16", 16, 0.18554688f } };
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        tn_hf_test t;
        tn_error err = { 0 };
        tn_weight_info info;
        float *values = NULL;
        char to[128];
        tn_hf_test_init(&t);
        (void)snprintf(to, sizeof to, "input_layernorm.weight\":{\"dtype\":\"%s\",\"shape\":[%d]",
                       types[i].type, types[i].n);
        tn_hf_test_change(&t, "model.safetensors",
                          "input_layernorm.weight\":{\"dtype\":\"F32\",\"shape\":[8]", to);
        tn_model_file *file = open_model(&t);
        const tn_weight_source *source = tn_model_file_weights(file);
        assert_int_equal(source->find(source->self, "blk.0.attn_norm.weight", &info), TN_OK);
        assert_int_equal(info.cols, types[i].n);
        assert_int_equal(tn_weight_values(source, &info, &values, &err), TN_OK);
        if (values[0] != types[i].value || values[types[i].n - 1] != types[i].value)
            fail_msg("%s: %.9g", types[i].type, (double)values[0]);
        tn_free(values);
        tn_model_file_close(file);
        tn_hf_test_deinit(&t);
    }
}

static void a_tied_head_is_left_out_and_old_rope_tables_are_ignored(void **state)
{
    tn_hf_test t;
    tn_weight_info info;
    (void)state;
    tn_hf_test_init(&t);
    tn_hf_test_change(&t, "config.json", "false", "true");
    tn_hf_test_change(&t, "model.safetensors", "\"model.embed_tokens.weight\"",
                      "\"model.layers.0.self_attn.rotary_emb.inv_freq\":{\"dtype\":\"F32\","
                      "\"shape\":[0],\"data_offsets\":[512,512]},\"model.embed_tokens.weight\"");
    tn_model_file *file = open_model(&t);
    (void)describe(file);
    const tn_weight_source *source = tn_model_file_weights(file);
    assert_int_equal(tn_model_file_n_tensors(file), 11);
    assert_int_equal(source->find(source->self, "output.weight", &info), TN_UNSUPPORTED);
    tn_model_file_close(file);
    tn_hf_test_deinit(&t);
}

static void the_id_follows_the_content(void **state)
{
    (void)state;
    const uint64_t id = describe_changed("1e-05", "1e-05").source_id;
    assert_true(describe_changed("1e-05", "1e-05").source_id == id);
    assert_true(describe_changed("1e-05", "1e-06").source_id != id);
}

/* ---- vocabulary ---- */

static void a_tokenizer_json_is_handed_over_with_the_settings_beside_it(void **state)
{
    tn_hf_test t;
    (void)state;
    tn_hf_test_init(&t);
    tn_hf_test_put_text(&t, "tokenizer.json", "{\"model\": {}}");
    tn_hf_test_put_text(&t, "tokenizer.model", "beside");
    tn_hf_test_put_text(&t, "tokenizer_config.json",
                        "{\"bos_token\": {\"content\": \"<s>\", \"lstrip\": false},\n"
                        " \"eos_token\": \"</s>\", \"pad_token\": null, \"add_bos_token\": false,\n"
                        " \"model_max_length\": 1000000000000000019884624838656,\n"
                        " \"added_tokens_decoder\": {\"3\": {\"content\": \"x\"}},\n"
                        " \"chat_template\": [{\"name\": \"tool_use\", \"template\": \"T\"},\n"
                        "                   {\"name\": \"default\", \"template\": \"D\"}]}");
    tn_hf_test_put_text(&t, "special_tokens_map.json",
                        "{\"unk_token\": \"<unk>\", \"pad_token\": \"<pad>\"}");
    tn_hf_test_put_text(&t, "generation_config.json", "{\"eos_token_id\": [2, 7]}");
    tn_model_file *file = open_model(&t);
    const tn_vocab *v = tn_model_file_vocab(file);
    assert_int_equal(v->kind, TN_VOCAB_HF_JSON);
    assert_int_equal(v->source.n, 13);
    assert_memory_equal(v->source.data, "{\"model\": {}}", 13);
    assert_int_equal(v->n_tokens, 16);
    assert_string_equal(v->bos_text, "<s>");
    assert_string_equal(v->eos_text, "</s>");
    assert_string_equal(v->unk_text, "<unk>");
    assert_null(v->pad_text); /* tokenizer_config.json says: none */
    assert_int_equal(v->bos, -1);
    assert_int_equal(v->add_bos, 0);
    assert_int_equal(v->add_eos, -1);
    assert_int_equal(v->n_stops, 2);
    assert_int_equal(v->stop[1], 7);
    assert_int_equal(v->n_added, 1); /* the tokenizer.model's, for a conversion */
    assert_int_equal(v->model.n, 6);
    assert_memory_equal(v->model.data, "beside", 6);
    assert_string_equal(v->chat_template, "D");
    tn_model_file_close(file);
    tn_hf_test_deinit(&t);
}

static void a_tokenizer_model_is_handed_over_with_the_tokens_that_are_added(void **state)
{
    tn_hf_test t;
    (void)state;
    tn_hf_test_init(&t);
    tn_hf_test_put_text(&t, "tokenizer.model", "protobuf");
    tn_hf_test_put_text(&t, "chat_template.jinja", "from the file");
    tn_hf_test_put_text(&t, "tokenizer_config.json",
                        "{\"chat_template\": \"old\", \"added_tokens_decoder\": {\n"
                        " \"15\": {\"content\": \"<|im_end|>\", \"special\": true},\n"
                        " \"3\": {\"content\": \"<u>\", \"special\": false}}}");
    tn_model_file *file = open_model(&t);
    const tn_vocab *v = tn_model_file_vocab(file);
    assert_int_equal(v->kind, TN_VOCAB_SPM_MODEL);
    assert_string_equal(v->chat_template, "from the file");
    assert_int_equal(v->n_added, 2);
    assert_int_equal(v->added[0].id, 3);
    assert_int_equal(v->added[0].special, 0);
    assert_int_equal(v->added[1].id, 15);
    assert_int_equal(v->added[1].special, 1);
    assert_memory_equal(v->added[1].text.data, "<|im_end|>", 10);
    /* Nobody else says: ids of config.json. */
    assert_int_equal(v->bos, 1);
    assert_int_equal(v->eos, 2);
    assert_int_equal(v->n_stops, 1);
    assert_int_equal(v->stop[0], 2);
    assert_int_equal(v->add_bos, -1);
    tn_model_file_close(file);
    tn_hf_test_deinit(&t);
}

static void a_directory_without_a_vocabulary_opens_for_ids(void **state)
{
    tn_hf_test t;
    (void)state;
    tn_hf_test_init(&t);
    tn_model_file *file = open_model(&t);
    assert_int_equal(tn_model_file_vocab(file)->kind, TN_VOCAB_NONE);
    assert_null(tn_model_file_vocab(file)->chat_template);
    tn_model_file_close(file);
    tn_hf_test_deinit(&t);
}

/* ---- facts ---- */

static void settings_are_facts_that_are_safe_to_print(void **state)
{
    tn_hf_test t;
    const char *hidden = NULL, *hostile = NULL, *generation = NULL;
    (void)state;
    tn_hf_test_init(&t);
    tn_hf_test_change(&t, "config.json", "\"rope_theta\"",
                      "\"\\u001b[2J\": \"\\u0007\", \"rope_theta\"");
    tn_hf_test_put_text(&t, "generation_config.json", "{\"top_p\": 0.9}");
    tn_model_file *file = open_model(&t);
    for (int32_t i = 0; i < tn_model_file_n_facts(file); i++) {
        const tn_model_fact fact = tn_model_file_fact(file, i);
        hidden = strcmp(fact.key, "config.hidden_size") == 0 ? fact.value : hidden;
        hostile = strcmp(fact.key, "config.\\u001B[2J") == 0 ? fact.value : hostile;
        generation = strcmp(fact.key, "generation_config.top_p") == 0 ? fact.value : generation;
    }
    assert_string_equal(hidden, "8");
    assert_string_equal(hostile, "\"\\u0007\"");
    assert_string_equal(generation, "0.9");
    tn_model_file_close(file);
    tn_hf_test_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_description_has_what_the_config_says),
        cmocka_unit_test(settings_that_are_absent_have_the_defaults_of_their_class),
        cmocka_unit_test(weights_have_the_names_of_the_core),
        cmocka_unit_test(every_plain_type_is_read),
        cmocka_unit_test(a_tied_head_is_left_out_and_old_rope_tables_are_ignored),
        cmocka_unit_test(the_id_follows_the_content),
        cmocka_unit_test(a_tokenizer_json_is_handed_over_with_the_settings_beside_it),
        cmocka_unit_test(a_tokenizer_model_is_handed_over_with_the_tokens_that_are_added),
        cmocka_unit_test(a_directory_without_a_vocabulary_opens_for_ids),
        cmocka_unit_test(settings_are_facts_that_are_safe_to_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
