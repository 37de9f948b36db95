"""The cache of embeddings."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from attrs import frozen

from aios_core.contracts import EmbeddingProvider
from aios_core.errors import InferenceError
from aios_core.memory import Embedder

ASKED = []


@frozen
class Counting(EmbeddingProvider):
    dim = 3
    query_prompt = "q"
    fingerprint: str = "one"

    def encode(self, texts):
        ASKED.extend(texts)
        return np.array([[1, len(text), 2] for text in texts])


@pytest.fixture
def embedder(tmp_path):
    ASKED.clear()
    return Embedder(Counting(), tmp_path / "cache")


def test_a_text_is_embedded_once(embedder, tmp_path):
    first = embedder.embed(["a", "bb", "a"])
    again = Embedder(Counting(), tmp_path / "cache").embed(["bb", "a", "ccc"])

    assert ["a", "bb", "ccc"] == ASKED
    assert (first[[1, 0]] == again[:2]).all()
    assert (0, 3) == embedder.embed([]).shape


def test_sides_and_fingerprints_are_kept_apart(embedder, tmp_path):
    embedder.embed(["a"])
    embedder.embed(["a"], side="query")
    Embedder(Counting("two"), tmp_path / "cache").embed(["a"])

    assert ["a", "qa", "a"] == ASKED


def test_vectors_have_length_1_and_texts_their_prompt():
    """Of their side; what has no direction is named by its row."""

    @frozen
    class Right(Counting):
        document_prompt = "d: "

        def encode(self, texts):
            ASKED.extend(texts)
            return np.array([[3 * (t[-1] != "0"), 4e-20 * (t[-1] != "0"), 0] for t in texts])

    ASKED.clear()
    assert [[1, pytest.approx(4e-20 / 3), 0]] == Right().embed(["a"]).tolist()
    assert [[1, pytest.approx(4e-20 / 3), 0]] == Right().embed(["a"], side="query").tolist()
    assert ["d: a", "qa"] == ASKED
    with pytest.raises(InferenceError, match=r"gave text 1 a vector of length 0\.0"):
        Right().embed(["a", "0", "b", "0"])
    with pytest.raises(InferenceError, match="text 2 holds half of a surrogate pair"):
        Right().embed(["a", "é", "\udfff"])


def test_damage_is_made_good(embedder, tmp_path):
    right = embedder.embed(["a", "b", "c"])
    (file,) = (tmp_path / "cache").iterdir()
    with sqlite3.connect(file) as database:
        keys = database.execute("SELECT key FROM vectors").fetchall()
        for key, value in zip(keys, (b"short", b"\0" * 12, "text"), strict=True):
            database.execute("UPDATE vectors SET vector = ? WHERE key = ?", (value, *key))
    database.close()

    for _ in range(2):  # what is damaged is replaced
        assert (right == embedder.embed(["a", "b", "c"])).all()
        assert 6 == len(ASKED)


@pytest.mark.parametrize(
    "vector", [[0, 0, 2], [0, 0, 0.99], [np.nan, 0, 1], [np.inf, 0, 0], [0, 0, 1, 0], [0, 1]]
)
def test_a_vector_that_has_not_length_1_is_made_again(embedder, tmp_path, vector):
    """Whoever wrote it into the cache: all that a provider makes have, in its dimension."""
    right = embedder.embed(["a"])
    (file,) = (tmp_path / "cache").iterdir()
    with sqlite3.connect(file) as database:
        data = np.array(vector, "<f4").tobytes()
        database.execute("UPDATE vectors SET vector = ?", (data,))
    database.close()

    assert (right == embedder.embed(["a"])).all()
    assert 2 == len(ASKED)


@pytest.mark.parametrize("spoilt", ["file", "folder"])
def test_without_a_cache_it_works_and_says_so(embedder, tmp_path, spoilt, caplog):
    right = embedder.embed(["a"])
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(b"no database" * 100)
    if spoilt == "folder":
        file.unlink()
        file.parent.rmdir()
        file.parent.write_text("a file where the folder should be")

    assert (right == embedder.embed(["a"])).all()
    assert "are not cached in" in caplog.text


def test_threads_share_it(embedder):
    texts = ["x" * n for n in range(40)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: embedder.embed(texts), range(4)))

    assert all((each == results[0]).all() for each in results)
