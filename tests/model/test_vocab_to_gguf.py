# SPDX-License-Identifier: Apache-2.0
"""`tenon convert` of a directory's tokenizer to GGUF: the same ids after it, and a refusal by name where there cannot be."""
import json
import unicodedata

import gguf
import pytest
import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models as bpe_models, normalizers, pre_tokenizers, processors

from hf_support import convert_refused, tenon
import checkpoint
import hf_styles
import models
import tokenizer_compare

N_STRINGS = 400
CONFIG = models.CONFIGS["llama2"]


def directory(path, files, rows):
    """A tiny model of so many rows with these tokenizer files."""
    return checkpoint.make(path, {**CONFIG, "vocab_size": rows}, others=files)


def plain(style, **changes):
    """The style without added tokens that GGUF has no words for."""
    data = json.loads(hf_styles.STYLES[style]().to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if not (t["single_word"] or t["lstrip"] or t["rstrip"])]
    return {**data, **changes}


def converted(tmp_path, files, rows, *options):
    report = json.loads(tenon("convert", directory(tmp_path / "hf", files, rows), tmp_path / "m.gguf", "--json", *options))
    return tmp_path / "m.gguf", report["notes"]


def texts_for(normalised):
    texts = [*hf_styles.strings(N_STRINGS, 21), "", " ", "  a", "\n"]
    return [unicodedata.normalize("NFC", t) for t in texts] if normalised else texts


@pytest.mark.parametrize("style", ["gpt2", "llama3", "qwen2"])
def test_a_byte_level_tokenizer_gives_the_same_ids(tmp_path, style):
    data = plain(style)
    theirs = Tokenizer.from_str(json.dumps(data))
    model, notes = converted(tmp_path, {"tokenizer.json": data}, theirs.get_vocab_size() + 3)
    texts = texts_for(normalised=style == "qwen2")
    rows = tokenizer_compare.run("file", model, [(tokenizer_compare.BOS | tokenizer_compare.SPECIAL, t.encode()) for t in texts])
    wrong = tokenizer_compare.differences(texts, rows, lambda t: theirs.encode(t).ids,
                                          lambda ids, skip: theirs.decode(ids, skip_special_tokens=skip))
    # An added token's text is taken for the byte alphabet when `tokenizers` decodes it; in GGUF it stands for itself.
    wrong = [w for w in wrong if w[0] == "ids" or "café" not in w[1]]
    assert not wrong, f"{len(wrong)} of {len(texts)}, such as {wrong[0]}"
    assert (len(notes) == 1 and "NFC" in notes[0]) if style == "qwen2" else notes == []


def test_the_package_gguf_finds_the_tokenizer(tmp_path):
    settings = {"eos_token": "<|eot_id|>", "chat_template": "{{ bos_token }}", "add_bos_token": True, "bos_token": {"content": "<|begin_of_text|>"}}
    data = plain("llama3")
    size = Tokenizer.from_str(json.dumps(data)).get_vocab_size()
    model, _ = converted(tmp_path, {"tokenizer.json": data, "tokenizer_config.json": settings,
                                    "generation_config.json": {"eos_token_id": [1, 5]}}, size + 2)
    found = {k: f.contents() for k, f in gguf.GGUFReader(model).fields.items() if k.startswith("tokenizer.")}
    by_id = {i: text for text, i in data["model"]["vocab"].items()}
    assert found.pop("tokenizer.ggml.tokens") == [by_id[i] for i in range(size)] + [f"[PAD{size}]", f"[PAD{size + 1}]"]
    assert found.pop("tokenizer.ggml.token_type") == [3, 3] + [1] * (size - 2) + [5, 5]
    assert found.pop("tokenizer.ggml.merges") == [" ".join(m) if isinstance(m, list) else m for m in data["model"]["merges"]]
    assert found == {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.bos_token_id": 0,
                     "tokenizer.ggml.eos_token_id": 1, "tokenizer.ggml.eot_token_id": 5, "tokenizer.ggml.add_bos_token": True,
                     "tokenizer.ggml.add_eos_token": False, "tokenizer.chat_template": "{{ bos_token }}"}


