"""Files of stores, whatever their columns are called; round trips are in `test_command`."""

import json

import pyarrow.parquet as pq
import pytest

from aios_core.contracts import store_schema
from aios_core.registry import Registry
from aios_core.testing.naming import NAMES
from aios_plugins.commands.memory.exporting import export_file


@pytest.mark.parametrize("backend", ["arrow", "numpy", "faiss", "usearch", "lancedb", "qdrant"])
def test_columns_of_any_names_are_exported(tmp_path, backend):
    """Fault V9."""
    given = store_schema(4, dict.fromkeys(NAMES, "int64") | {"new ' text": "string"})
    values = {name: place for place, name in enumerate(NAMES)}
    rows = [
        {"id": "a", "text": "cat", "vector": [1, 2, 3, 4], **values, "new ' text": "it's %s"},
        {"id": "b", "text": None, "vector": [4, 3, 2, 1]},
    ]
    full = [{name: row.get(name) for name in given.names} for row in rows]
    maker = Registry.discover().get("storage", backend).load()()
    with maker.create(str(tmp_path / "store"), given, metric="l2") as store:
        store.add(rows)
        for suffix in (".parquet", ".jsonl"):
            assert 2 == export_file(store, tmp_path / f"all{suffix}")
    read = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert full == sorted(read, key=lambda row: row["id"])
    lines = (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()
    assert values.items() <= max(map(json.loads, lines), key=len).items()
