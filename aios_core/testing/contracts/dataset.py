"""What every data set must do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from aios_core.contracts.dataset import SPLITS, Dataset
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
            first, second = list(instance.rows(split)), list(instance.rows(split))
            assert first == second, f"a second reading of the {split} split gave other rows"

    def test_splits_share_nothing_and_lose_nothing(self, instance: Dataset) -> None:
        """Both splits have rows; documents are all there, in their order, each once."""
        train, validation = (list(instance.rows(split)) for split in SPLITS)
        assert train, "the training split is empty"
        assert validation, "the validation split is empty"
        if not instance.in_documents:
            shared = set(map(str, train)) & set(map(str, validation))
            assert not shared, f"{len(shared)} rows are in both splits, as {min(shared)[:200]}"
            return
        parts = [row.joined("target") for row in (*train, *validation)]
        assert all(parts), "a document of a split is empty"
        whole = "".join(instance.documents())
        assert whole == "".join(parts), "the splits are not the documents in order"
