/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/hf_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char tn_hf_test_config[] =
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 8,\n"
    " \"num_hidden_layers\": 1, \"intermediate_size\": 12, \"num_attention_heads\": 2,\n"
    " \"num_key_value_heads\": 1, \"vocab_size\": 16, \"max_position_embeddings\": 32,\n"
    " \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, \"hidden_act\": \"silu\",\n"
    " \"bos_token_id\": 1, \"eos_token_id\": 2, \"tie_word_embeddings\": false}\n";

enum { ALWAYS, PLAIN, AWQ };
static const struct {
    const char *name;
    int rows, cols; /* rows 0: a vector */
    int when;
    const char *type;
} tensors[] = { { "lm_head.weight", 16, 8, ALWAYS, "F32" },
                { "model.embed_tokens.weight", 16, 8, ALWAYS, "F32" },
                { "model.layers.0.input_layernorm.weight", 0, 8, ALWAYS, "F32" },
                { "model.layers.0.mlp.down_proj.weight", 8, 12, ALWAYS, "F32" },
                { "model.layers.0.mlp.gate_proj.weight", 12, 8, ALWAYS, "F32" },
                { "model.layers.0.mlp.up_proj.weight", 12, 8, ALWAYS, "F32" },
                { "model.layers.0.post_attention_layernorm.weight", 0, 8, ALWAYS, "F32" },
                { "model.layers.0.self_attn.k_proj.weight", 4, 8, ALWAYS, "F32" },
                { "model.layers.0.self_attn.o_proj.qweight", 8, 1, AWQ, "I32" },
                { "model.layers.0.self_attn.o_proj.qzeros", 1, 1, AWQ, "I32" },
                { "model.layers.0.self_attn.o_proj.scales", 1, 8, AWQ, "F32" },
                { "model.layers.0.self_attn.o_proj.weight", 8, 8, PLAIN, "F32" },
                { "model.layers.0.self_attn.q_proj.weight", 8, 8, ALWAYS, "F32" },
                { "model.layers.0.self_attn.v_proj.weight", 4, 8, ALWAYS, "F32" },
                { "model.norm.weight", 0, 8, ALWAYS, "F32" } };
enum { N_TENSORS = (int)(sizeof tensors / sizeof tensors[0]), MAX_HEADER = 4096 };

static void *take(size_t n)
{
    void *bytes = malloc(n ? n : 1);
    if (!bytes)
        abort();
    return bytes;
}

static void store_length(uint8_t *bytes, size_t n)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)n >> (8 * i));
}

static void put_model(tn_hf_test *t, int when)
{
    char header[MAX_HEADER] = "{", shape[32];
    int n = 1, at = 0;
    for (int i = 0; i < N_TENSORS; i++) {
        const int rows = tensors[i].rows, cols = tensors[i].cols;
        if (tensors[i].when != ALWAYS && tensors[i].when != when)
            continue;
        const int end = at + 4 * (rows ? rows : 1) * cols;
        (void)snprintf(shape, sizeof shape, rows ? "%d,%d" : "%.0d%d", rows, cols);
        n += snprintf(header + n, sizeof header - (size_t)n,
                      "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%d,%d]}",
                      i ? "," : "", tensors[i].name, tensors[i].type, shape, at, end);
        at = end;
    }
    header[n++] = '}';
    uint8_t *bytes = take(8 + (size_t)n + (size_t)at);
    store_length(bytes, (size_t)n);
    memcpy(bytes + 8, header, (size_t)n);
    memset(bytes + 8 + n, 0x3e, (size_t)at); /* each value 0.186 */
    tn_hf_test_put(t, "model.safetensors", bytes, 8 + (size_t)n + (size_t)at);
    free(bytes);
}

void tn_hf_test_init(tn_hf_test *t)
{
    *t = (tn_hf_test){ .n = 0 };
    tn_hf_test_put_text(t, "config.json", tn_hf_test_config);
    put_model(t, PLAIN);
}

void tn_hf_test_use_awq(tn_hf_test *t)
{
    put_model(t, AWQ);
    tn_hf_test_change(t, "config.json", "10000.0",
                      "1e6, \"quantization_config\": {\"quant_method\": \"awq\", \"bits\": 4, "
                      "\"group_size\": -1, \"modules_to_not_convert\": [\"lm_head\"]}");
}

static tn_hf_bytes *find(tn_hf_test *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->file[i].name, name) == 0)
            return &t->file[i];
    return NULL;
}

static void release(tn_hf_bytes *f)
{
    void *data;
    memcpy(&data, &f->data, sizeof data);
    free(data);
}

void tn_hf_test_put(tn_hf_test *t, const char *name, const void *data, size_t n)
{
    tn_hf_bytes *f = find(t, name);
    if (!f && t->n == TN_HF_TEST_MAX_FILES)
        abort();
    if (f)
        release(f);
    else
        f = &t->file[t->n++];
    void *copy = take(n);
    memcpy(copy, data, n);
    *f = (tn_hf_bytes){ .name = name, .data = copy, .size = n };
}

void tn_hf_test_put_text(tn_hf_test *t, const char *name, const char *text)
{
    tn_hf_test_put(t, name, text, strlen(text));
}

void tn_hf_test_change(tn_hf_test *t, const char *name, const char *from, const char *to)
{
    tn_hf_bytes *f = find(t, name);
    const size_t n_from = strlen(from), n_to = strlen(to);
    size_t at = 0;
    while (f && at + n_from <= f->size && memcmp(f->data + at, from, n_from) != 0)
        at++;
    if (!f || at + n_from > f->size) {
        fprintf(stderr, "%s has no %s\n", name, from);
        abort();
    }
    const size_t n = f->size - n_from + n_to;
    uint8_t *bytes = take(n);
    memcpy(bytes, f->data, at);
    memcpy(bytes + at, to, n_to);
    memcpy(bytes + at + n_to, f->data + at + n_from, f->size - at - n_from);
    if (strstr(name, ".safetensors")) {
        size_t header = 0;
        for (int i = 0; i < 8; i++)
            header |= (size_t)bytes[i] << (8 * i);
        store_length(bytes, header - n_from + n_to);
    }
    release(f);
    f->data = bytes;
    f->size = n;
}

void tn_hf_test_remove(tn_hf_test *t, const char *name)
{
    tn_hf_bytes *f = find(t, name);
    if (!f)
        abort();
    release(f);
    *f = t->file[--t->n];
}

void tn_hf_test_deinit(tn_hf_test *t)
{
    for (size_t i = 0; i < t->n; i++)
        release(&t->file[i]);
    t->n = 0;
}
