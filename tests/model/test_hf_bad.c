/* SPDX-License-Identifier: Apache-2.0 */
/* Hugging Face directories that are broken, incomplete or of another kind: a message each, in less
 * than a second and 64 MiB. */
#include "core/base/alloc.h"
#include "tests/support/hf_fixture.h"
#include "tests/support/hostile.h"
#include "tests/support/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N_FLIPS = 4000, MIB = 1 << 20 };

/* Read one row of every tensor and every fact. */
static void use(tn_model_file *file)
{
    tn_error err = { 0 };
    const tn_weight_source *source = tn_model_file_weights(file);
    tn_weight_info info;
    for (int32_t i = 0; i < tn_model_file_n_tensors(file); i++) {
        tn_row_buffer buffer;
        tn_weight_rows rows;
        assert_int_equal(tn_model_file_tensor(file, i, &info, &err), TN_OK);
        if (source->find(source->self, info.name, &info)) /* a model that cannot run */
            continue;
        assert_int_equal(tn_row_buffer_init(&buffer, &info, 1, &err), TN_OK);
        assert_int_equal(source->rows(source->self, &info, info.rows - 1, 1, &buffer, &rows, &err),
                         TN_OK);
        tn_row_buffer_deinit(&buffer);
    }
    for (int32_t i = 0; i < tn_model_file_n_facts(file); i++)
        assert_non_null(tn_model_file_fact(file, i).value);
}

/* What opening, or else the description, says. */
static tn_status open_and_describe(const tn_hf_test *t, tn_error *err)
{
    tn_model_file *file = NULL;
    tn_model_desc desc;
    tn_test_refusal_begin();
    tn_status st = tn_hf_open_memory(t->file, t->n, &file, err);
    if (!st) {
        st = tn_model_file_desc(file, &desc, err);
        use(file);
    }
    assert_true(tn_test_refusal_end());
    tn_model_file_close(file);
    return st;
}

#define ARCH "\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"]"

