#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a profile's arithmetic costs in answers: perplexity of a text, and greedy continuations, both against cpu-ref.

Usage: tests/bench/accuracy.py [--model FILE.gguf] [--plugins cpu-simd] [--kv f16] [--tokens 4096] [--window 512] [--text FILE...]

The text is this repository's documentation unless files are named; each window of it is a prompt of its own. A continuation that
differs from cpu-ref's is shown with the place, cpu-ref's margin between both tokens there, and how far the logits of both plugins
are apart: a margin below twice that is a tie.
"""
import argparse
import json
import os
import pathlib
import subprocess

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TENON_BUILD", ROOT / "build/release"))
N_NEW, N_TOP = 64, 16
PROMPTS = ["Name the capital of France.", "Write a short poem about the sea.", "Explain why the sky is blue.", "What is 12 times 11?",
           "List three uses of a hammer.", "Translate 'good morning' to Spanish.", "Who wrote Romeo and Juliet?",
           "Give me a recipe for pancakes.", "def fibonacci(n):", "Summarise the theory of evolution in two sentences."]


def token_ids(text, model):
    done = subprocess.run([BUILD / "bin/tenon", "tokenize", "--model", model, "--json", "-q"], input=text.encode(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["ids"]


def loss(model, ids, *sets):
    """Sum of -log p of each token but the first."""
    text = ",".join(map(str, ids))
    done = subprocess.run([BUILD / "bin/prompt_logits", BUILD / "lib/tenon/plugins", model, text, *sets], stdout=subprocess.PIPE, check=True)
    rows = numpy.frombuffer(done.stdout, numpy.float32).reshape(len(ids), -1)[:-1].astype(numpy.float64)
    most = rows.max(axis=1)
    return float((numpy.log(numpy.exp(rows - most[:, None]).sum(axis=1)) + most - rows[numpy.arange(len(rows)), ids[1:]]).sum())


def compare_perplexity(options, sides):
    text = "\n".join(path.read_text(encoding="utf-8") for path in options.text)
    ids = token_ids(text, options.model)[:options.tokens]
    windows = [ids[i:i + options.window] for i in range(0, len(ids), options.window)]
    n = sum(len(window) - 1 for window in windows)
    values = [float(numpy.exp(sum(loss(options.model, window, *sets) for window in windows) / n)) for sets in sides]
    print(f"perplexity of {len(ids)} tokens in windows of {options.window}: cpu-ref {values[0]:.4f}, {options.plugins} {values[1]:.4f}, "
          f"{100 * (values[1] / values[0] - 1):+.3f} %", flush=True)


def steps(options, prompt, sets):
    sets = [word for one in sets for word in ("--set", one)]
    done = subprocess.run([BUILD / "bin/tenon", "run", "--model", options.model, *sets, "-p", prompt, "-n", str(N_NEW), "--greedy", "--ignore-eos",
                           "--top-logits", str(N_TOP), "--json", "-q"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["steps"]


def describe(reference, other):
    for i, (a, b) in enumerate(zip(reference, other)):
        if a["id"] == b["id"]:
            continue
        logits, theirs = ({t["id"]: t["logit"] for t in step["top"]} for step in (a, b))
        apart = max(abs(logits[t] - theirs[t]) for t in logits.keys() & theirs.keys())
        if b["id"] not in logits:
            return f"differs at {i}: {b['id']} is not among cpu-ref's first {N_TOP}"
        margin = logits[a["id"]] - logits[b["id"]]
        verdict = "a tie" if margin < 2 * apart else "NO tie"
        return f"differs at {i}: margin {margin:.3f}, logits up to {apart:.3f} apart, {verdict}"
    return f"equal for {len(reference)} tokens"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--plugins", default="cpu-simd")
    parser.add_argument("--kv", default="f16")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--text", type=pathlib.Path, nargs="+", default=sorted((ROOT / "docs").glob("*.md")))
    options = parser.parse_args()
    sides = [[f"plugins={plugins}", f"kv.format={options.kv}"] for plugins in ("cpu-ref", options.plugins)]
    compare_perplexity(options, sides)
    for prompt in PROMPTS:
        print(f"{prompt}: {describe(*(steps(options, prompt, one) for one in sides))}", flush=True)


if __name__ == "__main__":
    main()
