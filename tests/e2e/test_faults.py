# SPDX-License-Identifier: Apache-2.0
"""A full disk, directories that cannot be written, and names of files that are none: a clear error, no harm, no hang."""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile

import pytest

from conftest import BUILD

NOBODY = 65534
LIMIT_BYTES = 60  # less than any file that is written here
BENCH = ("--repeat", "1", "--prefill", "4", "--decode", "0")


def run(args, stdin=b"", **kwargs):
    done = subprocess.run([*map(str, args)], input=stdin, stderr=subprocess.PIPE, timeout=60, check=False,
                          **{"stdout": subprocess.PIPE, **kwargs})
    return done.returncode, done.stderr.decode(errors="replace")


def small_files():
    """In the child: files end after LIMIT_BYTES, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))


def small_files_without_signal():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    small_files()


def bench(model, svg):
    return [BUILD / "bin/tenon", "bench", "--model", model, *BENCH, "--svg", svg]


def chat(model):
    return [BUILD / "bin/tenon", "chat", "--model", model, "--greedy", "-n", "4", "--quiet"]


# ---- a full disk ----

COMMANDS = {
    "run": ("run", "--ids", "1,2", "-n", "4", "--greedy"),
    "run_json": ("run", "--ids", "1,2", "-n", "4", "--greedy", "--json"),
    "chat_json": ("chat", "--greedy", "-n", "4", "--json"),
    "inspect": ("inspect",),
    "inspect_json": ("inspect", "--json"),
    "explain": ("explain",),
    "explain_json": ("explain", "--json"),
    "tokenize": ("tokenize",),
    "bench_csv": ("bench", *BENCH, "--csv"),
    "help": ("help",),
    "version": ("version",),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_output_that_cannot_be_written_is_an_error(tiny, name):
    command, *rest = COMMANDS[name]
    model = () if command in ("help", "version") else ("--model", tiny)
    with open("/dev/full", "wb") as full:
        code, stderr = run([BUILD / "bin/tenon", command, *model, *rest], stdin=b"hello\n", stdout=full)
    assert code == 1 and "No space left on device" in stderr, stderr


def test_a_chat_that_cannot_be_saved_leaves_the_old_file_alone(tiny, tmp_path):
    saved = tmp_path / "c.json"
    saved.write_text("what was there", encoding="utf-8")
    code, stderr = run(chat(tiny), f"hello\n/save {saved}\n".encode(), preexec_fn=small_files)
    assert code == 1 and f"cannot write {saved}: File too large" in stderr
    assert saved.read_text(encoding="utf-8") == "what was there" and list(tmp_path.iterdir()) == [saved]


def test_a_chart_that_cannot_be_written_leaves_no_half_of_it(tiny, tmp_path):
    code, stderr = run(bench(tiny, tmp_path / "b.svg"), preexec_fn=small_files)
    assert code == 1 and f"cannot write {tmp_path}/b.svg: File too large" in stderr
    assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_be_written_leaves_no_half_of_it(tmp_path):
    code, stderr = run([BUILD / "bin/make_tiny_model", tmp_path / "m.gguf"], preexec_fn=small_files_without_signal)
    assert code == 1 and f"cannot write {tmp_path}/m.gguf: File too large" in stderr
    assert not list(tmp_path.iterdir())


def test_a_device_is_written_to_and_not_replaced(tiny):
    code, stderr = run(chat(tiny), b"hello\n/save /dev/full\n")
    assert code == 1 and "cannot write /dev/full: No space left on device" in stderr
    assert run(bench(tiny, "/dev/null"))[0] == 0
    assert pathlib.Path("/dev/full").is_char_device() and pathlib.Path("/dev/null").is_char_device()


def test_a_link_stays_and_leads_to_the_new_file(tiny, tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there/c.json", tmp_path / "link.json"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    assert run(chat(tiny), f"hello\n/save {link}\n".encode())[0] == 0
    assert link.is_symlink() and len(json.loads(target.read_text(encoding="utf-8"))["messages"]) == 2


# ---- directories that cannot be written ----

def test_what_is_no_directory_cannot_be_written_into(tiny, tmp_path):
    """As a read-only directory, also for root."""
    (tmp_path / "file").touch()
    for path, reason in ((tmp_path / "file/x", "Not a directory"), (tmp_path / "none/x", "No such file"), (tmp_path, "a directory")):
        code, stderr = run(chat(tiny), f"hello\n/save {path}\n".encode())
        assert code == 1 and f"cannot write {path}: " in stderr and reason in stderr
        code, stderr = run(bench(tiny, path))
        assert code == 1 and f"cannot write {path}: " in stderr and reason in stderr
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def read_only(tiny):
    """The program, its plugins and a model where nobody can write, for a user who has nothing else."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / "bin").mkdir()
        shutil.copy(BUILD / "bin/tenon", root / "bin")
        shutil.copytree(BUILD / "lib/tenon/plugins", root / "lib/tenon/plugins", ignore=shutil.ignore_patterns("[!c]*"))
        shutil.copy(tiny, root / "m.gguf")
        paths = [root, *root.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() or path.name == "tenon" else 0o444)
        yield root
        for path in paths:
            path.chmod(0o755)


