# SPDX-License-Identifier: Apache-2.0
"""tenon check proves cpu-simd on every instruction set of the machine; a set that it lacks is a skipped test with the plugin's reason."""
import re
import subprocess

import pytest

from conftest import BUILD

# The sweep of each op has every weight and KV format; these are those of the nodes.
MODELS = [("Q4_1", "f16", "a8"), ("Q4_1", "i8", "f32"), ("Q4_0", "i8", "a8"), ("Q8_0", "f16", "a8"), ("F16", "f16", "a8"), ("BF16", "f32", "a8"), ("BF16", "i8", "f32")]
SETS = ["avx512-bf16", "avx512-vnni", "avx512", "avx-vnni", "avx2", "plain"]


def plugins(isa, dot):
    return f"plugins=[{{name: cpu-simd, options: {{isa: {isa}, dot: {dot}}}}}, cpu-ref]"


def test_these_are_all_sets_of_the_plugin(tenon, tiny):
    said = tenon("check", "--quick", "--model", tiny, "--set", plugins("none", "a8"), status=2).stderr.decode()
    names = re.search(r"option isa: none is unknown; allowed: auto (.*)", said)[1].split()
    assert names == [name for name in SETS if name in names] and "plain" in names
    assert names == SETS or (BUILD / "lib/tenon/plugins/cpu-simd.so").read_bytes()[18:20] != b"\x3e\x00"  # x86-64 has them all


@pytest.mark.parametrize("isa", SETS)
def test_every_format_passes_on_this_instruction_set(tenon, make_model, tiny, isa):
    opened = subprocess.run([BUILD / "bin/tenon", "explain", "--model", tiny, "--set", plugins(isa, "a8")], capture_output=True, check=False)
    lacking = re.search(rb"option isa: (this machine has no \S+; not run)", opened.stderr)
    if lacking:
        pytest.skip(lacking[1].decode())
    for kind, kv, dot in MODELS:
        model = make_model("--seed", "1", "--layers", "2", "--type", kind)
        done = tenon("check", "--quick", "--model", model, "--set", plugins(isa, dot), "--set", f"kv.format={kv}")
        assert re.search(rb"^passed: \d{4} cases against cpu-ref", done.stdout, re.MULTILINE), done.stdout
