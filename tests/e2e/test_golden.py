# SPDX-License-Identifier: Apache-2.0
"""Whole models against Hugging Face transformers (golden/make_goldens.py): the same ids, the same logits."""
import json

import pytest

from conftest import BUILD, GOLDEN, assert_like_golden, golden

TINY = json.loads((GOLDEN / "tiny_models.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_model_gives_the_ids_and_logits_of_transformers(tenon, make_model, name):
    model = make_model(*TINY[name]["options"])
    for expected in golden(name)["prompts"]:
        result = tenon.ids(model, expected["prompt_ids"], len(expected["ids"]), "--set", "kv.format=f32", "--set", "plugins=cpu-ref")
        assert_like_golden(result, expected, 1e-4)


def test_primitives_and_fused_ops_give_the_same_bits(tenon, make_model):
    model = make_model(*TINY["tiny_q4_1_tied_q8_0"]["options"])
    fused, again = (tenon.ids(model, [1, 2, 3, 4, 5], 16, "--threads", n) for n in (1, 2))
    assert fused["steps"] == again["steps"]


def test_a_device_that_is_not_the_host_gives_the_same_bits(tenon, make_model):
    """simdev: addresses the host cannot read, a stream that runs late, cpu-ref's kernels behind it."""
    model = make_model(*TINY["tiny_q4_1_tied_q8_0"]["options"])
    profile = model.parent / "simdev.yaml"
    profile.write_text(f"model: {model}\ndevice: simdev\nkv: {{format: f16}}\n"
                       f"plugins: [{{name: simdev, path: {BUILD / 'tests/plugins/simdev.so'}}}]\n", encoding="utf-8")
    ask = ("--ids", "5,4,3,2,1,9,8,7", "-n", 24, "--greedy", "--ignore-eos", "--top-logits", 5)
    device = tenon.json("run", "--profile", profile, *ask)
    host = tenon.json("run", "--model", model, "--set", "kv.format=f16", "--set", "plugins=cpu-ref", *ask)
    assert device["steps"] == host["steps"]


@pytest.mark.parametrize("kv", ["f16", "i8"])
def test_other_kv_formats_stay_near_the_reference(tenon, make_model, kv):
    model = make_model(*TINY["tiny_f32"]["options"])
    prompt = golden("tiny_f32")["prompts"][2]["prompt_ids"]
    exact = tenon.ids(model, prompt, 1, "--set", "kv.format=f32", "--top-logits", 300)["steps"][0]
    other = tenon.ids(model, prompt, 1, "--set", f"kv.format={kv}", "--top-logits", 300)["steps"][0]
    assert exact != other, "the format has no effect: is it used?"
    want = {t["id"]: t["logit"] for t in exact["top"]}
    worst = max(abs(t["logit"] - want[t["id"]]) for t in other["top"] if t["id"] in want)
    print(f"{kv}: largest difference {worst:.3g}")
    assert worst < (0.02 if kv == "f16" else 0.3)
