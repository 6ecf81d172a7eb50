# SPDX-License-Identifier: Apache-2.0
"""Random blocks of GGUF tensor types, and their values by the PyPI package `gguf`."""
import gguf
import numpy
from gguf import GGMLQuantizationType

# Where the f16 scales and minimums of a block are (ggml-common.h).
SCALES = {"Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2),
          "Q5_K": (0, 2), "Q6_K": (208,), "Q8_K": (), "IQ4_NL": (0,), "IQ4_XS": (0,)}
TYPES = list(SCALES)

# Zeros, least and largest subnormals, the normals on their border, ones, the largest, infinities, NaNs.
EXTREME_F16 = (0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x83ff, 0x0400, 0x3c00, 0xbc00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe01)
# The same of f32, for the scale of Q8_K.
EXTREME_F32 = (0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x3f800000, 0x7f7fffff, 0xff7fffff, 0x7f800000,
               0xff800000, 0x7fc00000)


def sizes(name):
    """Elements and bytes of a block."""
    return gguf.GGML_QUANT_SIZES[GGMLQuantizationType[name]]


def random_blocks(name, n, rng):
    """n blocks of random bytes, and then some with every extreme scale (every pair of them where there is a minimum)."""
    n_bytes = sizes(name)[1]
    places = SCALES[name]
    if name == "Q8_K":
        extremes = [(0, value, "<u4") for value in EXTREME_F32]
        cases = [[case] for case in extremes]
    elif len(places) == 1:
        cases = [[(places[0], value, "<u2")] for value in EXTREME_F16]
    else:
        cases = [[(places[0], d, "<u2"), (places[1], m, "<u2")] for d in EXTREME_F16 for m in EXTREME_F16]
    blocks = rng.integers(0, 256, (n + len(cases), n_bytes), dtype=numpy.uint8)
    for block, case in zip(blocks[n:], cases, strict=True):
        for offset, value, dtype in case:
            raw = numpy.array([value], dtype=dtype).view(numpy.uint8)
            block[offset:offset + raw.size] = raw
    return blocks


def dequantize(name, blocks):
    """Values [n, elements]. `gguf` has no Q8_K: its formula is that of ggml-quants.c, dequantize_row_q8_K: d * q in float32."""
    with numpy.errstate(all="ignore"):
        if name == "Q8_K":
            d = numpy.ascontiguousarray(blocks[:, :4]).view("<f4")
            return d * blocks[:, 4:4 + 256].view(numpy.int8).astype(numpy.float32)
        return gguf.quants.dequantize(blocks, GGMLQuantizationType[name])


def canonical_bits(values):
    """Bits of f32 values; every NaN is one, since no standard says which of them inf * 0 gives."""
    bits = numpy.ascontiguousarray(values, dtype="<f4").view("<u4").copy()
    bits[numpy.isnan(values)] = 0x7fc00000
    return bits
