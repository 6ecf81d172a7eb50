# SPDX-License-Identifier: Apache-2.0
"""Progress, colour and amount of talk: on a terminal, in a pipe, with --quiet, --verbose and NO_COLOR."""
import os
import re
import signal
import subprocess

import pytest

from conftest import BUILD
from terminal import LIMIT_S, READY, Terminal

CTRL_C, CTRL_D = b"\x03", b"\x04"
ESCAPE, COLOUR = b"\x1b", rb"\x1b\[[0-9;]*m"


@pytest.fixture(scope="module")
def slow(make_model):
    """A model that takes long to read a prompt."""
    return make_model("--seed", "5", "--context", "60000", "--layers", "4", "--dim", "256", "--ffn", "1024", "--heads", "8",
                      "--head-dim", "32", "--kv-heads", "4")


@pytest.fixture
def read_long_prompt(slow):
    """Arguments of a run that is busy with its prompt for minutes, in steps of a fraction of a second."""
    ids = ",".join(["5", "7", "9"] * 6000)
    return ("run", "--model", slow, "--ids", ids, "-n", 1, "--set", "plugins=cpu-ref", "--set", "batch.max_tokens=64", "--set",
            "batch.max_sequences=1")


@pytest.fixture
def start(tmp_path):
    opened = []

    def begin(*args, env=None, columns=80):
        home = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path), "NO_COLOR": ""}
        opened.append(Terminal(*args, env={**home, **(env or {})}, columns=columns))
        return opened[-1]

    yield begin
    for terminal in opened:
        terminal.close()


def run(*args, **env):
    return subprocess.run([BUILD / "bin/tenon", *map(str, args)], capture_output=True, env={**os.environ, **env}, check=False,
                          timeout=LIMIT_S)


# ---- progress ----

def test_a_terminal_shows_a_bar_with_amount_rate_and_time_left(start, read_long_prompt):
    t = start(*read_long_prompt, columns=100)
    t.expect(rb"\rreading the prompt \[#*\.*\] +\d+ %, \d+ of 18000 tokens, \d+ tokens/s, [\d:]+ (s|min) left")
    t.send(CTRL_C)
    t.expect(rb"\r\x1b\[K")  # the bar goes
    assert t.status() == 0 and b"cancelled" in t.text[t.seen:]


def test_the_bar_is_of_blocks_where_the_locale_is_utf_8(start, read_long_prompt):
    t = start(*read_long_prompt, env={"LC_ALL": "C.UTF-8"})
    t.expect("\rreading the prompt [█░]+ ".encode())
    t.send(CTRL_C)
    assert t.status() == 0


@pytest.mark.parametrize("columns", [20, 40, 60])
def test_a_bar_never_fills_the_line_of_a_narrow_terminal(start, read_long_prompt, columns):
    t = start(*read_long_prompt, columns=columns)
    for _ in range(3):
        drawn = t.expect(rb"\r(reading the prompt[^\r\n]*?)\x1b\[K")[1]
        assert len(drawn) < columns
    t.send(CTRL_C)
    assert t.status() == 0


def test_ctrl_c_while_chat_reads_a_prompt_gives_the_prompt_back(start, slow):
    t = start("chat", "--model", slow, "-n", 4, "--set", "batch.max_tokens=64", "--set", "batch.max_sequences=1")
    t.expect(READY)
    t.send(b"\x1b[200~" + b"many words " * 4000 + b"\x1b[201~")
    t.send(b"\r")
    t.expect(rb"\rreading the prompt")
    t.send(CTRL_C)
    t.expect(rb"\[stopped\]")
    t.expect(READY)
    assert "turns     0" in t.turn(b"/stats")
    t.send(CTRL_D)
    assert t.status() == 0


def plain_progress(args, env=None):
    """The first line on stderr of a run that is then stopped; exit status 0."""
    process = subprocess.Popen([BUILD / "bin/tenon", *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env={**os.environ, **(env or {})})
    line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode == 0 and ESCAPE not in line + rest and b"\r" not in line + rest
    return line


def test_a_pipe_gets_a_line_for_a_quarter_and_no_escape_sequence(read_long_prompt):
    assert plain_progress(read_long_prompt) == b"reading the prompt: 25 %\n"


def test_a_dumb_terminal_gets_the_lines_of_a_pipe(start, read_long_prompt):
    t = start(*read_long_prompt, env={"TERM": "dumb"})
    t.expect(rb"reading the prompt: 25 %\r\n")
    t.send(CTRL_C)
    assert t.status() == 0 and ESCAPE not in t.text


# ---- colour and talk ----

def test_an_error_has_colour_on_a_terminal_only_and_not_with_no_color(start):
    args = ("run", "--model", "/nowhere.gguf", "-p", "x")
    for env, colour in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        t = start(*args, env=env)
        assert t.status() == 2
        assert (ESCAPE in t.text) == colour and b"/nowhere.gguf" in t.text
    done = run(*args, NO_COLOR="")
    assert done.returncode == 2 and done.stderr.startswith(b"tenon: ") and ESCAPE not in done.stderr


def test_statistics_are_dimmed_on_a_terminal_and_plain_with_no_color(start, tiny):
    args = ("run", "--model", tiny, "--ids", "1,2,3", "-n", 4, "--greedy")
    t = start(*args)
    assert t.status() == 0 and re.search(COLOUR + rb"\[loaded in [^\r\n]*\]" + COLOUR, t.text)
    t = start(*args, env={"NO_COLOR": "1"})
    assert t.status() == 0 and b"[loaded in" in t.text and not re.search(COLOUR, t.text)


def test_quiet_shows_neither_bar_nor_statistics_on_a_terminal(start, tiny):
    t = start("run", "--model", tiny, "--ids", ",".join(["5"] * 200), "-n", 4, "--greedy", "--json", "--quiet")
    assert t.status() == 0
    assert t.text.startswith(b"{") and t.text.rstrip().endswith(b"}") and ESCAPE not in t.text


def test_verbose_names_plugins_and_the_phases_of_loading(tenon, tiny):
    args = ("run", "--model", tiny, "--ids", "1,2,3", "-n", 4, "--greedy", "--no-cache")
    said = tenon(*args, "--verbose").stderr.decode()
    assert "cpu-ref.so" in said and re.search(r"load: .*tiny.gguf: read and bound in [\d.]+ s, weights packed in [\d.]+ s", said)
    assert "packed" not in tenon(*args).stderr.decode()


def test_verbose_chat_tells_the_statistics_of_each_turn(tenon, tiny):
    args = ("chat", "--model", tiny, "--greedy", "-n", 4)
    figures = rb"\[prompt \d+ tokens, \d+ of them cached, [\d.]+ tok/s; answer [1-4] tokens, [\d.]+ tok/s; \w+\]"
    assert len(re.findall(figures, tenon(*args, "--verbose", input=b"one\ntwo\n").stderr)) == 2
    assert not re.search(figures, tenon(*args, input=b"one\n").stderr)


# ---- errors tell the next step ----

@pytest.mark.parametrize("args, step", [
    (("--plugin-dir", "/nowhere"), "tenon plugins lists those that are there"),
    (("--set", "context.length=2"), "raise context.length"),
])
def test_an_error_tells_the_next_step(tenon, tiny, args, step):
    assert step in tenon("run", "--model", tiny, "--ids", "1,2,3", "-n", 4, *args, status=2).stderr.decode()
