# SPDX-License-Identifier: Apache-2.0
"""The plugin SDK: one C file outside the tree, the installed header, and what docs/add-a-plugin.md says to do with them."""
import re
import shlex
import subprocess

import pytest

from conftest import ROOT, run

DOC = (ROOT / "docs/add-a-plugin.md").read_text(encoding="utf-8")


@pytest.fixture
def outside(prefix, tmp_path):
    """A directory with the installed template under another name, and nothing else."""
    text = (prefix / "share/doc/tenon/plugins/template/template.c").read_text(encoding="utf-8")
    assert text.count('"template"') == 1
    (tmp_path / "acme.c").write_text(text.replace('"template"', '"acme"'), encoding="utf-8")
    return tmp_path


def documented(start):
    line, = re.findall(rf"^{re.escape(start)} .*$", DOC, re.MULTILINE)
    return line


@pytest.fixture
def acme(outside, pkg_config):
    """Built by the one line of the document, with what pkg-config says in its place."""
    flags = pkg_config("--cflags")
    words = documented("cc -std=c11").replace("$(pkg-config --cflags tenon)", shlex.join(flags))
    run(*shlex.split(words), "-Wall", "-Wextra", "-Werror", cwd=outside)
    return outside / "acme.so"


def profile_with(acme, model):
    path = acme.parent / "acme.yaml"
    path.write_text(f"model: {model}\nplugins:\n  - {{name: acme, path: {acme}}}\n  - cpu-ref\nkv: {{block_tokens: 16}}\n", encoding="utf-8")
    return path


def test_a_plugin_of_one_compiler_line_passes_the_check_of_a_plugin(installed, acme):
    words = shlex.split(documented("tenon check --plugin"))[1:]
    assert b"passed: " in installed(*words, cwd=acme.parent).stdout
    report = installed.json(*words, cwd=acme.parent)
    supported = {c["op"] for c in report["matrix"] if c["supported"]}
    assert report["passed"] and supported == {"rmsnorm", "linear", "add"}


def test_it_gets_nodes_of_a_profile_and_passes_its_check(installed, acme, make_model):
    profile = profile_with(acme, make_model("--type", "F16", "--layers", "2"))
    assert installed.json("plugins", "--profile", profile)["plugins"][0]["state"] == "loaded"
    bound = re.findall(r"^(\S+) +(\S+) +acme ", installed("explain", "--profile", profile).stdout.decode(), re.MULTILINE)
    assert {op for _, op in bound} == {"rmsnorm", "linear", "add"} and len(bound) > 10
    report = installed.json("check", "--quick", "--profile", profile)
    assert report["passed"] and report["cases"] > 300
    lines = installed("check", "--quick", "-v", "--profile", profile).stdout.decode()
    assert re.search(r"^lockstep +layer\.1\.\S+ +linear +acme\.linear +ok ", lines, re.MULTILINE)


def test_it_generates_what_the_reference_generates(installed, acme, make_model):
    model = make_model("--type", "F16", "--layers", "2")
    ids = installed.json("run", "--profile", profile_with(acme, model), "--ids", "5,6,7", "-n", 8, "--greedy", "--ignore-eos")["ids"]
    assert ids == installed.json("run", "--model", model, "--set", "plugins=cpu-ref", "--ids", "5,6,7", "-n", 8, "--greedy", "--ignore-eos")["ids"]


def test_its_mistake_is_found_at_the_guilty_op_by_both_checks(installed, outside, acme, make_model):
    source = (outside / "acme.c").read_text(encoding="utf-8")
    assert source.count("k < param->in; k++") == 1
    (outside / "acme.c").write_text(source.replace("k < param->in; k++", "k < param->in - param->in % 16; k++"), encoding="utf-8")
    run("cc", "-std=c11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{installed.path.parents[1] / 'include'}", outside / "acme.c", "-lm",
        "-o", acme)
    failed = installed.json("check", "--plugin", acme, status=1)["failed"]
    assert {f["op"] for f in failed} == {"linear"} and {f["kernel"] for f in failed} == {"acme.linear"}
    profile = profile_with(acme, make_model("--type", "F16", "--dim", "40", "--heads", "2", "--head-dim", "20"))
    failed = installed.json("check", "--quick", "--profile", profile, status=1)["failed"]
    assert {f["op"] for f in failed} == {"linear"} and any(f["part"] == "lockstep" for f in failed)


def test_the_cmake_package_builds_and_proves_it(installed, prefix, outside):
    package, = re.findall(r"```cmake\n(.*?)```", DOC, re.DOTALL)
    (outside / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(acme C)\nenable_testing()\n" + package, encoding="utf-8")
    run("cmake", "-S", outside, "-B", outside / "build", f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", outside / "build")
    assert "100% tests passed" in run("ctest", "--test-dir", outside / "build")
    assert b"passed: " in installed("check", "--plugin", outside / "build/acme.so").stdout


def test_the_cmake_target_serves_a_library_of_ones_own_and_cplusplus(installed, prefix, tmp_path):
    (tmp_path / "acme.cpp").write_text('''
#include <tenon/plugin.h>
static tn_status supports(void *, const tn_node *, tn_error *) { return TN_UNSUPPORTED; }
static tn_status run(void *, const tn_node *, const tn_launch *, tn_error *) { return TN_OK; }
static const tn_kernel add = { sizeof(tn_kernel), 0, "add", "acme.add", "exact", supports, nullptr, nullptr, nullptr, run };
static const tn_kernel *const kernels[] = { &add, nullptr };
extern "C" const tn_plugin tn_plugin_v1 = { sizeof(tn_plugin), 0, 0, 0, "acme", "1", "host", "C++", nullptr, nullptr, kernels, nullptr, nullptr, nullptr };
''', encoding="utf-8")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(acme CXX)\nfind_package(tenon REQUIRED)\nadd_library(acme MODULE acme.cpp)\n"
        "set_target_properties(acme PROPERTIES PREFIX \"\" CXX_VISIBILITY_PRESET hidden)\ntarget_link_libraries(acme PRIVATE tenon::plugin)\n"
        "file(WRITE ${CMAKE_BINARY_DIR}/dir.txt ${TENON_PLUGIN_DIR})\n", encoding="utf-8")
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "build")
    failed = installed.json("check", "--plugin", tmp_path / "build/acme.so", status=1)["failed"]
    assert [f["node"] for f in failed] == ["support"]  # clean, but it claims nothing
    assert ((tmp_path / "build/dir.txt").read_text(encoding="utf-8")) == str(prefix / "lib/tenon/plugins")


def test_a_symbol_that_nobody_has_is_an_error_of_the_cmake_packages_linker(prefix, outside):
    with (outside / "acme.c").open("a", encoding="utf-8") as f:
        f.write("int acme_missing(void); __attribute__((used)) static int use(void) { return acme_missing(); }\n")
    (outside / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(acme C)\nfind_package(tenon REQUIRED)\n"
                                            "tenon_add_plugin(acme acme.c)\n", encoding="utf-8")
    run("cmake", "-S", outside, "-B", outside / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    done = subprocess.run(["cmake", "--build", outside / "build"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0 and "acme_missing" in done.stdout + done.stderr
