# SPDX-License-Identifier: Apache-2.0
"""The default model (scripts/fetch-model.sh) through the configs of the repository: what a first user sees."""
import json
import os
import subprocess

import pytest

from conftest import BUILD, ROOT, assert_like_golden, golden
from test_cuda import has_driver

MODEL = ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
CPU_REF = ROOT / "configs/cpu-ref.yaml"


@pytest.fixture(scope="module", autouse=True)
def model_is_there():
    assert MODEL.exists(), f"{MODEL} is not there: run scripts/fetch-model.sh"


@pytest.mark.parametrize("index", range(3))
def test_the_real_model_gives_the_ids_and_logits_of_transformers(tenon, index):
    expected = golden("smollm2")["prompts"][index]
    result = tenon.json("run", "--profile", CPU_REF, "--ids", ",".join(map(str, expected["prompt_ids"])), "-n", len(expected["ids"]),
                        "--greedy", "--ignore-eos", "--top-logits", 5)
    worst = assert_like_golden(result, expected, 2e-3)
    print(f"prompt {index}: largest logit difference {worst:.2g}, {result['timing']}")


def test_the_prompt_of_a_chat_is_that_of_the_models_own_template(tenon):
    text, ids = (golden_prompt()[key] for key in ("text", "ids"))
    question = text.split("<|im_start|>user\n")[1].split("<|im_end|>")[0]
    assert tenon.json("run", "--profile", CPU_REF, "--chat", "-p", question, "-n", 1)["prompt_ids"] == ids
    assert list(map(int, tenon("tokenize", "--model", MODEL, input=text.encode()).stdout.split())) == ids


def golden_prompt():
    return json.loads((ROOT / "tests/e2e/golden/smollm2_prompts.json").read_text(encoding="utf-8"))[0]


def test_the_demo_profile_answers(tenon):
    done = tenon("run", "--profile", ROOT / "configs/demo.yaml", "-p", "Name the capital of France.")
    assert "Paris" in done.stdout.decode()


@pytest.mark.parametrize("config", sorted(p.name for p in (ROOT / "configs").glob("*.yaml")))
def test_every_config_runs_as_it_is(tenon, config):
    args = ("run", "--profile", ROOT / "configs" / config, "-p", "Hi", "-n", 3)
    if config.startswith("cuda-") and not config.startswith("cuda-sim-") and not has_driver():
        done = tenon(*args, status=2)
        assert "device cuda is not there" in done.stderr.decode()
        args += ("--set", "fallback=cpu-simd")
    assert len(tenon.json(*args, timeout=400)["ids"]) > 0


def test_memory_stays_under_twice_the_file_and_its_kv(tenon):
    """Peak resident memory of a whole run: KV of the tokens that were touched is what the pool's pages take."""
    tokens = 600
    process = subprocess.Popen([BUILD / "bin/tenon", "run", "--profile", CPU_REF, "--ids", ",".join(["504"] * tokens), "-n", "4",
                                "--greedy", "--json"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    kv = tenon.json("inspect", MODEL)["model"]["kv_bytes_per_token"]["f32"] * (tokens + 64)
    peak, limit = usage.ru_maxrss * 1024, 2 * MODEL.stat().st_size + kv
    print(f"peak {peak / 1e6:.0f} MB, limit {limit / 1e6:.0f} MB")
    assert os.waitstatus_to_exitcode(status) == 0 and peak < limit


def test_no_path_of_the_working_directory_is_needed(tenon, tmp_path):
    assert tenon.json("run", "--profile", os.path.relpath(CPU_REF, tmp_path), "-p", "Hi", "-n", 1, cwd=tmp_path)["ids"]
