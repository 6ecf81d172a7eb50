# SPDX-License-Identifier: Apache-2.0
"""What nvcc made of each kernel, held against its budget: registers, shared memory, occupancy, bytes in flight, PTX.

Usage: cuda_budget.py [--table | --architectures] BUDGET.toml STEM...

STEM.log is what ptxas -v said and STEM.ptx the PTX (cmake/nvcc.sh leaves both). The budget has a table a kernel, by its name without
namespace and parameters; every kernel has one:

    ["gemm_f16_kernel<3>"]
    threads = 64              # of a block
    registers = 64            # at most; 0 of them may be spilled, and no kernel may have a stack
    static_shared = 0         # bytes, at most
    dynamic_shared = 9216     # bytes of the launch
    blocks = 16               # of which a multiprocessor holds at least so many, computed
    in_flight = 6144          # bytes that a block has on their way from memory, by its design
    bound = "memory"          # then the multiprocessor needs MIN_IN_FLIGHT of them
    ptx = {"mma.sync" = 4, "lop3.b32" = "=1"}   # instructions that begin so: at least; with =, exactly
    allow = ["div.rn.f32"]    # of FORBIDDEN

--table prints the kernels as a table for docs/cuda.md. --architectures looks at each one that was compiled for: a line an architecture, no
kernel may spill or have a stack, each has a budget, and its block finds the registers and shared memory it needs.
"""
import pathlib
import re
import subprocess
import sys
import tomllib

ARCH = "sm_80"
# CUDA C++ Programming Guide, "Technical Specifications per Compute Capability", 8.0; the reserved 1 KiB a block: "Shared Memory".
REGISTERS, WARP_REGISTER_UNIT, WARP_UNIT = 65536, 256, 4
SHARED, SHARED_RESERVED, SHARED_UNIT, MAX_THREADS, MAX_BLOCKS = 164 * 1024, 1024, 128, 2048, 32
# Of a block, the least of the project's architectures: 8.6, 8.9 and 12.0.
MIN_BLOCK_SHARED = 99 * 1024
# Little's law on an A100: 2.0 TB/s * 600 ns / 108 multiprocessors.
MIN_IN_FLIGHT = 11 * 1024
# Memory of a thread's own, and arithmetic that is slow or of doubles.
FORBIDDEN = ["ld.local", "st.local", "div.rn.f32", "sqrt.rn.f32", "add.f64", "mul.f64", "fma.rn.f64", "cvt.f64", "cvt.rn.f64"]
KEYS = {"threads", "registers", "static_shared", "dynamic_shared", "blocks", "in_flight", "bound", "ptx", "allow"}

_ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:.*?, (\d+) bytes smem)?")
_PTX_ENTRY = re.compile(r"^\.(?:visible|weak) \.entry (\w+)\(", re.MULTILINE)


def read_log(text, arch=ARCH):
    """Mangled name -> what ptxas said, for one architecture."""
    found, current = {}, None
    for line in text.splitlines():
        if entry := _ENTRY.search(line):
            current = found.setdefault(entry[1], {}) if entry[2] == arch else None
        elif current is not None and (frame := _FRAME.search(line)):
            current["stack"], current["spills"] = int(frame[1]), int(frame[2]) + int(frame[3])
        elif current is not None and (used := _USED.search(line)):
            current["registers"], current["static_shared"] = int(used[1]), int(used[2] or 0)
    return found


def read_ptx(text):
    """Mangled name -> its instructions."""
    starts = list(_PTX_ENTRY.finditer(text))
    ends = [m.start() for m in starts[1:]] + [len(text)]
    bodies = {m[1]: text[m.end():end] for m, end in zip(starts, ends)}
    return {name: [re.sub(r"^@!?%\w+\s+", "", line.strip()) for line in body.splitlines()] for name, body in bodies.items()}


def short_name(mangled):
    """gemm_f16_kernel<3> for _ZN9simt_test15gemm_f16_kernelILi3EEEv..."""
    full = subprocess.run(["c++filt", mangled], capture_output=True, text=True, check=True).stdout.strip()
    depth, end = 0, len(full)
    for i, c in enumerate(full):  # up to the parameters: the first ( outside <>
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0 and not full.startswith("(anonymous", i):
            end = i
            break
    head, _, arguments = full[:end].partition("<")
    return re.split(r"[ :]", head)[-1] + (f"<{arguments}" if arguments else "")


def read_kernels(stems):
    kernels = {}
    for stem in stems:
        log = pathlib.Path(f"{stem}.log").read_text(encoding="utf-8")
        instructions = read_ptx(pathlib.Path(f"{stem}.ptx").read_text(encoding="utf-8"))
        for mangled, said in read_log(log).items():
            kernels[short_name(mangled)] = {**said, "instructions": instructions.get(mangled, [])}
    return kernels


