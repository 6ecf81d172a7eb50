# SPDX-License-Identifier: Apache-2.0
"""Broken Hugging Face directories in the program: one line that names the file, exit 2, in less than a second and 64 MiB of the whole
process. Each kind of fault has its case in test_hf_bad.c, test_safetensors.c and test_tokenizer_bad.c; these are some of each."""
import json
import subprocess
import sys

import pytest

from hf_support import BUILD, HERE
import checkpoint
import models

TOKENIZERS = HERE / "tokenizers"
GOOD = json.loads((TOKENIZERS / "llama3.json").read_text(encoding="utf-8"))
SPM = (TOKENIZERS / "spm_bpe.model").read_bytes()

# Runs a program and tells seconds of the processor and KiB at most; by itself it is small, and what a child has at most counts from
# its parent on.
MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, check=False)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, done.stdout.decode(), done.stderr.decode(), used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def tokenizer(**changes):
    return json.dumps({**GOOD, **changes}).encode()


def vocabulary(**changes):
    return tokenizer(model={**GOOD["model"], **changes})


def split(regex):
    return tokenizer(pre_tokenizer={"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False})


BROKEN = [
    ("config.json", b"", "config.json: no valid JSON"),
    ("config.json", b'{"a":' + b"[" * 1_000_000, "config.json: byte 36: objects and arrays that are nested deeper than is read"),
    ("config.json", b'{"a":[' + b"1," * 1_000_000, "config.json: byte"),
    ("config.json", b'{"a":"' + b"x" * 5_000_000, "config.json: byte 4194310: a longer string than is read"),
    ("config.json", b'{"model_type": "llama"}', "config.json: "),
    ("model.safetensors", b"\0" * 7, "model.safetensors: this is no safetensors file"),
    ("model.safetensors", b"\xff" * 64, "model.safetensors: the header's length is"),
    ("model.safetensors", b"\x10" + b"\0" * 7 + b"{" * 8, "model.safetensors: the header's length is 16 bytes, but 8 are left"),
    ("model.safetensors", b"\x02" + b"\0" * 7 + b"{}", "the tensor model.embed_tokens.weight is missing"),
    ("generation_config.json", b'{"eos_token_id": "x"}', "eos_token_id: an id from 0 to"),
    ("tokenizer_config.json", b'{"bos_token": [1]}', "tokenizer_config.json: bos_token is [1]; a string is needed"),
    ("special_tokens_map.json", b"[]", "special_tokens_map.json: no JSON object"),
    ("chat_template.jinja", b"a\0b", "chat_template.jinja: 3 bytes; text of at most"),
    ("tokenizer.json", b"{", "tokenizer.json: no valid JSON at line 1"),
    ("tokenizer.json", tokenizer()[:-3], "tokenizer.json: no valid JSON at line 1"),
    ("tokenizer.json", tokenizer(model=None), "tokenizer.json: model is missing"),
    ("tokenizer.json", vocabulary(type="WordPiece"), "tokenizer.json: model: type 'WordPiece' does not run; supported: BPE"),
    ("tokenizer.json", vocabulary(vocab={"a": 0, "b": 0}), "tokenizer.json: model: token 'b' has the id of another token, 0"),
    ("tokenizer.json", vocabulary(merges=["no such"]), "tokenizer.json: model: merges[0]: the left part is no token"),
    ("tokenizer.json", tokenizer(normalizer={"type": "Nmt"}), "tokenizer.json: normalizer: Nmt: type 'Nmt' does not run; supported: NFC"),
    ("tokenizer.json", split("(a"), "tokenizer.json: pre_tokenizer: Split: regular expression, byte 2: ( without )"),
    ("tokenizer.json", split("[^a]*[yz]"), "the pattern takes more steps than a text may take (64 a byte)"),
    ("tokenizer.json", tokenizer(decoder={"type": "CTC"}), "tokenizer.json: decoder: CTC: type 'CTC' does not run"),
    ("tokenizer.model", SPM[:-41], "tokenizer.model is no SentencePiece model, or is cut off"),
    ("tokenizer.model", b"version https://git-lfs.github.com/spec/v1\n", "tokenizer.model is no SentencePiece model"),
]


@pytest.mark.parametrize("case", range(len(BROKEN)), ids=[f"{n}_{name}" for n, (name, _, _) in enumerate(BROKEN)])
def test_a_broken_file_is_refused_within_a_second_and_64_mib(case, tmp_path):
    name, content, message = BROKEN[case]
    sound = {} if name == "tokenizer.model" else {"tokenizer.json": tokenizer()}
    model = checkpoint.make(tmp_path / "model", models.CONFIGS["llama2"] | {"vocab_size": 512}, others=sound)
    (model / name).write_bytes(content)
    prompt = tmp_path / "prompt"
    prompt.write_text("x" * 120_000, encoding="ascii")  # the context has 128 tokens: no prompt that would run

    done = subprocess.run([sys.executable, "-S", "-c", MEASURE, BUILD / "bin/tenon", "run", "--model", model, "--raw", "--file", prompt,
                           "-n", "1"], capture_output=True, check=True, timeout=60)
    status, out, err, seconds, kib = json.loads(done.stdout)

    assert (status, out) == (2, "") and message in err and err.count("\n") == 1, err
    assert seconds < 1 and kib < 64 << 10
