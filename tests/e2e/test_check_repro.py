# SPDX-License-Identifier: Apache-2.0
"""Repro files of tenon check: one a failing kernel and part, replayed alone; bad ones are exit 2 with the reason."""
import copy
import json
import os
import pathlib
import random
import struct
import subprocess

import pytest

import repro_file
from conftest import BUILD

PLUGINS = BUILD / "tests/plugins"


@pytest.fixture(scope="module")
def model(make_model):
    return make_model("--type", "Q4_1")


@pytest.fixture
def profile(model, tmp_path):
    def make(plugin, options=""):
        path = tmp_path / f"{plugin}.yaml"
        path.write_text(f"model: {model}\nplugins: [{{name: {plugin}, path: {PLUGINS}/{plugin}.so{options}}}]\n"
                        "kv: {format: f16, block_tokens: 16}\n", encoding="utf-8")
        return path
    return make


@pytest.fixture
def failures(tenon, profile, tmp_path):
    """What a check of a broken plugin found, with the files in tmp_path/out."""
    def run(name, *args):
        (tmp_path / "out").mkdir(exist_ok=True)
        done = tenon("check", "--quick", "--json", "--profile", profile(f"broken-{name}"), "--repro-dir", tmp_path / "out", *args, status=1)
        return json.loads(done.stdout)["failed"]
    return run


def replay(tenon, path, *args, status=1):
    return json.loads(tenon("check", "--repro", path, "--plugin-dir", PLUGINS, "--json", *args, status=status).stdout)


@pytest.mark.parametrize("fault", ["v-from-k", "off-by-one-row", "lost-tail", "past-end", "non-deterministic", "unpack-lies", "pack-split",
                                   "zero-point", "rope-pairing", "padding-slot", "argmax-tie", "window-ignored", "promise",
                                   "input-modified", "capture-unsafe", "in-place"])
def test_each_failing_kernel_has_a_small_file_that_fails_alone_in_the_same_way(tenon, failures, fault):
    found = failures(fault)
    files = [f for f in found if f["repro"]]
    assert len({(f["part"], f["kernel"]) for f in found if f["part"] != "free run"}) == len(files) > 0
    for f in files:
        assert os.path.getsize(f["repro"]) < 200_000
        again = replay(tenon, f["repro"])
        assert again["cases"] == 1 and not again["passed"]
        assert [(r["kernel"], r["metric"], r["op"]) for r in again["failed"]] == [(f["kernel"], f["metric"], f["op"])]


def test_a_node_of_a_model_is_cut_down_to_what_fails(tenon, failures):
    files = {f["kernel"]: f["repro"] for f in failures("off-by-one-row") if f["part"] == "lockstep" and f["repro"]}
    meta, _ = repro_file.read(pathlib.Path(files["broken-off-by-one-row.norm_linear"]))
    assert meta["in.0"]["rows"] == 1 and meta["out.0"]["width"] <= 64
    assert meta["node"]["path"].startswith("layer.") and meta["seed"] == "1"


def test_a_repaired_plugin_passes_on_the_file(tenon, failures, profile):
    file = next(f["repro"] for f in failures("v-from-k") if f["part"] == "ops")
    mended = profile("broken-v-from-k", ", options: {nodes: nowhere}")
    done = tenon("check", "--repro", file, "--profile", mended, "--json")
    assert json.loads(done.stdout)["passed"]


def test_the_plugin_comes_from_a_directory_a_file_or_a_profile_but_never_from_the_repro_file(tenon, failures, profile):
    file = next(f["repro"] for f in failures("v-from-k") if f["part"] == "ops")
    replay(tenon, file)
    tenon("check", "--repro", file, "--plugin", PLUGINS / "broken-v-from-k.so", status=1)
    tenon("check", "--repro", file, "--profile", profile("broken-v-from-k"), status=1)
    assert b"is not there" in tenon("check", "--repro", file, status=2).stderr
    assert b"does not list" in tenon("check", "--repro", file, "--profile", profile("alt-f32"), status=2).stderr
    meta, arrays = repro_file.read(pathlib.Path(file))
    assert not any(str(PLUGINS) in str(v) for v in meta.values())


def test_a_failure_that_needs_what_ran_before_says_so(failures):
    assert any("depends on what ran before" in f["text"] for f in failures("stale-block"))


def test_a_directory_that_cannot_be_written_is_said_and_changes_no_result(tenon, profile, tmp_path):
    done = tenon("check", "--quick", "--json", "--profile", profile("broken-v-from-k"), "--repro-dir", tmp_path / "none", status=1)
    found = json.loads(done.stdout)["failed"]
    assert any("no repro file: " in f["text"] for f in found) and not any(f["repro"] for f in found)


