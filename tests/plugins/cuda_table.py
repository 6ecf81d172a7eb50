# SPDX-License-Identifier: Apache-2.0
"""The table of a plugin's kernels in docs/cuda.md, against what nvcc made of them and what they moved on the emulator.

Usage: cuda_table.py moves DOC NAME PROGRAM
       cuda_table.py code DOC NAME BUDGET.toml STEM...
       cuda_table.py write DOC NAME PROGRAM BUDGET.toml STEM...

The table stands below the line "<!-- kernels of NAME, nvcc RELEASE -->". PROGRAM prints a line "traffic | kernel | shape | bytes / ideal |
sectors | bank conflicts" for each measurement; each kernel of the table needs one. BUDGET and STEM are those of cuda_budget.py. Of kernels
for both types of activations the table has those for f16. "code" with another release of nvcc is not run (exit 77): there the budgets
hold, and numbers may differ.
"""
import pathlib
import re
import subprocess
import sys
import tomllib

import cuda_budget

CODE = ["registers", "shared", "threads", "blocks", "in flight", "mma", "ldmatrix", "cp.async", "wide loads"]
MOVES = ["measured on", "bytes / ideal", "sectors", "conflicts"]
HEAD = ["kernel", *CODE, *MOVES]
INSTRUCTIONS = {"mma": r"mma\.sync", "ldmatrix": r"ldmatrix", "cp.async": r"cp\.async\.c[ag]", "wide loads": r"ld\.global\S*\.v[24]\."}
NOT_RUN = 77


def title(name):
    """f16's instance without its type, None for bf16's."""
    if "__nv_bfloat16" in name:
        return None
    name = re.sub(r"<__half(, )?", "<", name).replace("<>", "")
    return re.sub(r"<\w+::gemm_shape<([^>]*)> >", r"<\1>", name)


def code_cells(said, budget):
    blocks = cuda_budget.occupancy(said, budget)
    count = {key: sum(bool(re.match(pattern, line)) for line in said["instructions"]) for key, pattern in INSTRUCTIONS.items()}
    in_flight = blocks * budget["in_flight"] if "in_flight" in budget else "-"
    cells = [said["registers"], said["static_shared"] + budget.get("dynamic_shared", 0), budget["threads"], blocks, in_flight,
             *(count[key] for key in INSTRUCTIONS)]
    return [str(cell) for cell in cells]


def read_code(budget_path, stems):
    budgets = tomllib.loads(pathlib.Path(budget_path).read_text(encoding="utf-8"))
    kernels = cuda_budget.read_kernels(stems)
    return {title(name): code_cells(said, budgets[name]) for name, said in kernels.items() if title(name) and name in budgets}


def read_moves(text):
    """Kernel -> its cells: all shapes, and the worst of each number."""
    found = {}
    for line in text.splitlines():
        if line.startswith("traffic | "):
            kernel, shape, *numbers = line.split(" | ")[1:]
            found.setdefault(kernel, []).append((shape, numbers))
    return {kernel: ["; ".join(shape for shape, _ in all_of), *(max(column, key=float) for column in zip(*(n for _, n in all_of)))]
            for kernel, all_of in found.items()}


def marker(name):
    return re.compile(rf"<!-- kernels of {re.escape(name)}, nvcc ([\d.]+) -->\n(?:\n((?:\|.*\n)+))?")


def read_table(text, name):
    """(nvcc's release, kernel -> cells). Not found, or with another head: an error that says so."""
    found = marker(name).search(text)
    if not found:
        sys.exit(f"there is no line <!-- kernels of {name}, nvcc RELEASE -->")
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in (found[2] or "").splitlines()]
    if not rows or rows[0] != HEAD:
        sys.exit(f"the table of {name} has not the columns {', '.join(HEAD)}")
    return found[1], {row[0].strip("`"): row[1:] for row in rows[2:]}


def differences(table, truth, columns):
    """table, truth: kernel -> cells of these columns."""
    problems = [f"{kernel}: not in the table" for kernel in sorted(truth.keys() - table.keys())]
    problems += [f"{kernel}: in the table only" for kernel in sorted(table.keys() - truth.keys())]
    for kernel in sorted(table.keys() & truth.keys()):
        problems += [f"{kernel}: {column} is {is_} and not {was}" for column, was, is_ in
                     zip(columns, table[kernel], truth[kernel], strict=True) if was != is_]
    return problems


def release_of(stem):
    return re.search(r"release ([\d.]+)", pathlib.Path(f"{stem}.ptx").read_text(encoding="utf-8")[:2000])[1]


def run(program):
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


def lines_of(code, moves):
    yield "| " + " | ".join(HEAD) + " |"
    yield "| --- |" + " ---: |" * len(CODE) + " --- |" + " ---: |" * (len(MOVES) - 1)
    for kernel in sorted(code):
        yield "| " + " | ".join([f"`{kernel}`", *code[kernel], *moves.get(kernel, ["-"] * len(MOVES))]) + " |"


def write(doc, name, code, moves, release):
    text = doc.read_text(encoding="utf-8")
    old = marker(name).search(text)
    if not old:
        sys.exit(f"there is no line <!-- kernels of {name}, nvcc RELEASE -->")
    table = "\n".join([f"<!-- kernels of {name}, nvcc {release} -->", "", *lines_of(code, moves), ""])
    doc.write_text(text.replace(old[0], table), encoding="utf-8")


def main(arguments):
    if len(arguments) < 4:
        sys.exit(__doc__)
    mode, doc, name, *rest = arguments
    doc = pathlib.Path(doc)
    if mode == "write":
        program, budget, *stems = rest
        write(doc, name, read_code(budget, stems), read_moves(run(program)), release_of(stems[0]))
        return
    release, table = read_table(doc.read_text(encoding="utf-8"), name)
    if mode == "moves":
        problems = differences({k: cells[len(CODE):] for k, cells in table.items()}, read_moves(run(rest[0])), MOVES)
    else:
        budget, *stems = rest
        if release_of(stems[0]) != release:
            print(f"not run: the table is of nvcc {release}, and this is {release_of(stems[0])}")
            sys.exit(NOT_RUN)
        problems = differences({k: cells[:len(CODE)] for k, cells in table.items()}, read_code(budget, stems), CODE)
    for line in problems:
        print(f"{doc}: {line}")
    print(f"{len(table)} kernels, {len(problems)} differences")
    sys.exit(1 if problems or not table else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
