#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tenon beside llama.cpp and OpenVINO GenAI: the same work, alternately, in one run; medians and ratios.

Usage: tests/bench/peers.py [--model FILE.gguf] [--profile P.yaml] [--repeat 7] [--threads 2] [--tests pp512,tg128,...]
                            [--json FILE]

A test is ppN (a prompt of N tokens), tgN (N tokens, one sequence), tgN@D (the same after D tokens), tgNxB (B sequences
together). Every engine lives in a process of its own, which loads once and waits while the others measure. Needs
`pip install llama-cpp-python openvino-genai`; what is not installed, or cannot do a test, is said and left out.
llama.cpp runs the file as it is and requantised to Q4_0, its fastest format for 4 bits (the file's own Q4_1 has no
repacked kernels there).
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEST = re.compile(r"(pp|tg)(\d+)(?:@(\d+))?(?:x(\d+))?$")
DEFAULT_TESTS = "pp512,tg128,tg64@1024,tg32x8,tg32x32"


def parse(test):
    found = TEST.match(test)
    if not found:
        sys.exit(f"peers: no test: {test}; ppN, tgN, tgN@DEPTH and tgNxBATCH are")
    kind, n, depth, batch = found.groups()
    return kind, int(n), int(depth or 0), int(batch or 1)


class Tenon:
    """`tenon bench` with one repeat; its own warm-up run does not count."""

    def __init__(self, options):
        self.profile, self.model, self.threads = options.profile, options.model, options.threads
        self.program = pathlib.Path(os.environ.get("TENON_BUILD", ROOT / "build/release")) / "bin/tenon"

    def measure(self, kind, n, depth, batch):
        args = ["--prefill", n, "--decode", 0] if kind == "pp" else ["--prefill", 0, "--decode", n]
        args += ["--depth", depth, "--batch", batch, "--threads", self.threads, "--set", f"model={self.model}", "--repeat", 1]
        out = subprocess.run([self.program, "bench", self.profile, "--json", "--quiet", *map(str, args)], stdout=subprocess.PIPE, check=True)
        return json.loads(out.stdout)["results"][0]["tokens_per_s"]


class LlamaCpp:
    """llama.cpp through the C functions of llama-cpp-python, so that no Python stands between two tokens but one call."""

    def __init__(self, options, quantise):
        import llama_cpp
        self.api, self.threads = llama_cpp, options.threads
        self.silent = llama_cpp.llama_log_callback(lambda *_: None)  # C holds it without a reference
        llama_cpp.llama_log_set(self.silent, None)
        llama_cpp.llama_backend_init()
        path = str(options.model)
        if quantise:
            path = str(pathlib.Path(options.scratch) / "q4_0.gguf")
            params = llama_cpp.llama_model_quantize_default_params()
            params.ftype, params.allow_requantize, params.nthread = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, True, options.threads
            if llama_cpp.llama_model_quantize(str(options.model).encode(), path.encode(), params):
                raise RuntimeError("cannot requantise to Q4_0")
        self.model = llama_cpp.llama_load_model_from_file(path.encode(), llama_cpp.llama_model_default_params())
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def context(self, n_ctx, n_seq):
        params = self.api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = n_ctx * n_seq, 2048, 512, n_seq
        params.n_threads = params.n_threads_batch = self.threads
        return self.api.llama_init_from_model(self.model, params)

    def decode(self, ctx, tokens, position, sequence_of=lambda i: 0, last_logits_only=True):
        """tokens, position: lists. One llama_decode."""
        batch = self.api.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, position[i], 1, sequence_of(i)
            batch.logits[i] = not last_logits_only or i == len(tokens) - 1
        status = self.api.llama_decode(ctx, batch)
        self.api.llama_batch_free(batch)
        if status:
            raise RuntimeError(f"llama_decode gave {status}")
        self.api.llama_synchronize(ctx)

    def measure(self, kind, n, depth, batch):
        ctx = self.context(depth + n + 64, batch)
        draw = random.Random(time.time_ns())
        ids = [draw.randrange(self.vocab) for _ in range(max(depth, 1) + n)]
        try:
            if kind == "pp":
                self.decode(ctx, ids[:16], range(16))
                self.api.llama_memory_clear(self.api.llama_get_memory(ctx), True)
                begin = time.perf_counter()
                self.decode(ctx, ids[:n], range(n))
                return n / (time.perf_counter() - begin)
            for s in range(batch):
                for at in range(0, max(depth, 1), 512):
                    piece = ids[at:min(at + 512, max(depth, 1))]
                    self.decode(ctx, piece, range(at, at + len(piece)), lambda i, s=s: s)
            first = max(depth, 1)
            self.decode(ctx, ids[:batch], [first] * batch, lambda i: i, False)
            begin = time.perf_counter()
            for k in range(n):
                self.decode(ctx, ids[:batch], [first + 1 + k] * batch, lambda i: i, False)
            return n * batch / (time.perf_counter() - begin)
        finally:
            self.api.llama_free(ctx)


