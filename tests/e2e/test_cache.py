# SPDX-License-Identifier: Apache-2.0
"""Packed weights on disk, from outside: pack, list, clear; and what happens to starts that are killed, run out of disk, meet or
find damage."""
import os
import pathlib
import random
import resource
import signal
import subprocess
import tempfile
import time

import pytest

from conftest import BUILD

NOBODY = 65534
SIMD = ("--set", "plugins=[cpu-simd]")
RUN = ("run", "--ids", "1,2,3", "-n", "8", "--greedy", "--ignore-eos", *SIMD)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home/tenon"


@pytest.fixture(scope="module")
def larger(make_model):
    """Some megabytes, so that there is time to be killed in."""
    return make_model("--seed", "3", "--layers", "4", "--dim", "512", "--ffn", "1536", "--heads", "8", "--head-dim", "64",
                      "--type", "Q4_1")


def packs(home):
    return sorted(home.glob("*.pack"))


def how_loaded(tenon, *args):
    stderr = tenon(*args, "--verbose").stderr.decode()
    assert ("weights taken from the cache" in stderr) != ("weights packed" in stderr), stderr
    return "cache" if "weights taken from the cache" in stderr else "packed"


# ---- pack, list, clear ----

def test_pack_makes_the_next_start_pack_nothing(tenon, tiny, home):
    first = tenon.json("pack", "--model", tiny, *SIMD)
    again = tenon.json("pack", "--model", tiny, *SIMD)
    assert first["packed"] and not again["packed"] and first["path"] == again["path"]
    assert packs(home) == [pathlib.Path(first["path"])] and packs(home)[0].stat().st_size == first["bytes"]
    assert how_loaded(tenon, *RUN, "--model", tiny) == "cache"
    assert b"was there already" in tenon("pack", "--model", tiny, *SIMD).stdout
    assert tenon("pack", "--model", tiny, *SIMD, "--quiet").stdout == b""


def test_answers_with_and_without_the_cache_are_equal(tenon, larger, home):
    without = tenon.json(*RUN, "--model", larger, "--no-cache")["ids"]
    assert not home.exists()
    for _ in range(2):
        assert tenon.json(*RUN, "--model", larger)["ids"] == without
    assert len(packs(home)) == 1


def test_the_profile_and_the_environment_switch_it_off(tenon, tiny, home):
    for more, env in ((("--set", "cache.enabled=false"), {}), (("--no-cache",), {}), ((), {"TENON_CACHE_LIMIT": "0"})):
        assert tenon(*RUN, "--model", tiny, *more, env=env).returncode == 0
        assert not home.exists()
        if "--no-cache" not in more:
            message = tenon("pack", "--model", tiny, *more, env=env, status=2).stderr
            assert b"the cache is switched off" in message
    assert tenon("cache", "list", env={"TENON_CACHE_LIMIT": "x"}, status=2).stderr.startswith(b"tenon: TENON_CACHE_LIMIT is \"x\"")


def test_list_tells_models_and_plugins_and_clear_removes_all(tenon, tiny, larger, home):
    empty = tenon.json("cache", "list")
    assert empty == {"directory": str(home), "bytes": 0, "limit_bytes": empty["limit_bytes"], "files": []}
    assert tenon.json("cache", "clear")["removed_files"] == 0
    tenon("pack", "--model", tiny, *SIMD)
    tenon("pack", "--model", larger, "--set", "plugins=[cpu-ref]")
    os.utime(packs(home)[0], (1, 1))
    listed = tenon.json("cache", "list")
    assert {(f["model"], f["plugins"].split()[0]) for f in listed["files"]} == {(str(tiny), "cpu-simd"), (str(larger), "cpu-ref")}
    assert sum(f["bytes"] for f in listed["files"]) <= listed["bytes"] <= listed["limit_bytes"]
    assert listed["files"][1]["used"] == "1970-01-01T00:00:01Z"  # the last used first
    text = tenon("cache", "list").stdout.decode()
    assert str(tiny) in text and str(larger) in text and str(home) in text
    cleared = tenon.json("cache", "clear")
    assert cleared["removed_bytes"] == listed["bytes"] and not list(home.iterdir())
    assert b"0 files removed" in tenon("cache", "clear").stdout


def test_wrong_words_are_refused(tenon):
    assert b"list or clear" in tenon("cache", "purge", status=2).stderr
    tenon("cache", status=2)
    assert b"which model?" in tenon("pack", status=2).stderr


