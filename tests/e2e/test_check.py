# SPDX-License-Identifier: Apache-2.0
"""tenon check: correct plugins pass, wrong ones are caught at the guilty op, wrong use is exit 2."""
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


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("check") / "tiny.gguf"
    subprocess.run([next(BUILD.rglob("make_tiny_model")), path, "--type", "Q4_1"], check=True)
    return path


def check(model, plugin, *args):
    profile = model.parent / f"{plugin}.yaml"
    profile.write_text(f"model: {model}\nplugins: [{{name: {plugin}, path: {BUILD}/tests/plugins/{plugin}.so}}]\n"
                       "kv: {format: f16, block_tokens: 16}\n", encoding="utf-8")
    return subprocess.run([BUILD / "bin/tenon", "check", "--quick", "--json", "--profile", profile, *args],
                          capture_output=True, text=True, timeout=120, check=False, cwd=model.parent)


@pytest.mark.parametrize("plugin", ["alt-f32", "alt-f16", "alt-a8"])
def test_a_correct_plugin_passes_on_several_seeds(model, plugin):
    for seed in range(1, 6):
        done = check(model, plugin, "--seed", str(seed))
        assert done.returncode == 0, f"seed {seed}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("name, ops, finding", FAULTS)
def test_a_wrong_plugin_is_caught_at_its_op(model, name, ops, finding):
    # A race shows when two threads meet, which a busy machine may delay.
    for seed in range(1, 31 if name == "race" else 2):
        done = check(model, f"broken-{name}", "--seed", str(seed))
        if done.returncode:
            break
    if finding == "nothing":
        assert done.returncode == 2 and "no plugin claims" in done.stderr
        return
    assert done.returncode == 1, done.stderr
    failed = json.loads(done.stdout)["failed"]
    assert failed and all(any(fnmatch.fnmatch(f["op"], op) for op in ops.split(",")) for f in failed), failed


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
