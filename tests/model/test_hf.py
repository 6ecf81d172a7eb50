# SPDX-License-Identifier: Apache-2.0
"""Hugging Face directories against transformers (hf/make_goldens.py): logits at every position of a prompt."""
import base64
import itertools
import json
import os
import pathlib
import subprocess
import sys

import numpy
import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "hf"))
import checkpoint  # noqa: E402
import models  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TENON_BUILD", HERE.parents[1] / "build/release")).resolve()
GOLDENS = json.loads((HERE / "hf/goldens.json").read_text(encoding="utf-8"))


def golden(name):
    return numpy.frombuffer(base64.b64decode(GOLDENS[name]), "<f4").reshape(models.N_IDS, -1)


def run(model, ids, *sets):
    done = subprocess.run([BUILD / "bin/prompt_logits", BUILD / "lib/tenon/plugins", model, ",".join(map(str, ids)), "kv.format=f32",
                           f"context.length={len(ids)}", *sets], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return numpy.frombuffer(done.stdout, "=f4").reshape(len(ids), -1)


def assert_near(got, want, tolerance):
    """Relative to the largest logit of the position. Returns the largest difference."""
    worst = (abs(got - want).max(axis=1) / abs(want).max(axis=1)).max()
    assert worst <= tolerance, f"differs by {worst:.3g}, {tolerance} is allowed"
    return worst


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