/* In config.json, `from` becomes `to`. */
static const struct {
    const char *from, *to;
    tn_status status;
    const char *text;
} configs[] = {
    { "{", "[", TN_INVALID, "config.json: no valid JSON" },
    { "\"hidden_size\": 8,", "\"hidden_size\": 8, \"hidden_size\": 8,", TN_INVALID, "duplicate" },
    { "\"llama\"", "\"\x80\"", TN_INVALID, "config.json: no valid JSON" },
    { "\"model_type\": \"llama\"", "\"x\": 1", TN_INVALID, "model_type is missing" },
    { "\"llama\"", "7", TN_INVALID, "model_type is 7; a string is needed" },
    { "\"llama\"", "\"mamba\"", TN_UNSUPPORTED,
      "model_type \"mamba\" is not supported; these run: llama, mistral, internlm, internlm2, "
      "qwen2, qwen3" },
    { "\"llama\"", "\"a\\u001b[2J\"", TN_UNSUPPORTED, "model_type \"a?[2J\"" },
    { "LlamaForCausalLM", "LlamaForSequenceClassification", TN_UNSUPPORTED,
      "only LlamaForCausalLM generates text" },
    { "\"hidden_size\": 8", "\"hidden_size\": null", TN_INVALID, "hidden_size is missing" },
    { "\"hidden_size\": 8", "\"hidden_size\": -8", TN_INVALID,
      "hidden_size is -8; an integer from 1 to 1048576 is needed" },
    { "\"hidden_size\": 8", "\"hidden_size\": 8.5", TN_INVALID, "hidden_size is 8.5" },
    { "\"hidden_size\": 8", "\"hidden_size\": 1e400", TN_INVALID, "no valid JSON" },
    { "\"hidden_size\": 8", "\"hidden_size\": 99999999999999999999", TN_INVALID, "hidden_size is" },
    { "\"hidden_size\": 8", "\"hidden_size\": [[[[]]]]", TN_INVALID, "hidden_size is [[[[]]]]" },
    { "\"hidden_size\": 8", "\"hidden_size\": \"8\"", TN_INVALID, "hidden_size is \"8\"" },
    { "\"hidden_size\": 8", "\"hidden_size\": 9", TN_INVALID, "hidden_size 9 is no multiple" },
    { "\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2", TN_INVALID,
      "the tensor model.layers.1.input_layernorm.weight is missing, which a model of 2 layers" },
    { "\"num_hidden_layers\": 1", "\"num_hidden_layers\": 4097", TN_INVALID, "from 1 to 4096" },
    { "\"num_key_value_heads\": 1", "\"num_key_value_heads\": 3", TN_INVALID, "no multiple of" },
    { "\"num_attention_heads\": 2", "\"num_attention_heads\": 0", TN_INVALID, "from 1 to 16384" },
    { "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": -1", TN_INVALID, "a number above 0 is needed" },
    { "\"silu\"", "\"relu2\"", TN_UNSUPPORTED, "hidden_act is \"relu2\"; silu, gelu" },
    { "false", "0", TN_INVALID, "tie_word_embeddings is 0; true or false is needed" },
    { "10000.0", "10000.0, \"rope_scaling\": 4", TN_INVALID, "rope_scaling is 4; an object" },
    { "10000.0", "10000.0, \"rope_scaling\": {\"type\": \"mrope\"}", TN_UNSUPPORTED,
      "rope_type is \"mrope\"; default, linear, dynamic, yarn, llama3 and longrope" },
    { "10000.0", "10000.0, \"rope_scaling\": {\"type\": \"linear\"}", TN_INVALID,
      "config.json: rope_scaling: factor is missing" },
    { "10000.0", "10000.0, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}", TN_INVALID,
      "factor is 0; a number above 0" },
    { "10000.0", "10000.0, \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8}", TN_INVALID,
      "original_max_position_embeddings is missing" },
    { "10000.0",
      "10000.0, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 8, \"truncate\": false}",
      TN_UNSUPPORTED, "truncate is false" },
    { "10000.0",
      "10000.0, \"rope_scaling\": {\"type\": \"longrope\", \"factor\": 2, \"short_factor\": [1]}",
      TN_INVALID, "short_factor needs a list of 2 numbers" },
    { "10000.0",
      "10000.0, \"rope_scaling\": {\"type\": \"su\", \"factor\": 2, \"short_factor\": [1, \"a\"]}",
      TN_INVALID, "short_factor[1] is not a number above 0" },
    { "10000.0", "10000.0, \"partial_rotary_factor\": 0.3", TN_INVALID, "rotate 1 of 4" },
    { "10000.0", "10000.0, \"attention_bias\": true", TN_INVALID,
      "model.layers.0.self_attn.q_proj.bias is missing" },
    { "10000.0", "10000.0, \"quantization_config\": 3", TN_INVALID, "an object is needed" },
    { "10000.0", "10000.0, \"rope_parameters\": {\"full_attention\": {\"rope_type\": \"yarn\"}}",
      TN_UNSUPPORTED, "rope_parameters: full_attention has settings of its own" },
    { ARCH, "\"model_type\": \"qwen2\", \"layer_types\": [\"other\"]", TN_UNSUPPORTED,
      "layer_types[0] is \"other\"; by use_sliding_window and max_window_layers it is "
      "full_attention" },
    { ARCH, "\"model_type\": \"internlm\", \"rotary\": {\"type\": \"other\"}", TN_UNSUPPORTED,
      "rotary: type is \"other\"; origin and dynamic are supported" },
    { ARCH, "\"model_type\": \"qwen3\"", TN_INVALID, "self_attn.q_norm.weight is missing" },
    { ARCH, "\"model_type\": \"internlm2\"", TN_INVALID, "model.tok_embeddings.weight is missing" },
    { "\"num_key_value_heads\": 1", "\"head_dim\": 5000", TN_INVALID, "from 1 to 4096" },
};

static void each_broken_config_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        tn_hf_test t;
        tn_error err = { 0 };
        tn_hf_test_init(&t);
        tn_hf_test_change(&t, "config.json", configs[i].from, configs[i].to);

        const tn_status st = open_and_describe(&t, &err);

        if (st != configs[i].status || !strstr(err.text, configs[i].text))
            fail_msg("%s: status %d, \"%s\"", configs[i].to, st, err.text);
        tn_hf_test_deinit(&t);
    }
}

