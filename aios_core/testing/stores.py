"""What a store must be like: a dict, and filters and scores written as they are defined."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from aios_core.contracts.records import store_schema
from aios_core.errors import StorageError
from aios_core.filters import And, Compare, Expression, In, IsNull, Like, Not, sql
from aios_core.testing import strategies

if TYPE_CHECKING:
    import pyarrow as pa

    from aios_core.contracts import StorageBackend, VectorStore

DIM: Final = 4
"""D of the stores that are tested."""

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def schema(id_type: Any = "string") -> pa.Schema:
    """Of the stores that are tested, with metadata of every type."""
    return store_schema(DIM, strategies.MEMORY_COLUMNS, id_type=id_type)


def truth(expression: Expression, row: dict[str, Any]) -> bool | None:
    """Whether a filter chooses a row; None is SQL's unknown."""
    match expression:
        case IsNull(name):
            return row[name] is None
        case Not(part):
            inner = truth(part, row)
            return None if inner is None else not inner
        case Compare(name, sign, value):
            return None if row[name] is None else _OPERATORS[sign](row[name], value)
        case In(name, values):
            return None if row[name] is None else row[name] in values
        case Like(name, pattern):
            return None if row[name] is None else bool(_like(pattern).fullmatch(row[name]))
        case _:
            truths = [truth(part, row) for part in expression.parts]
            decisive = not isinstance(expression, And)
            return decisive if decisive in truths else None if None in truths else not decisive


