# SPDX-License-Identifier: Apache-2.0
"""`tenon convert` of Hugging Face directories to GGUF: logits against the goldens of transformers, what the package `gguf` finds."""
import gguf
import numpy
import pytest

from hf_support import assert_near, convert_refused, golden, run, tenon
import checkpoint
import models

# What GGUF cannot say, and how it is refused.
REFUSED = {
    "llama2_gelu_no_gqa": "another activation than silu", "llama_dynamic": "dynamic rope scaling", "llama_logn": "logn attention",
    "internlm": "dynamic rope scaling", "internlm2": "dynamic rope scaling", "qwen2_window": "a sliding window from a layer on",
    "qwen3_biases": "biases that a GGUF file of the architecture qwen3 has not",
}
ARCHITECTURE = {"llama": "llama", "mistral": "llama", "internlm": "llama", "internlm2": "internlm2", "qwen2": "qwen2", "qwen3": "qwen3"}


def fields(path):
    return {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items() if not key.startswith("GGUF.")}


@pytest.mark.parametrize("name", sorted(set(models.CONFIGS) - set(REFUSED)))
def test_a_converted_model_has_the_logits_of_transformers(tmp_path, name):
    config = models.CONFIGS[name]
    tenon("convert", checkpoint.make(tmp_path / "hf", config), tmp_path / "m.gguf")
    print(f"{name}: {assert_near(run(tmp_path / 'm.gguf', models.ids(config)), golden(name), 1e-5):.2g}")


@pytest.mark.parametrize("name", REFUSED)
def test_what_gguf_cannot_say_is_refused_by_name(tmp_path, name):
    message = convert_refused(checkpoint.make(tmp_path / "hf", models.CONFIGS[name]), tmp_path / "m.gguf")
    assert REFUSED[name] in message and "run the directory as it is" in message
    assert [p.name for p in tmp_path.iterdir()] == ["hf"]
