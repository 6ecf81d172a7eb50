# SPDX-License-Identifier: Apache-2.0
"""`tenon convert` of Hugging Face directories to GGUF: logits against the goldens of transformers, what the package `gguf` finds."""
import json

import gguf
import numpy
import pytest

from hf_support import assert_near, convert_refused, golden, run, tenon
import checkpoint
import models

# What GGUF cannot say, and how it is refused.
REFUSED = {
    "llama2_gelu_no_gqa": "another activation than silu", "llama_dynamic": "dynamic rope scaling", "llama_logn": "logn attention",
    "internlm": "dynamic rope scaling", "internlm2": "dynamic rope scaling", "qwen2_window": "a sliding window from a layer on",
    "qwen3_biases": "biases that a GGUF file of the architecture qwen3 has not",
}
ARCHITECTURE = {"llama": "llama", "mistral": "llama", "internlm": "llama", "internlm2": "internlm2", "qwen2": "qwen2", "qwen3": "qwen3"}


def fields(path):
    return {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items() if not key.startswith("GGUF.")}


@pytest.mark.parametrize("name", sorted(set(models.CONFIGS) - set(REFUSED)))
def test_a_converted_model_has_the_logits_of_transformers(tmp_path, name):
    config = models.CONFIGS[name]
    tenon("convert", checkpoint.make(tmp_path / "hf", config), tmp_path / "m.gguf")
    print(f"{name}: {assert_near(run(tmp_path / 'm.gguf', models.ids(config)), golden(name), 1e-5):.2g}")


@pytest.mark.parametrize("name", REFUSED)
def test_what_gguf_cannot_say_is_refused_by_name(tmp_path, name):
    message = convert_refused(checkpoint.make(tmp_path / "hf", models.CONFIGS[name]), tmp_path / "m.gguf")
    assert REFUSED[name] in message and "run the directory as it is" in message
    assert [p.name for p in tmp_path.iterdir()] == ["hf"]


def test_the_package_gguf_finds_the_settings(tmp_path):
    config = {**models.CONFIGS["llama_yarn_mscale"], "num_attention_heads": 4, "head_dim": 12}
    tenon("convert", checkpoint.make(tmp_path / "Tiny-Model", config, others={"generation_config.json": {}}), tmp_path / "m.gguf")
    found = fields(tmp_path / "m.gguf")
    assert found.pop("llama.rope.scaling.attn_factor") == pytest.approx(((0.1 * numpy.log(4) + 1) / (0.05 * numpy.log(4) + 1))
                                                                        / (0.1 * numpy.log(4) + 1), rel=1e-6)
    assert found.pop("llama.attention.layer_norm_rms_epsilon") == pytest.approx(1e-5)
    assert found == {
        "general.architecture": "llama", "general.type": "model", "general.name": "Tiny-Model", "general.size_label": "19K",
        "general.file_type": 0, "general.quantization_version": 2, "llama.block_count": 2, "llama.context_length": 128,
        "llama.embedding_length": 32, "llama.feed_forward_length": 40, "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2, "llama.attention.key_length": 12, "llama.attention.value_length": 12,
        "llama.vocab_size": 32, "llama.rope.dimension_count": 12, "llama.rope.freq_base": 10000.0,
        "llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0, "llama.rope.scaling.original_context_length": 32,
        "llama.rope.scaling.yarn_beta_fast": 16.0, "llama.rope.scaling.yarn_beta_slow": 2.0, "tokenizer.ggml.model": "none"}


@pytest.mark.parametrize("name", ["llama_biases", "internlm2_biases", "qwen2", "qwen3", "mistral"])
def test_the_architecture_and_the_order_of_rows_are_llama_cpps(tmp_path, name):
    config = models.CONFIGS[name]
    tenon("convert", checkpoint.make(tmp_path / "hf", config), tmp_path / "m.gguf")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    found = {t.name: t.data for t in reader.tensors}
    source = checkpoint.tensors(config)
    permuted = not name.startswith("qwen")
    arch = "llama" if permuted else config["model_type"]  # InternLM2 with biases is one too
    assert reader.fields["general.architecture"].contents() == arch
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config["num_hidden_layers"])
    assert {names.get_name(n, (".weight", ".bias")) for n in source} == set(found)
    for theirs, want in source.items():
        ours = names.get_name(theirs, (".weight", ".bias"))
        heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}.get(theirs.split(".")[-2])
        if heads and permuted:  # LlamaModel.permute of convert_hf_to_gguf.py
            want = want.reshape(heads, 2, len(want) // heads // 2, *want.shape[1:]).swapaxes(1, 2).reshape(want.shape)
        assert (found[ours] == want).all(), ours


@pytest.mark.parametrize("dtype, kind, file_type", [("f16", "F16", 1), ("bf16", "BF16", 32), ("f32", "F32", 0), ("auto", "F32", 0)])
def test_matrices_get_the_type_and_vectors_are_f32(tmp_path, dtype, kind, file_type):
    tenon("convert", checkpoint.make(tmp_path / "hf", models.CONFIGS["llama_biases"]), tmp_path / "m.gguf", "--dtype", dtype)
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    for t in reader.tensors:
        assert t.tensor_type.name == ("F32" if "norm" in t.name or t.name.endswith("bias") else kind), t.name
    assert reader.fields["general.file_type"].contents() == file_type


def test_auto_keeps_the_types_of_the_directory(tmp_path):
    values = {k: v.astype(numpy.float16) for k, v in checkpoint.tensors(models.CONFIGS["qwen2"]).items()}
    checkpoint.write(tmp_path / "hf", models.CONFIGS["qwen2"], values, shards=2)
    tenon("convert", tmp_path / "hf", tmp_path / "m.gguf")
    found = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    assert (found["token_embd.weight"] == values["model.embed_tokens.weight"]).all() and found["token_embd.weight"].dtype == numpy.float16
    assert found["blk.1.attn_k.bias"].dtype == numpy.float32


@pytest.mark.parametrize("name, changes, arch", [("internlm", {"rotary": {"base": 5000, "type": "origin"}}, "llama"),
                                                 ("internlm2", {"rope_scaling": None}, "internlm2"),
                                                 ("internlm2", {"rope_scaling": None, "num_key_value_heads": 1}, "internlm2")])
def test_internlm_without_scaling_has_the_logits_of_the_directory(tmp_path, name, changes, arch):
    config = {**models.CONFIGS[name], **changes}
    tenon("convert", checkpoint.make(tmp_path / "hf", config), tmp_path / "m.gguf")
    assert_near(run(tmp_path / "m.gguf", models.ids(config)), run(tmp_path / "hf", models.ids(config)), 1e-6)
    assert fields(tmp_path / "m.gguf")["general.architecture"] == arch


def test_a_model_without_a_tokenizer_has_none_in_gguf(tmp_path):
    tenon("convert", checkpoint.make(tmp_path / "hf", models.CONFIGS["qwen3"]), tmp_path / "m.gguf")
    told = json.loads(tenon("inspect", tmp_path / "m.gguf", "--json"))["tokenizer"]
    assert (told["tokens"], told["pre"], told["usable"]) == (0, "", False)
    assert fields(tmp_path / "m.gguf")["tokenizer.ggml.model"] == "none"
