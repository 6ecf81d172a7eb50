# SPDX-License-Identifier: Apache-2.0
"""cuda-kvint8 over cuda-fp16 on the emulator: models against cpu-ref on the same pages, bytes a token, perplexity, faults."""
import fnmatch
import json
import math
import struct
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests/model/hf"))
import checkpoint  # noqa: E402
import models  # noqa: E402

BROKEN = BUILD / "tests/plugins/sim"
IDS = [3 + i * 7 % 200 for i in range(40)]
# Query heads, kv heads, head size, type of activations.
SHAPES = [(2, 2, 64, "f16"), (6, 2, 96, "bf16"), (8, 2, 128, "f16"), (7, 1, 64, "bf16"), (8, 1, 256, "f16"), (24, 1, 40, "f16")]
FAMILIES = {
    "llama_logn": {},
    "mistral": {"head_dim": 16},  # with a window
    "internlm2_biases": {"hidden_size": 64},
    "qwen2_window": {},
    "qwen3": {},  # norms of q and k
}
# What each broken-kvint8-NAME gets wrong, and the ops where a check must see it.
FAULTS = {
    "previous-token": "attention",
    "keys-for-values": "attention",
    "first-head": "attention",
    "end-of-block": "*kv_write",
}


@pytest.fixture
def static_params(tmp_path):
    """A kv.params file of i8-static: one pair for all heads of a layer, or one for each."""
    def make(layers, heads=1):
        path = tmp_path / f"static-{layers}-{heads}.json"
        pairs = [[0.02 + 0.004 * head, 0.05 * head] for head in range(heads)]
        path.write_text(json.dumps({"format": "i8-static", "layers": [{"k": pairs, "v": pairs}] * layers}), encoding="utf-8")
        return path
    return make


@pytest.fixture
def profile(tmp_path):
    def make(model, activations="f16", kv="i8", params=None, plugin="cuda-kvint8"):
        path = tmp_path / "profile.yaml"
        with_params = f", params: {params}" if params else ""
        path.write_text(f"model: {model}\ndevice: cuda-sim\nplugins: [{plugin}, cuda-fp16]\nactivations: {activations}\n"
                        f"kv: {{format: {kv}, block_tokens: 16{with_params}}}\n", encoding="utf-8")
        return path
    return make


@pytest.fixture
def family(tmp_path):
    def make(name, changes):
        checkpoint.make(tmp_path / name, {**models.CONFIGS[name], **changes})
        return tmp_path / name
    return make


def assert_passes(tenon, path, *args, env=None):
    report = tenon.json("check", "--quick", "--profile", path, *args, env=env)
    assert report["passed"] and not report["failed"], report["failed"]
    return report


@pytest.mark.parametrize("activations", ["f16", "bf16"])
def test_every_op_passes(tenon, tiny, profile, activations):
    text = tenon("check", "--quick", "--profile", profile(tiny, activations)).stdout.decode()
    for op in ("rope_kv_write", "kv_write", "attention"):
        assert f"cuda-kvint8.{op} " in text


@pytest.mark.parametrize(("heads", "kv_heads", "size", "activations"), SHAPES)
def test_heads_and_groups_of_every_kind_pass(tenon, make_model, profile, heads, kv_heads, size, activations):
    model = make_model("--heads", str(heads), "--kv-heads", str(kv_heads), "--head-dim", str(size))
    assert_passes(tenon, profile(model, activations), "--node", "*")


@pytest.mark.parametrize("name", FAMILIES)
def test_families_of_models_pass(tenon, family, profile, name):
    assert_passes(tenon, profile(family(name, FAMILIES[name])), "--node", "*")


@pytest.mark.parametrize("heads", [1, 2])
def test_calibrated_parameters_pass(tenon, make_model, profile, static_params, heads):
    model = make_model("--layers", "2", "--heads", "4", "--kv-heads", "2", "--head-dim", "64")
    assert_passes(tenon, profile(model, kv="i8-static", params=static_params(2, heads)), "--node", "*")


