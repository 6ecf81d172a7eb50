# SPDX-License-Identifier: Apache-2.0
"""CUDA plugins on machines that lack something: a sentence, the host instead where the profile allows it, never a crash."""
import ctypes
import json
import os
import re
import subprocess

import pytest

from conftest import BUILD, ROOT

LIB = BUILD / "lib/tenon"
PROBE = BUILD / "tests/plugins/cuda-probe.so"
SIM_PROBE = BUILD / "tests/plugins/sim/cuda-probe.so"
IDS = [5, 6, 7]


def has_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def hollow_driver(tmp_path_factory):
    """The environment of a machine whose libcuda.so.1 has none of the driver's calls."""
    place = tmp_path_factory.mktemp("driver")
    subprocess.run(["cc", "-shared", "-xc", "/dev/null", "-o", place / "libcuda.so.1"], check=True)
    return {"LD_LIBRARY_PATH": str(place)}


def listed(tenon, *args, **kwargs):
    return {p["name"]: p for p in tenon.json("plugins", *args, **kwargs)["plugins"]}


@pytest.fixture
def profile(tiny, tmp_path):
    def make(device, *plugins, fallback="none"):
        path = tmp_path / f"{device}.yaml"
        path.write_text(f"model: {tiny}\ndevice: {device}\nfallback: {fallback}\nplugins: [{', '.join(plugins)}]\n", encoding="utf-8")
        return path
    return make


def test_a_machine_without_a_driver_is_told_so(tenon):
    found = listed(tenon)
    if has_driver():
        assert found["cuda"]["state"] in ("loaded", "skipped") and "cannot open" not in found["cuda"]["reason"]
    else:
        assert found["cuda"]["state"] == "skipped"
        assert found["cuda"]["reason"] == ("no usable NVIDIA driver: libcuda.so.1: cannot open shared object file: "
                                           "No such file or directory")
        kernels = [p for name, p in found.items() if p["domain"] == "cuda" and name != "cuda" and not name.startswith("sim/")]
        assert all(p["state"] == "skipped" and found["cuda"]["reason"] in p["reason"] for p in kernels)
    emulated = {name: p for name, p in found.items() if name.startswith("sim/")}
    assert "sim/cuda" in emulated and all(p["state"] == "loaded" and p["domain"] == "cuda" for p in emulated.values())


def test_a_driver_without_the_calls_is_too_old(tenon, hollow_driver):
    found = listed(tenon, env=hollow_driver)["cuda"]
    assert found["state"] == "skipped" and found["reason"] == "no usable NVIDIA driver: libcuda.so.1 is too old: it has no cuInit"


def test_the_stub_of_a_toolkit_is_no_driver(tenon, tmp_path):
    """It has every call, and each returns CUDA_ERROR_STUB_LIBRARY, 34."""
    calls = re.findall(r"X\((cu\w+),", (ROOT / "plugins/cuda/simt/shim/cuda.h").read_text(encoding="utf-8"))
    (tmp_path / "stub.c").write_text("".join(f"int {name}(void) {{ return 34; }}\n" for name in calls), encoding="utf-8")
    subprocess.run(["cc", "-shared", tmp_path / "stub.c", "-o", tmp_path / "libcuda.so.1"], check=True)
    found = listed(tenon, env={"LD_LIBRARY_PATH": str(tmp_path)})["cuda"]
    assert found["state"] == "skipped"
    assert found["reason"] == "no usable NVIDIA driver: libcuda.so.1 is a stub without a driver"


def test_the_domain_takes_whatever_speaks_as_a_driver(tenon, profile, tmp_path):
    """The build for the driver against the emulator's calls: nothing is left of the real one but its name."""
    (tmp_path / "libcuda.so.1").symlink_to(LIB / "libtn-simcuda.so")
    found = listed(tenon, "--profile", profile("cuda", "cpu-ref"), env={"LD_LIBRARY_PATH": str(tmp_path)})
    assert found["cuda"]["state"] == "loaded" and found["cuda"]["path"] == str(LIB / "plugins/cuda.so")


