# SPDX-License-Identifier: Apache-2.0
"""tenon bench: what it measures, prints and refuses. No speed is asserted."""
import csv
import io
import xml.etree.ElementTree

import pytest


@pytest.fixture(scope="module")
def bench(tenon, tiny):
    return lambda *args, **kwargs: tenon("bench", "--model", tiny, "--repeat", 3, *args, **kwargs)


@pytest.fixture(scope="module")
def results(tenon, tiny):
    return tenon.json("bench", "--model", tiny, "--repeat", 3, "--prefill", "16,5", "--decode", 8, "--depth", "0,32", "--batch",
                      "1,3", "--threads", "1,2")


def test_every_combination_is_measured(results):
    got = [(r["threads"], r["test"], r["depth"], r["batch"]) for r in results["results"]]
    assert sorted(got) == sorted((t, test, d, b) for t in (1, 2) for test in ("pp16", "pp5", "tg8") for d in (0, 32) for b in (1, 3))


def test_a_result_has_its_samples_and_their_median(results):
    for r in results["results"]:
        assert r["repeats"] == len(r["samples"]) == 3 and min(r["samples"]) > 0
        assert r["tokens_per_s"] == pytest.approx(sorted(r["samples"])[1], rel=1e-6)
        quartiles = sorted(r["samples"])
        spread = ((quartiles[1] + quartiles[2]) / 2 - (quartiles[0] + quartiles[1]) / 2) / 2 / quartiles[1]
        assert r["spread"] == pytest.approx(spread, rel=1e-5, abs=1e-9)


def test_the_machine_is_described_with_a_roofline_for_each_number_of_threads(results):
    machine = results["machine"]
    assert machine["cpu"] and machine["online_cpus"] >= 1
    assert [r["threads"] for r in machine["roofline"]] == [1, 2]
    for r in machine["roofline"]:
        assert r["read_bytes_per_s"] > 1e8 and r["f32_ops_per_s"] > 1e7
        assert min(r["bf16_ops_per_s"], r["int8_ops_per_s"]) >= r["f32_ops_per_s"]


def test_shares_of_the_roofline_follow_from_rates(results):
    roof = {r["threads"]: r["read_bytes_per_s"] for r in results["machine"]["roofline"]}
    for a in results["results"]:
        bytes_a_token = a["memory_roofline"] * roof[a["threads"]] / a["tokens_per_s"]
        assert 0 < bytes_a_token < 1e9
        if a["test"] == "tg8" and a["batch"] == 3:  # three sequences share one pass over the weights
            alone = next(b for b in results["results"] if b["test"] == "tg8" and b["batch"] == 1 and
                         (b["threads"], b["depth"]) == (a["threads"], a["depth"]))
            assert bytes_a_token < alone["memory_roofline"] * roof[a["threads"]] / alone["tokens_per_s"]


def test_operations_count_at_the_rate_of_their_weights(tenon, make_model):
    seconds, roof = {}, {}
    for kind in ("F16", "BF16", "Q4_0"):
        model = make_model("--seed", "1", "--layers", "2", "--type", kind)
        out = tenon.json("bench", "--model", model, "--prefill", 16, "--decode", 0, "--repeat", 1, "--threads", 1)
        roof[kind] = out["machine"]["roofline"][0]
        seconds[kind] = out["results"][0]["compute_roofline"] / out["results"][0]["tokens_per_s"]
    ops = seconds["F16"] * roof["F16"]["f32_ops_per_s"]  # of linears and attention
    for kind, rate in (("BF16", "bf16_ops_per_s"), ("Q4_0", "int8_ops_per_s")):  # attention stays at the rate of f32
        assert seconds[kind] * roof[kind]["f32_ops_per_s"] <= 1.001 * ops and seconds[kind] * roof[kind][rate] >= 0.999 * ops
        if roof[kind][rate] > 1.5 * roof[kind]["f32_ops_per_s"]:
            assert seconds[kind] * roof[kind]["f32_ops_per_s"] < 0.9 * ops


def test_profiles_are_words(tenon, tiny, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"model: {tiny}\nkv: {{format: {'f16' if name == 'a' else 'i8'}}}\n")
    out = tenon.json("bench", tmp_path / "a.yaml", tmp_path / "b.yaml", "--prefill", 0, "--decode", 4, "--repeat", 1)["results"]
    assert [(r["profile"], r["kv_format"]) for r in out] == [(str(tmp_path / "a.yaml"), "f16"), (str(tmp_path / "b.yaml"), "i8")]


def test_the_table_is_markdown_and_csv_has_the_same_rows(bench):
    lines = bench("--prefill", 4, "--decode", 4).stdout.decode().splitlines()
    assert len(lines) == 4 and all(line.startswith("|") and line.count("|") == 14 for line in lines)
    assert len({len(line) for line in lines}) == 1
    rows = list(csv.DictReader(io.StringIO(bench("--prefill", 4, "--decode", 4, "--csv").stdout.decode())))
    assert [r["test"] for r in rows] == ["pp4", "tg4"]
    assert all(float(r["tokens_per_s"]) > 0 and None not in r for r in rows)


def test_shares_above_all_of_the_memory_are_explained(bench):
    done = bench("--prefill", 0, "--decode", 8, "--batch", "1,2")
    shares = [float(line.split("|")[12]) for line in done.stdout.decode().splitlines()[2:]]
    assert len(shares) == 2 and (b"stay in the CPU's caches" in done.stderr) == (max(shares) > 100)
    assert bench("--prefill", 0, "--decode", 8, "--quiet").stderr == b""


def test_the_plot_is_svg_with_a_bar_a_row(bench, tmp_path):
    bench("--prefill", 4, "--decode", 4, "--svg", tmp_path / "plot.svg")
    bars = [e for e in xml.etree.ElementTree.parse(tmp_path / "plot.svg").iter() if e.get("class") in ("p", "d")]
    assert [e.get("class") for e in bars] == ["p", "d"] and all(float(e.get("width")) > 0 for e in bars)


def test_a_plot_that_cannot_be_written_fails(bench, tmp_path):
    done = bench("--prefill", 4, "--decode", 0, "--svg", tmp_path / "none/plot.svg", status=1)
    assert b"none/plot.svg" in done.stderr


def test_a_batch_above_the_profile_s_limit_is_measured_all_the_same(tenon, tiny):
    out = tenon.json("bench", "--model", tiny, "--prefill", 0, "--decode", 4, "--batch", 20, "--repeat", 1, "--set",
                     "batch.max_sequences=2", "--set", "batch.max_tokens=4")["results"]
    assert [r["batch"] for r in out] == [20]


def test_the_roofline_alone_needs_no_model(tenon):
    assert [r["threads"] for r in tenon.json("bench", "--roofline", "--threads", "2,1")["machine"]["roofline"]] == [2, 1]
    assert b"read GB/s" in tenon("bench", "--roofline").stdout


@pytest.mark.parametrize("args, words", [
    (("--prefill", "x"), "whole numbers"),
    (("--prefill", 0, "--decode", 0), "nothing to measure"),
    (("--batch", 0), "--batch 0"),
    (("--threads", 0), "--threads 0"),
    (("--depth", 10**6), "context of"),
    (("--repeat", 0), "--repeat"),
])
def test_what_cannot_be_measured_is_refused(bench, args, words):
    assert words in bench(*args, status=2).stderr.decode()


def test_a_model_is_needed(tenon):
    assert b"--model" in tenon("bench", status=2).stderr
