"""The contract of conditioners, for those that need values, or that none of ours is."""

import pytest

from aios_core.contracts import store_schema
from aios_core.memory import Embedder, Place, open_store, with_embedding_metadata
from aios_core.scaffold.examples.conditioner import Opening
from aios_core.testing.contracts.conditioner import TEXTS, ConditionerContract
from aios_plugins.conditioners.memory import Memory
from aios_plugins.embeddings.hashing import Hashing
from aios_plugins.storage.arrow import Arrow


class TestOpening(ConditionerContract):
    component = Opening


class TestMemory(ConditionerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, tmp_path_factory):
        """With a store of the texts that rows are made of."""
        place, provider = str(tmp_path_factory.mktemp("memory") / "store"), Hashing(dim=64)
        schema = with_embedding_metadata(store_schema(64), provider, {"type": "hashing", "dim": 64})
        with open_store(Place(Arrow(), place), schema=schema) as store:
            pairs = zip(TEXTS, Embedder(provider).embed(list(TEXTS)), strict=True)
            store.add([{"id": text, "text": text, "vector": vector} for text, vector in pairs])
        plugin = Memory(k=2, store=place, dim=64, heads=2)
        cls.try_out(plugin)
        return plugin
