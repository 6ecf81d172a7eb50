/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds of fuzz_safetensors and fuzz_hf, made from the directory of hf_fixture.h: make_hf_seeds
 * FILE.safetensors HF_DIR. */
#include "tests/support/hf_fixture.h"

#include <stdio.h>
#include <string.h>

static const char old_type[] =
    "\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"]";
static const struct {
    const char *from, *to; /* in config.json */
} seeds[] = {
    { "false", "true" },
    { old_type, "\"model_type\": \"mistral\", \"sliding_window\": 4" },
    { old_type,
      "\"model_type\": \"internlm\", \"bias\": false, \"rotary\": {\"base\": 1, \"type\": "
      "\"dynamic\"}" },
    { old_type, "\"model_type\": \"internlm2\", \"bias\": true" },
    { old_type,
      "\"model_type\": \"qwen2\", \"use_sliding_window\": true, \"max_window_layers\": 0" },
    { old_type, "\"model_type\": \"qwen3\", \"head_dim\": 4" },
    { "10000.0", "1e6, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, \"mscale\": 1}" },
    { "10000.0",
      "1e6, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": "
      "1, \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8}" },
    { "10000.0", "1e6, \"rope_parameters\": {\"rope_type\": \"longrope\", \"factor\": 2, "
                 "\"short_factor\": [1, 2], \"long_factor\": [1, 2]}, \"use_logn_attn\": true" },
    { "hidden", "hidden" }, /* with AWQ */
    { "10000.0", "1e6, \"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4, "
                 "\"group_size\": -1}" },
};

static const char others[] =
    "{\"bos_token\": \"<s>\", \"chat_template\": [{\"name\": \"default\", \"template\": \"x\"}],"
    " \"added_tokens_decoder\": {\"3\": {\"content\": \"<u>\", \"special\": true}}}\0"
    "{\"eos_token_id\": [2, 3]}\0"
    "{\"unk_token\": {\"content\": \"<unk>\"}}\0";

static int write_bytes(FILE *f, const void *bytes, size_t n)
{
    return fwrite(bytes, 1, n, f) == n;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int written = 1;
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        tn_hf_test t;
        char path[4096];
        tn_hf_test_init(&t);
        if (strcmp(seeds[i].from, seeds[i].to) == 0)
            tn_hf_test_use_awq(&t);
        tn_hf_test_change(&t, "config.json", seeds[i].from, seeds[i].to);
        (void)snprintf(path, sizeof path, "%s/%zu", argv[2], i);
        FILE *hf = fopen(path, "wb"), *st = fopen(argv[1], "wb");
        written = written && hf && st && write_bytes(st, t.file[1].data, t.file[1].size) &&
                  write_bytes(hf, t.file[0].data, t.file[0].size) && write_bytes(hf, "", 1) &&
                  write_bytes(hf, others, sizeof others - 1) && write_bytes(hf, "", 1) &&
                  write_bytes(hf, t.file[1].data, t.file[1].size);
        written = hf && fclose(hf) == 0 && st && fclose(st) == 0 && written;
        tn_hf_test_deinit(&t);
    }
    return written ? 0 : 1;
}
