# SPDX-License-Identifier: Apache-2.0
"""The core stays small (in lines of code) and links nothing but the C library and threads.

Usage: check_core.py size ROOT | check_core.py links SHARED_OBJECT

SHARED_OBJECT is the whole core linked into one file (target tenon_core_link, with no undefined symbol allowed).
"""
import collections
import pathlib
import re
import subprocess
import sys

import source

MAX_LINES = 8000
# The dynamic linker's name and libgcc_s come with the compiler on some machines; they are no dependency of ours.
ALLOWED = re.compile(r"^(libc|libm|libdl|libpthread|libgcc_s|ld-linux[\w-]*)\.so(\.\d+)?$")
_NEEDED = re.compile(r"\(NEEDED\).*\[(.+)\]")


# A string or character literal, kept, or a comment, of which only the line ends are kept.
_PIECE = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(/\*.*?\*/|//[^\n]*)', re.DOTALL)


def code_lines(text):
    """Lines with something besides white space and comments."""
    bare = _PIECE.sub(lambda m: "\n" * m[1].count("\n") if m[1] else m[0], text)
    return sum(1 for line in bare.splitlines() if line.strip())


def check_size(root, limit=MAX_LINES):
    """Lines of *.c and *.h that hold code: a limit on all lines would be a price on comments."""
    root = pathlib.Path(root)
    lines = collections.Counter()
    for path in source.tree_files(root):
        if path.parts[0] == "core" and path.suffix in {".c", ".h"}:
            lines[path.parts[1]] += code_lines((root / path).read_text(encoding="utf-8"))
    total = lines.total()
    if not lines:
        return ["core/ has no source files"], total
    if total > limit:
        parts = ", ".join(f"{name} {n}" for name, n in lines.most_common())
        return [f"core/ has {total} lines of code, at most {limit} are allowed: {parts}"], total
    return [], total


def needed(path):
    out = subprocess.run(["readelf", "-d", path], capture_output=True, check=True, text=True).stdout
    return _NEEDED.findall(out)


def check_links(libraries):
    return [f"the core needs {name}; allowed: libc, libm, libdl, threads" for name in libraries
            if not ALLOWED.match(name)]


def main(command, target):
    if command == "size":
        problems, n_lines = check_size(target)
        source.finish(problems, f"core/ has {n_lines} of {MAX_LINES} lines of code")
    elif command == "links":
        names = needed(target)
        source.finish(check_links(names) if names else [f"{target}: no NEEDED entry at all: not a dynamic object?"],
                      f"the core needs {', '.join(names)}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:3])
