# ruff: noqa: RUF001  # letters that look like others are the point
"""Ids beside those of the libraries that others use, on texts that ship with Python."""

import json
import sysconfig
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest

from aios_plugins._native import fast_tokenizer
from aios_plugins.tokenizers.bpe import Bpe

GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

LANGUAGES = (
    "Привет, мир! Ёлка №5",
    "γειά σου Κόσμε",
    "שלום עולם",
    "مرحبا بالعالم ١٢٣",
    "नमस्ते दुनिया १२",
    "สวัสดีชาวโลก",
    "こんにちは世界。カタカナ",
    "你好,世界!",
    "안녕하세요 세계",
    "Xin chào thế giới",
    "👩\u200d🚀 🏳️\u200d🌈 🇫🇷",
    "e\u0301 ſ's ǅ ﬁ ½ Ⅷ \u3000\u2028\u00a0x",
)
"""A greeting in scripts that differ in letters, marks, numbers and white space."""


def corpus(limit):
    """At most so many bytes of every source of the standard library, and texts of all scripts."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    own = (path for path in paths if "site-packages" not in path.parts)
    sources = (path.read_bytes()[:limit].decode(errors="replace") for path in own)
    return ["\n".join(LANGUAGES) * 3, *topics.values(), *sources]


@pytest.fixture(scope="module")
def files():
    """A trained tokenizer with GPT-2's pattern, and with GPT-4's."""
    text = Bpe(vocab_size=4000).train(corpus(2000)).engine.to_json()
    document = json.loads(text)
    split = {"type": "Split", "pattern": {"Regex": GPT4}, "behavior": "Isolated", "invert": False}
    level = document["decoder"] | {"use_regex": False}
    document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, level]}
    return {"gpt2": text, "gpt4": json.dumps(document)}


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["gpt2", "gpt4"])
def test_the_standard_library_has_the_ids_of_tokenizers(files, pattern):
    texts = corpus(4000)
    ours, theirs = (
        fast_tokenizer.Tokenizer(files[pattern], engine=engine).encode_batch(texts)
        for engine in (True, False)
    )
    np.testing.assert_array_equal(theirs[1], ours[1])
    np.testing.assert_array_equal(theirs[0], ours[0])


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4"])
def test_the_published_library_agrees(files, pattern):
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer.from_str(files[pattern])
    ours = fast_tokenizer.Tokenizer(files[pattern], strict=True)
    for text in [*LANGUAGES, *list(topics.values())[:20]]:
        ids = ours.encode(text)
        assert theirs.encode(text).ids == ids.tolist()
        assert theirs.decode(ids.tolist()) == ours.decode(ids)


def test_transformers_loads_what_is_saved_and_agrees(files, tmp_path):
    transformers = pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_text(files["gpt2"])
    own = Bpe(vocab_size=4000).load(tmp_path)
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json"),
        mask_token="<mask>",
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
    )
    vocabulary = own.vocabulary

    assert vocabulary.special_ids == (
        theirs.mask_token_id,
        theirs.pad_token_id,
        theirs.bos_token_id,
        theirs.eos_token_id,
    )
    assert vocabulary.size == len(theirs)
    for text in LANGUAGES:
        ids = own.encode(text).tolist()
        assert theirs(text)["input_ids"] == ids
        assert theirs.decode(ids, clean_up_tokenization_spaces=False) == own.decode(ids)
