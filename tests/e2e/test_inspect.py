# SPDX-License-Identifier: Apache-2.0
"""tenon inspect and the memory part of tenon explain: what a model is, and what a profile needs before anything is loaded."""
import json
import subprocess

import pytest

from conftest import BUILD

SHAPE = ("--dim", "64", "--ffn", "96", "--heads", "4", "--kv-heads", "2", "--head-dim", "16", "--layers", "2")


def by_class(out):
    return {(t["class"], t["type"]): t for t in out["tensors"]}


def test_tensors_are_counted_by_class_and_type(tenon, make_model):
    out = tenon.json("inspect", make_model(*SHAPE, "--type", "Q4_1", "--embed-type", "Q8_0", "--v-type", "F16", "--tied", "0"))
    vocabulary, classes = out["model"]["vocabulary"], by_class(out)
    assert {k: v["tensors"] for k, v in classes.items()} == {
        ("embedding", "Q8_0"): 1, ("attention", "Q4_1"): 6, ("attention", "F16"): 2, ("feed-forward", "Q4_1"): 6, ("norm", "F32"): 5,
        ("head", "Q8_0"): 1}
    assert classes["feed-forward", "Q4_1"]["weights"] == 2 * 3 * 64 * 96
    assert classes["feed-forward", "Q4_1"]["bytes"] == 2 * 3 * 64 * 96 // 32 * 20
    assert classes["head", "Q8_0"]["weights"] == classes["embedding", "Q8_0"]["weights"] == vocabulary * 64
    assert out["parameters"] == sum(t["weights"] for t in out["tensors"]) and out["tied_head"] is False
    assert sum(t["bytes"] for t in out["tensors"]) < out["bytes"]


def test_a_tied_head_is_said(tenon, tiny):
    assert tenon.json("inspect", tiny)["tied_head"] is True
    assert "head          tied to the embedding" in tenon("inspect", tiny).stdout.decode()


def test_shape_rope_and_kv_bytes_are_told(tenon, make_model):
    out = tenon.json("inspect", make_model(*SHAPE, "--rope-scaling", "yarn", "--rope-factor", "4", "--rope-base", "5000", "--eps", "1e-6"))
    model = out["model"]
    assert {k: model[k] for k in ("architecture", "layers", "hidden", "feed_forward", "heads", "kv_heads", "head_dim", "context")} == {
        "architecture": "llama", "layers": 2, "hidden": 64, "feed_forward": 96, "heads": 4, "kv_heads": 2, "head_dim": 16, "context": 256}
    assert model["norm_eps"] == pytest.approx(1e-6)
    assert model["rope"] | {"original_length": 0} == {"base": 5000.0, "rotary_dim": 16, "pairing": "interleaved", "scaling": "yarn",
                                                      "factor": 4.0, "original_length": 0, "frequency_factors": "none"}
    values = 2 * 2 * 2 * 16  # layers, K and V, heads, dimensions
    assert model["kv_bytes_per_token"] == {"f32": 4 * values, "f16": 2 * values, "i8": values + 2 * 2 * 2 * 4, "i8-static": values}


def test_the_factors_of_llama_3_are_named_alike_before_and_after_conversion(tenon, make_model, tmp_path):
    """rope_freqs has no name for its scaling; a directory can state such factors as longrope with one set for all lengths only."""
    model = make_model(*SHAPE, "--freq-factors", "1")
    tenon("convert", model, tmp_path / "hf")
    for path, scaling in ((model, "none"), (tmp_path / "hf", "longrope")):
        rope = tenon.json("inspect", path)["model"]["rope"]
        assert (rope["scaling"], rope["frequency_factors"]) == (scaling, "for every length")
        assert b", frequency factors for every length\n" in tenon("inspect", path).stdout


def test_special_and_stop_ids_have_their_texts(tenon, make_model):
    bpe, spm = (tenon.json("inspect", make_model("--spm", s))["tokenizer"] for s in ("0", "1"))
    assert bpe["special"] == {"bos": {"id": 1, "text": "<|im_start|>"}, "eos": {"id": 2, "text": "<|im_end|>"},
                              "unk": {"id": 0, "text": "<|endoftext|>"}}
    assert {"id": 2, "text": "<|im_end|>"} in bpe["stop"] and bpe["usable"] is True
    assert spm["special"]["bos"]["text"] == "<s>" and [t["text"] for t in spm["stop"]] == ["</s>"]
    assert spm["pad"] == -1 and "pad" not in spm["special"]
    text = tenon("inspect", make_model("--spm", "1")).stdout.decode()
    assert 'bos 1 "<s>", eos 2 "</s>", unk 0 "<unk>"' in text and 'stop ids        2 "</s>"' in text


def test_the_template_is_printed_byte_for_byte_and_its_first_lines_are_shown(tenon, make_model):
    model = make_model("--spm", "0")
    template = tenon("inspect", model, "--template").stdout
    assert template.startswith(b"{% for message in messages %}") and template.endswith(b"{% endif %}")
    assert tenon.json("inspect", model)["tokenizer"]["template"].encode() == template
    text = tenon("inspect", model).stdout.decode()
    assert f"yes, {len(template)} bytes" in text and "| {% for message in messages %}" in text
    assert b"has no chat template" in tenon("inspect", make_model("--spm", "1"), "--template", status=2).stderr


