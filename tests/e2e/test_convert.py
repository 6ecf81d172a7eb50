# SPDX-License-Identifier: Apache-2.0
"""`tenon convert`: logits and ids after it, what PyPI packages make of it, and that a kill or a full disk leaves nothing wrong."""
import json
import pathlib
import random
import resource
import secrets
import signal
import subprocess
import sys
import time

import gguf
import numpy
import pytest
import safetensors.numpy
import sentencepiece
import tokenizers

from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests/model"))
import hf_support

IDS = [1, 5, 9, 40, 33, 21, 60, 7, 7, 100, 3]
SMOLLM2 = ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"


def logits(model, ids=tuple(IDS)):
    return hf_support.run(model, ids)


def assert_near(got, want, tolerance=1e-5):
    hf_support.assert_near(got, want, tolerance)


def rounded(source, target):
    """The GGUF with every tensor as F32 that holds the f16 nearest to its values: by the package gguf alone."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.alignment", "general.quantization_version"):
            writer.add_key_value(key, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for t in reader.tensors:
        values = gguf.quants.dequantize(t.data, t.tensor_type).astype(numpy.float16).astype(numpy.float32)
        writer.add_tensor(t.name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@pytest.mark.parametrize("options", [(), ("--type", "Q4_1", "--tied", "0"), ("--type", "Q8_0", "--rope-scaling", "yarn", "--rope-factor", "2"),
                                     ("--rope-scaling", "linear", "--rope-factor", "2"), ("--freq-factors", "1"), ("--rotary-dim", "8"),
                                     ("--type", "F16", "--v-type", "BF16")])
def test_f32_has_the_logits_of_the_gguf(tenon, make_model, tmp_path, options):
    model = make_model(*options)
    tenon("convert", model, tmp_path / "hf", "--dtype", "f32")
    assert_near(logits(tmp_path / "hf"), logits(model))


def test_f16_has_the_logits_of_the_rounded_gguf(tenon, make_model, tmp_path):
    model = make_model("--type", "Q4_1")
    tenon("convert", model, tmp_path / "hf", "--dtype", "f16")
    assert_near(logits(tmp_path / "hf"), logits(rounded(model, tmp_path / "f16.gguf")))


def test_auto_keeps_plain_tensors_and_makes_others_f16(tenon, make_model, tmp_path):
    told = tenon.json("convert", make_model("--type", "Q8_0", "--embed-type", "F32"), tmp_path / "hf")
    assert {f["name"] for f in told["formats"]} == {"F32", "F16"}
    tensors = safetensors.numpy.load_file(tmp_path / "hf/model.safetensors")
    assert tensors["model.embed_tokens.weight"].dtype == numpy.float32
    assert tensors["model.layers.1.mlp.up_proj.weight"].dtype == numpy.float16
    assert told["bytes"] == sum(f.stat().st_size for f in (tmp_path / "hf").iterdir())


def test_rows_of_q_are_those_of_gguf_in_hugging_faces_order(tenon, make_model, tmp_path):
    model = make_model("--type", "F32")
    tenon("convert", model, tmp_path / "hf")
    reader = gguf.GGUFReader(model)
    q = next(t.data for t in reader.tensors if t.name == "blk.0.attn_q.weight")
    want = q.reshape(4, 8, 2, 64).swapaxes(1, 2).reshape(64, 64)  # 4 heads of 16
    got = safetensors.numpy.load_file(tmp_path / "hf/model.safetensors")["model.layers.0.self_attn.q_proj.weight"]
    assert (got == want).all()


def test_the_tokenizer_gives_the_same_ids(tenon, tiny, tmp_path):
    tenon("convert", tiny, tmp_path / "hf")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "hf/tokenizer.json"))
    for text in ("the cat and that", "  two  blanks\n\n", "1234 5", "it's él — ünï", "\t\r\n\u00a0x\u3000"):
        ours = tenon("tokenize", "--model", tiny, "--no-special", input=text.encode()).stdout.split()
        assert theirs.encode(text, add_special_tokens=False).ids == list(map(int, ours)), repr(text)


def test_a_sentencepiece_vocabulary_gives_the_same_ids(tenon, make_model, tmp_path):
    model = make_model("--spm", "1")
    tenon("convert", model, tmp_path / "hf")
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "hf/tokenizer.model"))
    assert (theirs.unk_id(), theirs.bos_id(), theirs.eos_id()) == (0, 1, 2)
    for text in ("the cat and that", "  two  blanks", "it's él — ünï"):
        ours = tenon("tokenize", "--model", model, "--no-special", input=text.encode()).stdout.split()
        assert theirs.encode(text) == list(map(int, ours)), repr(text)


def test_overflow_of_f16_names_the_tensor(tenon, tiny, tmp_path):
    data = bytearray(pathlib.Path(tiny).read_bytes())
    t = next(t for t in gguf.GGUFReader(tiny).tensors if t.name == "blk.1.ffn_up.weight")
    data[t.data_offset:t.data_offset + 4] = numpy.float32(1e6).tobytes()
    (tmp_path / "big.gguf").write_bytes(data)
    message = tenon("convert", tmp_path / "big.gguf", tmp_path / "hf", "--dtype", "f16", status=2).stderr
    assert b"blk.1.ffn_up.weight: 1e+06 is past the range of F16; give --dtype bf16 or f32" in message
    assert [p.name for p in tmp_path.iterdir()] == ["big.gguf"]


def test_a_place_that_is_taken_is_refused_and_left_alone(tenon, tiny, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("x")
    (tmp_path / "empty").mkdir()
    assert b"is there already and not empty" in tenon("convert", tiny, tmp_path / "mine", status=2).stderr
    assert b"is there already" in tenon("convert", tiny, tmp_path / "mine/file", status=2).stderr
    assert b"No such file or directory" in tenon("convert", tiny, tmp_path / "none/hf", status=2).stderr
    assert b"is a GGUF file already; it can be made a Hugging Face directory" in tenon("convert", tiny, tmp_path / "m.gguf", status=2).stderr
    assert b"there is no config.json" in tenon("convert", tmp_path / "empty", tmp_path / "m.gguf", status=2).stderr
    assert b"none.gguf: No such file" in tenon("convert", tmp_path / "none.gguf", tmp_path / "hf", status=2).stderr
    assert b"--to onnx: hf and gguf are allowed" in tenon("convert", tiny, tmp_path / "hf", "--to", "onnx", status=2).stderr
    assert b"auto, f32, f16 and bf16 are allowed" in tenon("convert", tiny, tmp_path / "hf", "--dtype", "q4", status=2).stderr
    tenon("convert", tiny, f"{tmp_path}/empty//")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "mine"] and (tmp_path / "empty/config.json").exists()


def test_a_full_disk_leaves_nothing(tiny, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    done = subprocess.run([BUILD / "bin/tenon", "convert", tiny, tmp_path / "hf"], capture_output=True, preexec_fn=limit, timeout=60,
                          check=False)
    assert done.returncode == 1 and b"cannot write" in done.stderr and list(tmp_path.iterdir()) == []


@pytest.fixture(name="large")
def make_large(make_model):
    return make_model("--type", "Q8_0", "--dim", "1024", "--ffn", "4096", "--head-dim", "256", "--layers", "4")


def started(large, target):
    return subprocess.Popen([BUILD / "bin/tenon", "convert", large, target], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_a_kill_leaves_the_whole_directory_or_none(tenon, large, tmp_path):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    begin = time.monotonic()
    tenon("convert", large, tmp_path / "whole")
    duration = time.monotonic() - begin
    want = {p.name: p.read_bytes() for p in (tmp_path / "whole").iterdir()}
    outcomes = set()
    for i in range(50):
        process = started(large, tmp_path / f"hf{i}")
        try:
            process.wait(rng.uniform(0, 1.1 * duration))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        outcomes.add((tmp_path / f"hf{i}").exists())
        if (tmp_path / f"hf{i}").exists():
            assert {p.name: p.read_bytes() for p in (tmp_path / f"hf{i}").iterdir()} == want
        for left in tmp_path.glob(f"hf{i}*"):
            subprocess.run(["rm", "-r", left], check=True)
    assert False in outcomes, "no kill came in time"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_removes_what_was_written(large, tmp_path, number):
    process = started(large, tmp_path / "hf")
    while process.poll() is None and not list(tmp_path.glob("hf*/*")):
        pass
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and stderr == b"tenon: interrupted; nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_smollm2_in_f16_has_the_logits_of_its_rounding(tenon, tmp_path):
    assert SMOLLM2.exists(), f"{SMOLLM2} is not there: run scripts/fetch-model.sh"
    ids = [504, 3575, 282, 4649, 314, 260]
    tenon("convert", SMOLLM2, tmp_path / "hf", "--dtype", "f16")
    got, want = logits(tmp_path / "hf", ids), logits(rounded(SMOLLM2, tmp_path / "f16.gguf"), ids)
    print(f"bits equal: {(got == want).mean():.4f}, largest difference {abs(got - want).max():.3g}")
    assert_near(got, want)
    prompt = json.loads((ROOT / "tests/e2e/golden/smollm2_prompts.json").read_text(encoding="utf-8"))[0]
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "hf/tokenizer.json"))
    assert theirs.encode(prompt["text"], add_special_tokens=False).ids == prompt["ids"]


@pytest.mark.parametrize("spm", [0, 1])
def test_a_template_has_the_special_tokens_of_a_directory(tenon, make_model, tmp_path, spm):
    directory, context = tmp_path / "hf", tmp_path / "c.json"
    tenon("convert", make_model("--spm", str(spm)), directory)
    settings = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["chat_template"] = "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}"
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    context.write_text("{}", encoding="utf-8")
    out = tenon("template", "--model", directory, "--context", context).stdout.decode()
    assert out == "|".join(settings[key] for key in ("bos_token", "eos_token", "unk_token"))
