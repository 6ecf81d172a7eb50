#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_tokenizer_goldens.py [--check]: write the folder tokenizers/, which test_tokenizer_goldens.c reads.

texts.json has the texts, {"hex"} those that are no UTF-8. NAME.json and NAME.model are vocabularies of a few hundred tokens, trained
here on hf_styles.corpus() by the packages `tokenizers` and `sentencepiece`; they stay as they are when they are there, since another
version of a package may train another. NAME.golden.json has for each text what the package makes of it: the ids, and the text of the
ids without special tokens ("plain") and with them ("full"), where it is not the text itself. --check: only compare."""
import json
import os
import pathlib
import sys
import tempfile

import sentencepiece
from tokenizers import Tokenizer

import hf_styles

FOLDER = pathlib.Path(__file__).resolve().parent / "tokenizers"
SIZES = {"gpt2": 420, "llama3": 480, "qwen2": 440, "llama2": 460, "llama2_metaspace": 460, "gemma": 460}
# A normaliser of its own has a small table; that of NFKC has 240 KB.
RULES = "FB01\t66 69\nFF21\t41\nBD\t31 2F 32\n65 301\tE9\n"
MODELS = {"spm_bpe": {}, "spm_no_prefix": {"add_dummy_prefix": False}, "spm_unigram": {"model_type": "unigram"},
          "spm_rules": {"normalization_rule_name": "", "normalization_rule_tsv": "rules.tsv"}}
CHOSEN = ["", " ", "  a", "\n", "Hello world", "I'm 3.14159 of 1,000,000!", "def f(x):\n    return x[0] += 0x1F  # café\n",
          "1234567890" * 4, " " * 40 + "x", "\t\t\r\n \u3000\u00a0", "日本語の文章、中文字符。", "한국어 עברית العربية हिन्दी ไทย",
          "e\u0301 cafe\u0301 a\u0323\u0302 \u0301", "ﬁ ½ Å ① Ａ", "😀 👩‍👩‍👧 🇩🇪 ❤️", "<s>[INST] <|im_start|>word words<tool></s>",
          "▁▁ <0x0A> \ufffd \u200b\u0000x"]
BROKEN = [b"\xff", b"ab\xc3", b"a \xe2\x96 b", b"\x80\x80caf\xc3\xa9\xed\xa0\x80 x", b"12\xf0\x9f\x98 \xc0\xaf\n"]


def texts():
    return [*CHOSEN, *hf_styles.strings(24, 2026), *[{"hex": data.hex()} for data in BROKEN]]


def train():
    for name, size in SIZES.items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            data = json.loads(hf_styles.STYLES[name](size).to_str())
            path.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # the model keeps the name of the file of rules as it is given
        pathlib.Path("rules.tsv").write_text(RULES, encoding="utf-8")
        for name, options in MODELS.items():
            path = FOLDER / f"{name}.model"
            if not path.exists():
                path.write_bytes(hf_styles.spm(options, 460))
        os.chdir(FOLDER)


def case(text, ids, plain, full):
    told = {"ids": ids}
    if plain != text:
        told["plain"] = plain
    if full != plain:
        told["full"] = full
    return told


def by_tokenizers(path):
    tokenizer = Tokenizer.from_file(str(path))
    encode_bytes = hf_styles.ids_of_bytes(tokenizer)
    for text in texts():
        if isinstance(text, dict):
            yield {"ids": encode_bytes(bytes.fromhex(text["hex"]))}
            continue
        ids = tokenizer.encode(text).ids
        yield case(text, ids, tokenizer.decode(ids), tokenizer.decode(ids, skip_special_tokens=False))


def by_sentencepiece(path):
    """Special tokens in the text, which sentencepiece does not look for, are not looked for."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    for text in texts():
        if isinstance(text, dict):
            yield {}
            continue
        ids = processor.encode(text)
        plain = processor.decode(ids)
        yield case(text, [processor.bos_id(), *ids], plain, plain)


def goldens():
    made = {"texts.json": texts()}
    for name in SIZES:
        made[f"{name}.golden.json"] = by_tokenizers(FOLDER / f"{name}.json")
    for name in MODELS:
        made[f"{name}.golden.json"] = by_sentencepiece(FOLDER / f"{name}.model")
    return {name: "[\n" + ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows) + "\n]\n" for name, rows in made.items()}


def main():
    FOLDER.mkdir(exist_ok=True)
    if "--check" not in sys.argv:
        train()
    wrong = []
    for name, text in goldens().items():
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(text, encoding="ascii")
        elif path.read_text(encoding="ascii") != text:
            wrong.append(name)
    return f"differs: {', '.join(wrong)}" if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