class OpenVino:
    """OpenVINO GenAI on the GGUF file: prefill is prompt tokens by time to the first token, decode is 1 / time a token."""

    def __init__(self, options):
        import openvino
        import openvino_genai
        self.api = openvino_genai
        self.pipe = openvino_genai.LLMPipeline(str(options.model), "CPU", INFERENCE_NUM_THREADS=options.threads)
        self.tensor = openvino.Tensor
        self.vocab = 40000

    def generate(self, n_prompt, n_new):
        import numpy
        ids = numpy.random.default_rng(time.time_ns()).integers(0, self.vocab, (1, n_prompt))
        config = self.api.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = n_new
        config.ignore_eos, config.do_sample = True, False
        mask = numpy.ones_like(ids)
        return self.pipe.generate(self.api.TokenizedInputs(self.tensor(ids), self.tensor(mask)), config).perf_metrics

    def measure(self, kind, n, depth, batch):
        if batch > 1:
            return None
        if kind == "pp":
            return n * 1000 / self.generate(n, 1).get_ttft().mean
        return 1000 / self.generate(max(depth, 16), n).get_tpot().mean


ENGINES = {"tenon": Tenon, "llama.cpp": lambda o: LlamaCpp(o, False), "llama.cpp Q4_0": lambda o: LlamaCpp(o, True), "openvino": OpenVino}


def serve(name, options, pipe):
    """The engine's process: loads, then measures what it is asked."""
    try:
        engine = ENGINES[name](options)
        pipe.send(None)
    except Exception as e:  # whatever a foreign package throws: it is left out with the reason
        pipe.send(f"{type(e).__name__}: {e}")
        return
    while (test := pipe.recv()) is not None:
        try:
            pipe.send(engine.measure(*test))
        except Exception as e:
            pipe.send(f"{type(e).__name__}: {e}")


def start(names, options):
    context, running = multiprocessing.get_context("spawn"), {}
    for name in names:
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(name, options, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            error = ours.recv()
        except EOFError:
            error = "its process ended"
        if error:
            print(f"peers: {name} is left out: {error}", file=sys.stderr)
        else:
            running[name] = ours
    return running


def measure_all(running, tests, repeats):
    """{test: {engine: [tokens a second]}}; engines take turns within every repeat."""
    results = {test: {name: [] for name in running} for test in tests}
    for repeat in range(repeats):
        for test in tests:
            for name, pipe in running.items():
                pipe.send(parse(test))
                value = pipe.recv()
                if isinstance(value, str):
                    print(f"peers: {name}, {test}: {value}", file=sys.stderr)
                elif value is not None:
                    results[test][name].append(value)
            print(f"peers: {repeat + 1}/{repeats} {test}", file=sys.stderr)
    return results


def report(results, names):
    print("| test | " + " | ".join(names) + " | tenon / best peer |\n|---|" + "---:|" * (len(names) + 1))
    for test, row in results.items():
        median = {name: statistics.median(values) for name, values in row.items() if values}
        peers = [value for name, value in median.items() if name != "tenon"]
        ratio = f"{median['tenon'] / max(peers):.2f}" if peers and "tenon" in median else ""
        cells = [f"{median[n]:.1f} ({min(row[n]):.0f}-{max(row[n]):.0f})" if n in median else "" for n in names]
        print(f"| {test} | " + " | ".join(cells) + f" | {ratio} |")


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--profile", type=pathlib.Path, default=ROOT / "configs/cpu.yaml")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tests", default=DEFAULT_TESTS)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    options.model = options.model.resolve()
    tests = options.tests.split(",")
    for test in tests:
        parse(test)
    with tempfile.TemporaryDirectory() as options.scratch:
        running = start(options.engines.split(","), options)
        results = measure_all(running, tests, options.repeat)
        for pipe in running.values():
            pipe.send(None)
    print(f"{cpu_name()}, {options.threads} threads, median of {options.repeat} (smallest-largest), tokens a second\n")
    report(results, list(running))
    if options.json:
        options.json.write_text(json.dumps({"cpu": cpu_name(), "threads": options.threads, "results": results}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
