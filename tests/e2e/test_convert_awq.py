# SPDX-License-Identifier: Apache-2.0
"""`tenon convert` to AWQ directories and to shards: the same bits, what the packages `gguf` and `safetensors` make of them, and what a kill
leaves."""
import json
import random
import secrets
import signal
import subprocess
import sys
import time

import gguf
import numpy
import pytest
import safetensors
import safetensors.numpy

from conftest import BUILD, ROOT
from test_convert import logits

sys.path.insert(0, str(ROOT / "tests/model/hf"))
import quantise  # the layout by AutoAWQ's rules, in numpy

Q4_0 = ("--type", "Q4_0", "--embed-type", "F16")
LINEARS = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
           "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def halves(value, heads):
    """Rows of q and k from GGUF's pairs of neighbours into halves of a head: LlamaModel.permute of convert_hf_to_gguf.py, reversed."""
    return value.reshape(heads, -1, 2, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)


def in_hf_order(name, value, heads=4, kv_heads=2):
    return halves(value, heads if "q_proj" in name else kv_heads) if "q_proj" in name or "k_proj" in name else value


def unpacked(directory, module):
    t = safetensors.numpy.load_file(directory / "model.safetensors")
    return quantise.values(*quantise.from_awq({kind: t[f"{module}.{kind}"] for kind in ("qweight", "qzeros", "scales")}))


def patched(source, target, change):
    """A copy with the blocks of each Q4_1 tensor changed."""
    data = bytearray(source.read_bytes())
    for t in gguf.GGUFReader(source).tensors:
        if t.tensor_type.name == "Q4_1":
            blocks = t.data.reshape(-1, 20).copy()
            change(t.name, blocks)
            data[t.data_offset:t.data_offset + blocks.nbytes] = blocks.tobytes()
    target.write_bytes(data)
    return target


def whole_zero_points(_, blocks):
    """d of 7 bits and m of so many of it, 0 to 15, that both are exact in f16."""
    blocks[:, 0] &= 0xf0
    d = blocks[:, :2].copy().view("<f2").astype(numpy.float64)
    zero = numpy.arange(len(blocks)).reshape(-1, 1) % 16
    blocks[:, 2:4] = (-d * zero).astype("<f2").view(numpy.uint8)


# ---- AWQ ----


@pytest.mark.parametrize("options", [(), ("--tied", "0"), ("--rotary-dim", "8"), ("--kv-heads", "4"), ("--spm", "1")])
def test_q4_0_as_awq_has_the_bits_of_the_gguf(tenon, make_model, tmp_path, options):
    model = make_model(*Q4_0, *options)
    told = tenon.json("convert", model, tmp_path / "awq", "--type", "awq")
    assert told["largest_rounding_error"]["error"] == 0
    assert {f["name"]: f["tensors"] for f in told["formats"]}["AWQ"] == 14
    assert told["bytes"] == sum(f.stat().st_size for f in (tmp_path / "awq").iterdir())
    assert (logits(tmp_path / "awq") == logits(model)).all()


def test_codes_and_scales_are_those_of_the_gguf_in_hugging_faces_order(tenon, make_model, tmp_path):
    model = make_model(*Q4_0)
    tenon("convert", model, tmp_path / "awq", "--type", "awq")
    theirs = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(model).tensors}
    for layer in range(2):
        for module, core in LINEARS.items():
            want = in_hf_order(module, theirs[f"blk.{layer}.{core}.weight"])
            assert (unpacked(tmp_path / "awq", f"model.layers.{layer}.{module}") == want).all(), module


@pytest.mark.parametrize("options", [Q4_0, (*Q4_0, "--tied", "0", "--spm", "1")])
def test_there_and_back_gives_the_tensors_of_the_gguf(tenon, make_model, tmp_path, options):
    model = make_model(*options)
    tenon("convert", model, tmp_path / "awq", "--type", "awq", "--max-shard-size", "20KB")
    tenon("convert", tmp_path / "awq", tmp_path / "back.gguf")
    before, after = ({t.name: (t.tensor_type, t.data.tobytes()) for t in gguf.GGUFReader(path).tensors}
                     for path in (model, tmp_path / "back.gguf"))
    assert after == before


