# SPDX-License-Identifier: Apache-2.0
"""cuda-w4a16 on the emulator: models of 4-bit weights against cpu-ref, what it leaves to cuda-fp16, and faults that a check names."""
import fnmatch
import sys

import pytest

from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests/model/hf"))
import checkpoint  # noqa: E402
import models  # noqa: E402
import quantise  # noqa: E402

BROKEN = BUILD / "tests/plugins/sim"
# broken-w4a16-NAME, and the weights that it is shown on.
FAULTS = {"nibble-order": "u4b", "neighbour-column": "u4b", "neighbour-zero": "u4z", "transposed-scale": "u4z"}
WIDE = {"hidden_size": 256, "intermediate_size": 384, "num_attention_heads": 4, "num_key_value_heads": 2}
METHODS = {
    "awq": {"quant_method": "awq", "version": "gemm", "bits": 4, "zero_point": True},
    "gptq": {"quant_method": "gptq", "bits": 4, "desc_act": False, "sym": False},  # its zero points reach 16
}


@pytest.fixture
def profile(tmp_path):
    def make(model, activations="f16", plugin="cuda-w4a16", gemm="auto"):
        path = tmp_path / "profile.yaml"
        plugin = plugin if plugin.startswith("{") else f"{{name: {plugin}, options: {{gemm: {gemm}}}}}"
        path.write_text(f"model: {model}\ndevice: cuda-sim\nplugins: [{plugin}, cuda-fp16]\nactivations: {activations}\n"
                        "kv: {format: f16, block_tokens: 16}\n", encoding="utf-8")
        return path
    return make


@pytest.fixture
def quantised(tmp_path):
    """A checkpoint of random weights as AutoAWQ or AutoGPTQ write it: u4z with zero points of its own for every group."""
    def make(method="awq", group=32, name="llama2", **changes):
        config = {**models.CONFIGS[name], **WIDE, **changes}
        packed, _ = quantise.checkpoint_of(checkpoint.tensors(config), method, group, int(method == "gptq"))
        path = tmp_path / f"{method}-{group}-{name}"
        return checkpoint.write(path, config | {"quantization_config": METHODS[method] | {"group_size": group}}, packed)
    return make


def assert_passes(tenon, path, *args, env=None):
    report = tenon.json("check", "--quick", "--profile", path, *args, env=env)
    assert report["passed"] and not report["failed"], report["failed"]


def linears(tenon, path):
    """Plugin of every linear, one that norms its input among them, by node."""
    lines = tenon("explain", "--profile", path).stdout.decode().splitlines()
    words = [line.split() for line in lines]
    return {w[0]: w[2] for w in words if len(w) > 5 and w[1].removeprefix("norm_") in ("linear", "linear_add", "linear_glu")}


@pytest.mark.parametrize("gemm", ["auto", "own"])
@pytest.mark.parametrize("kind", ["Q4_1", "Q4_0"])
def test_every_op_passes_with_cublas_and_without(tenon, make_model, profile, kind, gemm):
    assert_passes(tenon, profile(make_model("--layers", "2", "--type", kind), gemm=gemm))


@pytest.mark.parametrize("group", [32, 64, 128, -1])
@pytest.mark.parametrize("method", METHODS)
def test_zero_points_and_groups_of_every_kind_pass(tenon, quantised, profile, method, group):
    path = profile(quantised(method, group))
    assert_passes(tenon, path, "--node", "*")
    taken = linears(tenon, path)
    assert taken.pop("head") == "cuda-fp16"  # plain values
    assert len(taken) == 8 and set(taken.values()) == {"cuda-w4a16"}


@pytest.mark.parametrize(("name", "changes"), [("llama_biases", {}), ("qwen2", {}), ("llama2_gelu_no_gqa", {"num_key_value_heads": 4}),
                                               ("mistral", {"head_dim": 16, "hidden_size": 192})])
def test_families_of_models_pass(tenon, quantised, profile, name, changes):
    assert_passes(tenon, profile(quantised(name=name, **changes)), "--node", "*")


@pytest.mark.parametrize(("schedule", "copies", "device"), [("lifo", "eager", "a100"), ("random", "late", "h100")])
def test_a_model_passes_whatever_order_the_device_takes(tenon, quantised, profile, schedule, copies, device):
    env = {"TENON_SIMT_SCHEDULE": schedule, "TENON_SIMT_SEED": "7", "TENON_SIMT_CP_ASYNC": copies, "TENON_SIMT_DEVICE": device}
    assert_passes(tenon, profile(quantised(), gemm="own"), "--node", "*", env=env)