@pytest.mark.parametrize("sets", [(), ("kv.format=i8", "batch.max_sequences=2"), ("plugins=[cpu-simd]", "kv.block_tokens=32")])
def test_the_memory_of_a_profile_is_told_before_it_is_loaded(tenon, make_model, tmp_path, sets):
    """test_memory_need holds the same numbers against those of a loaded runtime."""
    model = make_model(*SHAPE, "--type", "Q4_1")
    profile = tmp_path / "p.yaml"
    profile.write_text(f"model: {model}\nplugins: [cpu-ref]\nkv: {{format: f16}}\n", encoding="utf-8")
    options = [word for s in sets for word in ("--set", s)]
    told = tenon.json("inspect", "--profile", profile, *options)
    memory = told["memory"]
    assert memory["total"] == sum(memory[k] for k in ("weights", "kv", "activations", "workspace")) and memory["free"] > 0
    assert memory["kv"] == memory["kv_bytes_per_token"] * memory["kv_blocks"] * memory["block_tokens"]
    explained = tenon.json("explain", "--profile", profile, *options)
    assert {**explained["memory"], "free": 0} == {**memory, "free": 0}
    assert memory["weights"] == sum(layout["bytes"] for layout in explained["layouts"])
    assert memory["context"] == 256 and memory["kv_format"] == ("i8" if "kv.format=i8" in sets else "f16")
    # More of what the profile bounds needs more.
    grown = tenon.json("inspect", "--profile", profile, *options, "--set", "batch.max_tokens=4096")["memory"]
    assert grown["activations"] > memory["activations"] and grown["weights"] == memory["weights"]


def test_a_path_stands_in_for_the_profiles_model(tenon, make_model, tiny, tmp_path):
    other = make_model(*SHAPE, "--layers", "3")
    profile = tmp_path / "p.yaml"
    profile.write_text(f"model: {tiny}\n", encoding="utf-8")
    assert tenon.json("inspect", "--profile", profile)["model"]["layers"] == 2
    out = tenon.json("inspect", other, "--profile", profile)
    assert out["model"]["layers"] == 3 and out["path"] == str(other)
    assert tenon.json("inspect", "--model", other)["model"]["layers"] == 3
    assert "memory" not in tenon.json("inspect", "--model", other)
    assert b"--profile FILE tells" in tenon("inspect", other).stdout


def test_a_profile_that_cannot_bind_is_an_error(tenon, tiny, tmp_path):
    profile = tmp_path / "p.yaml"
    profile.write_text(f"model: {tiny}\nplugins: [template]\n", encoding="utf-8")
    assert b"no plugin" in tenon("inspect", "--profile", profile, status=2).stderr.lower()


def test_a_model_that_cannot_run_is_described_as_far_as_it_goes(tenon, tiny, tmp_path):
    data = tiny.read_bytes().replace(b"general.architecture", b"general.architecturX")
    (tmp_path / "x.gguf").write_bytes(data)
    out = tenon.json("inspect", tmp_path / "x.gguf")
    assert "model" not in out and "general.architecture" in out["cannot_run"] and out["parameters"] > 0
    assert b"cannot run      " in tenon("inspect", tmp_path / "x.gguf").stdout


def test_control_characters_of_a_file_never_reach_the_terminal(tenon, tiny, tmp_path):
    data = tiny.read_bytes().replace(b"<|im_end|>", b"<|\x1b[2J\xff!|>")
    (tmp_path / "x.gguf").write_bytes(data)
    for options in ((), ("--verbose",)):
        shown = tenon("inspect", tmp_path / "x.gguf", *options).stdout
        assert b"\x1b" not in shown and rb"<|\x1b[2J\xff!|>" in shown
    assert json.loads(tenon("inspect", tmp_path / "x.gguf", "--json").stdout)["tokenizer"]["special"]["eos"]["text"] == r"<|\x1b[2J\xff!|>"


def test_the_arena_is_listed_edge_by_edge_when_asked_for(tenon, tiny):
    short, long = (tenon("explain", "--model", tiny, *options).stdout.decode() for options in ((), ("--verbose",)))
    assert "activations in host" not in short and "activations in host" in long
    for text in (short, long):
        assert "layout" in text and "memory          weights" in text and "B a token" in text


def test_explain_places_every_edge_in_an_arena_that_holds_it(tenon, tiny):
    out = tenon.json("explain", "--model", tiny)
    arena, = out["arenas"]
    ends = [e["offset"] + e["bytes"] for e in arena["edges"]]
    assert arena["domain"] == "host" and max(ends) == arena["bytes"] == out["memory"]["activations"]
    assert arena["bytes"] < arena["bytes_without_sharing"] == sum(e["bytes"] for e in arena["edges"])
    packed = [n for n in out["nodes"] if n["weight_bytes"] > 0]
    assert all(n["layout"].startswith("cpu-simd/") for n in packed) and {n["layout"] for n in packed} <= {u["layout"] for u in out["layouts"]}


def test_metadata_only_is_read(tenon, make_model, tmp_path):
    """A file whose tensor data is a hole of 8 GB is inspected at once, in 64 MB of resident memory."""
    model = make_model("--type", "F32", "--seed", "9")
    path = tmp_path / "sparse.gguf"
    path.write_bytes(model.read_bytes())
    with open(path, "r+b") as file:
        file.truncate(8 << 30)
    done = subprocess.run(["/usr/bin/env", "python3", "-c",
                           "import resource,subprocess,sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
                           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)", str(BUILD / "bin/tenon"), "inspect", str(path)],
                          capture_output=True, check=True, timeout=60)
    assert int(done.stdout) < 64 << 10
