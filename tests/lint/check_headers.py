# SPDX-License-Identifier: Apache-2.0
"""Headers compile alone: the public ones as C11 and C++17, those of CUDA plugins as C++17, the others as C11.

Usage: check_headers.py ROOT CC CXX
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

import source

FLAGS = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-D_POSIX_C_SOURCE=200809L"]


def compile_alone(root, compiler, language, standard, header):
    """None, or the compiler's first lines."""
    done = subprocess.run([compiler, "-x", language, f"-std={standard}", *FLAGS, f"-I{root}", f"-I{root}/include", "-"],
                          input=f'#include "{header}"\n', capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return f"{header}: does not compile alone as {standard}:\n" + "\n".join(done.stderr.splitlines()[:8])


def check(root, cc, cxx):
    root = pathlib.Path(root).resolve()
    headers = [p.as_posix() for p in source.tree_files(root) if p.suffix == ".h" and p.parts[0] != "tests"]
    public = [h for h in headers if h.startswith("include/")]
    cuda = [h for h in headers if h.startswith("plugins/cuda")]
    work = [(root, cc, "c", "c11", h) for h in headers if h not in cuda]
    work += [(root, cxx, "c++", "c++17", h) for h in public + cuda]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda args: compile_alone(*args), work))
    problems = [r for r in results if r]
    if not public:
        problems.append("include/ has no header")
    return problems, len(headers)


if __name__ == "__main__":
    found_problems, n_headers = check(*sys.argv[1:4])
    source.finish(found_problems, f"{n_headers} headers compile alone")
