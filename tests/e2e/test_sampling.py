# SPDX-License-Identifier: Apache-2.0
"""Sampling options of tenon run."""
import math

import pytest

PROMPT = ("run", "-p", "hello world", "--raw")


@pytest.fixture(scope="module")
def run(tenon, tiny):
    return lambda *args, **kwargs: tenon.json(*PROMPT, "--model", tiny, *args, **kwargs)


@pytest.fixture(scope="module")
def refused(tenon, tiny):
    return lambda *args: tenon(*PROMPT, "--model", tiny, *args, status=2).stderr.decode()


def test_a_logit_bias_of_100_makes_a_token_certain_and_one_of_minus_100_impossible(run):
    assert run("-n", 5, "--greedy", "--logit-bias", "40=100")["ids"] == [40] * 5
    first = run("-n", 1, "--greedy")["ids"][0]
    assert run("-n", 1, "--greedy", "--logit-bias", f"{first}=-100")["ids"] != [first]


def test_logit_biases_are_a_list_and_may_be_repeated(run):
    one = run("-n", 8, "--seed", 1, "--logit-bias", "40=99,41=99", "--logit-bias", "42=99.5", "--temperature", 1)
    assert set(one["ids"]) <= {40, 41, 42}
    assert one["ids"] == run("-n", 8, "--seed", 1, "--logit-bias=42=99.5,41=99,40=99", "--temperature", 1)["ids"]


def test_penalties_end_the_repetition_of_a_favoured_token(run):
    # 40 and 41 are far above all others, 40 a little above 41.
    favoured = ("-n", 6, "--greedy", "--logit-bias", "40=100,41=99.9")
    raw = {t["id"]: t["logit"] for t in run("-n", 1, "--greedy", "--top-logits", 1024)["steps"][0]["top"]}
    assert abs(raw[40] - raw[41]) < 20  # the presence penalty below is at most 2
    plain = run(*favoured)["ids"]
    assert len(set(plain)) == 1
    assert len(set(run(*favoured, "--repetition-penalty", 1.5)["ids"])) > 1
    assert len(set(run(*favoured, "--frequency-penalty", 2, "-n", 40)["ids"])) > 1


def test_the_chosen_id_is_the_best_after_the_documented_formulas(run):
    settings = {"repetition-penalty": 1.4, "presence-penalty": 0.7, "frequency-penalty": 0.3}
    bias = {40: 1.25, 41: -0.5}
    options = [x for k, v in settings.items() for x in (f"--{k}", v)]
    out = run("-n", 20, "--greedy", "--ignore-eos", *options, "--top-logits", 1024,
              "--logit-bias", ",".join(f"{i}={b}" for i, b in bias.items()))
    answer = []
    for step in out["steps"]:
        best = None
        for token in step["top"]:
            logit = token["logit"] + bias.get(token["id"], 0)
            if token["id"] in out["prompt_ids"] or token["id"] in answer:
                logit = logit / 1.4 if logit > 0 else logit * 1.4
            n = answer.count(token["id"])
            logit -= 0.3 * n + 0.7 * (n > 0)
            best = max(best or (logit, -token["id"]), (logit, -token["id"]))
        assert step["id"] == -best[1]
        answer.append(step["id"])
    assert len(set(answer)) > 10


def test_min_tokens_holds_back_the_end_and_a_stop_id_ends(run):
    out = run("-n", 9, "--greedy", "--logit-bias", "42=100", "--stop-id", "7,42")
    assert (out["ids"], out["finish_reason"]) == ([42], "stop")
    out = run("-n", 9, "--greedy", "--logit-bias", "42=100", "--stop-id", 7, "--stop-id", 42, "--min-tokens", 4)
    assert len(out["ids"]) == 5 and out["ids"][-1] == 42 and 42 not in out["ids"][:4]


def test_samples_stand_in_an_array_and_the_first_at_the_top(run):
    options = ("-n", 10, "--seed", 5, "--temperature", 1.5, "--ignore-eos")
    one = run(*options)
    three = run(*options, "-N", 3, "--logprobs", 1)
    assert "samples" not in one
    assert len(three["samples"]) == 3
    for field in ("ids", "text", "finish_reason", "steps"):
        assert three["samples"][0][field] == three[field]
    assert three["ids"] == one["ids"] and three["text"] == one["text"]
    assert len({tuple(s["ids"]) for s in three["samples"]}) == 3
    assert three["usage"]["completion_tokens"] == 10
    assert run(*options, "-N", 3, "--logprobs", 1)["samples"] == three["samples"]
    assert run(*options, "-N", 3, "--threads", 1, "--set", "batch.max_chunk=2", "--logprobs", 1)["samples"] == three["samples"]