def test_a_plugin_that_passes_leaves_no_file(tenon, profile, tmp_path):
    (tmp_path / "out").mkdir()
    tenon("check", "--quick", "--profile", profile("alt-f32"), "--repro-dir", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


# ---- bad files ----

@pytest.fixture(scope="module")
def good(tmp_path_factory, model):
    """{op: a repro file of it}, of broken plugins that fail in their ops."""
    out, files = tmp_path_factory.mktemp("good"), {}
    for name, op in (("v-from-k", "attention"), ("off-by-one-row", "linear_add"), ("rope-pairing", "rope_kv_write"),
                     ("zero-point", "embed"), ("argmax-tie", "argmax"), ("eps-outside", "rmsnorm")):
        profile = out / f"{name}.yaml"
        profile.write_text(f"model: {model}\nplugins: [{{name: broken-{name}, path: {PLUGINS}/broken-{name}.so}}]\n", encoding="utf-8")
        done = subprocess.run([BUILD / "bin/tenon", "check", "--json", "--profile", profile, "--only", f"op={op}", "--repro-dir", out],
                              capture_output=True, check=False)
        found = [f for f in json.loads(done.stdout)["failed"] if f["part"] == "ops"]
        files[op] = next(out / f["repro"] for f in found)
    return files


def refused(tenon, path, words):
    stderr = tenon("check", "--repro", path, "--plugin-dir", PLUGINS, status=2).stderr.decode()
    assert words in stderr, stderr


def test_what_is_no_repro_file_is_refused_with_the_reason(tenon, good, tmp_path, model):
    data = good["attention"].read_bytes()
    bad = tmp_path / "bad.safetensors"
    refused(tenon, tmp_path / "none", "none")
    refused(tenon, tmp_path, "directory")
    refused(tenon, model, "no repro file")
    for n in (0, 1, 7, 8, 100, len(data) // 2, len(data) - 1):
        bad.write_bytes(data[:n])
        refused(tenon, bad, "no repro file, or a truncated one")
    bad.write_bytes(data + b"x")
    refused(tenon, bad, "no repro file, or a truncated one")
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    bad.write_bytes(struct.pack("<Q", len(header)) + header + b"1234")
    refused(tenon, bad, "a safetensors file, but no repro file")


def test_a_flipped_bit_anywhere_is_found(tenon, good, tmp_path):
    data = good["rmsnorm"].read_bytes()
    bad = tmp_path / "bad.safetensors"
    chance = random.Random(1)
    for at in [chance.randrange(8, len(data)) for _ in range(40)]:
        bad.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1:])
        stderr = tenon("check", "--repro", bad, "--plugin-dir", PLUGINS, status=2).stderr.decode()
        assert "corrupt" in stderr or "no repro file" in stderr, (at, stderr)


@pytest.mark.parametrize("version", [0, 2, 999, "1", None])
def test_another_version_is_told_from_ours(tenon, good, tmp_path, version):
    meta, arrays = repro_file.read(good["attention"])
    meta["version"] = version
    repro_file.write(tmp_path / "bad", meta, arrays)
    refused(tenon, tmp_path / "bad", f"of version {version}; this tenon reads version 1" if isinstance(version, int) else "no version")


def ints(arrays, name, *values):
    arrays[name] = ("I32", bytearray(struct.pack(f"<{len(values)}i", *values)))


def test_options_that_a_repro_file_leaves_no_room_for_are_refused(tenon, good, profile):
    for args in (["--node", "layer.0.*"], ["--only", "op=linear"], ["--quick"]):
        assert b"--repro runs the one case" in tenon("check", "--repro", good["attention"], *args, status=2).stderr
    both = ["--plugin", PLUGINS / "broken-v-from-k.so", "--profile", profile("broken-v-from-k")]
    assert b"not from both" in tenon("check", "--repro", good["attention"], *both, status=2).stderr


def first_int(arrays, name, value):
    arrays[name][1][0:4] = struct.pack("<i", value)


