# SPDX-License-Identifier: Apache-2.0
"""Every built plugin exports one symbol, and the program links no plugin.

Usage: check_plugins.py BUILD_DIR
"""
import pathlib
import re
import subprocess
import sys

import check_core
import source

SYMBOL = "tn_plugin_v1"
# Design: libc, libm, libdl, libgomp; a C++ runtime and the CUDA runtime are linked statically.
ALLOWED = re.compile(r"^(libc|libm|libdl|libgomp|libpthread|libgcc_s|ld-linux[\w-]*)\.so(\.\d+)?$")

EMULATOR = ("libtn-simcuda.so",)
EMULATOR_NAME = re.compile(r"^(cu[A-Z]|cuda[A-Z]|cublas[A-Z]|tn_simt_)\w+$")


def exported(path):
    out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, check=True, text=True).stdout
    return [line.split()[-1] for line in out.splitlines() if line.strip()]


def check_plugin(path, emulator=()):
    problems = []
    symbols = exported(path)
    if symbols != [SYMBOL]:
        problems.append(f"{path}: exports {', '.join(symbols) or 'nothing'}; exactly {SYMBOL} is allowed")
    for name in check_core.needed(path):
        if not ALLOWED.match(name) and name not in emulator:
            problems.append(f"{path}: needs {name}; a plugin may need libc, libm, libdl and libgomp only")
    return problems


def check_emulator(path):
    return [f"{path}: exports {name}; only names of CUDA and of the emulator are allowed" for name in exported(path)
            if not EMULATOR_NAME.match(name)]


def check(build_dir):
    build_dir = pathlib.Path(build_dir)
    plugins = sorted((build_dir / "lib/tenon/plugins").glob("*.so"))
    program = build_dir / "bin/tenon"
    problems = [problem for plugin in plugins for problem in check_plugin(plugin)]
    emulated = sorted((build_dir / "lib/tenon/plugins/sim").glob("*.so"))
    problems += [problem for plugin in emulated for problem in check_plugin(plugin, EMULATOR)]
    problems += [problem for path in (build_dir / "lib/tenon").glob(EMULATOR[0]) for problem in check_emulator(path)]
    if not plugins:
        problems.append(f"{build_dir}/lib/tenon/plugins: no plugin was built")
    if not program.is_file():
        problems.append(f"{program}: the program was not built")
    else:
        names = {p.name for p in plugins} | {f"lib{p.name}" for p in plugins}
        problems += [f"{program}: links the plugin {name}" for name in check_core.needed(program) if name in names]
    return problems, len(plugins) + len(emulated)


if __name__ == "__main__":
    found_problems, n_plugins = check(sys.argv[1])
    source.finish(found_problems, f"{n_plugins} plugins")