def test_a_list_of_files_that_are_none_shows_nothing_of_them(tenon, home):
    home.mkdir(parents=True)
    head = b"tnpack\n\x01" + bytes(16) + b"\xff" * 8
    for name, content in (("a.pack", b""), ("b.pack", os.urandom(5000)), ("c.pack", head), ("d.pack", head + b"\x1b[2J" * 200),
                          ("e.digest", b"x"), ("f.pack", b"tnpack\n\x01" + b"\xff" * 100000), ("other", b"stays")):
        (home / name).write_bytes(content)
    (home / "dir.pack").mkdir()
    shown = tenon("cache", "list").stdout
    assert b"\x1b" not in shown
    assert tenon.json("cache", "list")["bytes"] > 0
    tenon("cache", "clear")
    assert sorted(p.name for p in home.iterdir()) == ["dir.pack", "other"]


def test_weights_of_a_device_come_from_the_cache_too(tenon, larger, home):
    """simdev: addresses that the host cannot read."""
    sim = ("run", "--ids", "1,2,3", "-n", "8", "--greedy", "--ignore-eos", "--model", larger, "--set", "device=simdev", "--set",
           f"plugins=[{{name: simdev, path: {BUILD / 'tests/plugins/simdev.so'}}}]")
    want = tenon.json(*sim, "--no-cache")["ids"]
    assert tenon.json(*sim)["ids"] == want and len(packs(home)) == 1
    assert how_loaded(tenon, *sim) == "cache"
    assert tenon.json(*sim)["ids"] == want


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_large_weights_have_huge_pages_whatever_the_file_system(tenon, make_model, home, tmp_path, place):
    """On tmpfs they are copied to memory with huge pages, unless it has some, or the system has none at all."""
    model = make_model("--seed", "4", "--layers", "6", "--dim", "768", "--ffn", "3072", "--heads", "12", "--head-dim", "64",
                       "--type", "Q4_1")
    thp = pathlib.Path("/sys/kernel/mm/transparent_hugepage")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if place == "memory" else tmp_path) as name:
        env = {"XDG_CACHE_HOME": name}
        want = tenon.json(*RUN, "--model", model, env=env)["ids"]
        assert sum(f.stat().st_size for f in pathlib.Path(name).glob("tenon/*.pack")) > 16 << 20
        second = tenon(*RUN, "--model", model, "--json", "--verbose", env=env)
        assert b"weights taken from the cache" in second.stderr and f'"ids": {want}'.encode() in second.stdout
        if place == "memory":
            on = "[never]" not in (thp / "enabled").read_text() and "[never]" in (thp / "shmem_enabled").read_text()
            assert (b"copied to huge pages" in second.stderr) == on


# ---- keys ----

def test_another_model_plugin_format_or_graph_is_another_file(tenon, tiny, make_model, home):
    for n, args in enumerate((("--model", tiny, *SIMD), ("--model", tiny, "--set", "plugins=[cpu-ref]"),
                              ("--model", make_model("--seed", "2", "--layers", "2"), *SIMD),
                              ("--model", tiny, *SIMD, "--set", "debug.max_layers=1")), start=1):
        assert tenon.json("pack", *args)["packed"]
        assert len(packs(home)) == n
    for same in (("--set", "kv.format=i8"), ("--threads", "1"), ("--set", "batch.max_tokens=100")):  # these leave weights alone
        assert not tenon.json("pack", "--model", tiny, *SIMD, *same)["packed"]


def test_a_model_that_was_moved_or_copied_is_known(tenon, tiny, tmp_path, home):
    tenon("pack", "--model", tiny, *SIMD)
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(tiny.read_bytes())
    assert not tenon.json("pack", "--model", copy, *SIMD)["packed"]
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1  # one bit of the last tensor, size and time as before
    stat = copy.stat()
    copy.write_bytes(data)
    os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert tenon.json("pack", "--model", copy, *SIMD)["packed"]


# ---- disasters ----