@pytest.mark.parametrize(("schedule", "copies", "device"), [("lifo", "eager", "a100"), ("random", "late", "h100")])
def test_a_model_passes_whatever_order_the_device_takes(tenon, make_model, profile, schedule, copies, device):
    model = make_model("--heads", "8", "--kv-heads", "2", "--head-dim", "64")
    env = {"TENON_SIMT_SCHEDULE": schedule, "TENON_SIMT_SEED": "7", "TENON_SIMT_CP_ASYNC": copies, "TENON_SIMT_DEVICE": device}
    assert_passes(tenon, profile(model), "--node", "*", env=env)


@pytest.mark.parametrize("activations", ["f16", "bf16"])
def test_tokens_are_those_of_cpu_ref_on_the_same_format(tenon, tiny, profile, activations):
    """40 tokens of prompt go through the prefill kernel, the answer through decode, and its graph."""
    args = ("run", "--ids", ",".join(map(str, IDS)), "-n", 12, "--greedy", "--ignore-eos")
    expected = tenon.json(*args, "--model", tiny, "--set", "plugins=cpu-ref", "--set", "kv.format=i8")["ids"]
    assert tenon.json(*args, "--profile", profile(tiny, activations))["ids"] == expected


# ---- what it is for: bytes of the cache ----

def test_explain_tells_the_bytes_of_a_token(tenon, make_model, profile, static_params):
    """Of 2 layers with 2 kv heads of 64: K and V, and of i8 4 bytes of parameters for each."""
    model = make_model("--layers", "2", "--heads", "4", "--kv-heads", "2", "--head-dim", "64")
    expected = {"f16": 2 * 2 * 2 * 64 * 2, "i8": 2 * 2 * 2 * (64 + 4), "i8-static": 2 * 2 * 2 * 64}
    for kv, n_bytes in expected.items():
        path = profile(model, kv=kv, params=static_params(2) if kv == "i8-static" else None)
        memory = tenon.json("explain", "--profile", path)["memory"]
        assert (memory["kv_format"], memory["kv_bytes_per_token"]) == (kv, n_bytes)
        assert f"{n_bytes} bytes a token" in tenon("explain", "--profile", path).stdout.decode()


def test_a_cache_of_f16_is_left_to_cuda_fp16_and_explain_says_so(tenon, tiny, profile):
    path = profile(tiny, kv="f16")
    kernels = {node["kernel"] for node in tenon.json("explain", "--profile", path)["nodes"]}
    assert "cuda-fp16.attention" in kernels and not any(kernel.startswith("cuda-kvint8") for kernel in kernels)
    assert "layer.0.attention (attention): cuda-kvint8: it has no KV format f16" in tenon("explain", "--profile", path).stdout.decode()


def test_what_it_does_not_take_is_said(tenon, family, profile):
    done = tenon("run", "--profile", profile(family("mistral", {"head_dim": 12})), "--ids", "1", "-n", 1, status=2)
    assert "head size 12, multiples of 8 to 256 are taken" in done.stderr.decode()


def test_a_scale_without_an_inverse_is_refused(tenon, make_model, profile, tmp_path):
    params = tmp_path / "tiny.json"
    layer = {"k": [[1e-39, 0.0]], "v": [[0.02, 0.0]]}
    params.write_text(json.dumps({"format": "i8-static", "layers": [layer, layer]}), encoding="utf-8")
    done = tenon("run", "--profile", profile(make_model("--layers", "2"), kv="i8-static", params=params), "--ids", "1", "-n", 1, status=2)
    assert "a scale of 1e-39 in kv.params" in done.stderr.decode()


# ---- perplexity ----

