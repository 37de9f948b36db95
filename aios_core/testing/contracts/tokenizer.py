"""What every tokenizer must do."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aios_core.errors import TokenizerError
from aios_core.testing import strategies
from aios_core.testing.contracts.base import Contract

if TYPE_CHECKING:
    from aios_core.contracts import Padding, Tokenizer, TrainedTokenizer

# One example at a time is slow on a machine that is busy, and a suite is meant to be inherited.
_property = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.differing_executors]
)


def _python_reference() -> list[str]:
    """Half a megabyte of English that every CPython carries."""
    spec = find_spec("pydoc_data.topics")
    assert spec is not None
    assert spec.origin is not None
    topics: dict[str, str] = runpy.run_path(spec.origin)["topics"]
    return [topics[name] for name in sorted(topics)]


class TokenizerContract(Contract["Tokenizer"]):
    """Subclass it and set ``component``: a tokenizer's class, or one that is built."""

    varied: ClassVar = {"test_what_is_learned_is_kept": {}}

    texts: ClassVar[Sequence[str] | None] = None
    """What to train on; unset: the language reference of Python, which fills 8000 tokens."""

    @pytest.fixture(scope="class")
    @classmethod
    def corpus(cls) -> Sequence[str]:
        """What it is trained on."""
        return cls.texts or _python_reference()

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, instance: Tokenizer, corpus: Sequence[str]) -> TrainedTokenizer:
        """The tokenizer under test, trained."""
        return instance.train(iter(corpus))

    def test_special_ids_are_distinct_and_in_the_vocabulary(
        self, trained: TrainedTokenizer
    ) -> None:
        """Four ids, each of a token with a name."""
        special = trained.vocabulary.special_ids
        assert len(set(special)) == len(special), f"{special} are not distinct"
        assert all(0 <= i < trained.vocabulary.size for i in special), f"{special} are not ids"
        assert trained.token(trained.vocabulary.mask_id) == "<mask>"

    def test_every_token_can_be_shown(self, trained: TrainedTokenizer) -> None:
        """Reports print tokens of any id."""
        assert all(isinstance(trained.token(i), str) for i in range(trained.vocabulary.size))

    def test_special_tokens_are_no_bytes(self, trained: TrainedTokenizer) -> None:
        """Constrained texts are made of the others."""
        assert not any(trained.token_bytes(i) for i in trained.vocabulary.special_ids)

    @_property
    @given(text=strategies.texts())
    def test_bytes_of_tokens_are_those_of_the_text(
        self, trained: TrainedTokenizer, text: str
    ) -> None:
        """Unless a token stands for nothing by itself, as a part of a character may."""
        parts = [trained.token_bytes(int(i)) for i in trained.encode(text)]
        assert not all(parts) or b"".join(parts) == text.encode()

    def test_every_text_is_encoded_whole(self, trained: TrainedTokenizer) -> None:
        """Nothing is cut off a long text, and nothing put into an empty one (fault T1)."""
        text = "ab, " * 4000
        assert not len(trained.encode("")), "the empty text has ids"
        assert trained.decode(trained.encode(text)) == text, "a long text does not survive"
        (ids,) = trained.encode_each([text])
        assert ids.tolist() == trained.encode(text).tolist(), "in a batch it has other ids"

    def test_names_of_special_tokens_are_text(self, trained: TrainedTokenizer) -> None:
        """Alone, in words, and beside each other: nobody's text forges a token (fault T6)."""
        vocabulary = trained.vocabulary
        names = [trained.token(i) for i in vocabulary.special_ids]
        for text in (*names, " ".join(names), "".join(names), f"a{names[0]}b"):
            special = set(trained.encode(text).tolist()) & set(vocabulary.special_ids)
            assert not special, f"{text!r} is encoded to the special ids {sorted(special)}"

    @_property
    @given(data=st.data())
    def test_a_spelling_says_what_is_decoded(
        self, trained: TrainedTokenizer, data: st.DataObject
    ) -> None:
        """Of any ids, what constraints read is what `decode` gives (fault T2)."""
        try:
            spelling = trained.spelling()
        except TokenizerError:  # constraints are refused then, before any work
            return
        tokens = st.integers(0, trained.vocabulary.size - 1)
        ids = data.draw(st.lists(tokens, min_size=1, max_size=6))
        spelled = spelling.spell(ids)
        if spelled is not None and (text := spelled.decode(errors="replace")).encode() == spelled:
            assert trained.decode(ids) == text

    @_property
    @given(text=strategies.texts())
    @example(text="<mask> <pad> <bos> <eos>")
    def test_any_text_survives(self, trained: TrainedTokenizer, text: str) -> None:
        """Ids are int32 and in the vocabulary, none is special, and they decode to the text."""
        ids = trained.encode(text)
        assert ids.dtype == np.int32
        assert ids.ndim == 1
        assert not set(ids.tolist()) & set(trained.vocabulary.special_ids)
        assert (trained.vocabulary.check(ids) == ids).all()
        assert trained.decode(ids) == text
        assert trained.decode(ids.tolist()) == text

    @_property
    @given(text=strategies.texts())
    def test_special_tokens_are_left_out_of_text(
        self, trained: TrainedTokenizer, text: str
    ) -> None:
        """Masks around and special tokens after a text change nothing about it."""
        vocabulary = trained.vocabulary
        framed = [vocabulary.mask_id, *trained.encode(text), *vocabulary.special_ids]
        assert trained.decode(framed) == text

    @_property
    @given(texts=st.lists(strategies.texts(), max_size=4), padding=strategies.paddings())
    def test_batches_equal_single_texts(
        self, trained: TrainedTokenizer, texts: list[str], padding: Padding
    ) -> None:
        """Cut and padded on either side as asked for, and nothing else."""
        rows = [trained.encode(text) for text in texts]
        ids, mask = trained.encode_batch(texts, padding)
        expected_ids, expected_mask = padding.apply(rows, trained.vocabulary)
        assert ids.dtype == np.int64
        assert mask.dtype == np.bool_
        np.testing.assert_array_equal(ids, expected_ids)
        np.testing.assert_array_equal(mask, expected_mask)
        assert trained.decode_batch(rows) == texts

    def test_training_is_deterministic(
        self, instance: Tokenizer, trained: TrainedTokenizer, corpus: Sequence[str]
    ) -> None:
        """The same texts, the same ids."""
        again = instance.train(corpus)
        assert again.fingerprint == trained.fingerprint
        assert (again.encode(corpus[0]) == trained.encode(corpus[0])).all()

    def test_survives_saving(
        self, instance: Tokenizer, trained: TrainedTokenizer, corpus: Sequence[str], tmp_path: Path
    ) -> None:
        """What is loaded is what was saved."""
        trained.save(tmp_path)
        again = instance.load(tmp_path)
        assert again.fingerprint == trained.fingerprint
        assert again.vocabulary == trained.vocabulary
        assert (again.encode(corpus[0]) == trained.encode(corpus[0])).all()

    def test_what_is_learned_is_kept(
        self, instance: Tokenizer, corpus: Sequence[str], tmp_path: Path
    ) -> None:
        """Of little text too: learned, saved, and read again by the same tokenizer."""
        try:
            trained = instance.train(iter([text[:2000] for text in corpus[:9]]))
        except TokenizerError as error:
            pytest.skip(f"this tokenizer needs more text, which is allowed: {error}")
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        trained.save(folder)
        again = instance.load(folder)
        assert trained.fingerprint == again.fingerprint
        assert trained.vocabulary == again.vocabulary
        for text in (corpus[0][:500], "e\u0301 \u9999\u8549\n <mask>", ""):
            ids = trained.encode(text)
            assert ids.tolist() == again.encode(text).tolist(), "another tokenizer was read"
            assert text == again.decode(ids), "a text does not survive"

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda path: path.unlink(), id="missing"),
            pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-9]), id="truncated"),
            pytest.param(lambda path: path.write_bytes(b""), id="empty"),
            pytest.param(lambda path: path.write_bytes(b"\xff\x00"), id="not text"),
            pytest.param(lambda path: path.write_text("{}"), id="hollow"),
        ],
    )
    def test_damaged_files_are_named(
        self,
        instance: Tokenizer,
        trained: TrainedTokenizer,
        tmp_path: Path,
        damage: Callable[[Path], object],
    ) -> None:
        """Each file that is saved is needed, and none is believed."""
        trained.save(tmp_path)
        for path in sorted(tmp_path.iterdir()):
            intact = path.read_bytes()
            damage(path)
            with pytest.raises(TokenizerError, match=path.name):
                instance.load(tmp_path)
            path.write_bytes(intact)

    def test_folders_that_are_not_there_are_errors(
        self, instance: Tokenizer, trained: TrainedTokenizer, tmp_path: Path
    ) -> None:
        """As a full disk would be."""
        with pytest.raises(TokenizerError):
            trained.save(tmp_path / "missing")
        with pytest.raises(TokenizerError):
            instance.load(tmp_path / "missing")

    @pytest.mark.parametrize("beyond", [-1, "size", 2**32, 0.5])
    def test_foreign_ids_are_errors(self, trained: TrainedTokenizer, beyond: Any) -> None:
        """Ids of another vocabulary never become text."""
        token_id = trained.vocabulary.size if beyond == "size" else beyond
        with pytest.raises(TokenizerError):
            trained.decode([token_id])

    def test_lone_surrogates_are_errors(self, trained: TrainedTokenizer) -> None:
        """Python's strings may hold them, UTF-8 may not."""
        with pytest.raises(TokenizerError, match="surrogate"):
            trained.encode("a\ud800")