REFUSED = {
    "a lowercasing normalizer": ("gpt2", {"normalizer": {"type": "Lowercase"}}, "normalizer"),
    "NFKC": ("gpt2", {"normalizer": {"type": "NFKC"}}, "normalizer: NFKC"),
    "a pattern without a name": ("gpt2", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "x+"}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]}}, "no pre-tokenizer that GGUF has a name for"),
    "a prefix": ("gpt2", {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}}, "add_prefix_space is true"),
    "punctuation": ("gpt2", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Punctuation"}, {"type": "ByteLevel", "add_prefix_space": False}]}}, "Punctuation: this pre-tokenizer"),
    "two tokens before": ("llama3", {"post_processor": {"type": "TemplateProcessing", "pair": [], "single": [
        {"SpecialToken": {"id": "a", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"a": {"id": "a", "ids": [3, 4], "tokens": ["x", "y"]}}}}, "other tokens around a text than BOS and EOS"),
    "trained merges of Llama 2's kind": ("llama2", {}, "the merges are not those of a SentencePiece model"),
    "another kind": ("gemma", {}, "normalizer: NFKC"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_tokenizer_that_gguf_cannot_say_is_refused_with_the_reason(tmp_path, name):
    style, changes, reason = REFUSED[name]
    message = convert_refused(directory(tmp_path / "hf", {"tokenizer.json": plain(style, **changes)}, 1300), tmp_path / "m.gguf")
    assert reason in message and [p.name for p in tmp_path.iterdir()] == ["hf"]


def test_an_added_token_that_takes_blanks_is_refused_by_name(tmp_path):
    data = json.loads(hf_styles.gpt2().to_str())
    message = convert_refused(directory(tmp_path / "hf", {"tokenizer.json": data}, 1000), tmp_path / "m.gguf")
    assert "the added token 'word' is found with single_word" in message


def test_more_tokens_than_rows_are_refused(tmp_path):
    assert "the model rows for 100" in convert_refused(directory(tmp_path / "hf", {"tokenizer.json": plain("gpt2")}, 100), tmp_path / "m.gguf")


# ---- SentencePiece ----

def train(tmp_path, **changes):
    options = {"model_type": "bpe", "normalization_rule_name": "identity", "byte_fallback": True, "remove_extra_whitespaces": False,
               "user_defined_symbols": ["<tool>"], "vocab_size": 600, "character_coverage": 0.99, **changes}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=hf_styles.corpus(), model_prefix=str(tmp_path / "t"), minloglevel=2, **options)
    return sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "t.model")), (tmp_path / "t.model").read_bytes()


@pytest.mark.parametrize("prefix", [True, False])
def test_a_sentencepiece_model_gives_the_same_ids(tmp_path, prefix):
    processor, data = train(tmp_path, add_dummy_prefix=prefix)
    model, notes = converted(tmp_path, {"tokenizer.model": data, "tokenizer_config.json": {"add_eos_token": True}}, 603)
    texts = texts_for(normalised=False)
    rows = tokenizer_compare.run("file", model, [(tokenizer_compare.BOS, t.encode()) for t in texts])
    for text, (ids, decoded, _) in zip(texts, rows, strict=True):
        want = processor.encode(text)
        assert ids == [processor.bos_id(), *want, processor.eos_id()], repr(text)
        assert decoded.decode(errors="replace") == processor.decode(want), repr(text)
    found = {k: f.contents() for k, f in gguf.GGUFReader(model).fields.items() if k.startswith("tokenizer.")}
    assert found["tokenizer.ggml.model"] == "llama" and found["tokenizer.ggml.add_space_prefix"] == prefix and notes == []
    assert found["tokenizer.ggml.tokens"] == [processor.id_to_piece(i) for i in range(600)] + ["[PAD600]", "[PAD601]", "[PAD602]"]
    assert found["tokenizer.ggml.scores"][:600] == [processor.get_score(i) for i in range(600)]


@pytest.mark.parametrize("changes, reason", [({"model_type": "unigram"}, "is no BPE model"),
                                             ({"normalization_rule_name": "nfkc"}, "normalises text by a table of characters"),
                                             ({"treat_whitespace_as_suffix": True}, "has blanks at the end of words")])
def test_a_sentencepiece_model_that_gguf_cannot_say_is_refused(tmp_path, changes, reason):
    _, data = train(tmp_path, **changes)
    (tmp_path / "out").mkdir()
    message = convert_refused(directory(tmp_path / "hf", {"tokenizer.model": data}, 600), tmp_path / "out/m.gguf")
    assert reason in message and not list((tmp_path / "out").iterdir())


def as_tokenizer_json(processor, scheme, n_runs=0):
    """As transformers' convert_slow_tokenizer.py makes a tokenizer.json of a tokenizer.model: all merges, in the order of scores; with
    runs of blanks of one score, as Llama 2 has them."""
    vocab = {processor.id_to_piece(i): i for i in range(processor.get_piece_size())}
    scores = {piece: processor.get_score(i) for piece, i in vocab.items()}
    for n in range(2, 2 + n_runs):
        if "▁" * n not in vocab:
            vocab["▁" * n] = len(vocab)
        scores["▁" * n] = -1e9
    merges = [(piece[:k], piece[k:]) for piece in vocab for k in range(1, len(piece)) if piece[:k] in vocab and piece[k:] in vocab
              and not piece.startswith("<0x")]
    merges.sort(key=lambda m: (scores[m[0] + m[1]], len(m[0]), len(m[1])), reverse=True)
    t = Tokenizer(bpe_models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if scheme == "normalizer":
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        t.pre_tokenizer = pre_tokenizers.Metaspace(split=False, prepend_scheme=scheme)
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    t.add_special_tokens([AddedToken(text, normalized=False) for text in ("<unk>", "<s>", "</s>")])
    return t


@pytest.mark.parametrize("scheme, n_runs", [("normalizer", 0), ("never", 0), ("normalizer", 9)])
def test_a_tokenizer_json_made_of_a_sentencepiece_model_gives_the_same_ids(tmp_path, scheme, n_runs):
    processor, _ = train(tmp_path, user_defined_symbols=[])
    theirs = as_tokenizer_json(processor, scheme, n_runs)
    model, notes = converted(tmp_path, {"tokenizer.json": json.loads(theirs.to_str())}, 620)
    texts = [*texts_for(normalised=False), *(f"{' ' * n}x{' ' * (40 - n)}" for n in range(40))]
    rows = tokenizer_compare.run("file", model, [(tokenizer_compare.BOS | tokenizer_compare.SPECIAL, t.encode()) for t in texts])
    for text, (ids, _, _) in zip(texts, rows, strict=True):
        assert ids == theirs.encode(text).ids, repr(text)
    assert notes == []


@pytest.mark.parametrize("scheme", ["always", "first"])
def test_a_prefix_that_depends_on_the_text_is_refused(tmp_path, scheme):
    processor, _ = train(tmp_path, user_defined_symbols=[])
    (tmp_path / "out").mkdir()
    files = {"tokenizer.json": json.loads(as_tokenizer_json(processor, scheme).to_str())}
    message = convert_refused(directory(tmp_path / "hf", files, 600), tmp_path / "out/m.gguf")
    assert "Metaspace: a split at blanks, or a prefix where the text has no blank" in message and not list((tmp_path / "out").iterdir())


def test_tokens_that_a_directory_adds_to_a_tokenizer_model_are_found(tmp_path):
    _, data = train(tmp_path)
    added = {"1": {"content": "<s>", "special": True}, "600": {"content": "<|im_start|>", "special": True}, "601": {"content": "<mine>"}}
    files = {"tokenizer.model": data, "tokenizer_config.json": {"added_tokens_decoder": added, "bos_token": "<s>"}}
    model, notes = converted(tmp_path, files, 602)
    texts = [b"<|im_start|>user x", b"a <|im_start|><s> b", b"a<mine>"]
    records = [(flags, t) for t in texts for flags in (tokenizer_compare.BOS, tokenizer_compare.SPECIAL)]
    ours, theirs = (tokenizer_compare.run("file", path, records) for path in (model, tmp_path / "hf"))
    assert ours == theirs and ours[0] != ours[1]
    assert len(notes) == 1 and "may get other blanks around them" in notes[0]


def test_where_a_tokenizer_json_cannot_be_said_the_tokenizer_model_is_taken(tmp_path):
    processor, data = train(tmp_path)
    model, notes = converted(tmp_path, {"tokenizer.json": json.loads(hf_styles.llama2_metaspace().to_str()), "tokenizer.model": data}, 900)
    (ids, _, _), = tokenizer_compare.run("file", model, [(tokenizer_compare.BOS, b"the model reads bytes")])
    assert ids == [1, *processor.encode("the model reads bytes")]
    assert len(notes) == 1 and "the vocabulary is that of tokenizer.model" in notes[0]


def test_stop_ids_go_where_there_is_room_and_more_are_a_note(tmp_path):
    def stops(path):
        return sorted(stop["id"] for stop in json.loads(tenon("inspect", path, "--json"))["tokenizer"]["stop"])

    (tmp_path / "two").mkdir()
    (tmp_path / "four").mkdir()
    files = {"tokenizer.json": plain("llama3"), "generation_config.json": {"eos_token_id": [7, 9, 1]}}
    model, notes = converted(tmp_path / "two", files, 1300)  # 1 is known by its text
    assert stops(model) == stops(tmp_path / "two/hf") == [1, 7, 9] and notes == []
    files["generation_config.json"] = {"eos_token_id": [7, 9, 11, 1]}
    model, notes = converted(tmp_path / "four", files, 1300)
    assert stops(model) == [1, 7, 9] and len(notes) == 1 and "give them with --stop-id" in notes[0]
