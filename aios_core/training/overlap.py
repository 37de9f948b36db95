"""Whether rows that a network is measured on are among those that it learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aios_core.training.layout import lengths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from aios_core.training.token_rows import TokenRows


def trained_on(train: TokenRows, measured: TokenRows) -> int:
    """How many rows of the second are also rows of the first, token by token.

    Which of its parts a row gives does not matter: the network has seen all of it.

    Args:
        train: rows that a network learns from.
        measured: rows that it is measured on, in tokens of the same tokenizer.
    """
    own = list(_rows(measured, np.arange(len(measured))))
    looked_for = set(own)
    alike = np.flatnonzero(np.isin(lengths(train), lengths(measured)))
    known = looked_for.intersection(_rows(train, alike))
    return sum(row in known for row in own)


def _rows(rows: TokenRows, numbers: NDArray[Any]) -> Iterator[bytes]:
    """The tokens of some rows."""
    ids = np.asarray(rows.ids)  # a part of a map is much slower to make than one of an array
    bounds = zip(rows.starts[numbers].tolist(), rows.ends[numbers].tolist(), strict=True)
    return (ids[start:end].tobytes() for start, end in bounds)
