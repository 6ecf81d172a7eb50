# SPDX-License-Identifier: Apache-2.0
"""What the lint checks share: the files of the tree, C text without comments and strings, reporting."""
import pathlib
import re
import subprocess
import sys

C_SUFFIXES = {".c", ".h", ".cpp", ".cu"}

_SKIPPED_DIRS = {"build", ".venv", "models", ".git", "__pycache__", ".pytest_cache"}
_COMMENT_OR_STRING = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def tree_files(root):
    """Files of the project under root, as sorted relative paths: what git knows or would add, or all outside a checkout."""
    root = pathlib.Path(root)
    if (root / ".git").exists():
        out = subprocess.run(["git", "-c", f"safe.directory={root.resolve()}", "ls-files", "-z", "--cached", "--others",
                              "--exclude-standard"], cwd=root, capture_output=True, check=True).stdout.decode()
        paths = [pathlib.PurePosixPath(p) for p in out.split("\0") if p]
    else:
        paths = [pathlib.PurePosixPath(p.relative_to(root).as_posix()) for p in root.rglob("*")]
    return sorted(p for p in paths if not _SKIPPED_DIRS & set(p.parts) and (root / p).is_file())


def code_only(text):
    """C text with comments and literals blanked; line numbers stay."""
    return _COMMENT_OR_STRING.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def finish(problems, what):
    """Print the problems and exit 1, or say how much was checked and exit 0."""
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(f"{len(problems)} problem(s)")
    print(f"ok: {what}")
