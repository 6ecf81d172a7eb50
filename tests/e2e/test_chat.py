# SPDX-License-Identifier: Apache-2.0
"""tenon chat: at a terminal (a pty) and from a pipe. Everything waits for output; nothing waits for time."""
import json
import os
import re
import resource
import signal
import subprocess

import pytest

from conftest import BUILD
from terminal import LIMIT_S, READY, Terminal, wait_for_exit

MORE = rb"\x1b\[\?2004h\.\.\. "
UP, CTRL_C, CTRL_D = b"\x1b[A", b"\x03", b"\x04"


@pytest.fixture
def chat(tmp_path):
    """chat(args...) -> Terminal with a history of its own."""
    opened = []

    def start(*args, env=None):
        opened.append(Terminal("chat", *args, env={"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path), **(env or {})}))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


@pytest.fixture(scope="module")
def slow(make_model):
    """A model whose answer lasts until it is stopped."""
    return make_model("--seed", "5", "--context", "60000", "--layers", "4", "--dim", "256", "--ffn", "1024", "--heads", "8",
                      "--head-dim", "32", "--kv-heads", "4")


@pytest.fixture(scope="module")
def roomy(make_model):
    return make_model("--seed", "1", "--layers", "2", "--context", "4000")


def ask(model, *more):
    return ("--model", model, "--greedy", "-n", 6, *more)


def saved_turns(path):
    messages = json.loads(path.read_text(encoding="utf-8"))["messages"]
    return [m["content"] for m in messages if m["role"] == "user"]


# ---- at a terminal ----

def test_a_turn_may_have_several_lines(chat, roomy, tmp_path):
    t = chat(*ask(roomy))
    t.expect(READY)
    t.send(b"one\\\r")
    t.expect(MORE)
    t.turn(b"two")
    t.send(b'"""\r')
    t.expect(MORE)
    t.send(b"/help is text here \\\r")
    t.expect(MORE)
    t.turn(b'end"""')
    t.turn(b"\x1b[200~pasted\rlines\x1b[201~")
    t.turn(b"/save " + bytes(tmp_path / "c.json"))
    t.send(CTRL_D)
    assert t.status() == 0
    assert saved_turns(tmp_path / "c.json") == ["one\ntwo", "/help is text here \\\nend", "pasted\nlines"]


def test_text_that_is_not_ascii_arrives_whatever_the_locale(chat, roomy, tmp_path):
    t = chat(*ask(roomy))
    t.expect(READY)
    t.turn("Grüße, 世界 🙂".encode())
    t.turn(b"/save " + bytes(tmp_path / "c.json"))
    assert saved_turns(tmp_path / "c.json") == ["Grüße, 世界 🙂"]


def test_arrow_up_recalls_turns_also_of_an_earlier_run(chat, roomy, tmp_path):
    t = chat(*ask(roomy))
    t.expect(READY)
    t.turn(b"first turn")
    t.send(b"two\\\r")
    t.expect(MORE)
    t.turn(b"lines")
    t.turn(UP + UP)
    t.turn(b"/save " + bytes(tmp_path / "c.json"))
    t.send(CTRL_D)
    assert t.status() == 0
    assert saved_turns(tmp_path / "c.json") == ["first turn", "two\nlines", "first turn"]
    history = tmp_path / "state/tenon/chat_history"
    assert history.stat().st_mode & 0o077 == 0 and list(history.parent.iterdir()) == [history]

    t = chat(*ask(roomy))
    t.expect(READY)
    t.turn(UP + UP + UP)  # behind /save and "first turn": the turn of two lines
    t.turn(b"/save " + bytes(tmp_path / "d.json"))
    assert saved_turns(tmp_path / "d.json") == ["two\nlines"]


def test_a_history_that_cannot_be_written_is_no_error(chat, roomy, tmp_path):
    (tmp_path / "file").touch()
    t = chat(*ask(roomy), env={"XDG_STATE_HOME": str(tmp_path / "file")})
    t.expect(READY)
    assert "tenon:" not in t.turn(b"hello")
    t.send(CTRL_D)
    assert t.status() == 0


def test_a_history_that_the_disk_has_no_room_for_stays_as_it_was(chat, roomy, tmp_path):
    t = chat(*ask(roomy))
    t.expect(READY)
    t.turn(b"the first")
    history = tmp_path / "state/tenon/chat_history"
    before = history.read_bytes()
    resource.prlimit(t.pid, resource.RLIMIT_FSIZE, (len(before), len(before)))
    assert "tenon:" not in t.turn(b"the second")
    t.send(CTRL_D)
    assert t.status() == 0
    assert history.read_bytes() == before and list(history.parent.iterdir()) == [history]


def test_ctrl_c_stops_the_answer_and_not_the_program(chat, slow, tmp_path):
    t = chat("--model", slow, "--greedy", "-n", 50000, "--ignore-eos", "--set", "batch.max_sequences=1")
    t.expect(READY)
    t.send(b"go on\r")
    t.expect(rb"go on\r\n.{20}")
    t.send(CTRL_C)
    t.expect(rb"\[stopped\]")
    t.expect(READY)
    assert re.search(r"answer +[1-9]\d* tokens", t.turn(b"/stats"))
    t.turn(b"/save " + bytes(tmp_path / "c.json"))
    assert saved_turns(tmp_path / "c.json") == ["go on"]
    t.send(CTRL_D)
    assert t.status() == 0


@pytest.mark.parametrize("event", [signal.SIGCONT, signal.SIGWINCH])
def test_a_half_typed_line_is_drawn_again_after_a_stop_or_a_new_size(chat, roomy, event):
    t = chat(*ask(roomy))
    t.expect(READY)
    t.send(b"half a line")
    t.expect(rb"half a line")
    os.kill(t.pid, event)
    t.expect(rb"\r\x1b\[J> half a line")  # in place of what stood there, and before the next key
    t.send(CTRL_C)
    t.expect(READY)
    t.send(CTRL_D)
    assert t.status() == 0


def test_ctrl_c_at_the_prompt_drops_the_line_then_hints_then_leaves(chat, roomy):
    t = chat(*ask(roomy))
    t.expect(READY)
    t.send(b"half a line")
    t.expect(rb"half a line")
    t.send(CTRL_C)
    t.expect(READY)
    t.send(CTRL_C)
    t.expect(rb"Ctrl-C again")
    t.expect(READY)
    t.turn(b"/stats")
    t.send(CTRL_C)
    t.expect(rb"Ctrl-C again")
    t.expect(READY)
    t.send(CTRL_C)
    assert t.status() == 0
    assert b"half a line" not in t.text[t.seen:]


def test_stats_shows_tokens_speed_context_and_memory(chat, roomy):
    t = chat(*ask(roomy))
    t.expect(READY)
    t.turn(b"hello " * 30)
    t.turn(b"again")
    text = t.turn(b"/stats")
    prompt = re.search(r"prompt +(\d+) tokens, (\d+) of them cached, [\d.]+ tok/s", text)
    assert int(prompt[1]) > int(prompt[2]) > 0
    answer, context = re.search(r"answer +(\d+) tokens, [\d.]+ tok/s", text), re.search(r"context +(\d+) of 4000 tokens", text)
    assert int(context[1]) == int(prompt[1]) + int(answer[1])
    assert re.search(r"KV cache +[\d.]+ \w?B of [\d.]+ \w?B", text)


def test_a_saved_conversation_is_loaded_in_another_run(chat, roomy, tmp_path):
    path = tmp_path / "c.json"
    t = chat(*ask(roomy, "--system", "Be brief."))
    t.expect(READY)
    t.turn(b"hello")
    t.turn(b"/save ~/c.json")
    before = path.read_bytes()
    t.send(b"/quit\r")
    assert t.status() == 0

    t = chat(*ask(roomy))
    t.expect(READY)
    assert "loaded 1 turn from" in t.turn(b"/load " + bytes(path))
    assert "Be brief." in t.turn(b"/system")
    t.turn(b"/save " + bytes(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_bytes() == before
    assert "there is no command /sav" in t.turn(b"/sav")


def test_another_profile_goes_on_with_the_conversation(chat, roomy, tmp_path):
    for name, kv in (("one", "f32"), ("two", "i8")):
        (tmp_path / f"{name}.yaml").write_text(f"model: {roomy}\nplugins: [cpu-ref]\nkv: {{format: {kv}}}\n", encoding="utf-8")
    t = chat("--profile", tmp_path / "one.yaml", "--greedy", "-n", 6)
    t.expect(READY)
    t.turn(b"hello")
    memory = re.compile(r"KV cache +([\d.]+ \w?B)")
    wide = memory.search(t.turn(b"/stats"))[1]
    assert "two.yaml" in t.turn(b"/profile " + bytes(tmp_path / "two.yaml"))
    assert "nowhere.yaml" in t.turn(b"/profile nowhere.yaml")
    t.turn(b"and now")
    text = t.turn(b"/stats")
    assert "turns     2, the model sees 2" in text and memory.search(text)[1] != wide
    t.turn(b"/save " + bytes(tmp_path / "c.json"))
    assert saved_turns(tmp_path / "c.json") == ["hello", "and now"]


def test_retry_answers_the_last_turn_again(chat, roomy, tmp_path):
    t = chat(*ask(roomy))
    t.expect(READY)
    t.turn(b"hello")
    t.turn(b"/set max_tokens 3")
    t.turn(b"/retry")
    assert re.search(r"answer +[1-3] tokens", t.turn(b"/stats"))
    t.turn(b"/save " + bytes(tmp_path / "c.json"))
    assert saved_turns(tmp_path / "c.json") == ["hello"]


def test_a_terminal_that_goes_away_ends_the_program(chat, roomy):
    t = chat(*ask(roomy))
    t.expect(READY)
    os.close(t.fd)
    t.fd = os.open(os.devnull, os.O_RDONLY)
    assert wait_for_exit(t.pid) in (0, 1)


# ---- from a pipe ----

def test_each_line_of_a_pipe_is_a_turn(tenon, roomy, tmp_path):
    done = tenon("chat", *ask(roomy), "--quiet", input=f'one\ntwo \\\nlines\n\n"""\nthree\n"""\n/save {tmp_path}/c.json\nlast'.encode())
    assert saved_turns(tmp_path / "c.json") == ["one", "two \nlines", "three"]
    assert b"> " not in done.stdout[:2] and done.stdout.endswith(b"\n")


def test_json_gives_one_object_a_turn(tenon, roomy):
    lines = tenon("chat", *ask(roomy), "--json", input=b"one\n/stats\ntwo\n").stdout.splitlines()
    first, second = map(json.loads, lines)
    assert set(first) == {"text", "finish_reason", "usage", "timing", "dropped_turns"}
    assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"]


def test_no_input_at_all_is_a_chat_without_turns(tenon, roomy):
    assert tenon("chat", *ask(roomy)).stdout == b""
    closed = subprocess.run(["sh", "-c", '"$@" <&-', "sh", BUILD / "bin/tenon", "chat", "--model", roomy], capture_output=True,
                            check=False, timeout=LIMIT_S)
    assert closed.returncode == 0 and closed.stdout == b""


def test_a_closed_pipe_is_an_error_in_words(roomy):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([BUILD / "bin/tenon", "chat", *map(str, ask(roomy))], input=b"one\ntwo\n", stdout=write,
                          stderr=subprocess.PIPE, check=False, timeout=LIMIT_S)
    os.close(write)
    assert done.returncode == 1 and b"cannot write to stdout" in done.stderr


def test_ctrl_c_ends_a_piped_chat(slow):
    process = subprocess.Popen([BUILD / "bin/tenon", "chat", "--model", slow, "--greedy", "-n", "50000", "--ignore-eos", "--set",
                                "batch.max_sequences=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"go on\nand on\n")
    process.stdin.flush()
    assert process.stdout.read(20)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode == 1 and stderr.count(b"[stopped]") == 1


def test_a_wrong_turn_is_said_and_the_next_one_is_answered(tenon, roomy):
    done = tenon("chat", *ask(roomy), "--json", input=b"\xff\xfe\n/frobnicate\n/load /nowhere\nhello\n", status=1)
    assert len(done.stdout.splitlines()) == 1
    assert b"no UTF-8" in done.stderr and b"no command /frobnicate" in done.stderr and b"/nowhere" in done.stderr


def test_a_file_that_is_no_conversation_changes_nothing(tenon, roomy, tmp_path):
    (tmp_path / "bad.json").write_text('{"messages": [{"role": "assistant", "content": "x"}]}', encoding="utf-8")
    done = tenon("chat", *ask(roomy), input=f"hello\n/load {tmp_path}/bad.json\n/save {tmp_path}/c.json\n".encode(), status=1)
    assert b'message 1 is of "assistant"' in done.stderr
    assert saved_turns(tmp_path / "c.json") == ["hello"]


# ---- a context that is full ----

def test_the_oldest_turns_go_when_the_context_is_full_and_it_is_said(tenon, tiny, tmp_path):
    turns = "".join(f"turn number {i}, some words that fill it\n" for i in range(8))
    done = tenon("chat", *ask(tiny, "--system", "Be brief."), "--json", input=f"{turns}/save {tmp_path}/c.json\n".encode())
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    dropped = sum(a["dropped_turns"] for a in answers)
    assert len(answers) == 8 and 0 < dropped < 8
    said = re.findall(rb"the context of 256 tokens is full: dropped the (\d+) oldest turns?", done.stderr)
    assert sum(map(int, said)) == dropped
    assert all(a["usage"]["prompt_tokens"] + a["usage"]["completion_tokens"] <= 256 for a in answers)
    assert len(saved_turns(tmp_path / "c.json")) == 8


def test_a_turn_that_is_too_long_is_refused_and_the_chat_goes_on(tenon, tiny, tmp_path):
    done = tenon("chat", *ask(tiny), input=f"hello\n{'too long ' * 200}\nbye\n/save {tmp_path}/c.json\n".encode(), status=1)
    assert re.search(rb"this turn makes a prompt of \d+ tokens, and the context has 256", done.stderr)
    assert saved_turns(tmp_path / "c.json") == ["hello", "bye"]


def test_an_answer_that_the_context_cuts_is_said(tenon, tiny):
    done = tenon("chat", "--model", tiny, "--greedy", "--ignore-eos", "-n", 1000, input=b"hello\n")
    assert b"[cut: the context of 256 tokens is full]" in done.stderr


def test_later_turns_find_all_earlier_ones_in_the_cache(tenon, roomy):
    """Random weights give tokens that their own text is not cut into: the ids of the answers must be kept."""
    done = tenon("chat", "--model", roomy, "--temperature", 1.5, "--seed", 3, "--ignore-eos", "-n", 300, "--json",
                 "--set", "kv.block_tokens=16", input=b"one\ntwo\nthree\n")
    usage = [json.loads(line)["usage"] for line in done.stdout.splitlines()]
    for before, now in zip(usage, usage[1:]):
        known = before["prompt_tokens"] + before["completion_tokens"]
        assert now["cached_tokens"] >= known - 2 * 16
