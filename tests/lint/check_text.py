# SPDX-License-Identifier: Apache-2.0
"""Rules of docs/style.md that can be read off the text: licence lines, banned functions, file size, guards, paths, links.

Usage: check_text.py ROOT
"""
import pathlib
import re
import sys

import source

SPDX = "SPDX-License-Identifier: Apache-2.0"
SPDX_SUFFIXES = source.C_SUFFIXES | {".py", ".sh"}
MAX_LINES = 600

# Files that may be longer, each with its reason.
LONG_FILES = {}

BANNED = ("strcpy strcat sprintf vsprintf strtok atoi atof gets alloca setjmp longjmp system rand").split()
ONLY_IN = {  # function: the files that may call it
    **dict.fromkeys("malloc calloc realloc free strdup strndup aligned_alloc posix_memalign".split(),
                    {"core/base/alloc.c"}),
    "free": {"core/base/alloc.c"},
    **dict.fromkeys("dlopen dlsym".split(), {"core/plugin/loader.c", "plugins/common/shared_library.h"}),
}
# A test may use the C library's memory functions, to be independent of the code under test, open plugins by itself, and
# shorten the names of its guards.
FREE_DIRS = ("tests/",)

# Names of the machines that the project is developed on have no place in it. Split, so that this file passes itself.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:wor" r"k|far" r"m)/|/tmp/bash_" r"jobs")

# A call of a plain function: not a member (a.free, a->free), not part of a longer name.
_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED + list(ONLY_IN)) + r")\s*\(")
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")  # [text](target#part), not http:
_GUARD = re.compile(r"^#ifndef (\w+)\n#define (\w+)\n", re.MULTILINE)


def check_spdx(path, lines):
    first = 1 if lines and lines[0].startswith("#!") else 0
    if len(lines) <= first or SPDX not in lines[first]:
        return [f"{path}:{first + 1}: the first line must be the licence, {SPDX}"]
    return []


def check_length(path, lines):
    if len(lines) > MAX_LINES and path not in LONG_FILES:
        return [f"{path}:{MAX_LINES + 1}: {len(lines)} lines, at most {MAX_LINES} are allowed (see LONG_FILES)"]
    return []


def check_calls(path, text):
    problems = []
    for number, line in enumerate(source.code_only(text).splitlines(), 1):
        for name in _CALL.findall(line):
            allowed = ONLY_IN.get(name)
            if allowed is None:
                problems.append(f"{path}:{number}: {name} is banned (docs/style.md, rule 22)")
            elif path not in allowed and not path.startswith(FREE_DIRS):
                problems.append(f"{path}:{number}: {name} belongs in {', '.join(sorted(allowed))} only")
    return problems


def guard_of(path):
    """core/base/alloc.h -> TN_CORE_BASE_ALLOC_H; include/tenon/plugin.h -> TENON_PLUGIN_H."""
    name = re.sub(r"\W", "_", path).upper()
    return name.removeprefix("INCLUDE_") if name.startswith("INCLUDE_") else f"TN_{name}"


def check_guard(path, text):
    found = _GUARD.search(text)
    want = guard_of(path)
    if not found or found.group(1) != found.group(2):
        return [f"{path}:1: no include guard; it should be {want}"]
    if found.group(1) != want and not path.startswith(FREE_DIRS):
        return [f"{path}:{text[:found.start()].count(chr(10)) + 1}: the guard is {found.group(1)}, it should be {want}"]
    return []


def check_machine_paths(path, lines):
    return [f"{path}:{number}: a path of somebody's machine" for number, line in enumerate(lines, 1)
            if MACHINE_PATHS.search(line)]


def check_links(root, path, lines):
    """A relative link in a page leads to a file or directory of the tree."""
    here = (root / path).parent
    return [f"{path}:{number}: the link {target} leads nowhere" for number, line in enumerate(lines, 1)
            for target in _LINK.findall(line) if not (here / target).exists()]


def check_file(root, path):
    try:
        text = (root / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    lines = text.splitlines()
    suffix = pathlib.PurePosixPath(path).suffix
    problems = check_machine_paths(path, lines)
    if suffix in SPDX_SUFFIXES:
        problems += check_spdx(path, lines) + check_length(path, lines)
    if suffix in source.C_SUFFIXES:
        problems += check_calls(path, text)
    if suffix == ".md":
        problems += check_links(root, path, lines)
    if suffix == ".h":
        problems += check_guard(path, text)
    return problems


def check(root):
    root = pathlib.Path(root)
    files = [p.as_posix() for p in source.tree_files(root)]
    return [problem for path in files for problem in check_file(root, path)], len(files)


if __name__ == "__main__":
    found_problems, n_files = check(sys.argv[1])
    source.finish(found_problems, f"text of {n_files} files")
