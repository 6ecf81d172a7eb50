# SPDX-License-Identifier: Apache-2.0
"""`tenon convert` of AWQ and GPTQ directories to GGUF: the codes stay, and what f16 loses is what it says."""
import json

import gguf
import numpy
import pytest

from hf_support import assert_near, convert_refused, run, tenon
from test_gguf_archs import NAMES, permute
from test_hf_quant import AWQ, CONFIG, IDS, METHODS, write
import checkpoint
import models
import quantise

LINEARS = {theirs: ours for theirs, ours in NAMES.items() if "norm" not in theirs}


def convert(*args):
    return json.loads(tenon("convert", *args, "--json"))


def exact_q4_1(data):
    """q * d + m in float64, where the package gguf rounds to f32 (ggml-common.h, block_q4_1)."""
    blocks = data.reshape(-1, 20)
    d, m = (blocks[:, at:at + 2].copy().view("<f2").astype(numpy.float64) for at in (0, 2))
    codes = numpy.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (codes * d + m).reshape(len(data), -1)


def values(path):
    """Type and values of each tensor as the package gguf finds them."""
    out = {}
    for t in gguf.GGUFReader(path).tensors:
        value = gguf.quants.dequantize(t.data, t.tensor_type)
        if t.tensor_type.name == "Q4_1":
            exact = exact_q4_1(t.data)
            assert abs(exact - value).max() < 1e-6
            value = exact
        out[t.name] = t.tensor_type.name, value
    return out


def in_gguf_order(name, value, config=CONFIG):
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    return permute(value, heads[name.split(".")[-2]]) if name.split(".")[-2] in heads else value


def linears(plain):
    """(name in GGUF, values in its order) of the linears of the layers."""
    for name, value in plain.items():
        for theirs, ours in LINEARS.items():
            if f".{theirs}.weight" in name:
                yield f"blk.{name.split('.')[2]}.{ours}.weight", in_gguf_order(name, value)


@pytest.mark.parametrize("group", [32, 64, 128, -1])
@pytest.mark.parametrize("method,quantization,shift", METHODS, ids=["awq", "gptq", "gptq_v2"])
def test_weights_differ_by_the_error_that_is_told_and_no_more(tmp_path, method, quantization, shift, group):
    packed, plain = quantise.checkpoint_of(checkpoint.tensors(CONFIG), method, group, shift)
    model = write(tmp_path / method, CONFIG, packed, quantization | {"group_size": group})
    told = convert(model, tmp_path / "m.gguf")
    assert {f["name"]: f["tensors"] for f in told["formats"]} == {"F32": 7, "Q4_1": 14}
    assert gguf.GGUFReader(tmp_path / "m.gguf").fields["general.file_type"].contents() == 3  # LLAMA_FTYPE_MOSTLY_Q4_1
    got, worst = values(tmp_path / "m.gguf"), {}
    for name, want in linears(plain):
        assert got[name][0] == "Q4_1"
        worst[name] = abs(got[name][1] - want).max()
    error = told["largest_rounding_error"]
    assert error["error"] == pytest.approx(worst[error["tensor"]], rel=1e-6) == max(worst.values())
    assert 0 < error["relative"] < 15 / 8 * 2**-11  # m is at most 15 steps, and a row has a weight of 8 steps at least
    awq, ours = run(model, IDS), run(tmp_path / "m.gguf", IDS)
    print(f"relative error {error['relative']:.3g}, of logits {assert_near(ours, awq, 4 * error['relative']):.3g}")


def symmetric(group, scale=lambda s: s):
    """A checkpoint whose zero points are all 8, and its values."""
    packed, plain = {}, {}
    for name, value in checkpoint.tensors(CONFIG).items():
        plain[name] = value
        if value.ndim < 2 or "embed" in name or "lm_head" in name:
            packed[name] = value
            continue
        codes, zero, scales = quantise.quantise(value, group if group > 0 else value.shape[1])
        made = quantise.to_awq(codes, numpy.full_like(zero, 8), scale(scales))
        packed |= {f"{name.removesuffix('.weight')}.{kind}": t for kind, t in made.items()}
        plain[name] = quantise.values(*quantise.from_awq(made))
    return packed, plain


@pytest.mark.parametrize("group", [32, 128, -1])
def test_zero_points_of_8_become_q4_0_with_the_same_bits(tmp_path, group):
    packed, plain = symmetric(group)
    model = write(tmp_path / "awq", CONFIG, packed, AWQ | {"group_size": group})
    told = convert(model, tmp_path / "m.gguf")
    assert told["largest_rounding_error"] == {"error": 0, "relative": 0, "tensor": ""}
    got = values(tmp_path / "m.gguf")
    for name, want in linears(plain):
        assert got[name][0] == "Q4_0" and (got[name][1] == want).all()
    assert (run(model, IDS) == run(tmp_path / "m.gguf", IDS)).all()
    assert "exact\n" in tenon("convert", model, tmp_path / "again.gguf")


