# SPDX-License-Identifier: Apache-2.0
"""GGUF's tensor types against the PyPI package `gguf`, on fresh random blocks in every run, bit for bit."""
import os
import pathlib
import re
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


@pytest.mark.parametrize("name", ["F16", "BF16"])
def test_every_16_bit_pattern_of_a_plain_type_has_the_value_of_gguf(name):
    patterns = numpy.arange(1 << 16, dtype="<u2")
    want = gguf_blocks.canonical_bits(gguf.quants.dequantize(patterns.view(numpy.uint8), GGMLQuantizationType[name]))
    got = gguf_blocks.canonical_bits(numpy.frombuffer(convert("decode", name, patterns), dtype="<f4"))
    wrong = numpy.flatnonzero(got != want)
    assert wrong.size == 0, f"{wrong.size} patterns differ; first: {wrong[0]:#06x} gives {got[wrong[0]]:#010x}, not {want[wrong[0]]:#010x}"


def test_no_type_that_is_read_is_left_out(tmp_path):
    """The program's own list of types, from its refusal of a type that it does not read."""
    model = tmp_path / "i32.gguf"
    writer = gguf.GGUFWriter(model, "llama")
    writer.add_tensor("t", numpy.zeros((1, 32), dtype=numpy.int32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    done = subprocess.run([BUILD / "bin/tenon", "inspect", model], capture_output=True, check=False, timeout=120)
    listed = re.search(r"it reads (F32, [A-Z0-9_, ]+)", done.stderr.decode())
    assert listed, done.stderr
    assert set(listed[1].split(", ")) == {"F64", "F32", "F16", "BF16", *gguf_blocks.TYPES}


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
