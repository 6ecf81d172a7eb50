# SPDX-License-Identifier: Apache-2.0
"""GGUF's tensor types against the PyPI package `gguf`, on fresh random blocks in every run, bit for bit."""
import os
import pathlib
import secrets
import subprocess

import gguf
import numpy
import pytest
from gguf import GGMLQuantizationType

import gguf_blocks

BUILD = pathlib.Path(os.environ.get("TENON_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build/release"))
N_BLOCKS = 4096


def convert(action, name, data):
    return subprocess.run([BUILD / "bin/convert_blocks", action, name], input=data.tobytes(), capture_output=True, check=True,
                          timeout=120).stdout


@pytest.fixture(name="rng")
def fresh_rng():
    seed = secrets.randbits(64)
    print(f"seed {seed}")  # shown when the test fails
    return numpy.random.default_rng(seed)


@pytest.mark.parametrize("name", gguf_blocks.TYPES)
def test_a_type_dequantises_to_the_bits_of_gguf(name, rng):
    blocks = gguf_blocks.random_blocks(name, N_BLOCKS, rng)
    want = gguf_blocks.canonical_bits(gguf_blocks.dequantize(name, blocks))
    got = gguf_blocks.canonical_bits(numpy.frombuffer(convert("decode", name, blocks), dtype="<f4").reshape(want.shape))
    wrong = numpy.argwhere(got != want)
    assert wrong.size == 0, f"{len(wrong)} values differ; first: block {blocks[wrong[0][0]].tobytes().hex()}, element {wrong[0][1]}"


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_a_type_is_written_with_the_bytes_of_gguf(name, rng):
    elements, _ = gguf_blocks.sizes(name)
    scale = numpy.exp2(rng.uniform(-12, 12, (N_BLOCKS, 1)))
    values = (rng.standard_normal((N_BLOCKS, elements)) * scale).astype(numpy.float32)
    values[0] = 0
    values[1] = values[1, 0]
    with numpy.errstate(all="ignore"):
        want = gguf.quants.quantize(values, GGMLQuantizationType[name])
    got = numpy.frombuffer(convert("encode", name, values), dtype=numpy.uint8).reshape(want.shape)
    wrong = numpy.argwhere((got != want).any(axis=-1))
    assert wrong.size == 0, f"{len(wrong)} blocks differ; first: {values[wrong[0][0]]!r}"
