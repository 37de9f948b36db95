"""What is asked of a store, looked at before a backend sees it."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aios_core.contracts.exact import BadValueError, from_values, shown
from aios_core.contracts.records import Id
from aios_core.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa


def ids_of(ids: Iterable[Id], schema: pa.Schema) -> list[Id]:
    """Ids as a store has them, each once.

    Raises:
        StorageError: they are no list of ids of the store's type.
    """
    if isinstance(ids, str | bytes | Mapping) or not isinstance(ids, Iterable):
        raise StorageError(f"expected a list of ids, got {shown(ids)}")
    try:
        requested = from_values(list(ids), schema.field("id").type)
    except BadValueError as error:
        raise StorageError(f"id at index {error.row}: {error.what}") from None
    if requested.null_count:
        raise StorageError(f"expected a list of ids, got {shown(ids)} with a missing one")
    return list(dict.fromkeys(requested.to_pylist()))


def whole(name: str, value: Any, least: int) -> int:
    """A number of rows.

    Raises:
        StorageError: it is no whole number, or less than the least.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise StorageError(f"{name} is {shown(value)}; expected a whole number from {least} on")
    return number


def of_score(table: pa.Table, least: Any) -> pa.Table:
    """The rows of at least a score; all, where none is asked for.

    Raises:
        StorageError: the score is no number.
    """
    import pyarrow.compute as pc

    if least is None:
        return table
    try:
        score = math.nan if isinstance(least, bool | str) else float(least)
    except (TypeError, ValueError):
        score = math.nan
    if math.isnan(score):
        raise StorageError(f"min_score is {shown(least)}; expected a number")
    return table.filter(pc.greater_equal(table["_score"].cast("double"), score))


def weights_of(weights: Any) -> tuple[float, float]:
    """The weights of vectors and texts in a hybrid search.

    Raises:
        StorageError: they are not two numbers from 0 to 1000, of which one is more than 0.
    """
    try:
        vectors, texts = map(float, weights)
    except (TypeError, ValueError):
        vectors = texts = math.nan
    if not (0 <= vectors <= 1000 and 0 <= texts <= 1000 and vectors + texts > 0):
        raise StorageError(
            "expected two weights from 0 to 1000, of vectors and of texts, not both 0, got "
            f"{shown(weights)}"
        )
    return vectors, texts
