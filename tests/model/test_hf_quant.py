# SPDX-License-Identifier: Apache-2.0
"""AWQ and GPTQ checkpoints against numpy: the bits of the same weights unpacked to f32, and the same model in float64."""
import numpy
import pytest

from hf_support import assert_near, refused, run, tenon
import checkpoint
import models
import quantise

CONFIG = models.CONFIGS["llama2"] | {"hidden_size": 256, "intermediate_size": 384, "num_attention_heads": 4, "num_key_value_heads": 2}
AWQ = {"quant_method": "awq", "version": "gemm", "bits": 4, "zero_point": True}
GPTQ = {"quant_method": "gptq", "bits": 4, "desc_act": False, "sym": False}
IDS = models.ids(CONFIG)[:24]
METHODS = [("awq", AWQ, 0), ("gptq", GPTQ, 1), ("gptq", GPTQ | {"checkpoint_format": "gptq_v2"}, 0)]


def write(path, config, packed, quantization):
    return checkpoint.write(path, config | {"quantization_config": quantization}, packed)


@pytest.mark.parametrize("group", [32, 64, 128, -1])
@pytest.mark.parametrize("method,quantization,shift", METHODS, ids=["awq", "gptq", "gptq_v2"])
def test_codes_give_the_bits_of_the_values_that_they_mean(tmp_path, method, quantization, shift, group):
    packed, plain = quantise.checkpoint_of(checkpoint.tensors(CONFIG), method, group, shift)
    model = write(tmp_path / method, CONFIG, packed, quantization | {"group_size": group})
    exact = checkpoint.write(tmp_path / "plain", CONFIG, plain)
    got = run(model, IDS)
    assert (got == run(exact, IDS)).all()
    assert_near(got, quantise.llama_logits(CONFIG, plain, IDS), 3e-6)


@pytest.mark.parametrize("group", [32, 64, 128, -1])
def test_cpu_simd_runs_awq(tmp_path, group):
    packed, plain = quantise.checkpoint_of(checkpoint.tensors(CONFIG), "awq", group)
    model = write(tmp_path / "awq", CONFIG, packed, AWQ | {"group_size": group})
    got = run(model, IDS, "plugins=[{name: cpu-simd, options: {dot: f32}}]")
    assert_near(got, quantise.llama_logits(CONFIG, plain, IDS), 1e-5)


def test_the_checks_would_see_a_wrong_order_or_zero_point():
    """What the two tests above lean on: other packings of the same codes mean other weights."""
    codes, zero, scale = quantise.quantise(checkpoint.weight("m", (64, 256)), 64)
    t = quantise.to_awq(codes, zero, scale)
    right = quantise.values(*quantise.from_awq(t))
    straight = quantise.values(quantise.unpack_words(t["qweight"], range(8)).T, zero, scale)
    assert (right == quantise.values(codes, zero, scale)).all()
    assert (straight != right).mean() > 0.5
    assert (quantise.values(codes, zero + 1, scale) != right).mean() > 0.9


def test_bf16_scales_are_read(tmp_path):
    packed, plain = quantise.checkpoint_of(checkpoint.tensors(CONFIG), "awq", 64)
    typed = {}
    for name, value in packed.items():
        if not name.endswith(".scales"):
            typed[name] = (checkpoint.TYPE_NAMES[value.dtype.name], value.shape, value.tobytes())
            continue
        bits = value.astype(numpy.float32).view(numpy.uint32) >> 16
        typed[name] = ("BF16", value.shape, bits.astype("<u2").tobytes())
        module = name.removesuffix(".scales")
        codes, zero, _ = quantise.from_awq({k: packed[f"{module}.{k}"] for k in ("qweight", "qzeros", "scales")})
        plain[f"{module}.weight"] = quantise.values(codes, zero, (bits << 16).astype(numpy.uint32).view(numpy.float32).T)
    model = write(tmp_path / "bf16", CONFIG, {}, AWQ | {"group_size": 64})
    (model / "model.safetensors").write_bytes(checkpoint.raw(typed))
    assert (run(model, IDS) == run(checkpoint.write(tmp_path / "plain", CONFIG, plain), IDS)).all()


