#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decode beside a process that burns one core: two threads must not be slower than one.

Usage: neighbour.py [--tenon PROGRAM] [--profile FILE] [--rounds N] [--decode N] [--threads N]

Each round measures one thread and N, alone and beside the neighbour, in turn; ratios are of one round, so that what else the
machine does falls out. Prints every round and the medians; the exit status is 1 when N threads beside the neighbour lose.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def measure(args):
    """Tokens per second by number of threads, from one interleaved run."""
    command = [args.tenon, "bench", "--profile", args.profile, "--prefill", "0", "--decode", str(args.decode),
               "--threads", f"1,{args.threads}", "--repeat", "3", "--json"]
    results = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["results"]
    return {r["threads"]: r["tokens_per_s"] for r in results}


def beside_neighbour(args):
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        try:
            return measure(args)
        finally:
            neighbour.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenon", default=ROOT / "build/release/bin/tenon")
    parser.add_argument("--profile", default=ROOT / "configs/cpu.yaml")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--decode", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    n = args.threads
    print(f"tokens/s      alone: 1 thread  {n} threads    beside a busy core: 1 thread  {n} threads   ratio")
    rounds = []
    for _ in range(args.rounds):
        alone, beside = measure(args), beside_neighbour(args)
        rounds.append((alone[1], alone[n], beside[1], beside[n], beside[n] / beside[1]))
        print("                   {:9.1f}  {:9.1f}                        {:9.1f}  {:9.1f}  {:6.2f}".format(*rounds[-1]), flush=True)
    median = [statistics.median(column) for column in zip(*rounds)]
    print("median             {:9.1f}  {:9.1f}                        {:9.1f}  {:9.1f}  {:6.2f}".format(*median))
    return 0 if median[4] >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
