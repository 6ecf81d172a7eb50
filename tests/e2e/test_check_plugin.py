# SPDX-License-Identifier: Apache-2.0
"""tenon check --plugin: what a file exports and needs, its descriptor, claims and numbers, and what it supports."""
import fnmatch
import re
import subprocess

import pytest

from conftest import BUILD, ROOT

PLUGINS = BUILD / "tests/plugins"
FAULTS = re.findall(r'ALT_FAULT\(\w+, "([a-z0-9-]+)", "([^"]+)", "(\w+)"\)',
                    (ROOT / "tests/plugins/alt/faults.def").read_text(encoding="utf-8"))
TEMPLATE = ROOT / "plugins/template/template.c"


@pytest.fixture
def build(tmp_path):
    """The template with more C at its end, by one line of the compiler."""

    def build(more="", *options, sub=()):
        source = tmp_path / "acme.c"
        text = TEMPLATE.read_text(encoding="utf-8").replace('#define NAME "template"', '#define NAME "acme"')
        for old, new in sub:
            assert old in text
            text = text.replace(old, new)
        source.write_text(text + more, encoding="utf-8")
        subprocess.run(["cc", "-std=gnu11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-I", ROOT / "include", source,
                        *(options or ["-lm"]), "-o", tmp_path / "acme.so"], check=True)
        return tmp_path / "acme.so"

    return build


@pytest.fixture
def failed(tenon):
    """{rule or name of cases: text} of what fails."""
    return lambda path, *args: {f["node"]: f["text"] for f in
                                tenon.json("check", "--plugin", path, *args, status=1)["failed"]}


def test_a_correct_plugin_passes_and_tells_what_it_supports(tenon, build):
    text = tenon("check", "--plugin", build()).stdout.decode()
    assert re.search(r"^passed: \d+ cases against cpu-ref", text, re.MULTILINE)
    assert "KV pages" not in text and re.search(r"^ +rmsnorm +add ", text, re.MULTILINE)
    assert re.search(r"^weights +linear *\n(.*\n)*f16 +ok *\n(.*\n)*u4b.g32 +-", text, re.MULTILINE)
    report = tenon.json("check", "--plugin", build())
    assert report["passed"] and report["failed"] == [] and report["plugin"].endswith("/acme.so")
    cells = {(c["op"], c["weights"], c["kv"]): c for c in report["matrix"]}
    add, linear = cells["add", None, None], cells["linear", "u4b.g32", None]
    assert add["supported"] == add["cases"] > 5 and add["failed"] == 0 and add["kernel"] == "acme.add"
    assert linear["supported"] == 0 and "that come as values are done" in linear["reason"]
    assert ("attention", None, "i8") in cells and ("embed", "q6_k", None) in cells


def test_a_relative_path_and_one_op_are_enough(tenon, build):
    path = build()
    report = tenon.json("check", "--plugin", "./acme.so", "--only", "op=add", cwd=path.parent)
    assert {c["op"] for c in report["matrix"]} == {"add"} and report["cases"] == 18


def test_every_weight_and_kv_format_has_a_cell(tenon):
    report = tenon.json("check", "--plugin", PLUGINS / "alt-f16.so")
    cells = {(c["op"], c["weights"], c["kv"]): c for c in report["matrix"]}
    for op in ("linear", "norm_linear_glu", "embed"):
        for wfmt in "f32 f16 bf16 u4z.g32 u4z.g64 u4z.g128 u4z.row u4b.g32 u4b.g64 u4b.g128 q8.g32 q4_k q5_k q6_k q2_k q3_k q5_0 q5_1 iq4_nl iq4_xs".split():
            assert cells[op, wfmt, None]["cases"] >= 1, (op, wfmt)
    for op in ("kv_write", "rope_kv_write", "attention"):
        assert {kv for o, _, kv in cells if o == op} == {"f32", "f16", "i8", "i8-static"}


def test_what_a_plugin_supports_in_part_is_said(tenon, build):
    path = build(sub=[("(param->scale != 0.0f && param->scale != 1.0f)", "(param->dim % 32 == 0)")])
    cell, = tenon.json("check", "--plugin", path, "--only", "op=add")["matrix"]
    assert (cell["supported"], cell["cases"]) == (6, 9) and "a scale of" in cell["reason"]
    assert re.search(r"^ +6 of 9", tenon("check", "--plugin", path, "--only", "op=add").stdout.decode(), re.MULTILINE)


@pytest.mark.parametrize("name", ["alt-f32", "alt-f16", "alt-a8", "simdev", "abi-v1_0"])
def test_correct_plugins_pass_also_on_a_device_and_of_the_published_header(tenon, name):
    assert tenon.json("check", "--plugin", PLUGINS / f"{name}.so")["passed"]


@pytest.mark.parametrize("name", ["cpu-ref", "cpu-simd"])
def test_the_plugins_of_this_tree_support_everything_and_pass(tenon, name):
    report = tenon.json("check", "--plugin", BUILD / f"lib/tenon/plugins/{name}.so")
    assert report["passed"] and all(c["supported"] == c["cases"] for c in report["matrix"])
    embeds = {c["weights"]: c for c in report["matrix"] if c["op"] == "embed"}
    if name == "cpu-simd":  # what is coded anew says so; the rest is exact
        recoded = {f for f, c in embeds.items() if c["kernel"] == "cpu-simd.embed.w8"}
        assert recoded == {"q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q8_k", "q5_0", "q5_1", "iq4_nl", "iq4_xs"}
        assert all(c["worst"] == 0 for f, c in embeds.items() if f not in recoded)
        assert all(embeds[f]["worst"] < 0.2 for f in ("q4_k", "q5_0", "iq4_nl", "iq4_xs"))  # their codes are found again


