"""Tokenizers from files, by the engine and by the `tokenizers` crate."""

import json
import pickle

import pytest
from hypothesis import given, settings

from aios_core.errors import TokenizerError
from aios_core.testing import strategies
from aios_core.testing.contracts.tokenizer import TokenizerContract
from aios_plugins.tokenizers import hf
from aios_plugins.tokenizers.bpe import Bpe
from aios_plugins.tokenizers.hf import Hf, TrainedHf

TEXTS = ["the thesis is that the thicker thief thinks", "then the <mask> thins 香蕉 the <mask>"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    Bpe(vocab_size=280, min_frequency=1).train(TEXTS * 2).save(folder)
    return folder / "tokenizer.json"


@pytest.mark.parametrize("engine", [False, True], scope="class")
class TestHf(TokenizerContract):
    component = Hf

    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, path, engine):
        return Hf(file=path, engine=engine)


def test_engine_and_reference_agree(path):
    ours, theirs = (Hf(file=path, engine=engine).train([]) for engine in (True, False))

    assert ("engine", "tokenizers") == (ours.engine.backend, theirs.engine.backend)

    @settings(deadline=None)
    @given(strategies.texts())
    def check(text):
        assert theirs.encode(text).tolist() == ours.encode(text).tolist()
        assert text == ours.decode(ours.encode(text))

    check()
    rows = [ours.encode(text).tolist() for text in TEXTS]
    assert rows == [row.tolist() for row in ours.encode_each(TEXTS)]
    assert rows == [row.tolist() for row in theirs.encode_each(TEXTS)]


def test_a_change_of_path_is_told_and_can_be_refused(path, tmp_path):
    file = json.loads(path.read_text())
    file["normalizer"] = {"type": "NFC"}
    other = tmp_path / "tokenizer.json"
    other.write_text(json.dumps(file))

    tokenizer = Hf(file=other, engine=True).train([]).engine
    assert ("tokenizers", "it has a normalizer") == (tokenizer.backend, tokenizer.reason)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: .*normalizer"):
        Hf(file=other, engine=True, strict=True).train([])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "EOF"),
        ("{}", "model"),
        ('{"model": {"type": "BPE"}, "x": [', "EOF"),
        ("\udc80", "utf-8"),
    ],
)
def test_hostile_files_are_errors(tmp_path, text, message):
    other = tmp_path / "tokenizer.json"
    other.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(TokenizerError, match=message):
        Hf(file=other, engine=True).train([])


@pytest.mark.parametrize("engine", [False, True])
def test_a_key_of_a_file_comes_once(path, tmp_path, engine):
    """A token with two ids would silently have the last one."""
    other = tmp_path / "tokenizer.json"
    other.write_text(path.read_text().replace('"vocab":{', '"vocab":{"a":7,', 1))
    assert other.read_text() != path.read_text()

    with pytest.raises(TokenizerError, match=rf"{other}: expected each key once .* got 'a' twice"):
        Hf(file=other, engine=engine).train([])


@pytest.mark.parametrize("engine", [False, True])
def test_tokens_of_the_file_are_decoded_and_those_of_our_own_are_not(path, engine):
    """The file's special ones by their names; ours stand behind them, and have no text."""
    tokenizer = Hf(file=path, engine=engine).train([])
    size = tokenizer.engine.vocab_size
    own = [size, size + 1, size + 2, size + 3]
    vocabulary = tokenizer.vocabulary

    assert (280, 284) == (size, vocabulary.size)
    assert own == [vocabulary.mask_id, vocabulary.pad_id, vocabulary.bos_id, vocabulary.eos_id]
    assert "a<mask>b" == tokenizer.decode([*tokenizer.encode("a"), own[0], 0, own[3],
                                           *tokenizer.encode("b")])  # fmt: skip
    assert ["<mask>", "<pad>", "<bos>", "<eos>"] == [tokenizer.token(each) for each in own]
    assert [b"<mask>", b"", b""] == [tokenizer.token_bytes(i) for i in (0, own[0], own[3])]


def test_a_fingerprint_is_of_how_a_file_is_read(path, monkeypatch):
    """Of what decides ids: whether names in a text are tokens, and the tables of Unicode."""
    plain, parsed = (Hf(file=path, parse_special=flag).train([]) for flag in (False, True))

    assert plain.fingerprint == Hf(file=path, engine=True).train([]).fingerprint
    assert plain.fingerprint != parsed.fingerprint
    assert 0 in parsed.encode("a <mask>").tolist()
    assert 0 not in plain.encode("a <mask>").tolist()
    monkeypatch.setattr(hf.fast_tokenizer, "UNICODE_VERSION", "1.0")
    assert plain.fingerprint != TrainedHf(plain.engine, plain.path).fingerprint


def altered(path, target, **fields):
    """A tokenizer's file with other fields of its model."""
    document = json.loads(path.read_text())
    target.write_text(json.dumps(document | {"model": document["model"] | fields}))
    return target


@pytest.mark.parametrize("engine", [False, True])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dropout": 0.5}, r"model\.dropout = 0\.5: .* expected \"dropout\": null"),
        ({"alpha": 0.1, "byte_fallback": True}, r"model\.alpha: is a field that may change"),
    ],
)
def test_ids_that_differ_from_time_to_time_are_refused(path, tmp_path, fields, words, engine):
    """By the name of the field: the cache would hide that a run cannot be repeated."""
    other = altered(path, tmp_path / "tokenizer.json", **fields)
    hf = Hf(file=other, engine=engine)

    for read in (lambda: hf.train([]), lambda: hf.load(tmp_path)):
        with pytest.raises(TokenizerError, match=rf"{other}: {words}"):
            read()


@pytest.mark.parametrize("dropout", [None, 0.0])
def test_no_dropout_is_no_reason_to_refuse(path, tmp_path, dropout):
    other = altered(path, tmp_path / "tokenizer.json", dropout=dropout)

    assert Hf(file=path).train([]).encode("abc").tolist() == [
        *Hf(file=other).train([]).encode("abc")
    ]


def test_an_error_names_the_file_that_the_configuration_names(tmp_path):
    """And not its copy in the cache, from which it is read."""
    named = tmp_path / "words.json"
    model = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}
    named.write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    made = Hf(file=named).train([])
    made.save(tmp_path)
    loaded = Hf(file=named).load(tmp_path)

    for tokenizer in (made, loaded, pickle.loads(pickle.dumps(loaded))):
        for ask in (tokenizer.encode, lambda text, t=tokenizer: t.encode_batch([text])):
            with pytest.raises(TokenizerError, match=rf"{named}: .*Missing \[UNK\]"):
                ask("b")
