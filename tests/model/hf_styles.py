# SPDX-License-Identifier: Apache-2.0
"""Small tokenizer.json files in the styles of model families, trained in seconds with the package `tokenizers`, and strings
that are hard to cut."""
import io
import json
import random
import re

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
WORDS = ("the model reads bytes and writes tokens where every layer attends to what came before it; naïve façade "
         "Übergröße straße žluťoučký kůň Ελληνικά слова русский 日本語 の 文章 中文 字符 한국어 العربية עברית हिन्दी ไทย "
         "int main(void) { return x[i] += 0x1F; } def f(self, *args): lambda => != == && || /* */ // # "
         "I'm you're we'll they've it's don't 2024 3.14159 1,000,000 é à ﬁ ½ Å ① 😀 👩‍👩‍👧 🇩🇪").split()


def corpus(seed=7, n=1500):
    rng = random.Random(seed)
    for _ in range(n):
        words = [rng.choice(WORDS) for _ in range(rng.randint(3, 20))]
        yield rng.choice([" ", " ", "  ", "\n"]).join(words)


def byte_alphabet(tokenizer, size, specials, show=False):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=show,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def gpt2(size=900):
    """Byte-level, digits one by one before (SmolLM, StarCoder)."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    byte_alphabet(t, size, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken("<tool>", special=False, normalized=False), AddedToken("word", single_word=True),
                  AddedToken("  pad", lstrip=True, rstrip=True)])
    return t


def llama3(size=1200):
    """Byte-level behind a Split, ignore_merges, BOS by a template."""
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    byte_alphabet(t, size, ["<|begin_of_text|>", "<|eot_id|>"])
    bos = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
        special_tokens=[("<|begin_of_text|>", bos)])])
    return t


def qwen2(size=1000):
    """NFC, then byte-level behind a Split."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    byte_alphabet(t, size, [])
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken("<think>", normalized=False), AddedToken("café", normalized=True)])
    return t


