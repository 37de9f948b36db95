"""The part of the storage contract that says which names columns may have: the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

from aios_core.contracts.records import store_schema
from aios_core.errors import StorageError
from aios_core.filters.sql import quoted

if TYPE_CHECKING:
    from aios_core.contracts import StorageBackend

NAMES: Final = [
    *[
        "published at",
        "a.b",
        "a",
        "b",
        "page%",
        "%s",
        "%%",
        "{}",
        "?",
        "$1",
        ":x",
        "it's",
        'say "x"',
    ],
    *["back`tick", "\\", "a/b", "a-b", "a,b", "a[0]", "a[]", "$.a", "(x)", ";--", "tab\there"],
    *["line\nbreak", " lead", "trail ", "naïve", "香蕉", "🦀", "select", "ORDER", "null", "TRUE"],
    *["Title", "title", "TITLE", "ID", "Vector", "ctid", "xmin", "oid", "rowid", "score", "1st"],
    *["distance", "x" * 63, "x" * 64, "x" * 64 + "y", "é" * 32, "é" * 32 + "e", "c" * 300],
]
"""Which some database reads as something else, cuts, or has for itself."""

REFUSED: Final = ["", "_x", "_score", "a\0b"]
"""No store can have these."""


class NamingContract:
    """Tests over the fixtures of `StorageContract`."""

    def test_columns_may_have_any_names(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str]
    ) -> None:
        """Fault V9: written, read, searched, filtered, deleted by, scanned and opened again."""
        given = store_schema(4, dict.fromkeys(NAMES, "int64") | {"new ' text": "string"})
        values = {name: place for place, name in enumerate(NAMES)}
        rows: list[dict[str, Any]] = [
            {"id": "a", "text": "cat", "vector": [1, 2, 3, 4], **values, "new ' text": "it's %s"},
            {"id": "b", "text": None, "vector": [4, 3, 2, 1]},
        ]
        full = [{name: row.get(name) for name in given.names} for row in rows]
        with instance.create(new_uri(), given, metric="l2") as store:
            store.add(rows)
            assert full == store.get(["a", "b"]).to_pylist()
            store.close()
        with instance.open(store.uri) as store:
            assert given == store.schema
            for place, name in enumerate(NAMES):
                where = f"{quoted(name)} = {place}"
                table = store.search([1, 2, 3, 4], 5, filter=where, columns=[name])
                assert [place] == table[name].to_pylist(), name
            assert 2 == store.verify()
            batches = list(store.to_batches(columns=given.names))
            assert full == sorted(
                (row for batch in batches for row in batch.to_pylist()), key=lambda row: row["id"]
            )
            store.upsert([{**rows[1], "c" * 300: 7}])
            gone = " AND ".join(f"{quoted(name)} IS NULL" for name in NAMES[:-1])
            assert 1 == store.delete(filter=f"{gone} AND {quoted('c' * 300)} = 7")
            assert full[:1] == store.get(["a", "b"]).to_pylist()

    @pytest.mark.parametrize("name", REFUSED)
    def test_other_names_are_refused_at_once(
        self, instance: StorageBackend, filled: Any, new_uri: Callable[[], str], name: str
    ) -> None:
        """Fault V9: when the store would be made, and nothing is left behind."""
        import pyarrow as pa

        place = new_uri()
        with pytest.raises(StorageError, match="cannot be named"):
            instance.create(place, store_schema(4).append(pa.field(name, pa.int64())))
        assert not instance.exists(place)
