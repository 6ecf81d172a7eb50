# SPDX-License-Identifier: Apache-2.0
"""scripts/gpu.sh without a GPU: the dry run does what the emulator can, and the real one says what is missing."""
import json
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT
from test_cuda import has_driver


def run(tmp_path, *args):
    out = tmp_path / "gpu.json"
    done = subprocess.run([sys.executable, "-B", ROOT / "scripts/gpu.py", "--build", BUILD, "--out", out, *args], capture_output=True,
                          text=True, timeout=600, check=False)
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
