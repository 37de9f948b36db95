"""What a network is conditioned on while it learns."""

import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import store_schema
from aios_core.diffusion.random import RowRandom
from aios_core.memory import Embedder, Place, open_store, with_embedding_metadata
from aios_plugins.embeddings.hashing import Hashing
from aios_plugins.storage.arrow import Arrow, _ArrowStore
from aios_plugins.tokenizers.bytes import TrainedBytes

TEXTS = ["milk", "wine", "a", "ab", "abc"]


@pytest.fixture
def memory_batches(tmp_path):
    """What finds one of some memories, each by its own text, at a dropout."""
    provider = Hashing(dim=64)
    schema = with_embedding_metadata(store_schema(64), provider, {"type": "hashing", "dim": 64})
    with open_store(Place(Arrow(), str(tmp_path / "store")), schema=schema) as store:
        vectors = Embedder(Hashing(dim=64)).embed(TEXTS)
        pairs = zip(TEXTS, vectors, strict=True)
        store.add([{"id": text, "text": text, "vector": pair} for text, pair in pairs])

    def memory_batches(dropout):
        memory = {"k": 1, "store": str(tmp_path / "store"), "dim": 64, "dropout": dropout}
        config = resolve({"conditioner": {"type": "memory", **memory}}).config
        return config.conditioner.open(config, TrainedBytes())

    return memory_batches


def rows(texts):
    return torch.tensor([list(text.encode()) for text in texts])


def random_of(ids):
    return RowRandom.numbered(0, range(len(ids)), ids.shape[1])


def test_a_share_of_the_texts_is_told_of_nothing(memory_batches):
    """The share that conditioner.dropout says, and not the others."""
    ids = rows(["milk"] * 200)
    for dropout, conditioned in ((0.0, 200), (0.2, 160), (0.9, 20)):
        result = memory_batches(dropout).for_training(ids, random_of(ids))

        assert abs(int(result.valid.any(1).sum()) - conditioned) < 30
        assert (200, 1) == result.valid.shape
        assert dropout > 0 or result.valid.all()


def test_memories_are_found_by_a_beginning_of_any_length(memory_batches):
    """From one token to all of them, each as often."""
    texts = rows(["abc"] * 300)
    result = memory_batches(0.0).for_training(texts, random_of(texts))
    ids = [row[0].id for row in result.rows]

    assert {"a", "ab", "abc"} == set(ids)
    assert all(70 < ids.count(id_) < 130 for id_ in set(ids))
    assert result.scores.min() == pytest.approx(1)


def test_a_row_is_found_by_its_text_alone(memory_batches):
    """Behind the begin token at least one token of it, and never by what fills it up."""
    vocabulary = TrainedBytes().vocabulary
    text = [vocabulary.bos_id, *b"abc", vocabulary.eos_id]
    for rest in (vocabulary.eos_id, vocabulary.pad_id):
        ids = torch.tensor([[*text, rest, rest, rest]] * 300)
        result = memory_batches(0.0).for_training(ids, random_of(ids))
        named = [row[0].id for row in result.rows]

        assert {"a", "ab", "abc"} == set(named)
        assert all(70 < named.count(each) < 130 for each in set(named))
        assert result.scores.min() == pytest.approx(1)


def test_half_way_is_the_first_half(memory_batches):
    """Rounded up: the second of three tokens belongs to it."""
    result = memory_batches(0.5).for_evaluation(rows(["milk wine", "wine milk", "xxxxxmilk"]))

    assert ["milk", "wine"] == [row[0].id for row in result.rows[:2]]
    assert result.valid.all(), "none is left out"
    assert result.scores[0] == pytest.approx(1)
    assert result.scores[2] < 0.9
    assert "ab" == memory_batches(0.5).for_evaluation(rows(["abc"])).rows[0][0].id


def test_memories_do_not_depend_on_how_an_index_was_built(memory_batches, monkeypatch):
    """They are found by an exact search, which other searches need not be."""
    asked, search = [], _ArrowStore.search_batch

    def recorded(self, *words, exact=None, **named):
        asked.append(exact)
        return search(self, *words, exact=exact, **named)

    monkeypatch.setattr(_ArrowStore, "search_batch", recorded)
    memory_batches(0.0).for_training(rows(["milk"]), random_of(rows(["milk"])))
    memory_batches(0.0).for_evaluation(rows(["milk"]))

    assert [True, True] == asked
