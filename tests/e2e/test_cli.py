# SPDX-License-Identifier: Apache-2.0
"""The fixed part of the command line: what each command prints, and its exit status."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import BUILD

ASK = ("--ids", "1,2,3", "-n", 8, "--greedy", "--ignore-eos")


def test_run_prints_the_object_of_the_specification(tenon, tiny):
    out = tenon.json("run", "--model", tiny, *ASK, "--top-logits", 3)
    assert set(out) == {"model", "profile", "prompt_ids", "ids", "text", "finish_reason", "steps", "usage", "timing"}
    assert out["prompt_ids"] == [1, 2, 3] and len(out["ids"]) == 8 and out["finish_reason"] == "length"
    assert out["usage"] == {"prompt_tokens": 3, "cached_tokens": 0, "completion_tokens": 8}
    assert set(out["timing"]) == {"load_s", "prefill_tok_s", "decode_tok_s"}
    for step, token in zip(out["steps"], out["ids"], strict=True):
        assert len(step["top"]) == 3 and step["id"] == token == step["top"][0]["id"]
        assert [t["logit"] for t in step["top"]] == sorted((t["logit"] for t in step["top"]), reverse=True)


def test_run_without_top_logits_has_no_steps(tenon, tiny):
    assert "steps" not in tenon.json("run", "--model", tiny, *ASK)


def test_run_streams_the_text_that_json_reports(tenon, tiny):
    text = tenon("run", "--model", tiny, *ASK, "--quiet").stdout.decode()
    assert text.rstrip("\n") == tenon.json("run", "--model", tiny, *ASK)["text"].rstrip("\n")


def test_quiet_says_nothing_on_stderr(tenon, tiny):
    assert tenon("run", "--model", tiny, *ASK, "--quiet").stderr == b""
    assert b"tok/s" in tenon("run", "--model", tiny, *ASK).stderr


def test_the_same_seed_gives_the_same_text_and_another_one_another(tenon, tiny):
    ask = ("run", "--model", tiny, "--ids", "1,2,3", "-n", 24, "--temperature", 1.5, "--ignore-eos")
    one, again, other = (tenon.json(*ask, "--seed", s)["ids"] for s in (7, 7, 8))
    assert one == again != other


def test_top_k_of_one_is_greedy(tenon, tiny):
    greedy = tenon.json("run", "--model", tiny, *ASK)["ids"]
    assert tenon.json("run", "--model", tiny, "--ids", "1,2,3", "-n", 8, "--temperature", 2, "--top-k", 1, "--seed", 3,
                      "--ignore-eos")["ids"] == greedy


def test_a_stop_string_ends_the_answer_before_it(tenon, tiny):
    ask = ("run", "--model", tiny, "--ids", "1,2,3", "-n", 64, "--temperature", 2, "--seed", 5, "--ignore-eos")
    text = tenon.json(*ask)["text"]
    stop = next(text[i:i + 2] for i in range(len(text) // 2, len(text) - 1) if text[i:i + 2].isprintable())
    out = tenon.json(*ask, "--stop", stop)
    assert out["text"] == text[:text.index(stop)] and out["finish_reason"] == "stop"


def test_a_prompt_may_come_from_a_file_and_from_stdin(tenon, tiny, tmp_path):
    (tmp_path / "p.txt").write_text("hello there", encoding="utf-8")
    ask = ("run", "--model", tiny, "--raw", "-n", 4, "--greedy")
    inline = tenon.json(*ask, "-p", "hello there")
    assert tenon.json(*ask, "--file", tmp_path / "p.txt")["ids"] == inline["ids"]
    assert tenon.json(*ask, "--file", "-", input=b"hello there")["prompt_ids"] == inline["prompt_ids"]


def test_chat_wraps_the_prompt_in_the_template(tenon, tiny):
    raw = tenon.json("run", "--model", tiny, "--raw", "-p", "hi", "-n", 1)["prompt_ids"]
    chat = tenon.json("run", "--model", tiny, "--chat", "-p", "hi", "-n", 1)["prompt_ids"]
    assert len(chat) > len(raw)


def test_tokenize_and_decode_are_inverse_for_any_bytes(tenon, tiny):
    data = bytes(range(256)) + "Grüße, 世界 🙂\n  x\t\r\n".encode()
    ids = tenon("tokenize", "--model", tiny, "--no-special", input=data).stdout
    assert re.fullmatch(rb"\d+( \d+)*\n", ids)
    assert tenon("tokenize", "--model", tiny, "--no-special", "--decode", input=ids).stdout == data


def test_tokenize_reads_special_tokens_unless_told_not_to(tenon, tiny):
    text = b"<|im_start|>"
    assert len(tenon("tokenize", "--model", tiny, input=text).stdout.split()) == 1
    assert len(tenon("tokenize", "--model", tiny, "--no-special", input=text).stdout.split()) > 1


def test_inspect_tells_what_the_file_is(tenon, tiny):
    out = tenon.json("inspect", tiny)
    assert out["format"] == "GGUF v3" and out["model"]["layers"] == 2 and out["model"]["supported"] is True
    assert out["model"]["kv_bytes_per_token"]["f32"] == 2 * out["model"]["kv_bytes_per_token"]["f16"]
    assert b"byte-level BPE" in tenon("inspect", tiny).stdout


def test_explain_names_every_node_and_its_kernel(tenon, tiny):
    nodes = tenon.json("explain", "--model", tiny)["nodes"]
    ops = {n["op"] for n in nodes}
    assert {"embed", "norm_linear", "rope_kv_write", "attention", "linear_add", "norm_linear_glu", "argmax"} <= ops
    assert all(n["plugin"] == "cpu-simd" for n in nodes)
    assert sum(n["node"].startswith("layer.0.") for n in nodes) == 6
    text = tenon("explain", "--model", tiny).stdout.decode()
    assert all(n["node"] in text for n in nodes)


def test_explain_prints_the_graph_as_text_and_dot(tenon, tiny):
    assert b"layer.1.glu" in tenon("explain", "--model", tiny, "--graph").stdout
    dot = tenon("explain", "--model", tiny, "--dot").stdout
    assert dot.startswith(b"digraph") and dot.rstrip().endswith(b"}")


def test_plugins_lists_what_is_there(tenon):
    listed = {p["name"]: p for p in tenon.json("plugins")["plugins"]}
    assert listed["cpu-ref"]["state"] == "loaded" and listed["cpu-ref"]["kv_formats"] == 4


def test_version_is_the_project_version(tenon):
    assert re.fullmatch(r"\d+\.\d+\.\d+", tenon.json("version")["version"])


@pytest.mark.parametrize("command", ["run", "inspect", "tokenize", "plugins", "explain", "help", "version"])
def test_every_command_has_help(tenon, command):
    text = tenon(command, "--help").stdout.decode()
    assert text.startswith(f"usage: tenon {command}") and "--json" in text


def test_man_page_and_completion_know_every_option(tenon):
    man, bash = (tenon("help", *words).stdout.decode().replace(r"\-", "-") for words in (("run", "--man"), ("--bash-completion",)))
    for option in re.findall(r"--([a-z][a-z-]+)", tenon("run", "--help").stdout.decode()):
        assert f"--{option}" in man and f"--{option}" in bash
    subprocess.run(["bash", "-n"], input=bash.encode(), check=True)


def test_ctrl_c_ends_the_answer_and_says_so(tenon, make_model):
    model = make_model("--seed", "5", "--context", "60000", "--layers", "4", "--dim", "256", "--ffn", "1024", "--heads", "8",
                       "--head-dim", "32", "--kv-heads", "4")
    process = subprocess.Popen([BUILD / "bin/tenon", "run", "--model", model, "--ids", "1,2,3", "-n", "50000", "--greedy",
                                "--ignore-eos", "--set", "batch.max_sequences=1", "--json"], stdout=subprocess.PIPE)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out = json.loads(process.communicate(timeout=20)[0])
    assert process.returncode == 0 and out["finish_reason"] == "cancelled" and 0 < len(out["ids"]) < 50000


def test_a_full_disk_is_an_error_not_a_silent_success(tenon, tiny):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BUILD / "bin/tenon", "run", "--model", tiny, *map(str, ASK)], stdout=full, stderr=subprocess.PIPE,
                              check=False, timeout=60)
    assert done.returncode == 1 and b"cannot write to stdout" in done.stderr
