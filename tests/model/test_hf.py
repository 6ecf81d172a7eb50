# SPDX-License-Identifier: Apache-2.0
"""Hugging Face directories against transformers (hf/make_goldens.py): logits at every position of a prompt."""
import itertools
import json

import pytest

from hf_support import GOLDENS, assert_near, golden, run, tenon
import checkpoint
import models

def test_every_model_has_a_golden():
    assert set(GOLDENS) - {"made_by"} == set(models.CONFIGS)


def test_every_setting_of_the_models_matters():
    """Two goldens that are alike would let a setting be ignored."""
    for name, other in itertools.combinations(models.CONFIGS, 2):
        assert abs(golden(name) - golden(other)).max() > 0.01, f"{name} and {other}"


@pytest.mark.parametrize("name", models.CONFIGS)
def test_logits_are_those_of_transformers(tmp_path, name):
    config = models.CONFIGS[name]
    model = checkpoint.make(tmp_path / name, config)
    print(f"{name}: {assert_near(run(model, models.ids(config)), golden(name), 1e-5):.2g}")


@pytest.mark.parametrize("name", models.CONFIGS)
def test_cpu_simd_gives_the_same_logits(tmp_path, name):
    """In f32, so its own rounding alone is between them."""
    config = models.CONFIGS[name]
    model = checkpoint.make(tmp_path / name, config)
    assert_near(run(model, models.ids(config), "plugins=[{name: cpu-simd, options: {dot: f32}}]"), golden(name), 1e-5)


def test_shards_give_the_bits_of_one_file(tmp_path):
    config = models.CONFIGS["internlm2_biases"]
    whole = checkpoint.make(tmp_path / "whole", config)
    cut = checkpoint.make(tmp_path / "cut", config, shards=3)
    assert (run(whole, models.ids(config)) == run(cut, models.ids(config))).all()


@pytest.mark.parametrize("name", ["llama_dynamic", "llama_longrope_long", "internlm", "internlm2"])
def test_a_sequence_has_the_frequencies_of_its_whole_length_from_the_start(tmp_path, name):
    """Prompt and answer together are as long as the golden's forward, so the prompt's last logits are the golden's."""
    config = models.CONFIGS[name]
    model = checkpoint.make(tmp_path / name, config)
    n_prompt = 24
    prompt = ",".join(map(str, models.ids(config)[:n_prompt]))
    done = json.loads(tenon("run", "--model", model, "--ids", prompt, "-n", models.N_IDS - n_prompt, "--greedy", "--ignore-eos",
                            "--json", "--top-logits", 32, "--set", "kv.format=f32", "--set", "context.length=64"))
    want = golden(name)[n_prompt - 1]
    got = {t["id"]: t["logit"] for t in done["steps"][0]["top"]}
    assert len(got) == len(want)
    assert max(abs(got[i] - want[i]) for i in got) < 1e-4
    # With an answer that stays within the trained length the frequencies are others.
    short = json.loads(tenon("run", "--model", model, "--ids", prompt, "-n", 1, "--greedy", "--json", "--top-logits", 32, "--set",
                             "kv.format=f32", "--set", "context.length=64"))
    assert max(abs(t["logit"] - want[t["id"]]) for t in short["steps"][0]["top"]) > 1e-3