def test_scales_that_f16_has_not_are_rounded_and_told(tmp_path):
    packed, plain = symmetric(64, lambda s: s.astype(numpy.float32) * numpy.float32(1.0003))
    told = convert(write(tmp_path / "awq", CONFIG, packed, AWQ | {"group_size": 64}), tmp_path / "m.gguf")
    got = values(tmp_path / "m.gguf")
    worst = max(abs(got[name][1] - want).max() for name, want in linears(plain))
    assert told["largest_rounding_error"]["error"] == pytest.approx(worst, rel=1e-5) and worst > 0


def test_a_scale_past_f16_is_refused_by_the_name_of_its_tensor(tmp_path):
    packed, _ = symmetric(64, lambda s: s.astype(numpy.float32))
    packed["model.layers.1.mlp.up_proj.scales"][1, 3] = 1e5
    message = convert_refused(write(tmp_path / "awq", CONFIG, packed, AWQ | {"group_size": 64}), tmp_path / "m.gguf")
    assert "tensor blk.1.ffn_up.weight: 100000 is past the range of the f16" in message
    assert [p.name for p in tmp_path.iterdir()] == ["awq"]


def test_type_plain_writes_the_values(tmp_path):
    packed, plain = quantise.checkpoint_of(checkpoint.tensors(CONFIG), "awq", 64)
    model = write(tmp_path / "awq", CONFIG, packed, AWQ | {"group_size": 64})
    convert(model, tmp_path / "m.gguf", "--type", "plain", "--dtype", "f32")
    got = values(tmp_path / "m.gguf")
    assert all(got[name][0] == "F32" and (got[name][1] == want).all() for name, want in linears(plain))
    assert_near(run(tmp_path / "m.gguf", IDS), run(model, IDS), 1e-6)


def test_a_column_that_is_no_multiple_of_32_is_refused(tmp_path):
    config = CONFIG | {"intermediate_size": 40}
    packed, _ = quantise.checkpoint_of(checkpoint.tensors(config), "awq", -1)
    message = convert_refused(write(tmp_path / "awq", config, packed, AWQ | {"group_size": -1}), tmp_path / "m.gguf")
    assert "blk.0.ffn_down.weight has 40 inputs; a multiple of 32 is needed" in message


def test_internlm2_of_codes_is_taken_apart_into_q_k_v(tmp_path):
    config = models.CONFIGS["internlm2_biases"] | {"hidden_size": 256, "intermediate_size": 384, "bias": False}
    packed, _ = quantise.checkpoint_of(checkpoint.internlm2(config, checkpoint.tensors(config)), "awq", 64, skip=("output", "tok_emb"))
    model = write(tmp_path / "awq", config, packed, AWQ | {"group_size": 64})
    told = convert(model, tmp_path / "m.gguf")
    got = values(tmp_path / "m.gguf")
    assert [got[f"blk.0.attn_{part}.weight"][0] for part in "qkv"] == ["Q4_1"] * 3
    assert_near(run(tmp_path / "m.gguf", IDS), run(model, IDS), 8 * told["largest_rounding_error"]["relative"])


def test_biases_of_zeros_that_quantisers_write_are_left_out(tmp_path):
    config = CONFIG | {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
    tensors = checkpoint.tensors(config)
    packed, _ = quantise.checkpoint_of(tensors, "gptq", 128, 1)
    packed |= {name.replace("scales", "bias"): numpy.zeros(t.shape[1], numpy.float16) for name, t in packed.items() if
               name.endswith(".scales") and name.replace("scales", "bias") not in packed}
    model = write(tmp_path / "gptq", config, packed, METHODS[1][1] | {"group_size": 128})
    told = convert(model, tmp_path / "m.gguf")
    assert {name for name in values(tmp_path / "m.gguf") if name.endswith(".bias")} == {
        f"blk.{layer}.attn_{part}.bias" for layer in range(2) for part in "qkv"}
    assert_near(run(tmp_path / "m.gguf", IDS), run(model, IDS), 8 * told["largest_rounding_error"]["relative"])
    packed["model.layers.1.mlp.down_proj.bias"][5] = 1
    model = write(tmp_path / "gptq", config, packed, METHODS[1][1] | {"group_size": 128})
    assert "biases that a GGUF file of the architecture qwen2 has not" in convert_refused(model, tmp_path / "n.gguf")
