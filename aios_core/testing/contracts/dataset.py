"""What every data set must do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from aios_core.contracts.dataset import SPLITS, Dataset
from aios_core.contracts.modality import Sound
from aios_core.contracts.rows import TEXT, Row, is_content
from aios_core.testing.contracts.base import Contract


class DatasetContract(Contract["Dataset"]):
    """Subclass it and set ``component``: a data set's class, or one that is built."""

    varied: ClassVar = {
        "test_rows_have_targets": {},
        "test_order_is_fixed": {},
        "test_splits_share_nothing_and_lose_nothing": {},
    }

    @classmethod
    def try_out(cls, plugin: Dataset) -> None:
        """Documents are many; a text would be a document a character."""
        if plugin.in_documents:
            documents = plugin.documents()
            assert isinstance(documents, Iterable), "documents cannot be iterated over"
            assert not isinstance(documents, str), "documents gives a text; expected several"
        else:
            rows = plugin.rows("train")
            assert isinstance(rows, Iterable), "rows cannot be iterated over"

    def test_rows_have_targets(self, instance: Dataset) -> None:
        """At least one row, each with something to learn, in text that UTF-8 can write."""
        self.try_out(instance)
        rows = list(instance.all_rows())
        assert rows, "there is no row"
        for row in rows:
            assert isinstance(row, Row), f"a row is {type(row).__name__}; expected a Row"
            assert any(s.role == "target" for s in row.segments), f"no target in {row}"
            for segment in row.segments:
                if segment.modality == TEXT:
                    text = segment.content
                    assert is_content(text), f"a document is {type(text).__name__}"
                    segment.text.encode()

    def test_order_is_fixed(self, instance: Dataset) -> None:
        """Caches, splits and exact resumption rest on the same rows each time."""
        for split in SPLITS:
            first, second = (list(map(_plain, instance.rows(split))) for _ in range(2))
            assert first == second, f"a second reading of the {split} split gave other rows"

    def test_splits_share_nothing_and_lose_nothing(self, instance: Dataset) -> None:
        """Both splits have rows; documents are all there, in their order, each once."""
        train, validation = (list(instance.rows(split)) for split in SPLITS)
        assert train, "the training split is empty"
        assert validation, "the validation split is empty"
        if not instance.in_documents:
            shared = set(map(_plain, train)) & set(map(_plain, validation))
            assert not shared, f"{len(shared)} rows are in both splits, as {min(shared)!r:.200}"
            return
        parts = [row.joined("target") for row in (*train, *validation)]
        assert all(parts), "a document of a split is empty"
        whole = "".join(instance.documents())
        assert whole == "".join(parts), "the splits are not the documents in order"


def _plain(row: Row) -> tuple[object, ...]:
    """What a row is, so that equal rows are equal whatever their segments hold."""
    segments = (
        (s.name, s.role, s.modality, s.content if s.modality == TEXT else _bytes(s.content))
        for s in row.segments
    )
    return (*segments, row.chat, row.source)


def _bytes(content: Any) -> tuple[object, ...]:
    """A content of another modality: an array, a sound, or what else has a representation."""
    if isinstance(content, np.ndarray):
        return content.shape, str(content.dtype), content.tobytes()
    if isinstance(content, Sound):
        return content.rate, content.samples.tobytes()
    return (repr(content),)
