# SPDX-License-Identifier: Apache-2.0
"""The free run of tenon check: drift, tokens, and which nodes must be replaced to get the tokens back."""
import json

import pytest

from conftest import BUILD


@pytest.fixture(scope="module")
def model(make_model):
    return make_model("--type", "Q4_1", "--layers", "5")


@pytest.fixture
def check(tenon, model, tmp_path):
    def run(plugin, *args, status=0, nodes=None):
        options = f', options: {{nodes: "{nodes}"}}' if nodes else ""
        profile = tmp_path / "profile.yaml"
        profile.write_text(f"model: {model}\nplugins: [{{name: {plugin}, path: {BUILD}/tests/plugins/{plugin}.so{options}}}]\n"
                           "kv: {format: f16, block_tokens: 16}\n", encoding="utf-8")
        return tenon("check", "--quick", "--profile", profile, *args, status=status, cwd=tmp_path)
    return run


def free_run(check, *args, **kwargs):
    return json.loads(check(*args, "--json", **kwargs).stdout)["free_run"]


@pytest.mark.parametrize("plugin, drift", [("alt-f32", 1e-4), ("alt-f16", 1e-2), ("alt-a8", 0.1)])
def test_a_correct_plugin_drifts_a_little_and_makes_the_same_tokens(check, plugin, drift):
    run = free_run(check, plugin)
    assert run["passed"] and run["bisection"] is None and not run["unsteady"] and run["tokens"] == len(run["rows"]) > 16
    assert all(r["state"] in ("same", "tie") for r in run["rows"])
    layers = [d["relative"] for d in run["drift"] if d["ends_layer"]]
    assert len(layers) == 5 and all(0 < x < drift for x in layers)
    assert 0 < run["mean_kl"] <= run["max_kl"] < drift
    assert 0 < run["max_rms"] < run["rms_limit"]


def test_the_reference_against_itself_is_the_same_bits(tenon, model):
    run = tenon.json("check", "--quick", "--model", model, "--set", "plugins=[cpu-ref]")["free_run"]
    assert run["same"] == run["tokens"] and run["first_difference"] == -1
    # f32 edges on both sides, but fused ops are made of primitives on one of them.
    assert run["max_kl"] < 1e-9 and all(d["relative"] < 1e-6 for d in run["drift"])


@pytest.mark.parametrize("plugin, nodes, needed", [
    ("v-from-k", "layer.3.attention", ["layer.3.attention"]),
    ("rope-pairing", "layer.2.kv_write", ["layer.2.kv_write"]),
    ("kv-head", "layer.1.attention", ["layer.1.attention"]),
    ("mask-off-by-one", "layer.0.attention,layer.4.attention", ["layer.0.attention", "layer.4.attention"]),
    ("off-by-one-row", "layer.2.down,layer.4.qkv", ["layer.2.down", "layer.4.qkv"]),
])
def test_the_smallest_set_of_nodes_is_the_wrong_ones(check, plugin, nodes, needed):
    run = free_run(check, f"broken-{plugin}", nodes=nodes, status=1)
    found = run["bisection"]
    assert not run["passed"]
    assert [n["node"] for n in found["nodes"]] == needed
    assert found["smallest"] and found["runs"] < 64
    assert all(n["kernel"].startswith(f"broken-{plugin}.") for n in found["nodes"])


def test_the_drift_jumps_at_the_wrong_node(check):
    run = free_run(check, "broken-v-from-k", nodes="layer.3.attention", status=1)
    drift = {d["node"]: d["relative"] for d in run["drift"]}
    assert drift["layer.2.down"] < 1e-4 < 0.1 < drift["layer.3.attention"]


def test_a_block_that_another_sequence_had_is_read_anew(check):
    # broken-stale-block keeps a copy of each full block, and reads that when the block is used again.
    report = json.loads(check("broken-stale-block", "--json", nodes="layer.2.attention", status=1).stdout)
    assert [(f["part"], f["node"]) for f in report["failed"]][0] == ("lockstep", "layer.2.attention")


def test_the_report_tells_drift_tokens_and_nodes(check):
    text = check("broken-v-from-k", nodes="layer.3.attention", status=1).stdout.decode()
    assert "it grows most at layer.3.attention" in text
    assert "first other token: sequence" in text
    assert "this node computed by the reference restores the tokens" in text
    text = check("alt-f32").stdout.decode()
    assert "best tokens are the same" in text and "drift by layer:" in text and "restores" not in text


def test_every_report_says_when_runs_that_are_alike_differ(tenon, make_model, tmp_path):
    """What state-kept answers goes by the calls before, so with some seed the set that was found does not pass again."""
    for seed in range(1, 11):
        done = tenon("check", "--quick", "--model", make_model("--type", "Q4_1", "--layers", "2"), "--set", "kv.block_tokens=16", "--seed", str(seed),
                     "--set", f"plugins=[{{name: broken-state-kept, path: {BUILD}/tests/plugins/broken-state-kept.so}}]", "--json",
                     "--junit", tmp_path / "r.xml", "--html", tmp_path / "r.html", status=1, cwd=tmp_path)
        run = json.loads(done.stdout)["free_run"]
        texts = [done.stdout.decode(), *((tmp_path / name).read_text(encoding="utf-8") for name in ("r.xml", "r.html"))]
        assert ["runs that are alike differ, so the node is not sure" in text for text in texts] == 3 * [run["unsteady"]]
        if run["unsteady"]:
            break
    assert run["unsteady"] and run["bisection"] is None


def test_there_is_no_free_run_of_a_part(check):
    assert free_run(check, "alt-f32", "--only", "op=attention") is None
    assert free_run(check, "alt-f32", "--node", "layer.1.*") is None


def test_a_device_whose_memory_the_host_cannot_read_is_checked_as_well(tenon, model, tmp_path):
    (tmp_path / "p.yaml").write_text(f"model: {model}\ndevice: simdev\nplugins: [{{name: simdev, path: {BUILD}/tests/plugins/simdev.so}}]\n",
                                     encoding="utf-8")
    report = tenon.json("check", "--quick", "--profile", tmp_path / "p.yaml", cwd=tmp_path)
    assert report["passed"] and report["free_run"]["passed"] and report["free_run"]["same"] == report["free_run"]["tokens"]