@pytest.mark.parametrize("rule, more, options, words", [
    ("exports", '\n__attribute__((visibility("default"))) int helper(void) { return 1; }\n', [],
     ["besides tn_plugin_v1: helper", "-fvisibility=hidden"]),
    ("undefined symbols", "\ndouble tn_use(double x); __attribute__((used)) double tn_use(double x) { return cos(x); }\n", ["-lc"],
     ["come from none of the libraries", "cos", "-lm"]),
    ("libraries", "", ["-Wl,--no-as-needed", "-ljansson", "-lm"], ["it needs libjansson.so.4", "link others statically"]),
    ("text relocations", '\n__asm__(".text\\n.quad acme_mark\\n.data\\nacme_mark: .quad 0\\n.globl acme_mark\\n.hidden acme_mark\\n.text");\n',
     ["-Wl,-z,notext", "-lm"], ["-fPIC"]),
    ("stack", "", ["-Wl,-z,execstack", "-lm"], ["executable stack"]),
])
def test_a_file_that_is_not_clean_fails_by_the_rules_name(build, failed, rule, more, options, words):
    found = failed(build(more, *options))
    assert rule in found and all(word in found[rule] for word in words), found
    assert set(found) <= {rule, "descriptor"}  # the machine may not load it at all


@pytest.mark.parametrize("name, words", [
    ("truncated", "says it is"), ("huge_size", "says it is 1073741824 bytes"), ("no_run", "has no `run`"), ("undefined", "cannot load it"),
    ("other_major", "speaks v1"), ("unknown_tolerance", "tolerance"),
])
def test_a_descriptor_that_the_loader_refuses_fails(failed, name, words):
    found = failed(PLUGINS / f"broken-load/{name}.so")
    assert words in found["descriptor"]


@pytest.mark.parametrize("name, ops, finding", FAULTS)
def test_each_wrong_plugin_is_caught_without_a_model(tenon, name, ops, finding):
    for seed in range(1, 31 if name == "race" else 2):
        report = tenon.json("check", "--plugin", PLUGINS / f"broken-{name}.so", "--seed", seed, status=None)
        if not report["passed"]:
            break
    assert report["failed"], finding
    if finding != "nothing":
        assert all(any(fnmatch.fnmatch(f["op"], op) for op in ops.split(",")) for f in report["failed"]), report["failed"]
        assert {c["op"] for c in report["matrix"] if c["failed"]} == {f["op"] for f in report["failed"]}


def test_flags_that_are_not_defined_and_kernels_of_one_name_fail(build, failed):
    found = failed(build(sub=[("| TN_K_IN_PLACE", "| TN_K_IN_PLACE | 64")]))
    assert "flags 0x40" in found["kernels"]
    found = failed(build(sub=[("{ &rmsnorm, &add, &linear, NULL }", "{ &rmsnorm, &add, &linear, &add, NULL }")]))
    assert found["kernels"] == "two kernels for add are called acme.add"


def test_a_kernel_that_computes_wrongly_fails_in_its_op_and_in_the_matrix(tenon, build):
    path = build(sub=[("out[k] = x[k] + y[k];", "out[k] = x[k] + y[k] * (k == 299 ? 1.001f : 1.0f);")])
    report = tenon.json("check", "--plugin", path, status=1)
    assert {f["op"] for f in report["failed"]} == {"add"}
    assert {c["op"] for c in report["matrix"] if c["failed"]} == {"add"}
    assert re.search(r"^ +FAILED|ok +FAILED", tenon("check", "--plugin", path, status=1, cwd=path.parent).stdout.decode(), re.MULTILINE)


def test_a_kernel_that_no_case_reaches_is_said_and_a_plugin_of_such_kernels_fails(tenon, build, failed):
    refuse = [("    if (param->dim < 1)\n", "    if (param->dim < 1000)\n"), ("param->n_parts < 1)", "param->n_parts < 9)")]
    assert "claims nothing" in failed(build(sub=refuse))["support"]
    assert "claims nothing" in failed(PLUGINS / "broken-claims-nothing.so")["support"]
    one = build(sub=[("(param->scale != 0.0f && param->scale != 1.0f)", "(param->scale == 0.0f)")])
    assert "no case of add reached the kernel acme.add" in tenon("check", "--plugin", one).stdout.decode()


def test_a_plugin_that_cannot_run_here_is_exit_2_with_its_reason(tenon):
    done = tenon("check", "--plugin", PLUGINS / "broken-load/open_unavailable.so", status=2)
    assert b"cannot run here" in done.stderr


def test_wrong_use_is_exit_2_with_the_reason(tenon, build, tiny, tmp_path):
    path = build()
    for args, words in [(["--plugin", tmp_path / "none.so"], b"No such file"), (["--plugin", TEMPLATE], b"not a shared library"),
                        (["--plugin", path, "--model", tiny], b"--model belongs to the check of a profile"),
                        (["--plugin", path, "--node", "x"], b"--node belongs"), (["--plugin", path, "--set", "a=b"], b"--set belongs"),
                        (["--plugin", path, "--only", "op=nothing"], b"no such op"), (["--plugin", path, "--against", "nobody"], b"nobody")]:
        assert words in tenon("check", *args, status=2).stderr, args
    half = tmp_path / "half.so"
    half.write_bytes(path.read_bytes()[:path.stat().st_size // 3])
    assert b"half.so" in tenon("check", "--plugin", half, status=2).stderr
