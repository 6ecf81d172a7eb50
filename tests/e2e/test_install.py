# SPDX-License-Identifier: Apache-2.0
"""cmake --install: a tree that works wherever it is moved, and that others can build against with a compiler and pkg-config."""
import json
import os
import re
import subprocess

import pytest

from conftest import BUILD, ROOT, run

APP = r"""
#include <stdio.h>
#include <tenon/tenon.h>
static int32_t print_id(void *ctx, const tn_token *t) { (void)ctx; return printf("%d\n", (int)t->id) < 0; }
int main(int argc, char **argv)
{
    const int32_t ids[] = { 5, 6, 7 };
    tn_error err = { 0 };
    tn_runtime *rt;
    uint64_t id;
    tn_request_args ask;
    const tn_open_args open = { .size = sizeof open, .model = argv[argc - 1] };
    if (tn_runtime_open(&open, &rt, &err)) { fprintf(stderr, "%s\n", err.text); return 1; }
    tn_request_defaults(rt, &ask, sizeof ask);
    ask.ids = ids; ask.n_ids = 3; ask.max_tokens = 6; ask.temperature = 0; ask.ignore_eos = 1; ask.on_token = print_id;
    if (tn_request_submit(rt, &ask, &id, &err)) { fprintf(stderr, "%s\n", err.text); return 1; }
    tn_request_wait(rt, id);
    tn_runtime_close(rt);
    return 0;
}
"""


def test_the_tree_has_what_it_shall_and_nothing_of_the_tests(prefix):
    files = {p.relative_to(prefix).as_posix() for p in prefix.rglob("*") if not p.is_dir()}
    assert {"bin/tenon", "lib/libtenon.so", "lib/libtenon.so.0", "include/tenon/tenon.h", "include/tenon/plugin.h",
            "lib/pkgconfig/tenon.pc", "lib/cmake/tenon/tenonConfig.cmake", "share/man/man1/tenon.1",
            "share/bash-completion/completions/tenon", "share/tenon/configs/cpu.yaml", "share/doc/tenon/README.md",
            "share/doc/tenon/CHANGELOG.md", "share/doc/tenon/LICENSE", "share/doc/tenon/docs/profile.md"} <= files
    assert {"lib/tenon/libtn-simcuda.so", "lib/tenon/plugins/cuda.so", "lib/tenon/plugins/sim/cuda.so"} <= files
    assert {"cpu-ref.so", "cpu-simd.so"} <= {f.rpartition("/")[2] for f in files if f.startswith("lib/tenon/plugins/")}
    assert not [f for f in files if re.search(r"simdev|fake|probe|template\.so|profile_docs|make_tiny|\.a$", f)]
    assert [f for f in files if f.startswith("bin/")] == ["bin/tenon"]


def test_nothing_of_the_tree_names_the_build_or_the_sources(prefix):
    for path in prefix.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert os.fsencode(ROOT) not in data and os.fsencode(BUILD) not in data, path


