# SPDX-License-Identifier: Apache-2.0
"""Repro files of tenon check, read and written with the standard library alone: safetensors, repro.json, repro.sha256."""
import hashlib
import json
import struct

SIZE = {"F32": 4, "I32": 4, "U8": 1}


def read(path):
    """(the values of repro.json, {name: (type, bytearray)})"""
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            arrays[name] = (entry["dtype"], bytearray(data[8 + n + begin:8 + n + end]))
    meta = json.loads(bytes(arrays.pop("repro.json")[1]))
    del arrays["repro.sha256"]
    return meta, arrays


def write(path, meta, arrays):
    arrays = {**arrays, "repro.json": ("U8", json.dumps(meta).encode())}
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + b"\0" + bytes(arrays[name][1]))
    arrays["repro.sha256"] = ("U8", digest.hexdigest().encode())
    header, data = {}, b""
    for name, (kind, content) in arrays.items():
        header[name] = {"dtype": kind, "shape": [len(content) // SIZE[kind]], "data_offsets": [len(data), len(data) + len(content)]}
        data += bytes(content)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
