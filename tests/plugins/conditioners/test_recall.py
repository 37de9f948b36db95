"""What is found for texts: its order, its padding, and what a training is conditioned on."""

import numpy as np
import pytest
from attrs import evolve, frozen

from aios_core.contracts import EmbeddingProvider, store_schema
from aios_core.errors import StorageError
from aios_core.memory import Embedder
from aios_plugins.conditioners._recall import Recall
from aios_plugins.storage.numpy import Numpy


@frozen
class Letters(EmbeddingProvider):
    """(how many a, how many b), queries the other way round."""

    dim = 2
    query_prompt = "?"
    fingerprint: str = "letters"

    def encode(self, texts):
        counts = [[text.count("a"), text.count("b")] for text in texts]
        return np.array([c[::-1] if t[0] == "?" else c for c, t in zip(counts, texts, strict=True)])


ROWS = [
    {"id": "x", "text": "one", "vector": [3.0, 4.0]},
    {"id": "y", "text": None, "vector": [0.0, 2.0]},
]


@pytest.fixture
def recall(tmp_path):
    with Numpy().create(str(tmp_path / "store"), store_schema(2), metric="dot") as store:
        store.add(ROWS)
        yield Recall(store, Embedder(Letters(), tmp_path / "cache"))


def test_what_is_found_is_in_order_and_padded(recall):
    result = recall(["a", "b"], 3)

    assert [[4, 2, 0], [3, 0, 0]] == result.scores.tolist()
    assert [[[3, 4], [0, 2], [0, 0]]] * 2 == result.vectors.tolist()
    assert [[True, True, False]] * 2 == result.valid.tolist()
    assert [[("x", "one", 4.0), ("y", "", 2.0)], [("x", "one", 3.0), ("y", "", 0.0)]] == [
        [(each.id, each.text, each.score) for each in row] for row in result.rows
    ]


@pytest.mark.parametrize("exact", [True, None])
def test_exactness_is_handed_on(recall, monkeypatch, exact):
    asked, real = [], type(recall.store).nearest_rows

    def recorded(store, queries, *how):
        asked.append(how[:3])
        return real(store, queries, *how)

    monkeypatch.setattr(type(recall.store), "nearest_rows", recorded)
    recall(["a", "b"], 3, exact=exact)

    assert [(3, None, exact)] == asked


def test_vectors_of_another_dimension_are_refused(recall, tmp_path):
    with (
        Numpy().create(str(tmp_path / "wide"), store_schema(3)) as store,
        pytest.raises(StorageError, match=r"vectors of 3 numbers, and .* makes 2; expected the"),
    ):
        Recall(store, recall.embedder)


def test_some_of_what_was_found(recall):
    result = recall(["a", "b"], 2)
    kept = result.where(np.array([[True], [False]]))
    last = result.taken(np.array([1, 1, 0]))

    assert [[True, True], [False, False]] == kept.valid.tolist()
    assert not result.where(result.valid).where(~result.valid).valid.any()
    assert result.rows == kept.rows
    assert [[3, 0], [3, 0], [4, 2]] == last.scores.tolist()
    assert (result.rows[1], result.rows[1], result.rows[0]) == last.rows
    assert result.vectors[[1, 1, 0]].tolist() == last.vectors.tolist()


def test_a_fingerprint_is_of_ids_and_vectors_in_any_order(recall, tmp_path):
    """Whatever a training would be conditioned on: not of texts, nor of the order of writing."""

    def fingerprint(name, rows, provider=Letters()):
        with Numpy().create(str(tmp_path / name), store_schema(2), metric="dot") as store:
            store.add(rows)
            return Recall(store, Embedder(provider, tmp_path / "cache")).fingerprint()

    right = recall.fingerprint()

    assert right == fingerprint("a", [{**ROWS[1], "text": "other"}, ROWS[0]])
    assert right != fingerprint("b", [ROWS[0], {**ROWS[1], "vector": [0.0, 3.0]}])
    assert right != fingerprint("c", [ROWS[0], {**ROWS[1], "id": "z"}])
    assert right != fingerprint("d", ROWS[:1])
    assert right != fingerprint("e", ROWS, evolve(Letters(), fingerprint="other"))
