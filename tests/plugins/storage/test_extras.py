"""A backend whose package is not installed says which extra brings it."""

import sys

import pytest

from aios_core.contracts import store_schema
from aios_core.errors import MissingExtraError
from aios_core.memory import Place


@pytest.mark.parametrize(
    ("kind", "modules"),
    [
        ("faiss", ["faiss"]),
        ("usearch", ["usearch", "usearch.index"]),
        ("lancedb", ["lancedb"]),
        ("qdrant", ["qdrant_client"]),
        ("pgvector", ["psycopg"]),
    ],
)
def test_the_extra_is_named(kind, modules, monkeypatch, tmp_path):
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    uri = tmp_path / "store" if kind != "pgvector" else "postgresql://nowhere/x?table=t"
    place = Place.of(f"{kind}:{uri}")

    with pytest.raises(MissingExtraError, match=rf"pip install 'ai-os-diffusion\[{kind}\]'"):
        place.backend.create(place.uri, store_schema(3))
    assert not (tmp_path / "store").exists()