def as_nobody(root, *args, stdin=b""):
    """A user whom permission bits bind, as they do not bind root."""
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    env = {"HOME": str(root), "PATH": os.environ["PATH"], "TMPDIR": str(root)}
    return run([root / "bin/tenon", *args], stdin, cwd=root, env=env, **user)


def test_nothing_needs_a_place_to_write(read_only):
    model = ("--model", read_only / "m.gguf")
    for args in (("run", *model, "--ids", "1,2", "-n", "4"), ("run", *model, "-p", "x", "-n", "4", "--plugin-dir", "lib/tenon/plugins"),
                 ("chat", *model, "-n", "4"), ("inspect", *model), ("explain", *model), ("bench", *model, *BENCH)):
        assert as_nobody(read_only, *args, stdin=b"hello\n")[0] == 0
    assert sorted(p.name for p in read_only.iterdir()) == ["bin", "lib", "m.gguf"]


def test_a_read_only_directory_is_named_with_the_reason(read_only):
    model = ("--model", read_only / "m.gguf")
    code, stderr = as_nobody(read_only, "chat", *model, "-n", "4", stdin=b"hello\n/save c.json\n")
    assert code == 1 and "cannot write c.json: Permission denied" in stderr
    code, stderr = as_nobody(read_only, "bench", *model, *BENCH, "--svg", read_only / "b.svg")
    assert code == 1 and f"cannot write {read_only}/b.svg: Permission denied" in stderr
    (read_only / "m.gguf").chmod(0o000)
    code, stderr = as_nobody(read_only, "run", *model, "--ids", "1")
    assert code == 2 and f"cannot open {read_only}/m.gguf: Permission denied" in stderr


# ---- names of what is no file ----

@pytest.fixture
def strange(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "pool")
    (tmp_path / "pool").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").touch()
    names = ("fifo", "loop", "empty", "none", ".", "new\nline", "red\x1b[31m", "bell\a\r\x7f", "x" * 300, "\udcff\udcfe")
    return [*(tmp_path / name for name in names), pathlib.Path("/dev/zero"), pathlib.Path("/dev/tty0"), pathlib.Path("/proc/self/mem"), ""]


def test_what_is_no_model_is_refused_in_one_printable_line(tenon, tiny, strange):
    for path in strange:
        for args in (("inspect", path), ("run", "--ids", "1", "--model", path), ("explain", "--model", path),
                     ("run", "--ids", "1", "--profile", path), ("run", "--model", tiny, "--ids", "1", "--plugin-dir", path)):
            message = tenon(*map(os.fspath, args), status=2).stderr
            assert all(byte >= 0x20 and byte != 0x7F for byte in message[:-1]), message
            message.decode()  # UTF-8


def test_words_of_the_command_line_are_shown_printable(tenon, tiny):
    bad = "\x1b[2J\nx"
    for args in ((bad,), ("run", f"--{bad}"), ("run", bad), ("help", bad), ("run", "--model", tiny, "--ids", bad), ("run", "-n", bad),
                 ("run", "--model", tiny, "--ids", "1", "--set", f"{bad}=1"), ("run", "--model", tiny, "--ids", "1", "--set", f"kv.format={bad}")):
        message = tenon(*args, status=2).stderr
        assert all(byte >= 0x20 and byte != 0x7F for byte in message[:-1]), message