def assert_like_cpu_ref(tenon, model, path, n_prompt, n):
    """Ids and the best logits; a prompt of more than 256 tokens goes through cuBLAS, of more than 16 through the GEMM."""
    args = ("run", "--ids", ",".join(str(3 + i * 7 % 29) for i in range(n_prompt)), "-n", n, "--greedy", "--ignore-eos", "--top-logits", 5)
    expected = tenon.json(*args, "--model", model, "--set", "plugins=cpu-ref")
    got = tenon.json(*args, "--profile", path)
    assert got["ids"] == expected["ids"]
    for ours, theirs in zip(got["steps"], expected["steps"], strict=True):
        best = {top["id"]: top["logit"] for top in theirs["top"]}
        spread = max(best.values()) - min(best.values())
        assert all(abs(top["logit"] - best[top["id"]]) < 0.05 * spread for top in ours["top"] if top["id"] in best)


@pytest.mark.parametrize("n_prompt", [5, 40, 270])
def test_tokens_are_those_of_cpu_ref(tenon, quantised, profile, n_prompt):
    model = quantised(max_position_embeddings=512)
    assert_like_cpu_ref(tenon, model, profile(model), n_prompt, 12)


def test_weights_of_more_than_a_slice_are_multiplied_slice_by_slice(tenon, quantised, profile):
    """4,352 gated columns of 1,024: two slices of at most 16 MB each, by cuBLAS."""
    model = quantised(hidden_size=1024, intermediate_size=4352, num_hidden_layers=1, num_attention_heads=8, max_position_embeddings=512)
    assert_like_cpu_ref(tenon, model, profile(model), 258, 1)


def test_what_it_does_not_take_falls_to_cuda_fp16_and_is_said(tenon, make_model, profile):
    model = make_model("--type", "Q4_1", "--embed-type", "Q8_0", "--v-type", "F16", "--tied", "1")
    text = tenon("explain", "--profile", profile(model)).stdout.decode()
    assert "head (linear): cuda-w4a16: weight format q8.g32: u4z and u4b are taken" in text
    assert "layer.0.v (linear): cuda-w4a16: weight format f16: u4z and u4b are taken" in text
    taken = linears(tenon, profile(model))
    assert taken["head"] == taken["layer.0.v"] == "cuda-fp16" and taken["layer.0.q"] == taken["layer.0.gate_up"] == "cuda-w4a16"
    assert_passes(tenon, profile(model), "--node", "*")


def test_with_bf16_cuda_fp16_takes_all_and_the_reason_is_said(tenon, tiny, profile):
    path = profile(tiny, "bf16")
    assert "f16 is taken, in which codes are expanded (1024 + z is not exact in bf16)" in tenon("explain", "--profile", path).stdout.decode()
    assert set(linears(tenon, path).values()) == {"cuda-fp16"}


def test_an_unknown_option_is_refused(tenon, tiny, profile):
    done = tenon("run", "--profile", profile(tiny, gemm="fast"), "--ids", "1", "-n", 1, status=2)
    assert "option gemm: fast, auto and own are allowed" in done.stderr.decode()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_and_named(tenon, make_model, quantised, profile, tmp_path, name):
    broken = f"{{name: broken-w4a16-{name}, path: {BROKEN}/broken-w4a16-{name}.so}}"
    model = quantised() if FAULTS[name] == "u4z" else make_model("--layers", "2", "--type", "Q4_1")
    failed = tenon.json("check", "--quick", "--profile", profile(model, plugin=broken), "--repro-dir", tmp_path, status=1)["failed"]
    assert all(fnmatch.fnmatch(f["kernel"], f"broken-w4a16-{name}.linear*") for f in failed), failed
    assert {"ops", "lockstep"} <= {f["part"] for f in failed}, failed
    nodes = {f["node"] for f in failed if f["part"] == "lockstep"}
    assert nodes - {"head"} == {f"layer.{i}.{node}" for i in range(2) for node in ("qkv", "attn_out", "gate_up", "down")}, nodes


# ---- SmolLM2 ----

def test_smollm2_two_layers_pass(tenon):
    report = tenon.json("check", "--quick", "--node", "*", "--profile", ROOT / "configs/cuda-sim-w4a16.yaml", "--set",
                        "debug.max_layers=2", timeout=400)
    assert report["passed"]