/* In the header of model.safetensors. */
static void tensors_that_are_missing_or_left_over_are_named(void **state)
{
    static const struct {
        const char *from, *to, *text;
    } cases[] = {
        { "lm_head.weight", "lm_head.weighs", "the tensor lm_head.weight is missing" },
        { "0.mlp.up_proj.weight", "0.mlp.up_prox.weight", "mlp.up_proj.weight is missing" },
        { "F32\",\"shape\":[16,8],\"data_offsets\":[0,512]},\"model.e",
          "F32\",\"shape\":[16,8],\"data_offsets\":[0,512]},\"x\":{\"dtype\":\"F32\",\"shape\":[0],"
          "\"data_offsets\":[0,0]},\"model.e",
          "the tensor x is left over" },
        { "\"F32\",\"shape\":[16,8]", "\"U32\",\"shape\":[16,8]", "is U32; a weight must be F64" },
        { "[16,8]", "[2,8,8]", "has 3 dimensions" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tn_hf_test t;
        tn_error err = { 0 };
        tn_hf_test_init(&t);
        tn_hf_test_change(&t, "model.safetensors", cases[i].from, cases[i].to);
        if (!open_and_describe(&t, &err) || !strstr(err.text, cases[i].text))
            fail_msg("%s: \"%s\"", cases[i].to, err.text);
        tn_hf_test_deinit(&t);
    }
}

/* ---- other files ---- */

static const struct {
    const char *name, *content; /* content NULL: the file is not there */
    const char *text;
} files[] = {
    { "config.json", NULL, "there is no config.json" },
    { "config.json", "", "no valid JSON" },
    { "model.safetensors", NULL, "neither model.safetensors nor model.safetensors.index.json" },
    { "model.safetensors", "", "model.safetensors: this is no safetensors file: it has 0 bytes" },
    { "tokenizer_config.json", "nothing", "tokenizer_config.json: no valid JSON" },
    { "tokenizer_config.json", "{\"bos_token\": 7}",
      "tokenizer_config.json: bos_token is 7; a string is needed" },
    { "tokenizer_config.json", "{\"eos_token\": {\"text\": \"</s>\"}}",
      "tokenizer_config.json: eos_token: content is missing" },
    { "tokenizer_config.json", "{\"unk_token\": {\"content\": [1]}}",
      "tokenizer_config.json: unk_token: content is [1]; a string is needed" },
    { "tokenizer_config.json", "{\"add_bos_token\": \"yes\"}",
      "tokenizer_config.json: add_bos_token is \"yes\"; true or false is needed" },
    { "tokenizer_config.json", "{\"add_eos_token\": 1}",
      "tokenizer_config.json: add_eos_token is 1; true or false is needed" },
    { "tokenizer_config.json", "{\"chat_template\": {\"a\": 1}}",
      "tokenizer_config.json: chat_template is {\"a\":1}; a string is needed" },
    { "tokenizer_config.json", "{\"chat_template\": [{\"name\": \"default\"}]}",
      "tokenizer_config.json: chat_template: template is missing" },
    { "tokenizer_config.json", "{\"bos_token\": \"a\", \"bos_token\": \"b\"}", "duplicate" },
    { "special_tokens_map.json", "[1]", "special_tokens_map.json: no JSON object" },
    { "special_tokens_map.json", "{\"pad_token\": true}",
      "special_tokens_map.json: pad_token is true; a string is needed" },
    { "special_tokens_map.json", "{\"eos_token\": {\"content\": {}}}",
      "special_tokens_map.json: eos_token: content is {}; a string is needed" },
    { "special_tokens_map.json", "{\"bos_token\": \"<s>\"",
      "special_tokens_map.json: no valid JSON" },
    { "generation_config.json", "{\"eos_token_id\": [2, \"x\"]}", "an id from 0 to" },
    { "generation_config.json", "{\"eos_token_id\": -5}",
      "(memory)/generation_config.json (or config.json): eos_token_id: an id from 0 to" },
};

static void each_other_file_that_is_wrong_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        tn_hf_test t;
        tn_error err = { 0 };
        tn_hf_test_init(&t);
        if (files[i].content)
            tn_hf_test_put_text(&t, files[i].name, files[i].content);
        else
            tn_hf_test_remove(&t, files[i].name);
        if (!open_and_describe(&t, &err) || !strstr(err.text, files[i].text))
            fail_msg("%s: \"%s\"", files[i].name, err.text);
        tn_hf_test_deinit(&t);
    }
}

