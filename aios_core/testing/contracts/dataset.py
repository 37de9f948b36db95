"""What every data set must do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from aios_core.testing.contracts.base import Contract

if TYPE_CHECKING:
    from aios_core.contracts import Dataset


class DatasetContract(Contract["Dataset"]):
    """Subclass it and set ``component``: a data set's class, or one that is built."""

    varied: ClassVar = {
        "test_documents_are_texts": {},
        "test_order_is_fixed": {},
        "test_splits_share_nothing_and_lose_nothing": {},
    }

    @classmethod
    def try_out(cls, plugin: Dataset) -> None:
        """Documents are many; a text would be a document a character."""
        documents = plugin.documents()
        assert isinstance(documents, Iterable), "documents cannot be iterated over"
        assert not isinstance(documents, str), "documents gives a text; expected several"

    def test_documents_are_texts(self, instance: Dataset) -> None:
        """At least one, each a string that UTF-8 can write."""
        documents = list(instance.documents())
        assert documents, "there is no document"
        for document in documents:
            assert isinstance(document, str), f"a document is {type(document).__name__}"
            document.encode()

    def test_order_is_fixed(self, instance: Dataset) -> None:
        """Caches, splits and exact resumption rest on the same documents each time."""
        first, second = list(instance.documents()), list(instance.documents())
        assert first == second, "a second reading gave other documents"

    def test_splits_share_nothing_and_lose_nothing(self, instance: Dataset) -> None:
        """All text, in its order: first the training split, then the validation split."""
        train, validation = (list(instance.texts(split)) for split in ("train", "validation"))
        assert train, "the training split is empty"
        assert validation, "the validation split is empty"
        assert all(train), "a document of the training split is empty"
        assert all(validation), "a document of the validation split is empty"
        whole = "".join(instance.documents())
        assert whole == "".join([*train, *validation]), "the splits are not the documents in order"
