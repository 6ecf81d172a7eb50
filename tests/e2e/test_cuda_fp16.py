# SPDX-License-Identifier: Apache-2.0
"""cuda-fp16 on the emulator: models of several families against cpu-ref, node by node, and their tokens."""
import json
import pathlib
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/model/hf"))
import checkpoint  # noqa: E402
import models  # noqa: E402

# Query heads, kv heads, head size, type of activations, weights.
SHAPES = [
    (2, 2, 64, "f16", "Q4_1"),
    (6, 2, 96, "bf16", "Q8_0"),
    (8, 2, 128, "f16", "Q4_0"),
    (7, 1, 64, "f16", "F16"),
    (8, 1, 256, "f16", "BF16"),
    (24, 1, 64, "bf16", "F32"),
]
FAMILIES = {
    "llama3": {},
    "llama_biases": {},
    "llama_logn": {},
    "mistral": {"head_dim": 16},  # with a window
    "internlm2_biases": {"hidden_size": 64},
    "qwen2_window": {},
    "qwen3": {},  # norms of q and k
}


@pytest.fixture
def profile(tmp_path):
    def make(model, activations="f16", options="", **others):
        path = tmp_path / "profile.yaml"
        lines = [f"model: {model}", "device: cuda-sim", f"plugins: [{{name: cuda-fp16{options}}}]", f"activations: {activations}",
                 "kv: {format: f16, block_tokens: 16}", *(f"{key}: {value}" for key, value in others.items())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path
    return make


@pytest.fixture
def family(tmp_path):
    def make(name, changes):
        config = {**models.CONFIGS[name], **changes}
        checkpoint.make(tmp_path / name, config)
        return tmp_path / name
    return make


def assert_passes(tenon, path, *args, env=None):
    report = tenon.json("check", "--quick", "--profile", path, *args, env=env)
    assert report["passed"] and not report["failed"], report["failed"]
    return report


@pytest.mark.parametrize("gemm", ["auto", "own"])
def test_every_op_passes_with_cublas_and_without(tenon, tiny, profile, gemm):
    assert_passes(tenon, profile(tiny, options=f", options: {{gemm: {gemm}}}"))


def test_every_op_passes_with_bf16(tenon, tiny, profile):
    assert_passes(tenon, profile(tiny, "bf16"))


@pytest.mark.parametrize(("heads", "kv_heads", "size", "activations", "weights"), SHAPES)
def test_heads_groups_and_weights_of_every_kind_pass(tenon, make_model, profile, heads, kv_heads, size, activations, weights):
    model = make_model("--heads", str(heads), "--kv-heads", str(kv_heads), "--head-dim", str(size), "--type", weights)
    assert_passes(tenon, profile(model, activations), "--node", "*")


@pytest.mark.parametrize("name", FAMILIES)
def test_families_of_models_pass(tenon, family, profile, name):
    assert_passes(tenon, profile(family(name, FAMILIES[name])), "--node", "*")


def test_norms_go_into_their_linears_and_a_tied_head_shares_the_table(tenon, make_model, profile):
    found = tenon.json("explain", "--profile", profile(make_model("--tied", "1", "--layers", "1")))
    ops = {node["node"]: node["op"] for node in found["nodes"]}
    assert (ops["layer.0.qkv"], ops["layer.0.gate_up"], ops["head"]) == ("norm_linear", "norm_linear_glu", "linear")
    layouts = {one["layout"]: one for one in found["layouts"]}
    plain = layouts["cuda-fp16/f16.k8/1"]  # embed, attn_out, down and head
    assert (plain["nodes"], plain["blobs"]) == (4, 3) and layouts["cuda-fp16/f16.k8+norm/1"]["nodes"] == 2


@pytest.mark.parametrize(("schedule", "copies", "device"), [("lifo", "eager", "a100"), ("random", "late", "h100")])
def test_a_model_passes_whatever_order_the_device_takes(tenon, make_model, profile, schedule, copies, device):
    model = make_model("--heads", "8", "--kv-heads", "2", "--head-dim", "64")
    env = {"TENON_SIMT_SCHEDULE": schedule, "TENON_SIMT_SEED": "7", "TENON_SIMT_CP_ASYNC": copies, "TENON_SIMT_DEVICE": device}
    assert_passes(tenon, profile(model, options=", options: {gemm: own}"), "--node", "*", env=env)


@pytest.mark.parametrize("activations", ["f16", "bf16"])
def test_tokens_are_those_of_cpu_ref(tenon, tiny, profile, activations):
    """40 tokens of prompt go through cuBLAS and the prefill kernel, the answer through the GEMV, decode, and its graph."""
    args = ("run", "--ids", ",".join(str(3 + i * 7 % 200) for i in range(40)), "-n", 12, "--greedy", "--ignore-eos")
    expected = tenon.json(*args, "--model", tiny, "--set", "plugins=cpu-ref")["ids"]
    assert tenon.json(*args, "--profile", profile(tiny, activations))["ids"] == expected


def test_what_it_does_not_take_is_said(tenon, family, profile):
    path = profile(family("mistral", {"head_dim": 12}))
    done = tenon("run", "--profile", path, "--ids", "1", "-n", 1, status=2)
    assert "head size 12, multiples of 8 to 256 are taken" in done.stderr.decode()


def test_an_unknown_option_is_refused(tenon, tiny, profile):
    done = tenon("run", "--profile", profile(tiny, options=", options: {gemm: fast}"), "--ids", "1", "-n", 1, status=2)
    assert "option gemm: fast, auto and own are allowed" in done.stderr.decode()


def test_weights_beyond_f16_are_refused_with_what_to_do(tenon, family, profile, tmp_path):
    model = family("llama2", {})
    scale_weights(model, 1e6)
    done = tenon("run", "--profile", profile(model), "--ids", "1", "-n", 1, status=2)
    assert "beyond the largest f16" in done.stderr.decode() and "activations: bf16" in done.stderr.decode()
    assert tenon.json("run", "--profile", profile(model, "bf16"), "--ids", "1", "-n", 1)["ids"]


def scale_weights(directory, factor):
    """Multiply the first layer's o_proj of a checkpoint of F32 by a factor."""
    path = pathlib.Path(directory) / "model.safetensors"
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    entry = header["model.layers.0.self_attn.o_proj.weight"]
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    assert entry["dtype"] == "F32"
    values = memoryview(data)[begin:end].cast("f")
    for i, value in enumerate(values):
        values[i] = value * factor
    values.release()
    path.write_bytes(data)


def test_smollm2_two_layers_pass(tenon):
    report = tenon.json("check", "--quick", "--node", "*", "--profile", ROOT / "configs/cuda-sim-fp16.yaml", "--set",
                        "debug.max_layers=2", timeout=400)
    assert report["passed"]


def test_smollm2_gives_the_tokens_of_cpu_ref_or_a_tie(tenon):
    tenon.assert_tokens_or_a_tie("cuda-sim-fp16.yaml", "cpu-ref.yaml")