_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level_behind(patterns):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([*[pre_tokenizers.Split(Regex(p), "isolated") for p in patterns],
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    return byte_alphabet(t, 1000, ["<|endoftext|>"])


def o200k():
    """Words by case, with their contractions (GPT-4o and its followers)."""
    return byte_level_behind([O200K])


def deepseek():
    """Numbers, CJK and the rest cut one after the other (DeepSeek 3)."""
    return byte_level_behind(DEEPSEEK)


def llama2(size=900):
    """Characters with byte fallback, U+2581 for blanks, no pre-tokenizer (Llama 2, Mistral, Gemma)."""
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(split=True, prepend_scheme="never")
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False, limit_alphabet=120)
    t.train_from_iterator(corpus(), trainer)
    t = strip_bytes(t)
    t.pre_tokenizer = None
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", t.token_to_id("<s>"))])
    t.add_tokens([AddedToken("[INST]", rstrip=True, special=True), AddedToken("  ", normalized=True)])
    return t


def strip_bytes(tokenizer):
    """The trainer takes byte tokens as special ones; they are tokens of the model only."""
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [a for a in data["added_tokens"] if not a["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(data))


def llama2_metaspace(size=900):
    """As llama2, with Metaspace for the blanks and a prefix before the first word only."""
    data = json.loads(llama2(size).to_str())
    data["normalizer"] = None
    data["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    data["decoder"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    return Tokenizer.from_str(json.dumps(data))


def gemma(size=900):
    """As llama2, without a prefix, split at blanks; NFKC and long runs of digits."""
    data = json.loads(llama2(size).to_str())
    data["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "NFKC"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    data["pre_tokenizer"] = {"type": "Split", "pattern": {"String": "▁"}, "behavior": "MergedWithPrevious", "invert": False}
    data["decoder"]["decoders"].pop()
    return Tokenizer.from_str(json.dumps(data))


STYLES = {f.__name__: f for f in (gpt2, llama3, qwen2, o200k, deepseek, llama2, llama2_metaspace, gemma)}

# tokenizer.model: options of SentencePieceTrainer beside those of spm().
MODELS = {"bpe": {}, "no_prefix": {"add_dummy_prefix": False}, "unigram": {"model_type": "unigram"},
          "nfkc": {"normalization_rule_name": "nfkc"}}


def spm(options, size=600):
    """The bytes of a tokenizer.model in the way of Llama 2: byte fallback, blanks kept."""
    model = io.BytesIO()
    defaults = {"model_type": "bpe", "normalization_rule_name": "identity", "byte_fallback": True, "remove_extra_whitespaces": False,
                "user_defined_symbols": ["<tool>"], "character_coverage": 0.99}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=corpus(), model_writer=model, minloglevel=2, vocab_size=size,
                                             **{**defaults, **options})
    return model.getvalue()


def ids_of_bytes(tokenizer):
    """bytes -> ids, with what is to become of bytes that are no UTF-8 in a text without added tokens: they are neither normalised nor
    cut, and spelled byte by byte; what follows them is no beginning, so that nothing goes before it."""
    settings = json.loads(tokenizer.to_str())
    byte_level = "ByteLevel" in json.dumps(settings["decoder"])
    raw = Tokenizer.from_str(json.dumps({**settings, "normalizer": None, "pre_tokenizer": None, "post_processor": None}))
    inner = Tokenizer.from_str(json.dumps(settings).replace('{"type": "Prepend", "prepend": "\\u2581"}, ', "")
                               .replace('"prepend_scheme": "first"', '"prepend_scheme": "never"'))

    def spell(broken):
        if byte_level:
            return raw.encode("".join(BYTE_LETTERS[b] for b in broken)).ids
        return [raw.token_to_id(f"<0x{b:02X}>") for b in broken]

    def encode(data):
        ids = tokenizer.encode("").ids
        for n, part in enumerate(re.split("([\udc80-\udcff]+)", data.decode(errors="surrogateescape"))):
            if n % 2 == 0:
                ids += (inner if n else tokenizer).encode(part, add_special_tokens=False).ids
            else:
                ids += spell(part.encode(errors="surrogateescape"))
        return ids

    return encode


def byte_letters():
    """GPT-2's alphabet, encoder.py bytes_to_unicode: printable bytes are themselves, the others U+0100 and on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(0x100 + n) for n, b in enumerate(others)}}


BYTE_LETTERS = byte_letters()

_PARTS = [
    lambda r: "".join(r.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(r.randint(1, 12))),
    lambda r: r.choice(WORDS),
    lambda r: "".join(r.choice("0123456789") for _ in range(r.randint(1, 40))),
    lambda r: " " * r.randint(1, 30),
    lambda r: r.choice(["\n", "\r\n", "\t", "\n\n\n", " \n", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e", "\u200b"]),
    lambda r: "".join(r.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") for _ in range(r.randint(1, 6))),
    lambda r: "".join(chr(r.choice([0x1F600, 0x1F468, 0x200D, 0x1F3FD, 0xFE0F, 0x2764, 0x1F1E9]) + r.randint(0, 3))
                      for _ in range(r.randint(1, 4))),
    lambda r: "".join(chr(r.randint(0x4E00, 0x9FA0)) for _ in range(r.randint(1, 6))),
    lambda r: "".join(chr(r.randint(0xAC00, 0xD7A0)) for _ in range(r.randint(1, 4))),
    lambda r: r.choice("aeioucnAEIOU") + "".join(chr(r.randint(0x300, 0x34F)) for _ in range(r.randint(1, 6))),
    lambda r: "".join(chr(r.choice([0x1100, 0x1161, 0x11A8]) + r.randint(0, 5)) for _ in range(r.randint(1, 3))),
    lambda r: chr(r.choice([r.randint(1, 0x7F), r.randint(0x80, 0x24F), r.randint(0x370, 0x52F), r.randint(0xFF01, 0xFF5E)])),
    lambda r: "".join(chr(r.randint(0x600, 0x6FF)) for _ in range(r.randint(1, 5))),
    lambda r: r.choice(["'s", "'LL", "I'm", "'re", "ﬁ", "½", "İ", "ſ", "▁", "▁▁", "\ufffd", "e\u0301", "cafe\u0301", "café"]),
    lambda r: r.choice(["<s>", "</s>", "<unk>", "[INST]", "<|im_start|>", "<|endoftext|>", "<think>", "<tool>", "word", " word ",
                        "words", "  pad  ", "<|begin_of_text|>", "<|eot_id|>", "<0x0A>", "<0xE2>"]),
    lambda r: "if (x%d != %d) {\n    return y[%d];\n}\n" % (r.randint(0, 99), r.randint(0, 10**6), r.randint(0, 9)),
]


def strings(n, seed):
    """n strings of hard parts; the same for the same seed."""
    rng = random.Random(seed)
    return ["".join(rng.choice(_PARTS)(rng) for _ in range(rng.randint(0, 12))) for _ in range(n)]


def broken(n, seed):
    """n byte strings with parts that are no UTF-8 in them."""
    rng = random.Random(seed)
    for text in strings(n, seed):
        data = bytearray(text.encode())
        for _ in range(rng.randint(1, 4)):
            at = rng.randint(0, len(data))
            data[at:at] = rng.choice([b"\xff", b"\xc3", b"\xe2\x96", b"\x80\x80", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf"])
        yield bytes(data)


def broken_plain(tokenizer, n, seed):
    """Those of broken() in which no added token stands, nor U+2581, of which a normalizer could make one."""
    added = [token["content"].strip() or "  " for token in json.loads(tokenizer.to_str())["added_tokens"]]
    return [text for text in broken(n, seed) if not any(token.encode() in text for token in [*added, "\u2581"])]
