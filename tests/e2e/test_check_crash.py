# SPDX-License-Identifier: Apache-2.0
"""tenon check outlives plugins that crash, hang or exit, and says what they did in which kernel, node and case."""
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import time
import xml.etree.ElementTree

import pytest

import repro_file
from conftest import BUILD
from terminal import Terminal, wait_for_exit

PLUGINS = BUILD / "tests/plugins"
# AddressSanitizer makes an exit status of every signal but SIGABRT.
CRASH = r"it ended the process (by SIGSEGV \(Segmentation fault\)|with exit status \d+, before its time)"
ENDS = {"crash": CRASH, "abort": r"it ended the process (by SIGABRT \(Aborted\)|with exit status \d+, before its time)",
        "exit": "it ended the process with exit status 0, before its time",
        "hang": "no progress for 3 seconds: it hangs, and was killed"}
TIMEOUT = {how: 3 if how == "hang" else 60 for how in ENDS}


@pytest.fixture
def profile(tiny, tmp_path):
    def make(plugin, second="cpu-ref"):
        path = tmp_path / f"{plugin}.yaml"
        path.write_text(f"model: {tiny}\nplugins: [{{name: {plugin}, path: {PLUGINS}/{plugin}.so}}, {second}]\n", encoding="utf-8")
        return path
    return make


@pytest.fixture
def checked(tenon, profile, tmp_path):
    """The report of a check that ends badly, which JUnit and HTML have too, and its one failure."""
    def run(*args, timeout=60):
        report = tenon.json("check", "--timeout", timeout, "--junit", tmp_path / "r.xml", "--html", tmp_path / "r.html", *args, status=1, cwd=tmp_path)
        failed, = report["failed"]
        assert not report["passed"] and failed["metric"] in ("crash", "hang") and failed["value"] == 1
        case, = [t for t in xml.etree.ElementTree.parse(tmp_path / "r.xml").getroot().iter("testcase") if t.find("failure") is not None]
        assert (case.get("name"), case.find("failure").get("message")) == (failed["node"], failed["text"])
        page = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert page.rstrip().endswith("</html>") and failed["kernel"] in page and failed["shape"] in page
        return report, failed
    return run


@pytest.mark.parametrize("how", ENDS)
def test_a_kernel_that_ends_the_process_in_a_node_is_named_with_node_case_and_end(checked, profile, how):
    report, failed = checked("--quick", "--profile", profile(f"broken-{how}"), timeout=TIMEOUT[how])
    assert report["profile"].endswith(f"broken-{how}.yaml") and report["against"] == "cpu-ref" and report["cases"] > 50
    assert (failed["part"], failed["node"], failed["op"], failed["kernel"]) == ("lockstep", "argmax", "argmax", f"broken-{how}.argmax")
    assert failed["metric"] == ("hang" if how == "hang" else "crash") and failed["shape"].startswith("step 1: 19 tokens of 1 sequences, in ")
    assert re.match(ENDS[how], failed["text"]), failed["text"]


@pytest.mark.parametrize("how", ENDS)
def test_a_plugin_that_ends_the_process_is_named_without_a_model(checked, how):
    path = PLUGINS / f"broken-{how}.so"
    report, failed = checked("--plugin", path, timeout=TIMEOUT[how])
    assert report["plugin"] == str(path)
    assert (failed["part"], failed["node"], failed["kernel"]) == ("ops", "cases of argmax", f"broken-{how}.argmax")
    assert failed["shape"].startswith("argmax 1 x 37, values 0: ") and re.match(ENDS[how], failed["text"]), failed


@pytest.mark.parametrize("place, of_plugin, of_profile", [
    ("at-load", ("plugin", "descriptor", "its file is loaded"), ("plugin", "loading", "broken-at-load, cpu-ref")),
    ("at-supports", ("ops", "cases of argmax", "argmax 1 x 37"), ("plugin", "loading", "broken-at-supports, cpu-ref")),
    ("at-close", ("plugin", "closing", "plugins are closed"), ("plugin", "closing", "plugins are closed")),
])
def test_a_crash_outside_of_run_is_a_report_too(checked, profile, place, of_plugin, of_profile):
    for args, (part, node, words) in ((["--plugin", PLUGINS / f"broken-{place}.so"], of_plugin),
                                      (["--quick", "--profile", profile(f"broken-{place}")], of_profile)):
        if place == "at-close" and args[0] == "--plugin":
            args += ["--only", "op=argmax"]
        failed = checked(*args)[1]
        assert (failed["part"], failed["node"]) == (part, node) and words in failed["shape"] and re.match(CRASH, failed["text"]), failed


def test_what_was_found_before_the_crash_is_shown(tenon, profile, tmp_path):
    alt = profile("broken-crash", f"{{name: alt-f32, path: {PLUGINS}/alt-f32.so}}")
    text = tenon("check", "--quick", "--profile", alt, "--junit", "r.xml", status=1, cwd=tmp_path).stdout.decode()
    assert re.search(r"^lockstep  attention +alt-f32\.attention +f32acc +2 +10  ok +0\.\d+ +\d\.\d\de-1\d", text, re.MULTILINE)
    assert re.search(r"^lockstep  argmax +broken-crash\.argmax +exact +1 +1  FAILED", text, re.MULTILINE)
    assert "FAILED  lockstep: argmax\n  op argmax, kernel broken-crash.argmax of broken-crash, class exact\n  step 1: " in text
    assert re.search(r"^FAILED: \d+ cases against cpu-ref in .* s, 1 failed$", text, re.MULTILINE)
    names = {t.get("name") for t in xml.etree.ElementTree.parse(tmp_path / "r.xml").getroot().iter("testcase")}
    assert {"layer.0.attention", "layer.1.down", "argmax"} <= names


