# SPDX-License-Identifier: Apache-2.0
"""The models of the goldens: config.json of each, and how it is written. Sizes are the smallest in which heads, groups, windows
and rope settings can be mixed up and seen."""
import checkpoint

N_IDS = 64
_BASE = {"vocab_size": 32, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
         "hidden_act": "silu", "tie_word_embeddings": False}
_CLASS = {"llama": "Llama", "mistral": "Mistral", "internlm": "InternLM", "internlm2": "InternLM2", "qwen2": "Qwen2", "qwen3": "Qwen3"}


def _config(kind, **changes):
    return {"model_type": kind, "architectures": [f"{_CLASS[kind]}ForCausalLM"], **_BASE, **changes}


def _scaled(kind, max_length, scaling, **changes):
    return _config(kind, max_position_embeddings=max_length, rope_scaling=scaling, **changes)


_FACTORS = {"short_factor": [1.0, 1.1, 1.3, 1.7], "long_factor": [1.2, 2.0, 3.5, 4.0]}

CONFIGS = {
    "llama2": _config("llama"),
    "llama2_gelu_no_gqa": _config("llama", num_key_value_heads=4, hidden_act="gelu", num_attention_heads=4),
    "llama_biases": _config("llama", attention_bias=True, mlp_bias=True),
    "llama3": _scaled("llama", 128, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                     "original_max_position_embeddings": 32}, rope_theta=500000.0, tie_word_embeddings=True),
    "llama_linear": _scaled("llama", 128, {"type": "linear", "factor": 2.5}),
    "llama_dynamic": _scaled("llama", 32, {"type": "dynamic", "factor": 2.0}),
    "llama_yarn": _scaled("llama", 128, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
    "llama_yarn_mscale": _scaled("llama", 128, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
                                                "beta_fast": 16.0, "beta_slow": 2.0, "mscale": 1.0, "mscale_all_dim": 0.5}),
    "llama_longrope_short": _scaled("llama", 128, {"type": "longrope", "original_max_position_embeddings": 64, **_FACTORS}),
    "llama_longrope_long": _scaled("llama", 128, {"type": "longrope", "original_max_position_embeddings": 32, **_FACTORS}),
    "llama_logn": _config("llama", use_logn_attn=True, seq_length=24),
    "mistral": _config("mistral", sliding_window=16, head_dim=12),
    "mistral_no_window": _config("mistral", sliding_window=None,
                                 rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0}),
    "internlm": _config("internlm", bias=True, num_key_value_heads=None, rotary={"base": 5000, "type": "dynamic"},
                        max_position_embeddings=32),
    "internlm2": _scaled("internlm2", 32, {"type": "dynamic", "factor": 2.0}, bias=False, rope_theta=1000000),
    "internlm2_biases": _config("internlm2", bias=True, num_attention_heads=8, num_key_value_heads=2),
    "qwen2": _config("qwen2"),
    "qwen2_window": _config("qwen2", use_sliding_window=True, sliding_window=16, max_window_layers=1, num_hidden_layers=3),
    "qwen2_yarn": _scaled("qwen2", 32, {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
    "qwen3": _config("qwen3", head_dim=16, tie_word_embeddings=True),
    "qwen3_biases": _config("qwen3", head_dim=8, attention_bias=True),
}


def ids(config):
    values = (checkpoint.uniform("ids", (N_IDS,)) + 1) / 2 * config["vocab_size"]
    return [int(v) for v in values]