@pytest.mark.parametrize(("variable", "value", "reason"), [
    ("TENON_SIMT_DEVICE", "none", "sees no CUDA device"),
    ("TENON_SIMT_DEVICE", "v100", "compute capability 7.0; 8.0 or later is needed"),
    ("TENON_SIMT_DRIVER", "11040", "speaks CUDA 11.4, and 12.0 is needed"),
])
def test_what_the_emulator_pretends_is_said(tenon, profile, variable, value, reason):
    found = listed(tenon, "--profile", profile("cuda-sim", "cpu-ref"), env={variable: value})["cuda"]
    assert found["state"] == "skipped" and reason in found["reason"]


@pytest.fixture(params=["nvcc", "emulator"])
def probe(request):
    """A plugin of one CUDA kernel, by path, in both of its builds, and the device it is for."""
    if request.param == "emulator":
        return SIM_PROBE, "cuda-sim", {"TENON_SIMT_DEVICE": "none"}
    if not PROBE.exists():
        pytest.skip("not run: this build has no plugin by nvcc")
    return PROBE, "cuda", None


def test_a_plugin_without_its_device_is_skipped_and_the_profile_runs_on_the_host(tenon, profile, tiny, probe, hollow_driver):
    path, device, env = probe
    env = env or hollow_driver
    where = profile(device, f"{{name: cuda-probe, path: {path}}}", fallback="cpu-simd")
    found = listed(tenon, "--profile", where, env=env)
    assert found["cuda-probe"]["state"] == found["cuda"]["state"] == "skipped"
    assert found["cuda"]["reason"] in found["cuda-probe"]["reason"]

    nodes = tenon.json("explain", "--profile", where, env=env)["nodes"]
    assert nodes and all(n["plugin"] == "cpu-simd" for n in nodes)
    done = tenon("run", "--profile", where, "--ids", ",".join(map(str, IDS)), "-n", 8, "--greedy", "--ignore-eos",
                 "--json", env=env)
    warnings = [line for line in done.stderr.decode().splitlines() if line.startswith("tenon: ")]
    assert len(warnings) == 1 and found["cuda"]["reason"] in warnings[0] and "everything runs on cpu-simd" in warnings[0]
    on_host = tenon.ids(tiny, IDS, 8, "--profile", profile("cpu", "cpu-simd"))["ids"]
    assert json.loads(done.stdout)["ids"] == on_host and len(on_host) == 8


def test_cuda_fp16_by_nvcc_without_a_driver_leaves_everything_to_the_fallback(tenon, profile, tiny, hollow_driver):
    if not (LIB / "plugins/cuda-fp16.so").exists():
        pytest.skip("not run: this build has no plugin by nvcc")
    where = profile("cuda", "cuda-fp16", fallback="cpu-simd")
    found = listed(tenon, "--profile", where, env=hollow_driver)["cuda-fp16"]
    assert found["state"] == "skipped" and found["path"] == str(LIB / "plugins/cuda-fp16.so") and "no usable NVIDIA driver" in found["reason"]
    done = tenon("run", "--profile", where, "--ids", ",".join(map(str, IDS)), "-n", 8, "--greedy", "--ignore-eos", "--json", env=hollow_driver)
    warnings = [line for line in done.stderr.decode().splitlines() if line.startswith("tenon: ")]
    assert len(warnings) == 1 and "no usable NVIDIA driver" in warnings[0] and "everything runs on cpu-simd" in warnings[0]
    assert json.loads(done.stdout)["ids"] == tenon.ids(tiny, IDS, 8, "--profile", profile("cpu", "cpu-simd"))["ids"]


def test_without_a_fallback_the_missing_device_is_an_error(tenon, profile, probe, hollow_driver):
    path, device, env = probe
    where = profile(device, f"{{name: cuda-probe, path: {path}}}")
    done = tenon("run", "--profile", where, "--ids", "5", "-n", 1, env=env or hollow_driver, status=2)
    assert b"cuda" in done.stderr and (b"too old" in done.stderr or b"sees no CUDA device" in done.stderr)


def test_a_plugin_by_nvcc_needs_no_driver_to_be_loaded(probe):
    """Every symbol of it is there, and its CUDA runtime says what is missing instead of failing to load."""
    path, _, _ = probe
    env = {**os.environ, "LD_LIBRARY_PATH": str(LIB)}
    done = subprocess.run(["ldd", "-r", path], capture_output=True, text=True, check=True, env=env)
    assert "undefined symbol" not in done.stdout + done.stderr and "libcuda" not in done.stdout and "cublas" not in done.stdout
