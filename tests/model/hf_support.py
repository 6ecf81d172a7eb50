# SPDX-License-Identifier: Apache-2.0
"""What the tests of Hugging Face directories share."""
import base64
import json
import os
import pathlib
import subprocess
import sys

import numpy

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "hf"))
GOLDENS = json.loads((HERE / "hf/goldens.json").read_text(encoding="utf-8"))
BUILD = pathlib.Path(os.environ.get("TENON_BUILD", HERE.parents[1] / "build/release")).resolve()


def golden(name):
    """Logits by transformers, f32 [ids, vocabulary] (hf/make_goldens.py)."""
    return numpy.frombuffer(base64.b64decode(GOLDENS[name]), "<f4").reshape(64, -1)


def run(model, ids, *sets):
    """Logits at every position, f32 [ids, vocabulary]; by cpu-ref, unless a set says otherwise."""
    done = subprocess.run([BUILD / "bin/prompt_logits", BUILD / "lib/tenon/plugins", model, ",".join(map(str, ids)), "kv.format=f32",
                           "plugins=cpu-ref", f"context.length={len(ids)}", *sets], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return numpy.frombuffer(done.stdout, "=f4").reshape(len(ids), -1)


def tenon(*args):
    """What the program prints; it must succeed."""
    done = subprocess.run([BUILD / "bin/tenon", *map(str, args)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


def refused(model):
    """The message with which `tenon run` refuses the model."""
    done = subprocess.run([BUILD / "bin/tenon", "run", "--model", model, "--ids", "1", "-n", "1"], capture_output=True, timeout=60,
                          check=False)
    assert done.returncode == 2, f"exit {done.returncode}: {done.stderr.decode(errors='replace')}"
    return done.stderr.decode()


def convert_refused(*args):
    """The message with which `tenon convert` refuses."""
    done = subprocess.run([BUILD / "bin/tenon", "convert", *map(str, args)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 2, f"exit {done.returncode}: {done.stderr.decode(errors='replace')}"
    return done.stderr.decode()


def assert_near(got, want, tolerance):
    """Relative to the largest logit of the position. Returns the largest difference."""
    worst = (abs(got - want).max(axis=1) / abs(want).max(axis=1)).max()
    assert worst <= tolerance, f"differs by {worst:.3g}, {tolerance} is allowed"
    return worst
