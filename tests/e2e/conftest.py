# SPDX-License-Identifier: Apache-2.0
"""What the tests from outside share: the program, tiny models, goldens. The build is $TENON_BUILD, or build/release."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TENON_BUILD", ROOT / "build/release")).resolve()
GOLDEN = ROOT / "tests/e2e/golden"


class Tenon:
    """Runs the program; text on stdin, a limit on time, and never a crash. status None: 0 or 1."""

    def __init__(self):
        self.path = BUILD / "bin/tenon"

    def __call__(self, *args, input=b"", status=0, timeout=120, env=None, cwd=None):
        done = subprocess.run([self.path, *map(str, args)], input=input, capture_output=True, timeout=timeout, cwd=cwd,
                              env={**os.environ, **(env or {})}, check=False)
        stderr = done.stderr.decode(errors="replace")
        assert status is None or done.returncode == status, f"exit {done.returncode}, not {status}: {' '.join(map(str, args))}\n{stderr}"
        assert status is not None or done.returncode in (0, 1), stderr
        if status == 2:
            assert stderr.startswith("tenon: ") and stderr.count("\n") == 1, f"not one line that says why: {stderr!r}"
            assert done.stdout == b""
        return done

    def json(self, *args, **kwargs):
        return json.loads(self(*args, "--json", **kwargs).stdout)

    def ids(self, model, prompt, n, *args, **kwargs):
        """Greedy ids and their steps, as the goldens have them: not stopped at the end token."""
        return self.json("run", "--model", model, "--ids", ",".join(map(str, prompt)), "-n", n, "--greedy", "--ignore-eos",
                         "--top-logits", 5, *args, **kwargs)

    def assert_tokens_or_a_tie(self, profile, reference):
        """Eight greedy tokens of SmolLM2 are the reference's; where they part, the two were nearly equal for it as well."""
        args = ("run", "-p", "What is a tenon?", "-n", 8, "--greedy", "--top-logits", 2)
        expected = self.json(*args, "--profile", ROOT / "configs" / reference, timeout=600)
        got = self.json(*args, "--profile", ROOT / "configs" / profile, timeout=600)
        for ours, theirs, step in zip(got["ids"], expected["ids"], expected["steps"], strict=True):
            if ours != theirs:
                first, second = (top["logit"] for top in step["top"])
                assert first - second < 0.05, f"{ours} for {theirs}, which leads by {first - second}"
                break


@pytest.fixture(scope="session")
def tenon():
    program = Tenon()
    assert program.path.exists(), f"{program.path} is not there: build first, or set TENON_BUILD"
    return program


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory):
    """Packed weights of tests stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(home))
        patch.delenv("TENON_CACHE_LIMIT", raising=False)
        yield home


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """make_model("--seed", "1", ...) -> path of a tiny GGUF; equal options give the same file."""
    made = {}

    def make(*options):
        if options not in made:
            path = tmp_path_factory.mktemp("model") / "tiny.gguf"
            subprocess.run([BUILD / "bin/make_tiny_model", path, *options], check=True)
            made[options] = path
        return made[options]

    return make


@pytest.fixture(scope="session")
def tiny(make_model):
    return make_model("--seed", "1", "--layers", "2")


def run(*args, **kwargs):
    """Standard output of a program that must succeed."""
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=300, check=False, **kwargs)
    assert done.returncode == 0, f"{' '.join(map(str, args))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    """Installed in one place, moved to another."""
    place = tmp_path_factory.mktemp("install")
    run("cmake", "--install", BUILD, "--prefix", place / "first")
    (place / "first").rename(place / "moved")
    return place / "moved"


@pytest.fixture(scope="session")
def installed(prefix):
    program = Tenon()
    program.path = prefix / "bin/tenon"
    return program


@pytest.fixture(scope="session")
def pkg_config(prefix):
    """Words that pkg-config says about the installed package; no other package is needed for it."""
    env = {**os.environ, "PKG_CONFIG_LIBDIR": str(prefix / "lib/pkgconfig")}
    return lambda *args: run("pkg-config", *args, "tenon", env=env).split()


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def assert_like_golden(result, expected, tolerance):
    """Equal ids, and the 5 best logits of every step within tolerance. Returns the largest difference."""
    assert result["ids"] == expected["ids"]
    worst = 0.0
    for step, want in zip(result["steps"], expected["steps"], strict=True):
        got = {t["id"]: t["logit"] for t in step["top"]}
        for token, logit in zip(want["ids"], want["logits"], strict=True):
            # Two tokens at the end of the five may swap when their logits are closer than the tolerance.
            if token in got:
                worst = max(worst, abs(got[token] - logit))
            else:
                assert min(got.values()) - logit < tolerance, f"token {token} is not among the 5 best"
    assert worst <= tolerance
    return worst
