"""Texts of a store as a data set."""

import pytest

from aios_core.contracts import store_schema
from aios_core.errors import DataError, StorageError
from aios_core.memory import Place, open_store
from aios_core.testing.contracts.dataset import DatasetContract
from aios_plugins.datasets.memories import Memories

ROWS = [
    {"id": number, "text": text, "kind": kind, "vector": [1.0, 0.0]}
    for number, text, kind in (
        (3, "the third, " * 9, "doubt"),
        (1, "the first, " * 9, "feedback"),
        (4, None, "feedback"),
        (2, "the second, " * 9, "feedback"),
    )
]


@pytest.fixture(params=["arrow", "numpy"])
def place(request, tmp_path):
    schema = store_schema(2, {"kind": "string"}, id_type="int64")
    with open_store(Place.of(f"{request.param}:{tmp_path / 'notes'}"), schema=schema) as store:
        store.add(ROWS)
    return f"{request.param}:{tmp_path / 'notes'}"


class TestMemories(DatasetContract):
    @pytest.fixture
    def instance(self, place):
        return Memories(place)


def test_texts_come_in_the_order_of_ids(place):
    words = [text.split(",")[0] for text in Memories(place).documents()]
    some = [text.split(",")[0] for text in Memories(place, "kind = 'feedback'").documents()]

    assert ["the first", "the second", "the third"] == words
    assert ["the first", "the second"] == some


def test_what_cannot_be_read_is_said(place, tmp_path):
    with pytest.raises(StorageError, match="colour"):
        list(Memories(place, "colour = 1").documents())
    with pytest.raises(StorageError):
        list(Memories(str(tmp_path / "nowhere")).documents())
    bare = f"arrow:{tmp_path / 'bare'}"
    open_store(Place.of(bare), schema=store_schema(2, text=False)).close()
    with pytest.raises(DataError, match="expected a column 'text'"):
        list(Memories(bare).documents())


def test_a_place_is_what_it_says():
    """Fault N6: also as a data set."""
    with pytest.raises(StorageError, match="no storage backend is called 'sqlite'"):
        list(Memories(store="sqlite:oops").documents())