SENSELESS = [
    ("attention", "op", lambda m, a: m["node"].update(op="nothing"), "there is no op"),
    ("attention", "op of other edges", lambda m, a: m["node"].update(op="rope"), ""),
    ("attention", "plugin", lambda m, a: m.update(plugin="../evil"), "plain name"),
    ("attention", "plugin in YAML", lambda m, a: m.update(plugin="x}, {path: /tmp/x.so"), "plain name"),
    ("attention", "slot", lambda m, a: first_int(a, "batch.slot", 1 << 30), "slot"),
    ("attention", "negative slot", lambda m, a: first_int(a, "batch.slot", -2), "slot"),
    ("attention", "table", lambda m, a: first_int(a, "batch.table", 1 << 20), "block table"),
    ("attention", "free block", lambda m, a: first_int(a, "batch.table", -1), "block table"),
    ("attention", "kv_len", lambda m, a: first_int(a, "batch.kv_len", 1 << 20), "kv_len"),
    ("attention", "q_start", lambda m, a: first_int(a, "batch.q_start", 1), "batch"),
    ("attention", "position", lambda m, a: first_int(a, "batch.pos", 1 << 29), "position"),
    ("attention", "tokens", lambda m, a: m["batch"].update(n_tokens=1 << 19), "array batch.tokens"),
    ("attention", "more than all", lambda m, a: m["batch"].update(n_tokens=1 << 40), "n_tokens"),
    ("attention", "heads", lambda m, a: m["node"]["param"].update(heads=1000), ""),
    ("attention", "kv heads", lambda m, a: m["node"]["param"].update(kv_heads=1024), "heads"),
    ("attention", "no heads", lambda m, a: m["node"]["param"].update(kv_heads=0), "kv_heads"),
    ("attention", "head size", lambda m, a: m["node"]["param"].update(head_dim=17), ""),
    ("attention", "stride of blocks", lambda m, a: m["pool"].update(block_bytes=256), "pool"),
    ("attention", "format", lambda m, a: m["pool"].update(format="i8"), "KV format"),
    ("attention", "no pool", lambda m, a: m["pool"].update(format=None), "KV pool"),
    ("attention", "input", lambda m, a: m["in.0"].update(width=1), ""),
    ("attention", "view", lambda m, a: m["in.0"].update(offset=1), "view"),
    ("attention", "output", lambda m, a: m["out.0"].update(rows=1 << 19), "rows"),
    ("embed", "bounds", lambda m, a: m["node"].update(max_tokens=1), "bounds"),
    ("attention", "scale", lambda m, a: m["node"]["param"].update(scale=1e300), "scale"),
    ("attention", "no path", lambda m, a: m["node"].update(path=None), "path"),
    ("attention", "a list", lambda m, a: m.update(node=[]), "node"),
    ("linear_add", "width", lambda m, a: m["node"]["param"].update({"in": 1}), ""),
    ("linear_add", "parts", lambda m, a: m["node"]["param"].update(n_parts=2), ""),
    ("linear_add", "no weight", lambda m, a: m.update(n_weights=0), "weight"),
    ("linear_add", "rows", lambda m, a: m["node"]["param"]["part.0"].update(out=1), "weight"),
    ("linear_add", "residual", lambda m, a: m["in.1"].update(width=1), ""),
    ("rope_kv_write", "rotary width", lambda m, a: m["node"]["param"].update(rotary_dim=3), "rotary"),
    ("rope_kv_write", "frequencies", lambda m, a: m["node"]["param"].update(rotary_dim=2), "frequencies"),
    ("rope_kv_write", "rope index", lambda m, a: first_int(a, "batch.rope_index", 7), "rope index"),
    ("embed", "token", lambda m, a: first_int(a, "batch.tokens", 50), "token"),
    ("embed", "negative token", lambda m, a: first_int(a, "batch.tokens", -1), "token"),
    ("embed", "code", lambda m, a: a["codes.0"][1].__setitem__(0, 16), "weight"),
    ("embed", "zero point", lambda m, a: a["zero.0"][1].__setitem__(slice(0, 4), struct.pack("<f", 1e30)), "weight"),
    ("embed", "group", lambda m, a: m["weight.0"].update(group=7), "groups"),
    ("embed", "format", lambda m, a: m["weight.0"].update(wfmt="q6_k"), ""),
    ("argmax", "width", lambda m, a: m["node"]["param"].update(dim=1 << 20), "width"),
    ("argmax", "type", lambda m, a: m["out.0"].update(is_ids=0), "type"),
    ("rmsnorm", "vector", lambda m, a: m["weight.0"].update(rows=2), ""),
]


@pytest.mark.parametrize("op, what, change, words", SENSELESS, ids=[f"{s[0]}-{s[1]}" for s in SENSELESS])
def test_a_well_signed_file_that_makes_no_sense_is_refused(tenon, good, tmp_path, op, what, change, words):
    meta, arrays = repro_file.read(good[op])
    change(meta, arrays)
    repro_file.write(tmp_path / "bad", meta, arrays)
    refused(tenon, tmp_path / "bad", words)


def numbers(meta, where=()):
    for key, value in meta.items():
        if isinstance(value, dict):
            yield from numbers(value, (*where, key))
        elif isinstance(value, int):
            yield (*where, key)


def test_no_change_of_a_number_makes_it_crash(good, tmp_path):
    chance = random.Random(2)
    for op, path in good.items():
        meta, arrays = repro_file.read(path)
        for key in list(numbers(meta)):
            changed, content = copy.deepcopy(meta), copy.deepcopy(arrays)
            inner = changed
            for part in key[:-1]:
                inner = inner[part]
            inner[key[-1]] = chance.choice([0, 1, 2, 3, inner[key[-1]] + 1, inner[key[-1]] - 1, 1 << 20])
            name = chance.choice(sorted(content))
            if content[name][0] == "I32":
                first_int(content, name, chance.choice([-1, 0, 1, 15, 1 << 16]))
            repro_file.write(tmp_path / "bad", changed, content)
            done = subprocess.run([BUILD / "bin/tenon", "check", "--repro", tmp_path / "bad", "--plugin-dir", PLUGINS],
                                  capture_output=True, timeout=60, check=False)
            assert done.returncode in (0, 1, 2), (op, key, inner[key[-1]], done.stderr)
