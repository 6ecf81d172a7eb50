# SPDX-License-Identifier: Apache-2.0
"""The emulator's CUDA headers against the real ones: every call has the real signature, every number the real value.

Usage: check_signatures.py ROOT CUDA_INCLUDE COMPILER

A compiler compares: it reads the real header, then ours, which then only declares calls (a second declaration of a C function
with other types is an error), and an assertion for each number of ours.
"""
import pathlib
import re
import subprocess
import sys

SHIM = "plugins/cuda/simt/shim"
HEADERS = ["cuda.h", "cuda_runtime.h", "cublas_v2.h"]
_ENUM = re.compile(r"^\s*(?:typedef\s+)?enum\b[^{};]*\{([^}]*)\}", re.MULTILINE)
_NAME = re.compile(r"\b(\w+) = (-?\d+)")
_DEFINE = re.compile(r"^\s*#\s*define\s+(cuda\w+|CU_\w+)\s+(0x[0-9a-fA-F]+|\d+)\s*$", re.MULTILINE)
_STRUCT = re.compile(r"^struct cudaDeviceProp \{(.*?)\};", re.MULTILINE | re.DOTALL)


def numbers(text):
    found = {name: value for body in _ENUM.findall(text) for name, value in _NAME.findall(body)}
    return found | dict(_DEFINE.findall(text))


def fields(text):
    """Names of the device's properties that plugins may read."""
    struct = _STRUCT.search(text)
    return re.findall(r"(\w+)(?:\[\d+\])*[,;]", struct.group(1)) if struct else []


def calls(text):
    listed = re.findall(r"\bX\((\w+),", text)
    return listed + re.findall(r"\b((?:cuda|cublas)[A-Z]\w*)\((?!\s*X\b)[^;{}]*\);", text)


def program(root, header):
    text = (root / SHIM / header).read_text(encoding="utf-8")
    lines = [f"#include <{header}>", f'#include "{SHIM}/{header}"']
    lines += [f'static_assert(static_cast<int>({name}) == {value}, "{name} is another number");' for name, value in numbers(text).items()]
    lines += [f"auto field_{name}(cudaDeviceProp *p) -> decltype(&p->{name});" for name in fields(text)]
    return "\n".join(lines) + "\n", len(calls(text)), len(numbers(text))


def check(root, include, compiler, header):
    source, n_calls, n_numbers = program(root, header)
    assert n_calls >= 10 and n_numbers >= 10, f"{header}: {n_calls} calls and {n_numbers} numbers found; is it still read rightly?"
    done = subprocess.run([compiler, "-std=c++17", "-fsyntax-only", "-xc++", "-isystem", include, f"-I{root}", "-"], input=source,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{header} is not like {include}/{header}:\n{done.stderr}")
    print(f"{header}: {n_calls} calls and {n_numbers} numbers are the real ones")


if __name__ == "__main__":
    for name in HEADERS:
        check(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], name)
