# SPDX-License-Identifier: Apache-2.0
"""The words of two runs of simt_selftest: equal, or which wrapper differs, where and by what.

Usage: compare_words.py FIRST SECOND | compare_words.py --self-test PROGRAM

--self-test runs the program under every schedule of the emulator and compares the runs, and that a wrong word would be found.
"""
import itertools
import os
import subprocess
import sys

MIN_CASES = 20


def parse(text):
    words = {}
    for line in text.splitlines():
        case, lane, word, bits = line.split()
        words.setdefault(case, {})[int(lane), int(word)] = bits
    return words


def differences(first, second):
    """One line a case that differs, with the first place."""
    lines = [f"{case}: only in one run" for case in sorted(first.keys() ^ second.keys())]
    for case in sorted(first.keys() & second.keys()):
        wrong = [at for at in sorted(first[case].keys() | second[case].keys()) if first[case].get(at) != second[case].get(at)]
        if wrong:
            lane, word = wrong[0]
            lines.append(f"{case}: {len(wrong)} words differ, first lane {lane} word {word}: {first[case].get(wrong[0])} and "
                         f"{second[case].get(wrong[0])}")
    return lines


def run(program, **env):
    done = subprocess.run([program], capture_output=True, text=True, check=True, env={**os.environ, **env})
    return parse(done.stdout)


def self_test(program):
    base = run(program)
    problems = [] if len(base) >= MIN_CASES else [f"only {len(base)} cases"]
    for schedule, copies in itertools.product(("fifo", "lifo", "random"), ("late", "eager")):
        other = run(program, TENON_SIMT_SCHEDULE=schedule, TENON_SIMT_CP_ASYNC=copies)
        problems += [f"{schedule}, {copies}: {line}" for line in differences(base, other)]
    changed = {case: dict(words) for case, words in base.items()}
    changed["lop3"][5, 2] = "00000000"
    if len(differences(base, changed)) != 1:
        problems.append("a wrong word is not found")
    silent = [case for case, words in base.items() if len(set(words.values())) < 3]
    problems += [f"{case}: gives hardly any words" for case in silent if case != "block_is_last"]
    return problems


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__)
    if arguments[0] == "--self-test":
        problems = self_test(arguments[1])
    else:
        with open(arguments[0], encoding="utf-8") as first, open(arguments[1], encoding="utf-8") as second:
            problems = differences(parse(first.read()), parse(second.read()))
    for line in problems:
        print(line)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
