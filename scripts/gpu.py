# SPDX-License-Identifier: Apache-2.0
"""What can only be known on a GPU: whether simt.h means there what it means on the emulator, sanitizers, checks, speed.

Parts, each passed, failed or not run with the reason; all in one JSON file:

machine     the GPU as nvidia-smi sees it
wrappers    every wrapper of simt.h on the GPU and on the emulator, bit for bit
sanitizer   compute-sanitizer (memcheck, racecheck, synccheck, initcheck) over the wrappers and over a quick check of each profile
check       tenon check of each CUDA profile
roofline    bytes read and f16 products a second that kernels of ours reach, and cuBLAS
bench       tenon bench of each CUDA profile, as shares of that roofline
linears     4-bit weights against 16 bits, by the rows that are multiplied
kv cache    decode with 8-bit keys and values against 16 bits, by the tokens that a sequence has before
torch       PyTorch on cuBLAS' shapes, where it is installed

With --dry-run the emulator stands for the GPU: the same parts and programs, tiny sizes, and no number means a speed.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/plugins/simt/selftest"))
import compare_words  # noqa: E402  (the comparison is also a test of its own)

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
TOOL_FAILED = "77"  # compute-sanitizer's exit status for findings
TORCH = """
import json, torch
rows = []
n = 4096
w = torch.zeros(n, n, dtype=torch.float16, device="cuda")
for m in (1, 16, 512):
    x = torch.zeros(m, n, dtype=torch.float16, device="cuda")
    best = 1e30
    for _ in range(11):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record(); x @ w.T; end.record(); torch.cuda.synchronize()
        best = min(best, begin.elapsed_time(end) / 1e3)
    rows.append({"rows": m, "n": n, "k": n, "seconds": best, "weight_bytes_per_s": 2 * n * n / best, "ops_per_s": 2 * m * n * n / best})
print(json.dumps({"version": torch.__version__, "matmul": rows}))
"""


class NotRun(Exception):
    """Why a part cannot be run here."""


class Failed(Exception):
    """What a part found."""


class Session:
    def __init__(self, options):
        self.dry = options.dry_run
        self.build = pathlib.Path(options.build).resolve()
        self.model = options.model
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="tenon-gpu-"))
        self.parts, self.best = [], {}

    def program(self, name):
        path = self.build / "tests" / (f"{name}_sim" if self.dry else name)
        if not path.exists():
            raise Failed(f"{path.relative_to(self.build)} is not built" + ("" if self.dry else ": is there an nvcc?"))
        return path

    def run(self, *args, ok=(0,), timeout=3600, **env):
        done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout, check=False,
                              env={**os.environ, **env})
        if done.returncode not in ok:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
            raise Failed(f"exit {done.returncode}: {' '.join(str(a) for a in args)}\n{tail}")
        return done

    def profiles(self):
        found = sorted((ROOT / "configs").glob("cuda-*.yaml"))
        found = [p for p in found if p.name.startswith("cuda-sim-") == self.dry]
        if not found:
            raise NotRun("configs/ has no such profile")
        return found

    def tiny_model(self):
        path = self.scratch / "tiny.gguf"
        if not path.exists():
            self.run(self.build / "bin/make_tiny_model", path, "--seed", "1", "--layers", "2")
        return path

    def tenon(self, command, *args):
        """With the model of the benchmarks."""
        model = self.tiny_model() if self.dry else self.model
        return self.run(self.build / "bin/tenon", command, *(("--model", model) if model else ()), *args)

    def part(self, name, run, *args):
        start = time.monotonic()
        entry = {"part": name, "state": "passed"}
        try:
            entry |= run(self, *args) or {}
        except NotRun as why:
            entry |= {"state": "not run", "reason": str(why)}
        except (Failed, OSError, subprocess.SubprocessError, ValueError) as why:
            entry |= {"state": "failed", "reason": str(why)}
        entry["seconds"] = round(time.monotonic() - start, 1)
        self.parts.append(entry)
        print(f"{name:32} {entry['state']:8} {entry['seconds']:6.1f} s  {entry.get('reason', '')}".rstrip(), flush=True)


def machine(session):
    if session.dry:
        raise NotRun("dry run")
    fields = "name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.memory"
    rows = session.run("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader").stdout.strip().splitlines()
    return {"gpus": [dict(zip(fields.split(","), row.split(", "))) for row in rows]}


def wrappers(session):
    there = session.run(session.program("simt_selftest"))
    # In the dry run the other side is the emulator too, with another schedule.
    env = {"TENON_SIMT_SCHEDULE": "random", "TENON_SIMT_CP_ASYNC": "eager"} if session.dry else {}
    here = session.run(session.build / "tests/simt_selftest_sim", **env)
    first, second = compare_words.parse(there.stdout), compare_words.parse(here.stdout)
    different = compare_words.differences(first, second)
    if different or len(first) < compare_words.MIN_CASES:
        raise Failed("; ".join(different) or f"only {len(first)} wrappers")
    return {"wrappers": len(first), "words": sum(len(words) for words in first.values())}


def sanitized(session, tool, *command):
    sanitizer = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not os.access(sanitizer, os.X_OK):
        raise NotRun("there is no compute-sanitizer")
    session.run(sanitizer, "--tool", tool, "--error-exitcode", TOOL_FAILED, *command)


def sanitizer_wrappers(session, tool):
    if session.dry:
        raise NotRun("dry run")
    sanitized(session, tool, session.program("simt_selftest"))


def check_command(session, profile, *more):
    return (session.build / "bin/tenon", "check", "--profile", profile, "--model", session.tiny_model(), "--quiet", *more)


def sanitizer_check(session, tool):
    if session.dry:
        raise NotRun("dry run")
    for profile in session.profiles():
        # In one process, for the sanitizer follows no child.
        sanitized(session, tool, *check_command(session, profile, "--quick", "--timeout", 0))


def check(session, profile):
    done = session.run(*check_command(session, profile, "--json", *(["--quick"] if session.dry else [])), ok=(0, 1))
    result = json.loads(done.stdout)
    if not result["passed"]:
        raise Failed("; ".join(f"{f['node']}: {f['text']}" for f in result["failed"][:5]))
    return {"cases": result["cases"]}


def roofline(session):
    session.best = json.loads(session.run(session.program("cuda_roofline"), *(["--small"] if session.dry else [])).stdout)
    return {"best": session.best}


def bench(session, profile):
    """tenon bench gives shares of the host's roofline; times that, over the device's, they are shares of the device's."""
    sizes = ("--prefill", "4", "--decode", "2", "--repeat", "1") if session.dry else ("--prefill", "512", "--decode", "128", "--batch", "1,16")
    result = json.loads(session.tenon("bench", "--profile", profile, *sizes, "--json", "--quiet").stdout)
    host = {r["threads"]: r["read_bytes_per_s"] for r in result["machine"]["roofline"]}
    rows = []
    for row in result["results"]:
        kept = {key: row[key] for key in ("test", "batch", "depth", "model", "kv_format", "tokens_per_s", "spread")}
        if session.best:
            read = row["memory_roofline"] * host[row["threads"]]
            kept["share_of_read"] = read / session.best["read_bytes_per_s"]
            kept["share_of_mma"] = 2 * row["parameters"] * row["tokens_per_s"] / session.best["mma_f16_ops_per_s"]
        rows.append(kept)
    return {"profile": profile.name, "results": rows}


