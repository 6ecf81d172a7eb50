# SPDX-License-Identifier: Apache-2.0
"""GGUF files of the architectures, written with the package `gguf` as llama.cpp's convert_hf_to_gguf.py does it, against the
goldens of the same weights as Hugging Face directories."""
import gguf
import numpy
import pytest

from hf_support import assert_near, golden, refused, run
import checkpoint
import models

NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
GLOBAL = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
# In GGUF these have q and k rows of interleaved pairs; Mistral is a llama there.
PERMUTED = {"llama": "llama", "mistral": "llama", "internlm2": "internlm2"}


def permute(rows, heads):
    """convert_hf_to_gguf.py, LlamaModel.permute."""
    return rows.reshape(heads, 2, len(rows) // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def gguf_name(name):
    if name in GLOBAL:
        return GLOBAL[name]
    _, _, layer, module = name.split(".", 3)
    module, kind = module.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[module]}.{kind}"


def write(path, config, extra=(), leave_out=""):
    arch = PERMUTED.get(config["model_type"], config["model_type"])
    heads = config["num_attention_heads"]
    kv_heads = config["num_key_value_heads"]
    w = gguf.GGUFWriter(path, arch)
    w.add_block_count(config["num_hidden_layers"])
    w.add_embedding_length(config["hidden_size"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_head_count(heads)
    w.add_head_count_kv(kv_heads)
    w.add_context_length(config["max_position_embeddings"])
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_rope_freq_base(float(config["rope_theta"]))
    if "head_dim" in config:
        w.add_key_length(config["head_dim"])
        w.add_value_length(config["head_dim"])
        w.add_rope_dimension_count(config["head_dim"])
    for add in extra:
        add(w)
    for name, value in checkpoint.tensors(config).items():
        if arch in PERMUTED.values() and (".q_proj" in name or ".k_proj" in name):
            value = permute(value, heads if ".q_proj" in name else kv_heads)
        if not leave_out or leave_out not in name:
            w.add_tensor(gguf_name(name), numpy.ascontiguousarray(value))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return path


def yarn(w):
    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(4.0)
    w.add_rope_scaling_orig_ctx_len(32)


def longrope(original):
    def add(w):
        scaling = models.CONFIGS["llama_longrope_long"]["rope_scaling"]
        w.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        w.add_rope_scaling_orig_ctx_len(original)
        for name in ("long", "short"):
            w.add_tensor(f"rope_factors_{name}.weight", numpy.array(scaling[f"{name}_factor"], numpy.float32))
    return add


def llama3(w):
    """generate_extra_tensors of LlamaModel: divisors of the frequencies."""
    config = models.CONFIGS["llama3"]
    scaling, dim = config["rope_scaling"], config["hidden_size"] // config["num_attention_heads"]
    freqs = config["rope_theta"] ** (-numpy.arange(0, dim, 2) / dim)
    turns = scaling["original_max_position_embeddings"] * freqs / (2 * numpy.pi)
    low, high, factor = scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["factor"]
    smooth = numpy.clip((turns - low) / (high - low), 0, 1)
    w.add_tensor("rope_freqs.weight", (1 / ((1 - smooth) / factor + smooth)).astype(numpy.float32))


CASES = {
    "llama2": (), "llama3": (llama3,), "llama_biases": (), "llama_yarn": (yarn,), "llama_longrope_short": (longrope(64),),
    "llama_longrope_long": (longrope(32),), "mistral": (lambda w: w.add_sliding_window(16),), "internlm2_biases": (), "qwen2": (),
    "qwen2_yarn": (yarn,), "qwen3": (),
}


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_transformers(tmp_path, name):
    config = models.CONFIGS[name]
    model = write(tmp_path / "m.gguf", config, CASES[name])
    assert_near(run(model, models.ids(config)), golden(name), 1e-5)


def test_a_file_without_its_biases_is_refused(tmp_path):
    assert "blk.0.attn_q.bias, which every qwen2 has" in refused(write(tmp_path / "m.gguf", models.CONFIGS["qwen2"], leave_out=".bias"))


def test_one_of_two_lists_of_factors_is_refused(tmp_path):
    def half(w):
        w.add_tensor("rope_factors_long.weight", numpy.ones(4, numpy.float32))
    assert "rope_factors_short.weight; both are needed" in refused(write(tmp_path / "m.gguf", models.CONFIGS["llama2"], (half,)))
