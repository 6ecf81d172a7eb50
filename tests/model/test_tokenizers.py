# SPDX-License-Identifier: Apache-2.0
"""tokenizer.json and tokenizer.model in the styles of model families, trained for the test, against the packages `tokenizers` and
`sentencepiece`. TENON_TOKENIZER_STRINGS=5000: that many strings; TENON_SPM_MODELS: paths of more files tokenizer.model, with ':'
between. A frozen sample is in test_tokenizer_goldens.c."""
import os
import pathlib

import pytest
import sentencepiece

import hf_styles
import make_tokenizer_goldens
import tokenizer_compare
from tokenizer_compare import BOS, SPECIAL

N_STRINGS = int(os.environ.get("TENON_TOKENIZER_STRINGS", "400"))
MORE_MODELS = [path for path in os.environ.get("TENON_SPM_MODELS", "").split(":") if path]


@pytest.fixture(scope="module", params=hf_styles.STYLES)
def style(request, tmp_path_factory):
    tokenizer = hf_styles.STYLES[request.param]()
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return tokenizer, path


def test_ids_and_text_are_those_of_tokenizers(style):
    tokenizer, path = style
    texts = [*hf_styles.strings(N_STRINGS, 11), "", " ", "  a", "\n"]
    rows = tokenizer_compare.run("json", path, [(BOS | SPECIAL, t.encode()) for t in texts])
    wrong = tokenizer_compare.differences(texts, rows, lambda t: tokenizer.encode(t).ids,
                                          lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip))
    assert not wrong, f"{len(wrong)} of {len(texts)}, such as {wrong[0]}"


def test_a_long_text_is_within_the_budget_of_its_patterns(style):
    tokenizer, path = style
    text = "".join(hf_styles.strings(8000, 14))
    (ids, _, _), = tokenizer_compare.run("json", path, [(BOS | SPECIAL, text.encode())])
    assert ids == tokenizer.encode(text).ids


def test_bytes_that_are_no_text_are_spelled_and_the_text_between_is_as_ever(style):
    tokenizer, path = style
    texts = hf_styles.broken_plain(tokenizer, N_STRINGS // 2, 12)
    rows = tokenizer_compare.run("json", path, [(BOS | SPECIAL, t) for t in texts])
    encode = hf_styles.ids_of_bytes(tokenizer)
    for text, (ids, _, _) in zip(texts, rows, strict=True):
        assert ids == encode(text), text


def test_the_frozen_sample_is_what_the_packages_say():
    for name, text in make_tokenizer_goldens.goldens().items():
        assert (make_tokenizer_goldens.FOLDER / name).read_text(encoding="ascii") == text, name


@pytest.fixture(scope="module", params=[*hf_styles.MODELS, *MORE_MODELS])
def spm(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("spm") / "tokenizer.model"
    if request.param in hf_styles.MODELS:
        path.write_bytes(hf_styles.spm(hf_styles.MODELS[request.param]))
    else:
        path = pathlib.Path(request.param)
    return sentencepiece.SentencePieceProcessor(model_file=str(path)), path


def test_ids_are_those_of_sentencepiece(spm):
    processor, path = spm
    texts = [*hf_styles.strings(N_STRINGS, 13), "", " ", "  a", "\n", "<tool>x"]
    rows = tokenizer_compare.run("model", path, [(BOS, t.encode()) for t in texts])
    for text, (ids, plain, _) in zip(texts, rows, strict=True):
        want = processor.encode(text)
        assert ids == [processor.bos_id(), *want], repr(text)
        assert plain.decode(errors="replace") == processor.decode(want), repr(text)