def linears(session):
    """cuda-w4a16's kernels against cuda-fp16's: what 4 bits save shrinks as rows share a read of the weights."""
    return {"results": json.loads(session.run(session.program("cuda_w4_speed"), *(["--small"] if session.dry else [])).stdout)}


def kv_cache(session):
    """What 8 bits save of a step grows with the context: at long ones a step reads little but keys and values."""
    depths = "16,64" if session.dry else "256,1024,2048,4096,7936"
    sizes = ("--prefill", "0", "--decode", "2" if session.dry else "64", "--repeat", "1" if session.dry else "5",
             "--batch", "1" if session.dry else "1,16", "--depth", depths)
    rates, n_bytes = {}, {}
    for name in ("fp16", "kvint8"):
        profile = ROOT / f"configs/cuda-{'sim-' if session.dry else ''}{name}.yaml"
        memory = json.loads(session.tenon("explain", "--profile", profile, "--json").stdout)["memory"]
        n_bytes[memory["kv_format"]] = memory["kv_bytes_per_token"]
        for row in json.loads(session.tenon("bench", "--profile", profile, *sizes, "--json", "--quiet").stdout)["results"]:
            rates.setdefault((row["batch"], row["depth"]), {})[row["kv_format"]] = row["tokens_per_s"]
    return {"bytes_per_token": n_bytes, "results": [
        {"batch": batch, "depth": depth, "tokens_per_s": both, "speed_up": both["i8"] / both["f16"]}
        for (batch, depth), both in sorted(rates.items())]}


def torch(session):
    if session.dry:
        raise NotRun("dry run")
    done = subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, check=False)
    if done.returncode:
        raise NotRun("PyTorch is not installed")
    return json.loads(session.run(sys.executable, "-c", TORCH).stdout)


def for_profiles(session, name, run):
    try:
        for profile in session.profiles():
            session.part(f"{name} {profile.stem}", run, profile)
    except NotRun as why:
        session.parts.append({"part": name, "state": "not run", "reason": str(why), "seconds": 0.0})
        print(f"{name:32} not run  {why}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/gpu.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="on the emulator, what can be done there")
    parser.add_argument("--out", default=None, help="the JSON file; default BUILD/gpu.json")
    parser.add_argument("--model", default=None, help="the model of the benchmarks; default the profile's")
    parser.add_argument("--build", default=ROOT / "build/release", help=argparse.SUPPRESS)
    options = parser.parse_args()
    session = Session(options)
    try:
        session.part("machine", machine)
        session.part("wrappers", wrappers)
        for tool in TOOLS:
            session.part(f"sanitizer {tool}, wrappers", sanitizer_wrappers, tool)
            session.part(f"sanitizer {tool}, check", sanitizer_check, tool)
        for_profiles(session, "check", check)
        session.part("roofline", roofline)
        for_profiles(session, "bench", bench)
        session.part("linears", linears)
        session.part("kv cache", kv_cache)
        session.part("torch", torch)
    finally:
        shutil.rmtree(session.scratch)
    out = pathlib.Path(options.out or session.build / "gpu.json")
    out.write_text(json.dumps({"dry_run": session.dry, "parts": session.parts}, indent=1) + "\n", encoding="utf-8")
    states = [p["state"] for p in session.parts]
    print(f"{states.count('passed')} passed, {states.count('failed')} failed, {states.count('not run')} not run; {out}")
    sys.exit(1 if "failed" in states else 0)


if __name__ == "__main__":
    main()