def test_samples_as_text_follow_a_line_each(tenon, tiny, run):
    options = ("-n", 10, "--seed", 5, "--temperature", 1.5, "-N", 2)
    text = tenon(*PROMPT, "--model", tiny, *options, "--quiet").stdout.decode()
    want = [s["text"] for s in run(*options)["samples"]]
    assert text == f"--- sample 1 of 2 ---\n{want[0]}\n--- sample 2 of 2 ---\n{want[1]}\n"


def test_logprobs_are_of_the_raw_logits(run):
    out = run("-n", 4, "--greedy", "--logit-bias", "40=100", "--top-logits", 1024, "--logprobs", 3)
    for step in out["steps"]:
        log_sum = math.log(math.fsum(math.exp(t["logit"]) for t in step["top"]))
        assert step["id"] == 40
        assert step["logprob"] == pytest.approx(step["logit"] - log_sum, abs=1e-7)
        assert [t["id"] for t in step["logprobs"]] == [t["id"] for t in step["top"][:3]]
        for got, raw in zip(step["logprobs"], step["top"]):
            assert got["logprob"] == pytest.approx(raw["logit"] - log_sum, abs=1e-7)


def test_steps_have_what_is_asked_for(run):
    step = run("-n", 1, "--greedy", "--logprobs", 0)["steps"][0]
    assert step["top"] == [] and step["logprobs"] == [] and step["logprob"] < 0
    step = run("-n", 1, "--greedy", "--top-logits", 2)["steps"][0]
    assert set(step) == {"id", "logit", "top"} and len(step["top"]) == 2
    step = run("-n", 1, "--greedy", "--top-logits", 2, "--logprobs", 4)["steps"][0]
    assert len(step["top"]) == 2 and len(step["logprobs"]) == 4


def test_a_profile_sets_the_defaults_and_an_option_counts_more(run):
    penalty = ("-n", 12, "--greedy", "--ignore-eos", "--set", "generate.repetition_penalty=1.8")
    by_option = run("-n", 12, "--greedy", "--ignore-eos", "--repetition-penalty", 1.8)["ids"]
    assert run(*penalty)["ids"] == by_option
    assert run(*penalty, "--repetition-penalty", 1)["ids"] == run("-n", 12, "--greedy", "--ignore-eos")["ids"] != by_option
    ends = run("-n", 3, "--greedy", "--logit-bias", "42=100", "--stop-id", 42, "--set", "generate.min_tokens=2")
    assert len(ends["ids"]) == 3


@pytest.mark.parametrize(("options", "words"), [
    (("--repetition-penalty", 0), "repetition_penalty 0 is not in 0.01 to 100"),
    (("--presence-penalty", 2.5), "presence_penalty 2.5 is not in -2 to 2"),
    (("--frequency-penalty", -9), "frequency_penalty -9 is not in -2 to 2"),
    (("--logit-bias", "40"), "--logit-bias takes ID=VALUE"),
    (("--logit-bias", "40="), "--logit-bias takes ID=VALUE"),
    (("--logit-bias", "40=1,"), "--logit-bias takes ID=VALUE"),
    (("--logit-bias", "40=1 41=2"), "--logit-bias takes ID=VALUE"),
    (("--logit-bias", "40=nan"), "--logit-bias takes ID=VALUE"),
    (("--logit-bias", "40=101"), "logit_bias 101 is not in -100 to 100"),
    (("--logit-bias", "40=1,40=1"), "logit_bias gives id 40 twice"),
    (("--logit-bias", "999999=1"), "logit_bias id 999999 is not in the vocabulary"),
    (("--logit-bias", ",".join(f"{i}=1" for i in range(1025))), "--logit-bias has more than 1024 values"),
    (("--stop-id", "1,x"), "--stop-id takes token ids"),
    (("--stop-id", "-1"), "--stop-id takes token ids"),
    (("--stop-id", "999999"), "stop id 999999"),
    (("--stop-id", ",".join("1" * 65)), "--stop-id has more than 64 ids"),
    (("--min-tokens", 9), "min_tokens 9 is not in 0 to 8 (max_tokens)"),
    (("--min-tokens", -1), "--min-tokens takes a whole number from 0"),
    (("-N", 0), "--samples takes a whole number from 1 to 256"),
    (("-N", 65), "n_samples 65 is not in 1 to 64 (batch.max_sequences)"),
    (("--logprobs", 1025), "--logprobs takes a whole number from 0 to 1024"),
])
def test_a_value_out_of_range_is_refused_with_what_is_allowed(refused, options, words):
    assert words in refused("-n", 8, *options)
