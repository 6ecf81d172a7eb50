# SPDX-License-Identifier: Apache-2.0
"""Hugging Face directories in the program: inspect, run, explain, profiles."""
import json

import pytest

from hf_support import HERE, refused, tenon
import checkpoint
import models

SETTINGS = {
    "generation_config.json": {"eos_token_id": [2, 5], "temperature": 0.6},
    "tokenizer_config.json": {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": True},
    "chat_template.jinja": b"{% for m in messages %}{{ m.content }}{% endfor %}",
    "tokenizer.json": {"model": {"type": "BPE", "vocab": {}, "merges": []}},
}


@pytest.fixture(name="model")
def make_model(tmp_path):
    config = models.CONFIGS["qwen2_window"] | {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}
    return checkpoint.make(tmp_path / "model", config, shards=2, others=SETTINGS)


def test_inspect_tells_what_was_resolved(model):
    text = tenon("inspect", model, "--verbose")
    for part in ("Hugging Face", "in 2 files", "architecture    qwen2", "eps 1e-05", "yarn scaling by 4 from 32 tokens",
                 "window of 16 tokens from layer 1 on", "tokenizer.json", "BOS is added", 'bos "<s>", eos "</s>"',
                 "| {% for m in messages %}", "generation_config.temperature = 0.6", "config.model_type = \"qwen2\""):
        assert part in text, f"{part!r} is not in:\n{text}"
    told = json.loads(tenon("inspect", model, "--json"))
    assert told["files"] == 2 and told["format"] == "Hugging Face"
    assert told["model"]["window"] == 16 and told["model"]["rope"]["scaling"] == "yarn"
    assert told["tokenizer"]["special"]["bos"]["text"] == "<s>"


def test_inspect_tells_the_stop_ids(model):
    assert [stop["id"] for stop in json.loads(tenon("inspect", model, "--json"))["tokenizer"]["stop"]][:2] == [2, 5]


LLAMA3 = (HERE / "tokenizers/llama3.json").read_bytes()
SPM = (HERE / "tokenizers/spm_bpe.model").read_bytes()
BOS = "<|begin_of_text|>"


def inspect(tmp_path, others, **config):
    """Text and JSON of a directory with these files."""
    model = checkpoint.make(tmp_path / "model", models.CONFIGS["llama2"] | {"vocab_size": 512} | config, others=others)
    return tenon("inspect", model), json.loads(tenon("inspect", model, "--json"))


def test_the_tokenizer_json_is_read_and_its_template_and_specials_resolved(tmp_path):
    text, told = inspect(tmp_path, {"tokenizer.json": LLAMA3, "tokenizer_config.json": {"bos_token": BOS, "pad_token": "<none>"}})
    assert "tokenizer.json, 512 tokens (32 without a text), 222 merges, BOS is added" in text
    assert f'bos 0 "{BOS}", ' in text and 'pad "<none>" (no token of the vocabulary)' in text
    told = told["tokenizer"]
    assert (told["kind"], told["tokens"], told["merges"], told["usable"]) == ("tokenizer.json", 512, 222, True)
    assert told["adds_bos"] is True and told["adds_eos"] is False
    assert told["special"]["bos"] == {"id": 0, "text": BOS} and told["special"]["pad"] == {"text": "<none>"}


def test_the_tokenizer_model_is_read_with_what_is_added_to_it(tmp_path):
    added = {"500": {"content": "<|end|>", "special": True}}
    text, told = inspect(tmp_path, {"tokenizer.model": SPM, "tokenizer_config.json": {"eos_token": "<|end|>", "added_tokens_decoder": added}})
    assert "tokenizer.model, 512 tokens (51 without a text), BOS is added" in text
    assert 'bos 1 "<s>", eos 500 "<|end|>", unk 0 "<unk>"' in text
    assert told["tokenizer"]["stop"][0] == {"id": 500, "text": "<|end|>"}


@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("bos", [BOS, {"content": BOS, "lstrip": False}])
def test_special_tokens_are_resolved_from_either_file(tmp_path, name, bos):
    _, told = inspect(tmp_path, {"tokenizer.json": LLAMA3, name: {"bos_token": bos, "eos_token": "<|eot_id|>"}})
    assert told["tokenizer"]["special"] == {"bos": {"id": 0, "text": BOS}, "eos": {"id": 1, "text": "<|eot_id|>"}}


def test_without_them_the_ids_of_config_json_count(tmp_path):
    _, told = inspect(tmp_path, {"tokenizer.json": LLAMA3}, bos_token_id=0, eos_token_id=7)
    assert told["tokenizer"]["special"]["bos"] == {"id": 0, "text": BOS} and told["tokenizer"]["special"]["eos"]["id"] == 7


def test_the_switches_of_tokenizer_config_json_overrule_the_template(tmp_path):
    settings = {"bos_token": BOS, "eos_token": "<|eot_id|>", "add_bos_token": False, "add_eos_token": True}
    text, told = inspect(tmp_path, {"tokenizer.json": LLAMA3, "tokenizer_config.json": settings})
    assert "EOS is added" in text and "BOS is added" not in text
    assert told["tokenizer"]["adds_bos"] is False and told["tokenizer"]["adds_eos"] is True


@pytest.mark.parametrize("stops, expected", [(7, [1, 7]), ([7, 9], [1, 7, 9]), (None, [1, 2])])
def test_stop_ids_are_those_of_generation_config_json_else_of_config_json(tmp_path, stops, expected):
    """And the tokenizer's own, <|eot_id|>."""
    generation = {"generation_config.json": {"eos_token_id": stops}} if stops else {}
    _, told = inspect(tmp_path, {"tokenizer.json": LLAMA3, "tokenizer_config.json": {"eos_token": "<|eot_id|>"}, **generation}, eos_token_id=2)
    assert [stop["id"] for stop in told["tokenizer"]["stop"]] == expected


@pytest.mark.parametrize("others, expected", [
    ({"tokenizer_config.json": {"chat_template": "{{ 1 }}"}}, "{{ 1 }}"),
    ({"tokenizer_config.json": {"chat_template": [{"name": "a", "template": "A"}, {"name": "default", "template": "B"}]}}, "B"),
    ({"tokenizer_config.json": {"chat_template": "old"}, "chat_template.jinja": b"new"}, "new"),
    ({}, None),
])
def test_the_chat_template_that_counts_is_shown(tmp_path, others, expected):
    text, told = inspect(tmp_path, {"tokenizer.json": LLAMA3, **others})
    assert told["tokenizer"]["template"] == expected
    assert (f"yes, {len(expected)} bytes" if expected else "chat template   none") in text


@pytest.mark.parametrize("scaling, line, factors", [
    ({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
     "llama3 scaling by 8 from 32 tokens\n", "none"),
    ({"rope_type": "longrope", "factor": 2.0, "short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "original_max_position_embeddings": 32},
     "frequency factors by length\n", "by length"),
    ({"rope_type": "longrope", "factor": 1.0, "short_factor": [3.0] * 4, "long_factor": [3.0] * 4, "original_max_position_embeddings": 32},
     "frequency factors for every length\n", "for every length"),
])
def test_rope_is_shown_as_it_was_resolved(tmp_path, scaling, line, factors):
    text, told = inspect(tmp_path, {}, rope_scaling=scaling)
    assert line in text and told["model"]["rope"]["frequency_factors"] == factors
    assert told["model"]["rope"]["scaling"] == scaling["rope_type"]


def test_a_directory_runs_by_option_and_by_profile(model):
    ask = ("--ids", "1,2,3", "-n", 5, "--greedy", "--ignore-eos", "--json")
    by_option = json.loads(tenon("run", "--model", model, *ask))
    profile = model.parent / "profile.yaml"
    profile.write_text("model: model\nplugins: [cpu-ref]\n", encoding="utf-8")
    by_profile = json.loads(tenon("run", "--profile", profile, *ask))
    assert len(by_option["ids"]) == 5 and by_option["ids"] == by_profile["ids"]
    assert "layer.1.qkv" in tenon("explain", "--model", model)


def test_what_cannot_run_is_inspected_and_refused_by_name(tmp_path):
    config = models.CONFIGS["llama2"] | {"model_type": "gemma7", "architectures": ["Gemma7ForCausalLM"]}
    model = checkpoint.write(tmp_path / "gemma", config, checkpoint.tensors(models.CONFIGS["llama2"]))
    message = 'model_type "gemma7" is not supported; these run: llama, mistral, internlm, internlm2, qwen2, qwen3'
    assert message in refused(model)
    text = tenon("inspect", model)
    assert f"cannot run      {model}: config.json: {message}" in text
    assert "21 tensors" in text


def test_what_is_no_model_is_refused_with_what_is_one(tmp_path, model):
    (tmp_path / "empty").mkdir()
    assert "there is no config.json; a model directory has one, and *.safetensors" in refused(tmp_path / "empty")
    assert "of a Hugging Face model give the directory" in refused(model / "config.json")
    (model / "model-00002-of-00002.safetensors").unlink()
    assert "names the shard model-00002-of-00002.safetensors, which is not there: fetch it" in refused(model)