def test_the_library_exports_what_its_header_declares_and_nothing_else(prefix):
    header = (prefix / "include/tenon/tenon.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"TN_EXPORT[^;(]*?\b(tn_\w+)\(", header))
    exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", prefix / "lib/libtenon.so").splitlines()}
    assert exported == declared and "tn_runtime_open" in declared


def test_the_moved_program_finds_its_plugins_and_runs_a_model(installed, tenon, tiny):
    assert installed.json("version") == tenon.json("version")
    found = {p["name"]: p for p in installed.json("plugins")["plugins"]}
    assert all(found[name]["state"] == "loaded" for name in ("cpu-ref", "cpu-simd", "sim/cuda")) and "template" not in found
    assert str(installed.path.parents[1]) in json.dumps(found)
    assert installed.ids(tiny, [5, 6, 7], 6)["ids"] == tenon.ids(tiny, [5, 6, 7], 6)["ids"]
    profile = installed.path.parents[1] / "share/tenon/configs/cpu.yaml"
    assert installed("run", "--profile", profile, "--model", tiny, "--ids", "5,6", "-n", 2).returncode == 0


def test_an_application_is_built_with_pkg_config_and_gets_the_programs_ids(prefix, pkg_config, tenon, tiny, tmp_path):
    (tmp_path / "app.c").write_text(APP, encoding="utf-8")
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", tmp_path / "app.c", *pkg_config("--cflags", "--libs"), "-o", tmp_path / "app")
    ids = run(tmp_path / "app", tiny, env={**os.environ, "LD_LIBRARY_PATH": str(prefix / "lib")}).split()
    assert [int(i) for i in ids] == tenon.ids(tiny, [5, 6, 7], 6)["ids"] and len(ids) == 6


def test_the_package_file_tells_version_and_plugin_directory(prefix, pkg_config, tenon):
    assert pkg_config("--modversion") == [tenon.json("version")["version"]]
    plugins, = pkg_config("--variable=plugindir")
    assert os.path.samefile(plugins, prefix / "lib/tenon/plugins")


def test_cmake_projects_find_the_package(prefix, tmp_path):
    (tmp_path / "app.c").write_text(APP, encoding="utf-8")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(app C)\nfind_package(tenon 0.1 REQUIRED)\nadd_executable(app app.c)\n"
        "target_link_libraries(app PRIVATE tenon::tenon)\n", encoding="utf-8")
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "build")


@pytest.mark.parametrize("compiler", [("cc", "-std=c11", "-xc"), ("c++", "-std=c++17", "-xc++")])
@pytest.mark.parametrize("header", ["tenon.h", "plugin.h"])
def test_headers_compile_alone(prefix, compiler, header):
    run(*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{prefix / 'include'}", "-",
        input=f"#include <tenon/{header}>\n")


def test_the_plugin_to_start_from_is_built_with_one_line_and_loads(prefix, pkg_config, installed, tmp_path):
    source = prefix / "share/doc/tenon/plugins/template/template.c"
    run("cc", "-std=c11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", *pkg_config("--cflags"), source, "-lm", "-o",
        tmp_path / "template.so")
    listed = {p["name"]: p["state"] for p in installed.json("plugins", "--plugin-dir", tmp_path)["plugins"]}
    assert listed == {"template": "loaded"}


def test_destdir_goes_before_the_prefix_and_into_no_file(prefix, tmp_path):
    """The staged tree of a package: files below DESTDIR, and no word of it inside them."""
    run("cmake", "--install", BUILD, "--prefix", "/usr", env={**os.environ, "DESTDIR": str(tmp_path)})
    staged = tmp_path / "usr"
    assert {p.relative_to(staged) for p in staged.rglob("*")} == {p.relative_to(prefix) for p in prefix.rglob("*")}
    assert os.fsencode(tmp_path) not in (staged / "lib/pkgconfig/tenon.pc").read_bytes()


def test_every_command_has_a_whole_man_page_that_renders_without_a_warning(prefix, tenon):
    pages = {p.stem: p for p in (prefix / "share/man/man1").iterdir()}
    commands = re.findall(r"^  ([a-z]+) ", tenon("help").stdout.decode(), re.MULTILINE)
    assert set(pages) == {"tenon", *(f"tenon-{c}" for c in commands)} and len(commands) > 5
    for name, page in pages.items():
        done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-P-cbou", page], capture_output=True, text=True, check=True, timeout=60)
        assert done.stderr == "", name
        heads = re.findall(r"^[A-Z][A-Z ]+$", done.stdout, re.MULTILINE)
        assert {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"} <= set(heads), name
        example = done.stdout.partition("\nEXAMPLES\n")[2].partition("\nSEE ALSO\n")[0]
        assert name.replace("-", " ") in example, f"{name} has no example"
    for option in re.findall(r"--([a-z][a-z-]+)", tenon("run", "--help").stdout.decode()):
        assert "\\-\\-" + option.replace("-", "\\-") in pages["tenon-run"].read_text(encoding="utf-8")


@pytest.fixture
def complete(prefix, tmp_path):
    """What bash would offer behind the words, the last of which is being written."""
    for name in ("a.yaml", "b.gguf", "c d.txt"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    script = (f'. {prefix / "share/bash-completion/completions/tenon"}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))\n'
              '$(complete -p tenon | sed "s/.*-F \\([^ ]*\\) .*/\\1/")\nprintf "%s\\n" "${COMPREPLY[@]}"')
    return lambda *words: set(run("bash", "--norc", "-c", script, "bash", "tenon", *words, cwd=tmp_path).split("\n")) - {""}


def test_bash_completes_commands_and_options(complete, tenon):
    assert complete("in") == {"inspect"} and {"run", "chat", "help"} <= complete("")
    assert complete("help", "ex") == {"explain"}
    assert complete("run", "--top") == {"--top-k", "--top-p", "--top-logits"}
    offered = complete("explain", "--")
    assert offered == {f"--{o}" for o in re.findall(r"--([a-z][a-z-]+) ", tenon("explain", "--help").stdout.decode().partition("options:")[2])}


def test_bash_completes_the_values_of_options(complete):
    assert complete("run", "--profile", "") == {"a.yaml", "sub"} and complete("run", "--model", "") == {"b.gguf", "sub"}
    assert complete("run", "--file", "c") == {"c d.txt"} and complete("run", "--plugin-dir", "") == {"sub"}
    assert complete("run", "--file", "=", "c") == {"c d.txt"} and complete("run", "--profile", "=") == {"a.yaml", "sub"}
    assert complete("inspect", "b") == {"b.gguf"} and complete("bench", "a") == {"a.yaml"}
    assert complete("run", "--seed", "") == complete("run", "-n", "") == complete("run", "") == set()


def test_bash_completes_keys_and_choices_of_a_profile(complete):
    assert complete("run", "--set", "kv.f") == {"kv.format="} and "generate.temperature=" in complete("run", "--set", "")
    assert complete("run", "--set", "kv.format", "=") == {"f32", "f16", "i8", "i8-static"}
    assert complete("run", "--set", "kv.format", "=", "i") == complete("run", "--set", "=", "kv.format", "=", "i") == {"i8", "i8-static"}
    assert complete("run", "--set", "kv.prefix_cache", "=", "t") == {"true"}