def test_what_loaders_of_awq_look_at_is_there(tenon, make_model, tmp_path):
    tenon("convert", make_model(*Q4_0), tmp_path / "awq", "--type", "awq", "--dtype", "f16")
    config = json.loads((tmp_path / "awq/config.json").read_text(encoding="utf-8"))
    assert config["torch_dtype"] == "float16"
    assert config["quantization_config"] == {"quant_method": "awq", "version": "gemm", "bits": 4, "group_size": 32, "zero_point": True,
                                             "modules_to_not_convert": ["model.embed_tokens", "lm_head"]}
    with safetensors.safe_open(tmp_path / "awq/model.safetensors", "numpy") as f:
        shapes = {name: (f.get_slice(name).get_dtype(), f.get_slice(name).get_shape()) for name in f.keys()}
    up = "model.layers.1.mlp.up_proj."
    assert {k.removeprefix(up): v for k, v in shapes.items() if k.startswith(up)} == {
        "qweight": ("I32", [64, 12]), "qzeros": ("I32", [2, 12]), "scales": ("F16", [2, 96])}
    assert {v[0] for k, v in shapes.items() if k.endswith("weight") and not k.endswith("qweight")} == {"F16"}


def test_q4_1_with_whole_zero_points_has_the_bits_too(tenon, make_model, tmp_path):
    model = patched(make_model("--type", "Q4_1", "--embed-type", "F16"), tmp_path / "m.gguf", whole_zero_points)
    told = tenon.json("convert", model, tmp_path / "awq", "--type", "awq")
    assert told["largest_rounding_error"]["error"] == 0
    assert (logits(tmp_path / "awq") == logits(model)).all()
    zeros = safetensors.numpy.load_file(tmp_path / "awq/model.safetensors")["model.layers.0.mlp.down_proj.qzeros"]
    assert set(quantise.unpack_words(zeros, quantise.AWQ_ORDER).flat) == set(range(16))


def test_q4_1_with_other_offsets_is_refused_with_tensor_and_error(tenon, make_model, tmp_path):
    def half_a_step(name, blocks):
        whole_zero_points(name, blocks)
        if name == "blk.1.ffn_gate.weight":
            blocks[5, :4] = numpy.array([0.25, -1.125], "<f2").view(numpy.uint8)  # 4.5 steps
    model = patched(make_model("--type", "Q4_1", "--embed-type", "F16"), tmp_path / "m.gguf", half_a_step)
    message = tenon("convert", model, tmp_path / "awq", "--type", "awq", status=2).stderr
    assert b"blk.1.ffn_gate.weight is Q4_1 and its offsets are no whole zero points: AWQ would change weights by up to 0.125" in message
    assert [p.name for p in tmp_path.iterdir()] == ["m.gguf"]


@pytest.mark.parametrize("what,options,message", [
    ("another type", ("--v-type", "Q8_0"), b"tensor blk.0.attn_v.weight is Q8_0; of linears --type awq takes Q4_0, and Q4_1"),
    ("rows that fill no words", ("--heads", "8", "--kv-heads", "1", "--head-dim", "4"),
     b"tensor blk.0.attn_k.weight: 4 outputs of 64 inputs; AWQ needs a multiple of 8 outputs"),
])
def test_a_linear_that_awq_has_not_is_refused_by_name(tenon, make_model, tmp_path, what, options, message):
    assert message in tenon("convert", make_model(*Q4_0, *options), tmp_path / "awq", "--type", "awq", status=2).stderr, what
    assert list(tmp_path.iterdir()) == []


