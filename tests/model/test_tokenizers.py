# SPDX-License-Identifier: Apache-2.0
"""tokenizer.json in the styles of model families, against the package `tokenizers`. More strings: TENON_TOKENIZER_STRINGS=5000."""
import os

import pytest
import sentencepiece

import hf_styles
import tokenizer_compare

N_STRINGS = int(os.environ.get("TENON_TOKENIZER_STRINGS", "400"))


@pytest.fixture(scope="module", params=hf_styles.STYLES)
def style(request, tmp_path_factory):
    tokenizer = hf_styles.STYLES[request.param]()
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return tokenizer, path


def test_ids_and_text_are_those_of_tokenizers(style):
    tokenizer, path = style
    texts = [*hf_styles.strings(N_STRINGS, 11), "", " ", "  a", "\n"]
    rows = tokenizer_compare.run("json", path, [(tokenizer_compare.BOS | tokenizer_compare.SPECIAL, t.encode()) for t in texts])
    wrong = tokenizer_compare.differences(texts, rows, lambda t: tokenizer.encode(t).ids,
                                          lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip))
    assert not wrong, f"{len(wrong)} of {len(texts)}, such as {wrong[0]}"


def test_bytes_that_are_no_text_are_accepted(style):
    _, path = style
    texts = list(hf_styles.broken(100, 12))
    rows = tokenizer_compare.run("json", path, [(tokenizer_compare.BOS | tokenizer_compare.SPECIAL, t) for t in texts])
    assert len(rows) == len(texts) and all(ids for ids, _, _ in rows)


# ---- tokenizer.model ----

MODELS = {"bpe": {}, "no_prefix": {"add_dummy_prefix": False}, "unigram": {"model_type": "unigram"},
          "nfkc": {"normalization_rule_name": "nfkc"}}


@pytest.fixture(scope="module", params=MODELS)
def spm(request, tmp_path_factory):
    prefix = tmp_path_factory.mktemp("spm") / "tokenizer"
    options = {"model_type": "bpe", "normalization_rule_name": "identity", "byte_fallback": True, "remove_extra_whitespaces": False,
               "user_defined_symbols": ["<tool>"], "vocab_size": 600, "character_coverage": 0.99, **MODELS[request.param]}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=hf_styles.corpus(), model_prefix=str(prefix), minloglevel=2, **options)
    return sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model"), prefix.with_suffix(".model")


def test_ids_are_those_of_sentencepiece(spm):
    processor, path = spm
    texts = [*hf_styles.strings(N_STRINGS, 13), "", " ", "  a", "\n", "<tool>x"]
    rows = tokenizer_compare.run("model", path, [(tokenizer_compare.BOS, t.encode()) for t in texts])
    for text, (ids, plain, _) in zip(texts, rows, strict=True):
        want = processor.encode(text)
        assert ids == [processor.bos_id(), *want], repr(text)
        assert plain.decode(errors="replace") == processor.decode(want), repr(text)