def blocks_per_multiprocessor(registers, shared, threads):
    """CUDA Occupancy Calculator: registers are given to warps, in units, and warps to four partitions."""
    warps = -(-threads // 32)
    per_warp = -(-max(registers, 1) * 32 // WARP_REGISTER_UNIT) * WARP_REGISTER_UNIT
    by_registers = REGISTERS // per_warp // WARP_UNIT * WARP_UNIT // warps
    per_block = -(-(shared + SHARED_RESERVED) // SHARED_UNIT) * SHARED_UNIT
    return min(by_registers, SHARED // per_block, MAX_THREADS // (warps * 32), MAX_BLOCKS)


def occupancy(said, budget):
    return blocks_per_multiprocessor(said["registers"], said["static_shared"] + budget.get("dynamic_shared", 0), budget["threads"])


def count(instructions, prefix):
    return sum(line.startswith(prefix) for line in instructions)


def check_ptx(said, budget):
    for prefix, wanted in budget.get("ptx", {}).items():
        n, exactly = count(said["instructions"], prefix), str(wanted).startswith("=")
        number = int(str(wanted).lstrip("="))
        if n != number if exactly else n < number:
            yield f"{n} instructions {prefix}, {'exactly' if exactly else 'at least'} {number} are budgeted"
    for prefix in FORBIDDEN:
        n = count(said["instructions"], prefix)
        if n and prefix not in budget.get("allow", []):
            yield f"{n} instructions {prefix}, none is allowed"


def check_kernel(said, budget):
    if unknown := budget.keys() - KEYS:
        yield f"unknown keys {', '.join(sorted(unknown))}"
    if said["spills"] or said["stack"]:
        yield f"{said['spills']} bytes spilled and {said['stack']} of stack, none is allowed"
    for key in ("registers", "static_shared"):
        if said[key] > budget.get(key, 0):
            yield f"{said[key]} {key}, {budget.get(key, 0)} are budgeted"
    blocks = occupancy(said, budget)
    if blocks < budget.get("blocks", 1):
        yield f"{blocks} blocks a multiprocessor, {budget.get('blocks', 1)} are budgeted"
    if budget.get("bound") == "memory" and blocks * budget.get("in_flight", 0) < MIN_IN_FLIGHT:
        yield f"{blocks * budget.get('in_flight', 0)} bytes in flight a multiprocessor, {MIN_IN_FLIGHT} are needed"
    yield from check_ptx(said, budget)


def check(kernels, budgets):
    problems = [f"{name}: has no budget" for name in sorted(kernels.keys() - budgets.keys())]
    problems += [f"{name}: is budgeted and not built" for name in sorted(budgets.keys() - kernels.keys())]
    for name in sorted(kernels.keys() & budgets.keys()):
        problems += [f"{name}: {text}" for text in check_kernel(kernels[name], budgets[name])]
    return problems


def table(kernels, budgets):
    yield "| kernel | registers | shared memory | threads | blocks a multiprocessor | bytes in flight |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name in sorted(kernels.keys() & budgets.keys()):
        said, budget = kernels[name], budgets[name]
        blocks = occupancy(said, budget)
        in_flight = blocks * budget["in_flight"] if "in_flight" in budget else "-"
        yield (f"| `{name}` | {said['registers']} | {said['static_shared'] + budget.get('dynamic_shared', 0)} | {budget['threads']} "
               f"| {blocks} | {in_flight} |")


def check_architecture(arch, kernels, budgets):
    """kernels: what ptxas said. A block must fit; how many of them a multiprocessor holds is budgeted for ARCH only."""
    if missing := budgets.keys() - kernels.keys():
        yield f"{arch}: lacks {', '.join(sorted(missing))}"
    for name, said in sorted(kernels.items()):
        if said["spills"] or said["stack"]:
            yield f"{arch}, {name}: {said['spills']} bytes spilled and {said['stack']} of stack, none is allowed"
        if name not in budgets:
            yield f"{arch}, {name}: has no budget"
            continue
        shared = said["static_shared"] + budgets[name].get("dynamic_shared", 0)
        if shared > MIN_BLOCK_SHARED:
            yield f"{arch}, {name}: {shared} bytes of shared memory, {MIN_BLOCK_SHARED} fit everywhere"
        if blocks_per_multiprocessor(said["registers"], 0, budgets[name]["threads"]) < 1:
            yield f"{arch}, {name}: {said['registers']} registers for {budgets[name]['threads']} threads are too many"


def show_architectures(stems, budgets):
    logs = [pathlib.Path(f"{stem}.log").read_text(encoding="utf-8") for stem in stems]
    problems = []
    for arch in sorted({entry[2] for log in logs for entry in _ENTRY.finditer(log)}, key=lambda arch: int(arch[3:])):
        kernels = {short_name(name): said for log in logs for name, said in read_log(log, arch).items()}
        most = max(kernels, key=lambda name: kernels[name]["registers"])
        print(f"{arch}: {len(kernels)} kernels, {sum(k['spills'] for k in kernels.values())} bytes spilled, "
              f"{sum(k['stack'] for k in kernels.values())} of stack, at most {kernels[most]['registers']} registers ({most})")
        problems += check_architecture(arch, kernels, budgets)
    print("\n".join(problems))
    return problems


def main(arguments):
    mode = arguments[0] if arguments[:1] in (["--table"], ["--architectures"]) else ""
    budget_path, *stems = arguments[bool(mode):]
    if not stems:
        sys.exit(__doc__)
    budgets = tomllib.loads(pathlib.Path(budget_path).read_text(encoding="utf-8"))
    if mode == "--architectures":
        sys.exit(1 if show_architectures(stems, budgets) else 0)
    kernels = read_kernels(stems)
    if mode == "--table":
        print("\n".join(table(kernels, budgets)))
        return
    problems = check(kernels, budgets)
    for line in problems:
        print(f"{budget_path}: {line}")
    print(f"{len(kernels)} kernels, {len(problems)} over budget")
    sys.exit(1 if problems or not kernels else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