def test_modules_that_are_not_converted_stay_as_they_are(tmp_path):
    skip = ["lm_head", "self_attn.v_proj", "model.layers.0.mlp"]
    packed, plain = quantise.checkpoint_of(checkpoint.tensors(CONFIG), "awq", 64, skip=skip)
    assert "model.layers.0.mlp.up_proj.weight" in packed and "model.layers.1.mlp.up_proj.qweight" in packed
    model = write(tmp_path / "awq", CONFIG, packed, AWQ | {"group_size": 64, "modules_to_not_convert": skip})
    assert (run(model, IDS) == run(checkpoint.write(tmp_path / "plain", CONFIG, plain), IDS)).all()
    model = write(tmp_path / "awq", CONFIG, packed, AWQ | {"group_size": 64, "modules_to_not_convert": ["up_proj"]})
    assert "modules_to_not_convert" in refused(model)


def test_packed_q_k_v_of_internlm2_is_read_from_awq(tmp_path):
    config = models.CONFIGS["internlm2"] | {"hidden_size": 256, "intermediate_size": 384, "num_attention_heads": 8}
    named = checkpoint.internlm2(config, checkpoint.tensors(config))
    packed, plain = quantise.checkpoint_of(named, "awq", 64, skip=("output", "tok_embeddings"))
    assert "model.layers.0.attention.wqkv.qweight" in packed
    model = write(tmp_path / "awq", config, packed, AWQ | {"group_size": 64})
    assert (run(model, IDS) == run(checkpoint.write(tmp_path / "plain", config, plain), IDS)).all()


def test_biases_of_zeros_that_quantisers_write_are_taken(tmp_path):
    packed, plain = quantise.checkpoint_of(checkpoint.tensors(CONFIG), "gptq", 128, 1)
    packed |= {name.replace("scales", "bias"): numpy.zeros(t.shape[1], numpy.float16) for name, t in packed.items() if
               name.endswith(".scales")}
    model = write(tmp_path / "gptq", CONFIG, packed, GPTQ | {"group_size": 128})
    assert (run(model, IDS) == run(checkpoint.write(tmp_path / "plain", CONFIG, plain), IDS)).all()


def test_inspect_tells_method_and_groups(tmp_path):
    packed, _ = quantise.checkpoint_of(checkpoint.tensors(CONFIG), "awq", 32)
    text = tenon("inspect", write(tmp_path / "awq", CONFIG, packed, AWQ | {"group_size": 32}))
    assert "Hugging Face, AWQ in groups of 32" in text
    assert "u4z.g32" in text and "Q4_0" not in text


REFUSED = {
    "act_order": (GPTQ | {"desc_act": True}, "act-order"),
    "eight_bits": (GPTQ | {"bits": 8}, "bits is 8; 4 is supported"),
    "group_of_16": (AWQ | {"group_size": 16}, "group_size is 16; 32, 64, 128 and -1"),
    "gemv": (AWQ | {"version": "GEMV"}, 'version is "GEMV"; AWQ\'s layout gemm is supported'),
    "no_zero_point": (AWQ | {"zero_point": False}, "zero_point is false"),
    "other_format": (GPTQ | {"checkpoint_format": "marlin"}, "gptq and gptq_v2 are supported"),
    "fp8": ({"quant_method": "fp8"}, 'quant_method is "fp8"; awq and gptq of 4 bits are supported'),
    "no_method": ({"bits": 4}, "quant_method is missing"),
    "awq_called_gptq": (GPTQ | {"group_size": 64}, "that is not GPTQ"),
    "another_group": (AWQ | {"group_size": 128}, "is needed beside its qweight and group size"),
    "not_said": (None, "has no quantization_config"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_quantisation_is_refused_with_what_is_supported(tmp_path, name):
    quantization, message = REFUSED[name]
    packed, _ = quantise.checkpoint_of(checkpoint.tensors(CONFIG), "awq", 64)
    assert message in refused(write(tmp_path / name, CONFIG, packed, quantization))


def test_act_order_is_seen_in_the_tensors_too(tmp_path):
    packed, _ = quantise.checkpoint_of(checkpoint.tensors(CONFIG), "gptq", 64, 1)
    packed["model.layers.1.mlp.down_proj.g_idx"] = packed["model.layers.1.mlp.down_proj.g_idx"][::-1].copy()
    assert "model.layers.1.mlp.down_proj.g_idx is in act-order" in refused(write(tmp_path / "a", CONFIG, packed, GPTQ | {"group_size": 64}))
