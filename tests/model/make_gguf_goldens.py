# SPDX-License-Identifier: Apache-2.0
"""Goldens of GGUF's tensor types, made by the PyPI package `gguf`: run by hand when a golden has to change.

    .venv/bin/python tests/model/make_gguf_goldens.py

Writes golden/gguf_blocks.txt. A line has a type, one block in hex, and the SHA-256 of its f32 values, little endian, every NaN as
0x7fc00000. The blocks are random, with a fixed seed; some have extreme scales. test_gguf_types.c reads it.
"""
import hashlib
import pathlib

import numpy

import gguf_blocks

SEED = 20240
N_RANDOM, N_EXTREME = 16, 24


def main():
    lines = []
    for index, name in enumerate(gguf_blocks.TYPES):
        if name in ("Q4_0", "Q4_1", "Q8_0"):
            continue  # read as codes; test_gguf_types.py compares their values
        rng = numpy.random.default_rng([SEED, index])
        blocks = gguf_blocks.random_blocks(name, N_RANDOM, rng)
        extreme = N_RANDOM + rng.permutation(len(blocks) - N_RANDOM)[:N_EXTREME]
        blocks = blocks[[*range(N_RANDOM), *sorted(extreme)]]
        bits = gguf_blocks.canonical_bits(gguf_blocks.dequantize(name, blocks))
        for block, row in zip(blocks, bits, strict=True):
            lines.append(f"{name} {block.tobytes().hex()} {hashlib.sha256(row.tobytes()).hexdigest()}\n")
    path = pathlib.Path(__file__).parent / "golden/gguf_blocks.txt"
    path.write_text("".join(lines), encoding="ascii")
    print(f"{path}: {len(lines)} blocks, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
