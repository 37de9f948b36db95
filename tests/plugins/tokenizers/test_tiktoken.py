"""Tokenizers of tiktoken, from a file of ranks, which needs no network."""

import base64
import json
import sys

import pytest

pytest.importorskip("tiktoken")

from aios_core.errors import MissingExtraError, TokenizerError
from aios_core.testing.contracts.tokenizer import TokenizerContract
from aios_plugins._native import fast_tokenizer
from aios_plugins.tokenizers.tiktoken import Tiktoken

TEXT = "the thesis is that the thicker thief thinks 香蕉 it's 1234"


@pytest.fixture(scope="module")
def own():
    return fast_tokenizer.Bpe.train([TEXT] * 3, vocab_size=290, min_frequency=2)


@pytest.fixture(scope="module")
def path(own, tmp_path_factory):
    special = len(fast_tokenizer.SPECIAL_TOKENS)
    tokens = (own.token(i) for i in range(special, own.vocab_size))
    lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(tokens)]
    path = tmp_path_factory.mktemp("tiktoken") / "small.tiktoken"
    path.write_text("\n".join(lines) + "\n")
    return path


class TestTiktoken(TokenizerContract):
    component = Tiktoken

    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, path):
        return Tiktoken(str(path))


def test_the_same_vocabulary_gives_the_same_ids(own, path):
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    tokenizer = Tiktoken(str(path), pattern=pattern).train([])

    assert (own.encode(TEXT) - 4).tolist() == tokenizer.encode(TEXT).tolist()
    assert own.token(280).decode() == tokenizer.token(276)


def test_a_saved_encoding_is_the_one_that_was_saved(path, tmp_path):
    """Its pattern too, whatever the tokenizer that loads it is set to."""
    made = Tiktoken(str(path), pattern=r"\w|\W").train([])
    made.save(tmp_path)
    again = Tiktoken("cl100k_base").load(tmp_path)

    assert made.fingerprint == again.fingerprint
    assert made.encode(TEXT).tolist() == again.encode(TEXT).tolist()
    assert made.encode(TEXT).tolist() != Tiktoken(str(path)).train([]).encode(TEXT).tolist()


def test_a_gap_between_ids_has_no_text(path, tmp_path):
    """Nor have our own tokens, which stand behind all of the encoding's."""
    Tiktoken(str(path)).train([]).save(tmp_path)
    file = tmp_path / "tiktoken.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"special_tokens": {"<|end|>": 900}}))
    tokenizer = Tiktoken("x").load(tmp_path)

    assert (905, 901) == (tokenizer.vocabulary.size, tokenizer.vocabulary.mask_id)
    assert ["<mask>", "<pad>", "<bos>", "<eos>"] == [tokenizer.token(901 + n) for n in range(4)]
    assert [b"<|end|>", b"", b"", b"a"] == [
        tokenizer.token_bytes(each) for each in (900, 899, 901, *tokenizer.encode("a"))
    ]
    with pytest.raises(TokenizerError, match="the encoding leaves a gap there"):
        tokenizer.decode([899])


def test_an_error_names_the_file_of_the_encoding(path, tmp_path):
    """Also once it is loaded from where it was saved."""
    gap = tmp_path / "gap.tiktoken"
    gap.write_text(path.read_text() + "enp6eg== 900\n")
    made = Tiktoken(str(gap)).train([])
    made.save(tmp_path)

    for tokenizer in (made, Tiktoken(str(gap)).load(tmp_path)):
        with pytest.raises(TokenizerError, match=rf"{gap}: .*899; the encoding leaves a gap"):
            tokenizer.decode([899])


def test_special_tokens_are_text_unless_asked_for(path, tmp_path):
    """Fault T6: those of a saved encoding as well."""
    Tiktoken(str(path)).train([]).save(tmp_path)
    file = tmp_path / "tiktoken.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {"special_tokens": {"<|end|>": 900}}))
    text, asked = (Tiktoken("x", parse_special=p).load(tmp_path) for p in (False, True))

    assert 900 not in text.encode("a<|end|>b")
    assert [900] == [i for i in asked.encode("a<|end|>b").tolist() if i > 300]
    for each in (text, asked):
        assert "a<|end|>b" == each.decode(each.encode("a<|end|>b"))
    assert text.fingerprint != asked.fingerprint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no token for byte 0x00"),
        ("YQ== 1 2", "x.tiktoken:1: expected a token in base 64 and its rank"),
        ("YQ== 0\n? 1", "x.tiktoken:2: expected"),
        ("YQ== 0\nYg== 0", "each once"),
        ("YQ== -1", "whole numbers from 0 on"),
        ("YQ== 99999999999", "whole numbers from 0 on"),
    ],
)
def test_hostile_files_are_errors(tmp_path, content, message):
    (tmp_path / "x.tiktoken").write_text(content)
    with pytest.raises(TokenizerError, match=message):
        Tiktoken(str(tmp_path / "x.tiktoken")).train([])


def test_a_broken_pattern_is_an_error(path):
    with pytest.raises(TokenizerError, match=r"small\.tiktoken: pattern: "):
        Tiktoken(str(path), pattern="(").train([])


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(TokenizerError, match=r"expected one of .*cl100k_base"):
        Tiktoken("cl100k_bas").train([])


def test_without_the_library_the_extra_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(MissingExtraError, match=r"ai-os-diffusion\[tiktoken\]"):
        Tiktoken(str(path)).train([])