def perplexity(model, *sets):
    ids = [5 + i * i * 31 % 190 for i in range(128)]
    done = subprocess.run([BUILD / "bin/prompt_logits", BUILD / "lib/tenon/plugins", model, ",".join(map(str, ids)), *sets],
                          capture_output=True, check=True, timeout=120)
    values = struct.unpack(f"{len(done.stdout) // 4}f", done.stdout)
    vocab = len(values) // len(ids)
    loss = 0.0
    for at, following in enumerate(ids[1:]):
        row = values[at * vocab:(at + 1) * vocab]
        most = max(row)
        loss += math.log(sum(math.exp(value - most) for value in row)) + most - row[following]
    return math.exp(loss / (len(ids) - 1))


CUDA = ("device=cuda-sim", "activations=f16")


@pytest.fixture(scope="module")
def three_layers(make_model):
    return make_model("--layers", "3", "--heads", "4", "--kv-heads", "2", "--head-dim", "64")


@pytest.fixture(scope="module")
def losses(three_layers):
    """Perplexity by device and KV format."""
    model = three_layers
    found = {("cpu-ref", kv): perplexity(model, "plugins=cpu-ref", f"kv.format={kv}") for kv in ("f16", "i8")}
    found |= {("cuda-sim", kv): perplexity(model, *CUDA, "plugins=cuda-kvint8,cuda-fp16", f"kv.format={kv}") for kv in ("f16", "i8")}
    return found


@pytest.mark.parametrize("device", ["cpu-ref", "cuda-sim"])
def test_perplexity_with_an_8_bit_cache_is_that_of_f16_within_a_percent(losses, device):
    change = losses[device, "i8"] / losses[device, "f16"] - 1
    print(f"{device}: {losses[device, 'f16']:.2f} with f16, {losses[device, 'i8']:.2f} with i8, {100 * change:+.3f} %")
    assert 0 < abs(change) < 1e-2
    assert abs(losses["cuda-sim", "i8"] / losses["cpu-ref", "i8"] - 1) < 1e-2


def test_perplexity_tells_parameters_of_the_token_before(losses, three_layers):
    broken = f"{{name: broken-kvint8-previous-token, path: {BROKEN}/broken-kvint8-previous-token.so}}"
    found = perplexity(three_layers, *CUDA, f"plugins=[{broken}, cuda-fp16]", "kv.format=i8")
    assert abs(found / losses["cuda-sim", "f16"] - 1) > 5e-2


# ---- faults ----

@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_and_named(tenon, make_model, profile, static_params, tmp_path, name):
    model = make_model("--layers", "2", "--heads", "4", "--kv-heads", "2", "--head-dim", "64")
    broken = f"{{name: broken-kvint8-{name}, path: {BROKEN}/broken-kvint8-{name}.so}}"
    is_static = name == "first-head"
    path = profile(model, plugin=broken, kv="i8-static" if is_static else "i8", params=static_params(2, 2) if is_static else None)
    failed = tenon.json("check", "--quick", "--profile", path, "--repro-dir", tmp_path, status=1)["failed"]
    assert all(fnmatch.fnmatch(f["kernel"], f"broken-kvint8-{name}.{FAULTS[name]}") for f in failed), failed
    assert {"ops", "lockstep"} <= {f["part"] for f in failed}, failed
    nodes = {f["node"] for f in failed if f["part"] == "lockstep"}
    assert nodes == {f"layer.{layer}.{'attention' if FAULTS[name] == 'attention' else 'kv_write'}" for layer in range(2)}


# ---- SmolLM2 ----

def test_smollm2_two_layers_pass(tenon):
    report = tenon.json("check", "--quick", "--node", "*", "--profile", ROOT / "configs/cuda-sim-kvint8.yaml", "--set",
                        "debug.max_layers=2", timeout=400)
    assert report["passed"]


def test_smollm2_gives_the_tokens_of_cpu_ref_or_a_tie(tenon):
    tenon.assert_tokens_or_a_tie("cuda-sim-kvint8.yaml", "cpu-ref-kvint8.yaml")