static void added_tokens_without_sense_are_refused(void **state)
{
    static const char *const decoders[] = {
        "{\"x\": {\"content\": \"a\"}}",
        "{\"-1\": {\"content\": \"a\"}}",
        "{\"99999999\": {\"content\": \"a\"}}",
        "{\"123456789\": {\"content\": \"a\"}}",
        "{\"5\": {\"content\": \"a\"}, \"05\": {\"content\": \"b\"}}",
        "{\"5\": {\"content\": \"a\", \"special\": 1}}",
        "{\"5\": {\"content\": 7}}",
        "{\"5\": \"a\"}",
        "{\"5\": {}}",
        "[\"a\"]"
    };
    (void)state;
    for (size_t i = 0; i < sizeof decoders / sizeof decoders[0]; i++) {
        tn_hf_test t;
        tn_error err = { 0 };
        char text[128];
        tn_hf_test_init(&t);
        (void)snprintf(text, sizeof text, "{\"added_tokens_decoder\": %s}", decoders[i]);
        tn_hf_test_put_text(&t, "tokenizer.model", "x");
        tn_hf_test_put_text(&t, "tokenizer_config.json", text);
        if (!open_and_describe(&t, &err) ||
            !strstr(err.text, "(memory): tokenizer_config.json: added_tokens_decoder"))
            fail_msg("%s: \"%s\"", decoders[i], err.text);
        tn_hf_test_deinit(&t);
    }
}

static void pickled_weights_are_refused_with_what_to_do(void **state)
{
    tn_hf_test t;
    tn_error err = { 0 };
    (void)state;
    tn_hf_test_init(&t);
    tn_hf_test_remove(&t, "model.safetensors");
    tn_hf_test_put_text(&t, "pytorch_model.bin", "x");
    assert_int_equal(open_and_describe(&t, &err), TN_UNSUPPORTED);
    assert_non_null(strstr(err.text, "save the model as safetensors"));
    tn_hf_test_deinit(&t);
}

/* ---- the index ---- */