def _like(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re.compile("".join(wild.get(p) or re.escape(p[-1]) for p in parts), re.DOTALL)


def similarity(a: Any, b: Any, metric: str) -> float:
    """As `VectorStore` defines it."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if metric == "l2":
        return float(1 / (1 + np.linalg.norm(a - b)))
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) if metric == "cosine" else 1))


def plain(rows: Any, metric: str) -> dict[Any, dict[str, Any]]:
    """Rows by id, vectors at unit length where the metric lets a backend normalise them."""
    kept = {}
    for row in rows if isinstance(rows, list) else rows.to_pylist():
        vector = np.asarray(row["vector"], np.float64)
        vector /= np.linalg.norm(vector) if metric == "cosine" else 1
        kept[row["id"]] = {**row, "vector": [round(x, 5) + 0.0 for x in vector.tolist()]}
    return kept


def check_search(
    store: VectorStore,
    rows: dict[Any, dict[str, Any]],
    query: Any,
    k: int,
    where: Expression | None,
) -> None:
    """An exact search gives the best k rows that match, in any order among equals."""
    text = None if where is None else sql(where)
    table = store.search(query, k, filter=text, exact=True)
    scores = dict(zip(table["id"].to_pylist(), table["_score"].to_pylist(), strict=True))
    right = {
        row_id: similarity(query, row["vector"], store.metric)
        for row_id, row in rows.items()
        if where is None or truth(where, row)
    }
    assert [*scores.values()] == pytest.approx(sorted(right.values(), reverse=True)[:k], abs=1e-5)
    assert {row_id: right.get(row_id) for row_id in scores} == pytest.approx(scores, abs=1e-5)


class StoreMachine(RuleBasedStateMachine):
    """Anything that may happen to a store, beside a dict to which the same happens."""

    backend: StorageBackend
    new_uri: Callable[[], str]
    ids = Bundle("ids")

    @initialize(metric=st.sampled_from(["cosine", "dot", "l2"]))
    def begin(self, metric: Any) -> None:
        """An empty store."""
        self.uri, self.rows = type(self).new_uri(), dict[Any, dict[str, Any]]()
        self.store = self.backend.create(self.uri, schema(), metric=metric)
        self.texts = "text filters" in self.backend.capabilities

    @rule(
        target=ids,
        rows=st.lists(strategies.memories(st.sampled_from("abcdefgh")), max_size=5),
        replace=st.booleans(),
    )
    def write(self, rows: list[dict[str, Any]], replace: bool) -> str:
        """Add or upsert; what cannot be changes nothing."""
        ids = [row["id"] for row in rows]
        write = self.store.upsert if replace else self.store.add
        if len(set(ids)) < len(ids) or (not replace and self.rows.keys() & set(ids)):
            with pytest.raises(StorageError):
                write(rows)
        else:
            assert len(rows) == write(rows)
            self.rows |= {row["id"]: row for row in rows}
        return ids[0] if ids else "nothing"

    @rule(rows=st.lists(strategies.memories(st.sampled_from("abcdefgh")), max_size=3), which=ids)
    def update(self, rows: list[dict[str, Any]], which: str) -> None:
        """Some columns of rows; of those that are not there, none is changed."""
        kept = ("id", "year", "text") if which in self.rows else ("id", "vector", "lang")
        given = [{name: row[name] for name in kept if name in row} for row in rows]
        ids = [row["id"] for row in rows]
        if any(len(row) < 2 for row in given):
            return
        if len(set(ids)) < len(ids) or not self.rows.keys() >= set(ids):
            with pytest.raises(StorageError):
                self.store.update(given)
        else:
            assert len(given) == self.store.update(given)
            for row in given:
                self.rows[row["id"]] |= row

    @rule(data=st.data(), year=st.none() | st.integers(-9, 9))
    def update_where(self, data: st.DataObject, year: int | None) -> None:
        """By filter, all to the same."""
        where = data.draw(strategies.filters(texts=self.texts))
        chosen = [row_id for row_id, row in self.rows.items() if truth(where, row)]
        assert len(chosen) == self.store.update_where({"year": year}, sql(where))
        for row_id in chosen:
            self.rows[row_id]["year"] = year

    @rule()
    def refresh(self) -> None:
        """Nothing else is there."""
        self.store.refresh()

    @rule(first=ids, other=ids)
    def delete(self, first: str, other: str) -> None:
        """Some that are there, and some that are not."""
        known = {first, other} & self.rows.keys()
        assert len(known) == self.store.delete([first, other])
        for gone in known:
            del self.rows[gone]

    @rule(data=st.data())
    def delete_where(self, data: st.DataObject) -> None:
        """By filter."""
        where = data.draw(strategies.filters(texts=self.texts))
        kept = {row_id: row for row_id, row in self.rows.items() if not truth(where, row)}
        assert len(self.rows) - len(kept) == self.store.delete(filter=sql(where))
        self.rows = kept

    @rule(data=st.data(), query=st.sampled_from([[1, 0, 0, 0], [1, -1, 2, 0.5]]))
    def search(self, data: st.DataObject, query: list[float]) -> None:
        """With or without a filter."""
        where = data.draw(st.none() | strategies.filters(texts=self.texts))
        check_search(self.store, self.rows, query, data.draw(st.integers(1, 9)), where)
        if where is not None:
            right = sum(bool(truth(where, row)) for row in self.rows.values())
            assert right == self.store.count(sql(where))

    @rule(ids=st.lists(ids, max_size=4))
    def get(self, ids: list[str]) -> None:
        """In the order asked for."""
        kept = self.store.get(ids).column("id").to_pylist()
        assert [row_id for row_id in dict.fromkeys(ids) if row_id in self.rows] == kept

    @rule()
    def reopen(self) -> None:
        """Another process goes on."""
        self.store.close()
        self.store = self.backend.open(self.uri)

    @rule()
    def compact(self) -> None:
        """Nobody sees it."""
        self.store.compact()

    @invariant()
    def holds_the_rows(self) -> None:
        """All of them, and no others."""
        if hasattr(self, "store"):
            metric = self.store.metric
            rows = [row for batch in self.store.to_batches() for row in batch.to_pylist()]
            assert plain([*self.rows.values()], metric) == plain(rows, metric)
            assert len(rows) == self.store.count()

    def teardown(self) -> None:
        """Check it once more, and let go."""
        if hasattr(self, "store"):
            assert len(self.rows) == self.store.verify()
            self.store.close()