@pytest.mark.parametrize("command", [("pack", *SIMD), RUN], ids=["pack", "run"])
def test_starts_that_are_killed_at_any_moment_leave_nothing_that_is_used(tenon, larger, home, command):
    """A run writes behind its start, while it answers."""
    want = tenon.json(*RUN, "--model", larger, "--no-cache")["ids"]
    dice = random.Random(1)
    begin = time.monotonic()
    tenon(*command, "--model", larger)
    whole = time.monotonic() - begin
    tenon("cache", "clear")
    for _ in range(25):
        process = subprocess.Popen([BUILD / "bin/tenon", *command, "--model", larger], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(dice.random() * whole)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if packs(home):  # it was through already: whole, so it is used
            assert not tenon.json("pack", "--model", larger, *SIMD)["packed"]
            tenon("cache", "clear")
    assert tenon.json(*RUN, "--model", larger)["ids"] == want
    for temporary in home.glob("*.tmp"):
        os.utime(temporary, (1, 1))  # long ago: the next start sweeps
    assert how_loaded(tenon, *RUN, "--model", larger) == "cache"
    assert not list(home.glob("*.tmp")) and len(packs(home)) == 1


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_is_a_warning_for_a_run_and_an_error_for_pack(larger, home):
    run = subprocess.run([BUILD / "bin/tenon", *RUN, "--model", larger], capture_output=True, preexec_fn=small_files, check=False)
    assert run.returncode == 0 and b"the packed weights are not kept: cannot write" in run.stderr
    pack = subprocess.run([BUILD / "bin/tenon", "pack", "--model", larger, *SIMD], capture_output=True, preexec_fn=small_files, check=False)
    assert pack.returncode == 1 and b"File too large" in pack.stderr
    assert not packs(home) and not list(home.glob("*.tmp"))


def test_a_limit_that_is_too_small_is_a_warning_for_a_run_and_an_error_for_pack(tenon, larger, home):
    env = {"TENON_CACHE_LIMIT": "100KiB"}
    assert b"over the cache's limit" in tenon(*RUN, "--model", larger, env=env).stderr
    assert b"over the cache's limit" in tenon("pack", "--model", larger, *SIMD, env=env, status=1).stderr
    assert not packs(home)


def test_a_place_that_cannot_be_written_is_no_failure_of_a_run(tenon, tiny, tmp_path):
    (tmp_path / "file").touch()
    for env in ({"XDG_CACHE_HOME": str(tmp_path / "file")}, {"XDG_CACHE_HOME": "/proc"}, {"XDG_CACHE_HOME": "", "HOME": ""},
                {"XDG_CACHE_HOME": "relative", "HOME": "relative"}):
        done = tenon(*RUN, "--model", tiny, env=env)
        assert b"cache" not in done.stderr
        assert b"cache: not used: " in tenon(*RUN, "--model", tiny, "--verbose", env=env).stderr
        tenon("pack", "--model", tiny, *SIMD, env=env, status=2)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_read_only_directory_is_read(tenon, tiny, home):
    """By a user whom permission bits bind."""
    if os.geteuid() == 0:
        home.mkdir(parents=True, mode=0o700)
        for path in (home, home.parent):
            os.chown(path, NOBODY, NOBODY)
        for path in home.parents:  # of pytest's directories, which are root's alone
            if path.owner() == "root" and path != pathlib.Path("/") and path.stat().st_mode & 0o077 == 0:
                path.chmod(0o711)
        for path in (tiny, *tiny.parents):
            if path.owner() == "root" and path.stat().st_mode & 0o055 != 0o055:
                path.chmod(path.stat().st_mode | 0o055)
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    command = [BUILD / "bin/tenon", *RUN, "--model", tiny, "--verbose"]
    first = subprocess.run(command, capture_output=True, check=True, **user)
    assert b"weights packed" in first.stderr and len(packs(home)) == 1
    home.chmod(0o500)
    second = subprocess.run(command, capture_output=True, check=True, **user)
    assert b"weights taken from the cache" in second.stderr
    other = subprocess.run([*command, "--set", "debug.max_layers=1"], capture_output=True, check=True, **user)
    assert b"the packed weights are not kept: cannot write" in other.stderr and b"Permission denied" in other.stderr
    home.chmod(0o700)


def test_starts_at_the_same_time_answer_alike_and_leave_one_file(tenon, larger, home):
    want = tenon.json(*RUN, "--model", larger, "--no-cache")
    running = [subprocess.Popen([BUILD / "bin/tenon", *RUN, "--json", "--model", larger], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(4)]
    for process in running:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0 and b"cache" not in stderr, stderr
        assert f'"ids": {want["ids"]}'.encode() in stdout
    assert len(packs(home)) == 1 and not list(home.glob("*.tmp"))
    assert how_loaded(tenon, *RUN, "--model", larger) == "cache"


def test_damage_at_any_place_is_found(tenon, larger, home):
    want = tenon.json(*RUN, "--model", larger)["ids"]
    path = packs(home)[0]
    good = path.read_bytes()
    dice = random.Random(2)
    for _ in range(12):
        bad = bytearray(good)
        for _ in range(dice.choice((1, 3, 4096))):
            bad[dice.randrange(8192, len(bad))] ^= dice.randrange(1, 256)
        path.write_bytes(bad)
        done = tenon(*RUN, "--json", "--model", larger)
        assert f'"ids": {want}'.encode() in done.stdout
        if b"cache" in done.stderr:  # a byte between two blobs is no damage
            assert b"is damaged: a checksum differs; weights are packed again" in done.stderr
            assert path.read_bytes() == good
