# SPDX-License-Identifier: Apache-2.0
"""The four rungs, f16, KV in 8 bits, weights in 4, and both: the same program and plugins, and lines of the profile."""
import hashlib
import re

import pytest

from conftest import BUILD, ROOT

# Lines that change, from the first rung on.
RUNGS = {
    "fp16": ("plugins: [cuda-fp16]", "kv: {format: f16, block_tokens: 16}"),
    "kvint8": ("plugins: [cuda-kvint8, cuda-fp16]", "kv: {format: i8, block_tokens: 16}"),
    "w4a16": ("plugins: [cuda-w4a16, cuda-fp16]", "kv: {format: f16, block_tokens: 16}"),
    "w4a16-kvint8": ("plugins: [cuda-w4a16, cuda-kvint8, cuda-fp16]", "kv: {format: i8, block_tokens: 16}"),
}
DIM = 128
IDS = ",".join(str(3 + i * 7 % 200) for i in range(40))


def digests():
    """Of the program and of all plugins for the emulator."""
    files = [BUILD / "bin/tenon", *sorted((BUILD / "lib/tenon/plugins/sim").glob("*.so"))]
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def kernels_and_bytes(tenon, path):
    """Plugin of each op, bytes of the layers' packed linears, and of a token in the cache of a layer. A linear that norms its input
    counts as one without; the norm's weights are 4 bytes for each column."""
    text = tenon("explain", "--profile", path).stdout.decode()
    rows = re.findall(r"^(\S+) +(\S+) +(cuda-\S+) +\S+ +\S+ +(\d+) +\d+$", text, re.MULTILINE)
    linears = sum(int(n_bytes) - 4 * DIM * op.startswith("norm_") for node, op, _, n_bytes in rows
                  if node.startswith("layer.") and op.removeprefix("norm_").startswith("linear"))
    return {op.removeprefix("norm_"): plugin for _, op, plugin, _ in rows}, linears, int(re.search(r"(\d+) bytes a token", text)[1])


def test_the_profile_alone_chooses_the_backend(tenon, make_model, tmp_path):
    model = make_model("--layers", "2", "--type", "Q4_1", "--dim", str(DIM), "--heads", "4", "--kv-heads", "2", "--head-dim", "64", "--ffn", "256")
    path, before, found = tmp_path / "profile.yaml", digests(), {}
    path.write_text("\n".join([f"model: {model}", "device: cuda-sim", *RUNGS["fp16"]]) + "\n", encoding="utf-8")
    last = RUNGS["fp16"]
    for name, lines in RUNGS.items():
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(last[0], lines[0]).replace(last[1], lines[1]), encoding="utf-8")
        last = lines
        ids = tenon.json("run", "--profile", path, "--ids", IDS, "-n", 8, "--greedy", "--ignore-eos")["ids"]
        kv = re.search(r"format: (\w+)", lines[1])[1]
        assert ids == tenon.json("run", "--model", model, "--set", "plugins=cpu-ref", "--set", f"kv.format={kv}", "--ids", IDS, "-n", 8,
                                 "--greedy", "--ignore-eos")["ids"], name
        found[name] = kernels_and_bytes(tenon, path)
    assert digests() == before
    for name, (plugins, linears, kv_bytes) in found.items():
        assert plugins["linear_glu"] == ("cuda-w4a16" if "w4a16" in name else "cuda-fp16"), name
        assert plugins["attention"] == plugins["rope_kv_write"] == ("cuda-kvint8" if "kvint8" in name else "cuda-fp16"), name
        # 5 of 16 bits with groups of 32; 1 byte of 2, and 4 for each row of 64 bytes.
        assert linears == found["fp16"][1] * (5 / 16 if "w4a16" in name else 1), name
        assert kv_bytes == found["fp16"][2] * (68 / 128 if "kvint8" in name else 1), name


@pytest.mark.parametrize("name", RUNGS)
def test_the_profiles_of_configs_pass_a_check(tenon, tiny, name):
    report = tenon.json("check", "--quick", "--profile", ROOT / f"configs/cuda-sim-{name}.yaml", "--model", tiny)
    assert report["passed"] and not report["failed"], report["failed"]


# ---- SmolLM2 ----

def test_smollm2_gives_the_tokens_of_cpu_ref_or_a_tie(tenon):
    tenon.assert_tokens_or_a_tie("cuda-sim-w4a16-kvint8.yaml", "cpu-ref-kvint8.yaml")
