# SPDX-License-Identifier: Apache-2.0
"""Offsets of every field of the plugin ABI, against the golden file of version 1.0.

Usage: abi_offsets.py CC HEADER GOLDEN [exact | compatible | write]

compatible: fields may be added at the end of a struct; frozen structs may not grow; nothing moves, changes its size or goes.
exact: the header gives the golden file to the letter. write: makes it.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

FROZEN = {"tn_error", "tn_tensor"}
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRUCT = re.compile(r"typedef struct (\w+) \{(.*?)\} \1;", re.DOTALL)
_FUNCTION = re.compile(r"\(\*(\w+)\)\s*\(")


def fields_of(body):
    for declaration in body.split(";"):
        function = _FUNCTION.search(declaration)
        if function:
            yield function.group(1)
        elif declaration.strip():
            for name in declaration.split(","):
                yield re.search(r"(\w+)\s*(\[\w+\])?\s*$", name).group(1)


def offsets(compiler, header):
    structs = _STRUCT.findall(_COMMENT.sub("", header.read_text(encoding="utf-8")))
    lines = [f'#include "{header.resolve()}"', "#include <stddef.h>", "#include <stdio.h>", "int main(void) {"]
    for struct, body in structs:
        lines.append(f'printf("{struct} %zu\\n", sizeof({struct}));')
        lines += [f'printf("{struct}.{f} %zu %zu\\n", offsetof({struct}, {f}), sizeof((({struct} *)0)->{f}));'
                  for f in fields_of(body)]
    with tempfile.TemporaryDirectory() as directory:
        source, program = pathlib.Path(directory, "offsets.c"), pathlib.Path(directory, "offsets")
        source.write_text("\n".join([*lines, "}"]), encoding="utf-8")
        subprocess.run([compiler, "-std=c11", source, "-o", program], check=True)
        return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def table(text):
    return {line.split()[0]: [int(n) for n in line.split()[1:]] for line in text.splitlines()}


def breaches(golden, now):
    for name, numbers in golden.items():
        grown = "." not in name and name not in FROZEN and name in now and now[name] >= numbers
        if not grown and now.get(name) != numbers:
            yield f"{name}: {numbers} in version 1.0, {now.get(name, 'not there')} now"


def main(compiler, header, golden, mode):
    text, golden = offsets(compiler, pathlib.Path(header)), pathlib.Path(golden)
    if mode == "write":
        golden.write_text(text, encoding="utf-8")
        return 0
    then = golden.read_text(encoding="utf-8")
    problems = list(breaches(table(then), table(text)))
    if mode == "exact" and text != then:
        problems.append(f"{header} does not give {golden.name} to the letter")
    print("\n".join(problems) or f"{len(table(then))} offsets and sizes hold")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
