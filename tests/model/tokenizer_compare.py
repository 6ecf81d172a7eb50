# SPDX-License-Identifier: Apache-2.0
"""Runs tokenize_source and compares what it says with a Python tokenizer."""
import os
import pathlib
import struct
import subprocess

BUILD = pathlib.Path(os.environ.get("TENON_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build/release"))
BOS, SPECIAL, RAW_IDS = 1, 2, 4


def run(kind, path, records):
    """[(flags, bytes or ids)] -> [(ids, decoded bytes, decoded bytes with control tokens)]"""
    data = b""
    for flags, value in records:
        body = value if isinstance(value, bytes) else struct.pack(f"<{len(value)}i", *value)
        data += struct.pack("<BI", flags, len(body)) + body
    done = subprocess.run([BUILD / "bin/tokenize_source", kind, path], input=data, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    return [([int(i) for i in ids.split()], bytes.fromhex(plain), bytes.fromhex(full)) for ids, plain, full in rows]


def differences(texts, rows, encode, decode):
    """Texts on which ids or either decode differ from those of encode(text) and decode(ids, skip_special)."""
    wrong = []
    for text, (ids, plain, full) in zip(texts, rows, strict=True):
        want = encode(text)
        if ids != want:
            wrong.append(("ids", text, ids, want))
        elif plain.decode(errors="replace") != decode(want, True):
            wrong.append(("text", text, plain, decode(want, True)))
        elif full.decode(errors="replace") != decode(want, False):
            wrong.append(("full text", text, full, decode(want, False)))
    return wrong