@pytest.mark.parametrize("args, narrowed", [(["--quick", "--profile"], "--node argmax"), (["--plugin"], "--only op=argmax")])
def test_the_command_in_the_report_runs_what_crashed_and_little_else(tenon, checked, profile, tmp_path, args, narrowed):
    target = profile("broken-crash") if "--profile" in args else PLUGINS / "broken-crash.so"
    failed = checked(*args, target, "--seed", 7)[1]
    command = re.search(r"`tenon (.*)` runs it again$", failed["text"])[1]
    assert narrowed in command and "--seed 7" in command
    again = json.loads(tenon(*shlex.split(command), "--json", status=1, cwd=tmp_path).stdout)["failed"][0]
    assert {**again, "text": ""} == {**failed, "text": ""}


def test_a_crash_on_a_repro_file_is_a_report(tenon, checked, tiny, tmp_path):
    tie = tmp_path / "tie.yaml"
    tie.write_text(f"model: {tiny}\nplugins: [{{name: broken-argmax-tie, path: {PLUGINS}/broken-argmax-tie.so}}, cpu-ref]\n", encoding="utf-8")
    found = tenon.json("check", "--profile", tie, "--only", "op=argmax", "--repro-dir", tmp_path, status=1)["failed"]
    meta, arrays = repro_file.read(pathlib.Path(next(f["repro"] for f in found if f["repro"])))
    meta.update(plugin="broken-crash", kernel="broken-crash.argmax")
    repro_file.write(tmp_path / "crash.safetensors", meta, arrays)

    failed = checked("--repro", tmp_path / "crash.safetensors", "--plugin", PLUGINS / "broken-crash.so")[1]

    assert failed["kernel"] == "broken-crash.argmax" and failed["shape"].startswith("alone: ") and re.match(CRASH, failed["text"])


def test_a_crash_behind_the_report_leaves_it_whole_and_is_a_failure(tenon):
    done = tenon("check", "--plugin", PLUGINS / "broken-at-exit.so", "--json", status=1)
    assert json.loads(done.stdout)["passed"]
    assert b"tenon: the check is done, but it ended the process by SIGSEGV" in done.stderr or b"AddressSanitizer" in done.stderr


def test_a_check_that_nothing_ends_says_the_same_with_and_without_a_process_of_its_own(tenon, profile, tmp_path):
    for args in (["--quick", "--profile", profile("alt-f32")], ["--plugin", PLUGINS / "alt-f32.so"]):
        outputs = []
        for more in ([], ["--timeout", 0]):
            done = tenon("check", "--quiet", *args, *more, "--junit", "r.xml", cwd=tmp_path)
            said = done.stdout + (tmp_path / "r.xml").read_bytes()
            outputs.append((re.sub(rb'in \d+\.\d s|time="[\d.]+"', b"", said), done.stderr))
        assert outputs[0] == outputs[1] and outputs[0][1] == b""


def test_without_a_limit_the_crash_is_the_programs_own(profile):
    done = subprocess.run([BUILD / "bin/tenon", "check", "--quick", "--timeout", "0", "--profile", profile("broken-crash")],
                          capture_output=True, timeout=60, check=False)
    assert done.returncode in (-signal.SIGSEGV, 1) and done.stdout == b""


# ---- signals ----

def child_of(pid):
    """The process that does the check, when it has begun with it: it is quiet, for the kernel hangs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        if children and "broken-hang.so" in pathlib.Path(f"/proc/{children[0]}/maps").read_text(encoding="utf-8", errors="replace"):
            return int(children[0])
        time.sleep(0.01)
    raise AssertionError("there is no child")


def assert_gone(pid):
    deadline = time.monotonic() + 60
    while pathlib.Path(f"/proc/{pid}/stat").exists() and pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split(") ")[1][0] != "Z":
        assert time.monotonic() < deadline, "the child is still there"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_check_ends_with_the_program_that_started_it(number):
    with subprocess.Popen([BUILD / "bin/tenon", "check", "--plugin", PLUGINS / "broken-hang.so"], stdout=subprocess.PIPE) as program:
        child = child_of(program.pid)
        program.send_signal(number)
        assert program.wait(60) == -number
        assert_gone(child)
        assert program.stdout.read() == b""


def test_ctrl_c_ends_both_and_prints_no_report():
    terminal = Terminal("check", "--plugin", PLUGINS / "broken-hang.so", env={})
    try:
        child = child_of(terminal.pid)
        terminal.send(b"\x03")
        assert wait_for_exit(terminal.pid) == -signal.SIGINT
        assert_gone(child)
        assert "FAILED" not in os.read(terminal.fd, 65536).decode(errors="replace")
    finally:
        terminal.close()


def test_who_ends_the_check_itself_ends_the_program_too():
    with subprocess.Popen([BUILD / "bin/tenon", "check", "--plugin", PLUGINS / "broken-hang.so"], stdout=subprocess.PIPE) as program:
        os.kill(child_of(program.pid), signal.SIGTERM)
        assert program.wait(60) == -signal.SIGTERM and program.stdout.read() == b""