static void an_index_and_its_shards_must_agree(void **state)
{
    static const struct {
        const char *index, *text;
    } cases[] = {
        { "{}", "has no weight_map" },
        { "{\"weight_map\": {}}", "has no weight_map" },
        { "{\"weight_map\": {\"a\": 1}}", "a has no file name" },
        { "{\"weight_map\": {\"a\": \"../x.safetensors\"}}", "is no name of a file" },
        { "{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "is no name of a file" },
        { "{\"weight_map\": {\"a\": \"\"}}", "is no name of a file" },
        { "{\"weight_map\": {\"a\": \"b.safetensors\"}}", "b.safetensors, which is not there" },
        { "{\"weight_map\": {\"a\": \"shard.safetensors\"}}", "tensor a should be in shard" },
        { "{\"weight_map\": {\"lm_head.weight\": \"shard.safetensors\"}}",
          "holds a tensor model.embed_tokens.weight, which model.safetensors.index.json does not" },
        { "{\"weight_map\": {\"lm_head.weight\": \"shard.safetensors\", "
          "\"model.norm.weight\": \"twin.safetensors\"}}",
          "both hold a tensor" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tn_hf_test t;
        tn_error err = { 0 };
        tn_hf_test_init(&t);
        tn_hf_test_put(&t, "shard.safetensors", t.file[1].data, t.file[1].size);
        tn_hf_test_put(&t, "twin.safetensors", t.file[1].data, t.file[1].size);
        tn_hf_test_remove(&t, "model.safetensors");
        tn_hf_test_put_text(&t, "model.safetensors.index.json", cases[i].index);
        if (!open_and_describe(&t, &err) || !strstr(err.text, cases[i].text))
            fail_msg("%s: \"%s\"", cases[i].index, err.text);
        tn_hf_test_deinit(&t);
    }
}

/* ---- much and little ---- */

static void flip_bytes(tn_hf_test *t)
{
    uint64_t random = 2026;
    int n_refused = 0;
    for (int i = 0; i < N_FLIPS; i++) {
        tn_error err = { 0 };
        tn_hf_bytes *f = &t->file[i % 2];
        const size_t n = f->size < 1800 ? f->size : 1800;
        uint8_t *bytes;
        memcpy(&bytes, &f->data, sizeof bytes);
        bytes += tn_test_random(&random) % n;
        const uint8_t flip = (uint8_t)(1 + tn_test_random(&random) % 255);
        *bytes ^= flip;
        if (open_and_describe(t, &err)) {
            n_refused++;
            assert_true(err.text[0] != '\0');
        }
        *bytes ^= flip;
    }
    assert_in_range(n_refused, N_FLIPS / 4, N_FLIPS - 10);
}

static void a_flipped_byte_anywhere_opens_or_is_refused(void **state)
{
    tn_hf_test t;
    tn_error err = { 0 };
    (void)state;
    tn_hf_test_init(&t);
    flip_bytes(&t);
    tn_hf_test_use_awq(&t);
    assert_int_equal(open_and_describe(&t, &err), TN_OK);
    flip_bytes(&t);
    tn_hf_test_deinit(&t);
}

/* In the header of a model in AWQ's layout. */
static void codes_zeros_and_scales_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        const char *from, *to, *text;
    } cases[] = {
        { "qzeros", "qzerox", "self_attn.o_proj.qzeros is missing" },
        { "scales", "scalex", "self_attn.o_proj.scales is missing" },
        { "I32", "F32", "both must be I32" },
        { "\"F32\",\"shape\":[1,8]", "\"I32\",\"shape\":[1,8]", "F16, BF16 or F32 is needed" },
        { "[1,8]", "[8]", "no shapes of a linear of 4 bits" },
        { "[1,8]", "[2,4]", "no shapes of a linear of 4 bits" },
        { "[8,1]", "[1,8]", "that is not AWQ" },
        { "[8,1]", "[8]", "no shapes of a linear of 4 bits" },
        { "[1,1]", "[1]", "1 x 1 is needed beside its qweight" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tn_hf_test t;
        tn_error err = { 0 };
        tn_hf_test_init(&t);
        tn_hf_test_use_awq(&t);
        tn_hf_test_change(&t, "model.safetensors", cases[i].from, cases[i].to);
        if (!open_and_describe(&t, &err) || !strstr(err.text, cases[i].text))
            fail_msg("%s: \"%s\"", cases[i].to, err.text);
        tn_hf_test_deinit(&t);
    }
}

static void large_settings_are_refused_within_64_mib(void **state)
{
    static const char *const pieces[] = { "[", "[],", "{},", "\"\",", "1," };
    char *text = tn_alloc(20 * MIB + 1);
    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        for (int mib = 1; mib <= 20; mib += 19) {
            tn_hf_test t;
            tn_error err = { 0 };
            const size_t n = (size_t)mib * MIB;
            for (size_t k = 0; k < n; k++)
                text[k] = k < 6 ? "{\"a\":["[k] : pieces[i][(k - 6) % strlen(pieces[i])];
            tn_hf_test_init(&t);
            tn_hf_test_put(&t, "config.json", text, n);

            assert_int_equal(open_and_describe(&t, &err), TN_INVALID);
            assert_non_null(strstr(err.text, "config.json"));
            tn_hf_test_deinit(&t);
        }
    tn_free(text);
}

static void each_failing_allocation_is_an_error_without_a_leak(void **state)
{
    tn_hf_test t;
    tn_status st = TN_NO_MEMORY;
    uint64_t n = 0;
    (void)state;
    tn_hf_test_init(&t);
    tn_hf_test_put_text(&t, "tokenizer.model", "x");
    tn_hf_test_put_text(&t, "chat_template.jinja", "{{ messages }}");
    tn_hf_test_put_text(&t, "tokenizer_config.json",
                        "{\"bos_token\": \"<s>\", \"added_tokens_decoder\": {\"3\": {\"content\": "
                        "\"<u>\", \"special\": true}}}");
    while (st) {
        tn_model_file *file = NULL;
        tn_model_desc desc;
        tn_error err = { 0 };
        tn_alloc_fail_at(++n);
        st = tn_hf_open_memory(t.file, t.n, &file, &err);
        tn_alloc_fail_at(0);
        if (!st)
            st = tn_model_file_desc(file, &desc, &err);
        if (st && st != TN_NO_MEMORY)
            fail_msg("allocation %d: status %d, \"%s\"", (int)n, st, err.text);
        tn_model_file_close(file);
    }
    assert_in_range(n, 8, 1000);
    tn_hf_test_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_broken_config_is_refused_with_its_reason),
        cmocka_unit_test(tensors_that_are_missing_or_left_over_are_named),
        cmocka_unit_test(each_other_file_that_is_wrong_is_named),
        cmocka_unit_test(added_tokens_without_sense_are_refused),
        cmocka_unit_test(pickled_weights_are_refused_with_what_to_do),
        cmocka_unit_test(an_index_and_its_shards_must_agree),
        cmocka_unit_test(codes_zeros_and_scales_that_do_not_fit_are_refused),
        cmocka_unit_test(a_flipped_byte_anywhere_opens_or_is_refused),
        cmocka_unit_test(large_settings_are_refused_within_64_mib),
        cmocka_unit_test(each_failing_allocation_is_an_error_without_a_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
