# SPDX-License-Identifier: Apache-2.0
"""`tenon convert` of GGUF files of every architecture to Hugging Face directories, against the goldens of transformers."""
import json

import gguf
import numpy
import pytest
import safetensors.numpy

from hf_support import assert_near, convert_refused, golden, run, tenon
from test_gguf_archs import CASES, write
import checkpoint
import models
import quantise

PIECES = ["<unk>", "<s>", "</s>", "\u2581"] + [chr(ord("a") + i) for i in range(26)] + ["\u2581a", "ab"]
TYPES = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * 29


def vocabulary(w):
    """SentencePiece's of 32 pieces, as many as the models have rows."""
    w.add_tokenizer_model("llama")
    w.add_token_list(PIECES)
    w.add_token_scores([0.0] * 3 + [-float(i) for i in range(29)])
    w.add_token_types(TYPES)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)


@pytest.mark.parametrize("name", CASES)
def test_a_converted_file_has_the_logits_of_transformers(tmp_path, name):
    config = models.CONFIGS[name]
    tenon("convert", write(tmp_path / "m.gguf", config, (vocabulary, *CASES[name])), tmp_path / "hf")
    assert json.loads((tmp_path / "hf/config.json").read_text(encoding="utf-8"))["model_type"] == config["model_type"]
    print(f"{name}: {assert_near(run(tmp_path / 'hf', models.ids(config)), golden(name), 1e-5):.2g}")


def test_internlm2_has_q_k_and_v_in_one_as_its_own_checkpoints(tmp_path):
    config = models.CONFIGS["internlm2_biases"]
    tenon("convert", write(tmp_path / "m.gguf", config, (vocabulary,)), tmp_path / "hf", "--max-shard-size", "4KB")
    want = checkpoint.internlm2(config, checkpoint.tensors(config))
    got = {}
    for shard in (tmp_path / "hf").glob("*.safetensors"):
        got |= safetensors.numpy.load_file(shard)
    assert set(got) == set(want) and all((got[name] == want[name]).all() for name in want)


def in_q4_0(w, config):
    """The same file with its linears in Q4_0."""
    add, linears = w.add_tensor, {f"blk.{i}.{kind}.weight" for i in range(config["num_hidden_layers"]) for kind in
                                  ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}

    def quantised(name, value):
        if name in linears:
            kind = gguf.GGMLQuantizationType.Q4_0
            add(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
        else:
            add(name, value)
    w.add_tensor = quantised


def test_internlm2_of_q4_0_has_the_bits_as_awq(tmp_path):
    config = models.CONFIGS["internlm2_biases"] | {"hidden_size": 256, "intermediate_size": 384}
    model = write(tmp_path / "m.gguf", config, (vocabulary, lambda w: in_q4_0(w, config)))
    told = json.loads(tenon("convert", model, tmp_path / "awq", "--type", "awq", "--json"))
    assert {f["name"]: f["tensors"] for f in told["formats"]} == {"F32": 11, "AWQ": 10}
    assert told["largest_rounding_error"]["error"] == 0
    ids = models.ids(config)[:24]
    assert (run(tmp_path / "awq", ids) == run(model, ids)).all()
    packed = safetensors.numpy.load_file(tmp_path / "awq/model.safetensors")
    assert packed["model.layers.0.attention.wqkv.scales"].shape == (8, (8 + 2 * 2) * 32)
    assert numpy.unique(quantise.unpack_words(packed["model.layers.1.attention.wqkv.qzeros"], quantise.AWQ_ORDER)).tolist() == [8]


def test_biases_that_a_family_has_not_are_refused(tmp_path):
    model = write(tmp_path / "m.gguf", models.CONFIGS["llama_biases"], (vocabulary,), leave_out="o_proj.bias")
    assert "a directory of the type llama cannot have these biases" in convert_refused(model, tmp_path / "hf")
