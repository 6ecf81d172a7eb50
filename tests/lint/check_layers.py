# SPDX-License-Identifier: Apache-2.0
"""Every #include goes to the same directory or a lower rank, by the table in docs/architecture.md.

Usage: check_layers.py ROOT

The table is the fenced block "layers": DIRECTORY RANK [only DIRECTORY...], one a line; "plugins/*" stands for each
directory of plugins/, and of the rows that fit a directory the longest counts. A directory includes itself and lower ranks; with "only", itself and the listed ones.
"""
import fnmatch
import pathlib
import re
import sys

import source

_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
_BLOCK = re.compile(r"^```layers\n(.*?)^```", re.DOTALL | re.MULTILINE)
FREE = "tests"  # a test may include anything


class Layer:
    def __init__(self, rank, only):
        self.rank = rank
        self.only = only


def read_table(text):
    block = _BLOCK.search(text)
    if not block:
        raise ValueError('docs/architecture.md has no fenced block "layers"')
    table = {}
    for line in block.group(1).splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) < 2 or not words[1].isdigit() or (len(words) > 2 and (words[2] != "only" or len(words) < 4)):
            raise ValueError(f"docs/architecture.md: not a row of the layer table: {line!r}")
        table[words[0]] = Layer(int(words[1]), words[3:] or None)
    return table


def layer_of(path, table):
    """(directory, row name) of a file: the longest directory above it that has a row; (None, None) if there is none."""
    for parent in (p.as_posix() for p in pathlib.PurePosixPath(path).parents):
        rows = [row for row in table if row.count("/") == parent.count("/") and fnmatch.fnmatchcase(parent, row)]
        if rows:
            return parent, max(rows, key=len)
    return None, None


def resolve(root, path, name, quoted):
    """The tree's file that an include names, or None for a system header."""
    places = ([pathlib.PurePosixPath(path).parent] if quoted else []) + [pathlib.PurePosixPath("."),
                                                                         pathlib.PurePosixPath("include")]
    for place in places:
        found = root / place / name
        if found.is_file():
            try:
                return found.resolve().relative_to(root.resolve()).as_posix()
            except ValueError:
                return None
    return None


def check_include(table, path, target):
    """Why path may not include target, or None."""
    unit, row = layer_of(path, table)
    target_unit, target_row = layer_of(target, table)
    if target_unit is None:
        return f"{target} belongs to no layer"
    if target_unit == unit:
        return None
    layer = table[row]
    if layer.only is not None:
        if target_row in layer.only:
            return None
        return f"{unit} may include only itself, {', '.join(layer.only)}; not {target}"
    if table[target_row].rank < layer.rank:
        return None
    return f"{unit} (rank {layer.rank}) may not include {target} (rank {table[target_row].rank})"


def check_file(root, table, path):
    problems = []
    if layer_of(path, table)[0] is None:
        return [f"{path}:1: the directory has no row in the layer table of docs/architecture.md"]
    for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
        found = _INCLUDE.match(line)
        if not found:
            continue
        quoted = found.group(1) == '"'
        target = resolve(root, path, found.group(2), quoted)
        if target is None and quoted:
            problems.append(f"{path}:{number}: {found.group(2)} is not a file of the tree")
        elif target is not None:
            reason = check_include(table, path, target)
            if reason:
                problems.append(f"{path}:{number}: {reason}")
    return problems


def check(root):
    root = pathlib.Path(root)
    table = read_table((root / "docs/architecture.md").read_text(encoding="utf-8"))
    files = [p.as_posix() for p in source.tree_files(root) if p.suffix in source.C_SUFFIXES and p.parts[0] != FREE]
    return [problem for path in files for problem in check_file(root, table, path)], len(files)


if __name__ == "__main__":
    found_problems, n_files = check(sys.argv[1])
    source.finish(found_problems, f"includes of {n_files} files")
