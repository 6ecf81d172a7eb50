# SPDX-License-Identifier: Apache-2.0
"""Hugging Face directories in the program: inspect, run, explain, profiles."""
import json

import pytest

from hf_support import refused, tenon
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