def test_types_and_sizes_that_make_no_sense_are_refused(tenon, make_model, tmp_path):
    model = make_model(*Q4_0)
    assert b"--type gptq: plain and awq are allowed" in tenon("convert", model, tmp_path / "a", "--type", "gptq", status=2).stderr
    for size in ("", "GB", "0GB", "-1GB", "1TB", "9999999999KB", "1.5GB", "5 GB"):
        assert b"--max-shard-size" in tenon("convert", model, tmp_path / "a", f"--max-shard-size={size}", status=2).stderr, size
    tenon("convert", model, tmp_path / "hf")
    for option in (("--type", "awq"), ("--max-shard-size", "1GB")):
        assert b"DST is a GGUF file" in tenon("convert", tmp_path / "hf", tmp_path / "b.gguf", *option, status=2).stderr
    assert [p.name for p in tmp_path.iterdir()] == ["hf"]


# ---- shards ----


@pytest.mark.parametrize("options", [(), ("--type", "awq")])
def test_shards_have_the_tensors_of_one_file_and_an_index_of_them(tenon, make_model, tmp_path, options):
    model = make_model(*Q4_0)
    tenon("convert", model, tmp_path / "one", *options, "--max-shard-size", "1GiB")
    told = tenon.json("convert", model, tmp_path / "cut", *options, "--max-shard-size", "20KB")
    one = safetensors.numpy.load_file(tmp_path / "one/model.safetensors")
    index = json.loads((tmp_path / "cut/model.safetensors.index.json").read_text(encoding="utf-8"))
    files = sorted(p.name for p in (tmp_path / "cut").glob("*.safetensors"))
    assert files == [f"model-{i + 1:05}-of-{len(files):05}.safetensors" for i in range(len(files))] and len(files) > 2
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in one.values())
    assert told["bytes"] == sum(f.stat().st_size for f in (tmp_path / "cut").iterdir())
    found = {}
    for name in files:
        shard = safetensors.numpy.load_file(tmp_path / "cut" / name)
        assert {index["weight_map"][t] for t in shard} == {name}
        assert sum(t.nbytes for t in shard.values()) <= 20000 or len(shard) == 1
        found |= shard
    assert set(found) == set(one) == set(index["weight_map"])
    assert all((found[name] == one[name]).all() for name in one)
    assert (logits(tmp_path / "cut") == logits(tmp_path / "one")).all()


def test_no_limit_makes_more_files_than_are_read(tenon, make_model, tmp_path):
    model = make_model("--type", "F32", "--layers", "120", "--dim", "32", "--ffn", "32", "--heads", "2", "--kv-heads", "1")
    message = tenon("convert", model, tmp_path / "hf", "--max-shard-size", "1B", status=2).stderr
    assert b"--max-shard-size is too small: 1082 files; at most 1024 are allowed" in message
    assert list(tmp_path.iterdir()) == []


# ---- kills ----

SHARDED_AWQ = ("--type", "awq", "--max-shard-size", "3MB")


@pytest.fixture(name="large")
def make_large(make_model):
    return make_model(*Q4_0, "--dim", "512", "--ffn", "2048", "--head-dim", "128", "--layers", "4")


def test_a_kill_leaves_all_shards_or_none(tenon, large, tmp_path):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    begin = time.monotonic()
    tenon("convert", large, tmp_path / "whole", *SHARDED_AWQ)
    duration = time.monotonic() - begin
    want = {p.name: p.read_bytes() for p in (tmp_path / "whole").iterdir()}
    outcomes = set()
    for i in range(50):
        process = subprocess.Popen([BUILD / "bin/tenon", "convert", large, tmp_path / f"hf{i}", *SHARDED_AWQ],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0, 1.1 * duration))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        outcomes.add((tmp_path / f"hf{i}").exists())
        if (tmp_path / f"hf{i}").exists():
            assert {p.name: p.read_bytes() for p in (tmp_path / f"hf{i}").iterdir()} == want
        for left in tmp_path.glob(f"hf{i}*"):
            subprocess.run(["rm", "-r", left], check=True)
    assert False in outcomes, "no kill came in time"
