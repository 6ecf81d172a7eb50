# SPDX-License-Identifier: Apache-2.0
"""scripts/gpu.sh without a GPU: the dry run does what the emulator can, and the real one says what is missing."""
import json
import os
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT
from test_cuda import has_driver


def run(tmp_path, *args, build=BUILD, env=None):
    out = tmp_path / "gpu.json"
    done = subprocess.run([sys.executable, "-B", ROOT / "scripts/gpu.py", "--build", build, "--out", out, *args], capture_output=True,
                          text=True, timeout=600, check=False, env={**os.environ, **(env or {})})
    return done, {p["part"]: p for p in json.loads(out.read_text(encoding="utf-8"))["parts"]}


def test_the_dry_run_compares_the_wrappers_and_runs_every_part_that_needs_no_gpu(tmp_path):
    done, parts = run(tmp_path, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert parts["wrappers"]["state"] == "passed" and parts["wrappers"]["wrappers"] >= 25
    assert parts["roofline"]["best"]["read_bytes_per_s"] > 0 and len(parts["roofline"]["best"]["cublas"]) == 3
    profiles = sorted(p.stem for p in (ROOT / "configs").glob("cuda-sim-*.yaml"))
    for name in profiles:
        assert parts[f"check {name}"]["cases"] > 0
        assert all(0 < row["share_of_read"] for row in parts[f"bench {name}"]["results"])
    cache = parts["kv cache"]
    assert cache["bytes_per_token"]["i8"] < cache["bytes_per_token"]["f16"]
    assert [(row["batch"], row["depth"]) for row in cache["results"]] == [(1, 16), (1, 64)]
    assert all(row["speed_up"] > 0 for row in cache["results"])
    assert [row["rows"] for row in parts["linears"]["results"]] == [1, 2, 4, 8, 16, 32]
    assert all(p["reason"] for p in parts.values() if p["state"] == "not run")
    assert {"machine", "sanitizer memcheck, wrappers", "torch"} <= {name for name, p in parts.items() if p["state"] == "not run"}


@pytest.mark.skipif(has_driver(), reason="not run: here the real run would run")
def test_without_a_gpu_the_real_run_fails_with_the_reason(tmp_path):
    done, parts = run(tmp_path)
    assert done.returncode == 1
    assert parts["machine"]["state"] == "failed" and "nvidia-smi" in parts["machine"]["reason"]
    assert parts["wrappers"]["state"] != "passed" and "CUDA" in parts["wrappers"]["reason"] or "nvcc" in parts["wrappers"]["reason"]
    script = subprocess.run([ROOT / "scripts/gpu.sh"], capture_output=True, text=True, check=False)
    assert script.returncode == 1 and "--dry-run" in script.stderr


NVIDIA_SMI = "#!/bin/sh\necho 'NVIDIA Pretended, 580.1, 81559 MiB, 700.00 W, 1980 MHz, 2619 MHz'\n"
SANITIZER = """#!/bin/sh
# --tool NAME --error-exitcode N COMMAND...
echo "$2 $(basename "$5")" >>"$SANITIZER_LOG"
[ "$2" = racecheck ] && [ "$(basename "$5")" = simt_selftest ] && exit "$4"
shift 4
[ "$(basename "$1")" = tenon ] || exec "$@"
"""
SELFTEST = """#!/bin/sh
"{sim}" | sed 's/^lop3 5 2 .*/lop3 5 2 00000000/'
"""


@pytest.fixture
def pretended(tmp_path):
    """A build and tools of a machine with a GPU that gets one wrapper wrong and has a race; the emulator does the rest."""
    def script(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    build = tmp_path / "build"
    script(tmp_path / "tools/nvidia-smi", NVIDIA_SMI)
    script(tmp_path / "tools/compute-sanitizer", SANITIZER)
    script(build / "tests/simt_selftest", SELFTEST.format(sim=BUILD / "tests/simt_selftest_sim"))
    script(build / "tests/cuda_roofline", f'#!/bin/sh\nexec "{BUILD}/tests/cuda_roofline_sim" --small\n')
    (build / "tests/simt_selftest_sim").symlink_to(BUILD / "tests/simt_selftest_sim")
    (build / "bin").symlink_to(BUILD / "bin")
    env = {"PATH": f"{tmp_path / 'tools'}:{os.environ['PATH']}", "SANITIZER_LOG": str(tmp_path / "log")}
    return build, env


def test_the_real_run_on_a_pretended_gpu_finds_the_wrong_wrapper_and_the_race(tmp_path, pretended):
    build, env = pretended
    done, parts = run(tmp_path, build=build, env=env)
    assert done.returncode == 1
    assert parts["machine"]["gpus"][0]["name"] == "NVIDIA Pretended"
    assert parts["wrappers"]["state"] == "failed"
    assert parts["wrappers"]["reason"].startswith("lop3: 1 words differ, first lane 5 word 2: 00000000 and ")
    states = {tool: parts[f"sanitizer {tool}, wrappers"]["state"] for tool in ("memcheck", "racecheck", "synccheck", "initcheck")}
    assert states == {"memcheck": "passed", "racecheck": "failed", "synccheck": "passed", "initcheck": "passed"}
    assert parts["roofline"]["state"] == "passed"
    assert (tmp_path / "log").read_text(encoding="utf-8").startswith("memcheck simt_selftest\n")
