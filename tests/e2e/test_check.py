# SPDX-License-Identifier: Apache-2.0
"""tenon check: correct plugins pass, wrong ones are caught at the guilty op, wrong use is exit 2."""
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import re
import subprocess

import pytest

BUILD = pathlib.Path(os.environ["TENON_BUILD"])
ROOT = pathlib.Path(__file__).resolve().parents[2]
FAULTS = re.findall(r'ALT_FAULT\(\w+, "([a-z0-9-]+)", "([^"]+)", "(\w+)"\)',
                    (ROOT / "tests/plugins/alt/faults.def").read_text(encoding="utf-8"))


# Faults that no node of the tiny model shows: its widths, values and batches are too tame. Made-up cases do.
ONLY_IN_CASES = {"stale-block", "lost-tail", "zero-point", "neighbour-scale", "padding-slot", "padding-output", "promise", "pack-split",
                 "argmax-tie", "softmax-overflow", "window-ignored"}


@pytest.fixture(scope="module")
def make_model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("check")

    def make(*options):
        path = directory / ("-".join(options) + ".gguf")
        if not path.exists():
            subprocess.run([BUILD / "bin/make_tiny_model", path, *options], check=True)
        return path

    return make


@pytest.fixture(scope="module")
def model(make_model):
    return make_model("--type", "Q4_1")


def check(model, plugin, *args, kv="f16"):
    directory = BUILD / ("lib/tenon/plugins" if plugin == "cpu-simd" else "tests/plugins")
    profile = model.parent / f"{model.stem}-{plugin}-{kv}.yaml"
    profile.write_text(f"model: {model}\nplugins: [{{name: {plugin}, path: {directory}/{plugin}.so}}]\n"
                       f"kv: {{format: {kv}, block_tokens: 16}}\n", encoding="utf-8")
    return subprocess.run([BUILD / "bin/tenon", "check", "--quick", "--json", "--profile", profile, *args],
                          capture_output=True, text=True, timeout=120, check=False, cwd=model.parent)


@pytest.fixture(scope="module")
def bound_nodes(model):
    """(path, op) of every node, as an alt plugin's faulty twins bind them."""
    assert check(model, "alt-f32", "--only", "op=argmax").returncode == 0
    text = subprocess.run([BUILD / "bin/tenon", "explain", "--profile", model.parent / f"{model.stem}-alt-f32-f16.yaml"],
                          capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^(\S+) +(\S+) +alt-f32 ", text, re.MULTILINE))


@pytest.mark.parametrize("plugin", ["alt-f32", "alt-f16", "alt-a8"])
def test_a_correct_plugin_passes_on_several_seeds(model, plugin):
    for seed in range(1, 6):
        done = check(model, plugin, "--seed", str(seed))
        assert done.returncode == 0, f"seed {seed}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K",
                                  "IQ4_NL", "IQ4_XS"])
def test_models_of_every_weight_format_pass_on_cpu_simd(make_model, kind):
    """Also as embedding and tied head, and as the values of a layer whose other weights are of another format."""
    shape = ("--dim", "256", "--heads", "4", "--head-dim", "64", "--ffn", "256", "--layers", "1")
    for options in (("--type", kind, "--embed-type", kind, "--tied", "1"), ("--type", "Q4_1", "--v-type", kind, "--tied", "0")):
        done = check(make_model(*options, *shape), "cpu-simd", kv="i8")
        assert done.returncode == 0, f"{options}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("plugin", ["alt-f32", "alt-f16", "alt-a8", "cpu-simd"])
def test_there_is_no_false_alarm_over_200_seeds(make_model, plugin):
    """Label slow: 200 sets of made-up cases and claims, each with a tiny model of one of several types and KV formats."""
    models = [make_model("--seed", str(i), "--type", kind) for i, kind in enumerate(["Q4_1", "Q8_0", "F16", "Q4_0"], start=1)]
    models.append(make_model("--type", "Q6_K", "--embed-type", "Q4_K", "--dim", "256", "--heads", "4", "--head-dim", "64", "--ffn", "256"))
    formats = ["f16"] if plugin == "alt-f16" else ["f16", "i8", "f32"]

    def run(seed):
        done = check(models[seed % len(models)], plugin, "--seed", str(seed), kv=formats[seed % len(formats)])
        return None if done.returncode == 0 else f"seed {seed}: {done.stdout}{done.stderr}"

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        alarms = [alarm for alarm in pool.map(run, range(1, 201)) if alarm]
    assert not alarms, "\n".join(alarms)


@pytest.mark.parametrize("name, ops, finding", FAULTS)
def test_a_wrong_plugin_is_caught_at_its_op_and_the_guilty_node_is_named(model, bound_nodes, name, ops, finding):
    # A race shows when two threads meet, which a busy machine may delay, more so in the few calls of a node.
    for seed in range(1, 31 if name == "race" else 2):
        done = check(model, f"broken-{name}", "--seed", str(seed))
        if name != "race" or any(f["part"] != "free run" and not f["node"].startswith("cases of ") for f in json.loads(done.stdout)["failed"]):
            break
    if finding == "nothing":
        assert done.returncode == 2 and "no plugin claims" in done.stderr
        return
    assert done.returncode == 1, done.stderr
    failed = json.loads(done.stdout)["failed"]
    if name == "race":  # each free run of it is another one, so that the bisection has nothing to hold on to
        failed = [f for f in failed if f["part"] != "free run"]
    assert failed and all(any(fnmatch.fnmatch(f["op"], op) for op in ops.split(",")) for f in failed), failed
    nodes = [f for f in failed if not f["node"].startswith("cases of ")]
    # A race is met in a node or in a case, as it comes.
    assert bool(nodes) or name in ONLY_IN_CASES or name == "race", failed
    assert all((f["node"], f["op"]) in bound_nodes for f in nodes), failed


@pytest.mark.parametrize("args, reason", [
    (["--node", "nowhere.*"], "matches no node"),
    (["--only", "attention"], "--only takes op=NAME"),
    (["--only", "op=nothing"], "there is no such op"),
    (["--against", "nothing"], "the reference nothing is not there"),
    (["--seed", "x"], "--seed"),
    (["--set", "kv.format=nothing"], "nothing"),
    (["--set", "plugins=[nothing]"], "nothing"),
    (["--set", "model=/nowhere.gguf"], "/nowhere.gguf"),
    (["--repro", "nowhere.safetensors"], "nowhere.safetensors"),
])
def test_wrong_use_is_exit_2_with_the_reason(model, args, reason):
    if args[0] == "--repro":  # which no --quick belongs to
        done = subprocess.run([BUILD / "bin/tenon", "check", *args], capture_output=True, text=True, check=False)
    else:
        done = check(model, "alt-f32", *args)
    assert done.returncode == 2 and reason in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""


def test_a_profile_that_does_not_load_is_exit_2_with_its_place(model):
    profile = model.parent / "bad.yaml"
    for text, reason in (("model: [", "bad.yaml:"), (f"model: {model}\nplugin: [cpu-ref]\n", "bad.yaml:2:1"), ("", "bad.yaml")):
        profile.write_text(text, encoding="utf-8")
        done = subprocess.run([BUILD / "bin/tenon", "check", "--profile", profile], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and reason in done.stderr, done.stderr
