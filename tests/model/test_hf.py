# SPDX-License-Identifier: Apache-2.0
"""Hugging Face directories against transformers (hf/make_goldens.py): logits at every position of a prompt."""
import itertools

import pytest

from hf_support import GOLDENS, assert_near, golden, run
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
