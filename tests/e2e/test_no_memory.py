# SPDX-License-Identifier: Apache-2.0
"""Every malloc of the program and of the libraries behind it (jansson, libyaml, PCRE2) fails once: an error or the same output."""
import json
import os
import secrets
import shutil
import subprocess

import pytest

from conftest import BUILD

COMMANDS = {
    "run": ("run", "--json", "-p", "hello", "-n", "3", "--greedy"),
    "inspect": ("inspect", "--json"),
    "explain": ("explain", "--json"),
}
VARYING = ("timing", "free")  # from run to run


def without_varying(value):
    if isinstance(value, dict):
        return {k: without_varying(v) for k, v in value.items() if k not in VARYING}
    return [without_varying(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", COMMANDS)
def test_a_malloc_that_fails_is_an_error_or_does_not_matter(tiny, tmp_path, name):
    profile, report = tmp_path / "p.yaml", tmp_path / "calls"
    profile.write_text(f"model: {tiny}\nplugins: [cpu-simd, cpu-ref]\nkv: {{format: i8, memory: 1MiB}}\n", encoding="utf-8")
    source = ("--model", tiny) if name == "inspect" else ("--profile", profile)
    preload = {**os.environ, "LD_PRELOAD": str(BUILD / "tests/fail_malloc.so"), "TENON_FAIL_REPORT": str(report)}

    def run(n):
        return subprocess.run([BUILD / "bin/tenon", *COMMANDS[name], *source], capture_output=True, timeout=60, check=False,
                              env={**preload, "TENON_FAIL_MALLOC": str(n)})

    want = without_varying(json.loads(run(0).stdout))
    calls, n_errors = int(report.read_text(encoding="utf-8")), 0
    assert calls > 200
    for n in range(1, calls + 1):
        done = run(n)
        if done.returncode == 0:
            assert without_varying(json.loads(done.stdout)) == want, f"malloc {n}"
            continue
        n_errors += 1
        assert done.returncode == 1 and done.stdout == b"", f"malloc {n}: exit {done.returncode}"
        assert b"memory" in done.stderr or b"cannot allocate" in done.stderr, f"malloc {n}: {done.stderr}"
    assert n_errors > calls / 2


def content(path):
    return path.read_bytes() if path.is_file() else {p.name: p.read_bytes() for p in path.iterdir()}


AWQ = ("--type", "awq", "--max-shard-size", "20KB")


@pytest.mark.parametrize("form,before,options", [("hf", None, ()), ("gguf", (), ()), ("hf", None, AWQ), ("gguf", AWQ, ())],
                         ids=["hf", "gguf", "awq", "gguf of awq"])
def test_a_conversion_without_memory_leaves_nothing_or_the_whole(tenon, make_model, tmp_path, form, before, options):
    """Every eighth malloc, from a random one on."""
    source, target, report = make_model("--type", "Q4_0", "--embed-type", "F16"), tmp_path / "out/converted", tmp_path / "calls"
    if form == "gguf":
        tenon("convert", source, tmp_path / "hf", *before)
        source = tmp_path / "hf"

    def run(n):
        shutil.rmtree(target.parent, ignore_errors=True)
        target.parent.mkdir()
        return subprocess.run([BUILD / "bin/tenon", "convert", source, target, *options], capture_output=True, timeout=60, check=False,
                              env={**os.environ, "LD_PRELOAD": str(BUILD / "tests/fail_malloc.so"), "TENON_FAIL_REPORT": str(report),
                                   "TENON_FAIL_MALLOC": str(n)})

    assert run(0).returncode == 0
    want, calls, n_errors = content(target), int(report.read_text(encoding="utf-8")), 0
    assert calls > 1000
    for n in range(secrets.randbelow(8) + 1, calls, 8):
        done = run(n)
        left = [p.name for p in target.parent.iterdir()]
        is_whole = left == ["converted"] and content(target) == want
        if done.returncode == 0:
            assert is_whole, f"malloc {n}"
            continue
        n_errors += 1
        # The output may be what it could not be told of.
        assert done.returncode == 1 and (is_whole or left == []), f"malloc {n}: exit {done.returncode}, {left}, {done.stderr}"
        assert b"memory" in done.stderr or b"cannot allocate" in done.stderr, f"malloc {n}: {done.stderr}"
    assert n_errors > calls / 16


def test_a_malloc_that_fails_in_a_check_is_exit_2_or_does_not_matter(tiny, tmp_path):
    # In one process, whose calls are counted. Of the many: some from all over the run, with a failing case, its file, the bisection and the reports in it.
    wrong = f"{{name: broken-v-from-k, path: {BUILD}/tests/plugins/broken-v-from-k.so, options: {{nodes: layer.0.attention}}}}"
    (tmp_path / "p.yaml").write_text(f"model: {tiny}\nplugins: [{wrong}]\nkv: {{format: f16, block_tokens: 16}}\n", encoding="utf-8")
    report = tmp_path / "calls"

    def run(n):
        return subprocess.run([BUILD / "bin/tenon", "check", "--quick", "--json", "--profile", "p.yaml", "--html", "r.html", "--junit", "r.xml",
                               "--timeout", "0"],
                              capture_output=True, timeout=60, check=False, cwd=tmp_path,
                              env={**os.environ, "LD_PRELOAD": str(BUILD / "tests/fail_malloc.so"), "TENON_FAIL_REPORT": str(report),
                                   "TENON_FAIL_MALLOC": str(n)})

    assert run(0).returncode == 1
    calls, n_errors = int(report.read_text(encoding="utf-8")), 0
    for n in [*range(calls // 20, calls, calls // 20), *range(calls - 300, calls, 60)]:
        done = run(n)
        if done.returncode == 1 and done.stdout:
            assert json.loads(done.stdout)["failed"], f"malloc {n}"
            continue
        n_errors += 1
        assert done.returncode in (1, 2) and done.stdout == b"", f"malloc {n}: exit {done.returncode}"
        assert b"memory" in done.stderr or b"cannot allocate" in done.stderr, f"malloc {n}: {done.stderr}"
    assert n_errors > 12
