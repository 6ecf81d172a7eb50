# SPDX-License-Identifier: Apache-2.0
"""`tenon convert` to GGUF: there and back again, and that a kill, a full disk, a failed malloc or a taken place leaves nothing wrong."""
import json
import os
import random
import resource
import secrets
import shutil
import signal
import subprocess
import time

import gguf
import pytest

from conftest import BUILD, ROOT

SMOLLM2 = ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"


def tensors(path):
    return {t.name: (t.tensor_type, tuple(t.shape), t.data.tobytes()) for t in gguf.GGUFReader(path).tensors}


def fields(path):
    return {k: f.contents() for k, f in gguf.GGUFReader(path).fields.items() if not k.startswith("GGUF.")}


@pytest.fixture(name="directory")
def make_directory(tenon, tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("directory") / "hf"
    tenon("convert", tiny, path)
    return path


@pytest.mark.parametrize("options", [(), ("--spm", "1"), ("--type", "F16"), ("--type", "BF16", "--tied", "0"), ("--rotary-dim", "8"),
                                     ("--rope-scaling", "yarn", "--rope-factor", "2"), ("--rope-scaling", "linear", "--rope-factor", "2")])
def test_there_and_back_again_the_tensors_and_the_tokenizer_are_the_same(tenon, make_model, tmp_path, options):
    model = make_model(*options)
    tenon("convert", model, tmp_path / "hf")
    report = tenon.json("convert", tmp_path / "hf", tmp_path / "m.gguf")
    assert tensors(tmp_path / "m.gguf") == tensors(model)
    assert report["bytes"] == (tmp_path / "m.gguf").stat().st_size and report["largest_rounding_error"]["error"] == 0
    before, after = fields(model), fields(tmp_path / "m.gguf")
    # No directory says what is no token, nor what linear scaling does not use.
    dropped = {"tokenizer.ggml.padding_token_id"} if "--spm" in options else set()
    dropped |= {"llama.rope.scaling.original_context_length"} if "linear" in options else set()
    same = [k for k in before if k.startswith(("tokenizer.", "llama.")) and k not in dropped]
    assert len(same) > 15 and {k: after.get(k) for k in same} == {k: before[k] for k in same}


def test_factors_come_back_as_those_of_every_length(tenon, make_model, tmp_path):
    model = make_model("--freq-factors", "1")
    tenon("convert", model, tmp_path / "hf")
    tenon("convert", tmp_path / "hf", tmp_path / "m.gguf")
    before, after = tensors(model), tensors(tmp_path / "m.gguf")
    factors = before.pop("rope_freqs.weight")
    assert after.pop("rope_factors_long.weight") == factors and after.pop("rope_factors_short.weight") == factors
    assert after == before


def test_what_dst_is_to_be_is_said_by_its_name_or_by_to(tenon, directory, tmp_path):
    tenon("convert", directory, tmp_path / "plain-name")
    tenon("convert", directory, tmp_path / "other", "--to", "gguf")
    tenon("convert", tmp_path / "other", tmp_path / "back.gguf", "--to", "hf")
    assert b"is a Hugging Face directory already" in tenon("convert", directory, tmp_path / "hf", "--to", "hf", status=2).stderr
    assert (tmp_path / "plain-name").read_bytes()[:4] == b"GGUF" and (tmp_path / "back.gguf/config.json").exists()


def test_a_place_that_is_taken_is_refused_and_left_alone(tenon, directory, tmp_path):
    (tmp_path / "m.gguf").write_text("mine")
    (tmp_path / "d.gguf").mkdir()
    (tmp_path / "l.gguf").symlink_to("nowhere")
    for name in ("m.gguf", "d.gguf", "l.gguf"):
        assert b"is there already; remove it or give another name" in tenon("convert", directory, tmp_path / name, status=2).stderr
    assert b"No such file or directory" in tenon("convert", directory, tmp_path / "none/m.gguf", status=2).stderr
    assert b"DST is empty; give the name of a new file" in tenon("convert", directory, "", status=2).stderr
    assert b"auto, f32, f16 and bf16 are allowed" in tenon("convert", directory, tmp_path / "n.gguf", "--dtype", "q4", status=2).stderr
    assert (tmp_path / "m.gguf").read_text() == "mine" and sorted(p.name for p in tmp_path.iterdir()) == ["d.gguf", "l.gguf", "m.gguf"]


def test_overflow_of_f16_names_the_tensor(tenon, directory, tmp_path):
    shutil.copytree(directory, tmp_path / "hf")
    data = bytearray((tmp_path / "hf/model.safetensors").read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    begin = json.loads(data[8:start])["model.layers.1.mlp.up_proj.weight"]["data_offsets"][0]
    data[start + begin:start + begin + 4] = b"\x00\x24\x74\x49"  # 1e6
    (tmp_path / "hf/model.safetensors").write_bytes(data)
    message = tenon("convert", tmp_path / "hf", tmp_path / "m.gguf", "--dtype", "f16", status=2).stderr
    assert b"blk.1.ffn_up.weight: 1e+06 is past the range of F16; give --dtype bf16 or f32" in message
    assert [p.name for p in tmp_path.iterdir()] == ["hf"]


def test_a_disk_without_room_is_said_before_anything_is_written(tenon, directory, tmp_path):
    """A directory of 8.8 TB, nearly all of it a hole, whose conversion takes half of that."""
    shutil.copytree(directory, tmp_path / "hf")
    config = json.loads((tmp_path / "hf/config.json").read_text(encoding="utf-8"))
    (tmp_path / "hf/tokenizer.json").unlink()
    rows, name = 1 << 23, "model.embed_tokens.weight"
    data = (tmp_path / "hf/model.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header, dim, at = json.loads(data[8:start]), 1 << 17, 0
    config |= {"hidden_size": dim, "vocab_size": rows, "tie_word_embeddings": True}
    shapes = {"embed_tokens": [rows, dim], "q_proj": [64, dim], "k_proj": [32, dim], "v_proj": [32, dim], "o_proj": [dim, 64],
              "gate_proj": [96, dim], "up_proj": [96, dim], "down_proj": [dim, 96]}
    for name, tensor in header.items():
        if name != "__metadata__":
            tensor["shape"] = next((s for part, s in shapes.items() if part in name), [dim])
            tensor["dtype"] = "F64"
            n_bytes = 8
            for n in tensor["shape"]:
                n_bytes *= n
            tensor["data_offsets"] = [at, at + n_bytes]
            at += n_bytes
    text = json.dumps(header).encode()
    with open(tmp_path / "hf/model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    (tmp_path / "hf/config.json").write_text(json.dumps(config), encoding="utf-8")
    message = tenon("convert", tmp_path / "hf", tmp_path / "m.gguf", status=1).stderr.decode()
    assert f"m.gguf needs {at // 2 // 10**6}" in message and "MB are free there; make room or give another place" in message
    assert [p.name for p in tmp_path.iterdir()] == ["hf"]


def test_a_full_disk_leaves_nothing(directory, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    done = subprocess.run([BUILD / "bin/tenon", "convert", directory, tmp_path / "m.gguf"], capture_output=True, preexec_fn=limit,
                          timeout=60, check=False)
    assert done.returncode == 1 and b"cannot write" in done.stderr and list(tmp_path.iterdir()) == []


@pytest.fixture(name="large", scope="module")
def make_large(tenon, make_model, tmp_path_factory):
    model = make_model("--type", "Q8_0", "--dim", "1024", "--ffn", "4096", "--head-dim", "256", "--layers", "2")
    path = tmp_path_factory.mktemp("large") / "hf"
    tenon("convert", model, path, "--dtype", "bf16")
    return path


def started(large, target):
    return subprocess.Popen([BUILD / "bin/tenon", "convert", large, target, "--dtype", "f32"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def test_a_kill_leaves_the_whole_file_or_none(tenon, large, tmp_path):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    begin = time.monotonic()
    tenon("convert", large, tmp_path / "whole.gguf", "--dtype", "f32")
    duration = time.monotonic() - begin
    want = (tmp_path / "whole.gguf").read_bytes()
    outcomes = set()
    for i in range(50):
        target = tmp_path / f"{i}.gguf"
        process = started(large, target)
        try:
            process.wait(rng.uniform(0, 1.1 * duration))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        outcomes.add(target.exists())
        assert not target.exists() or target.read_bytes() == want
        for left in tmp_path.glob(f"{i}.gguf*"):
            left.unlink()
    assert False in outcomes, "no kill came in time"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_removes_what_was_written(large, tmp_path, number):
    process = started(large, tmp_path / "m.gguf")
    while process.poll() is None and not list(tmp_path.iterdir()):
        pass
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and stderr == b"tenon: interrupted; nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_smollm2_in_f16_comes_back_with_its_tensors_and_ids(tenon, tmp_path):
    assert SMOLLM2.exists(), f"{SMOLLM2} is not there: run scripts/fetch-model.sh"
    tenon("convert", SMOLLM2, tmp_path / "hf", "--dtype", "f16")
    tenon("convert", tmp_path / "hf", tmp_path / "m.gguf")
    tenon("convert", tmp_path / "m.gguf", tmp_path / "again")
    for name in ("tokenizer.json", "generation_config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "hf" / name).read_bytes()
    prompt = json.loads((ROOT / "tests/e2e/golden/smollm2_prompts.json").read_text(encoding="utf-8"))[0]
    ids = tenon("tokenize", "--model", tmp_path / "m.gguf", input=prompt["text"].encode()).stdout.split()
    assert list(map(int, ids)) == prompt["ids"]
    assert {k: v for k, v in fields(tmp_path / "m.gguf").items() if k.startswith("tokenizer.")}.items() <= {
        **fields(SMOLLM2), "tokenizer.ggml.add_eos_token": False, "tokenizer.ggml.add_bos_token": False}.items()
