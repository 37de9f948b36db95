"""Rows of several data sets, drawn as often as weights say."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from attrs import Attribute, evolve, field, frozen, validators

from aios_core.contracts import Dataset, Row, Source, Split
from aios_core.contracts.dataset import SPLITS
from aios_core.errors import DataError

log = logging.getLogger(__name__)

_MOST = 1e6


@cache
def _say_so() -> None:
    """Once a process, for a file may hold thousands of prompts."""
    log.warning(
        "dataset: the parts of the mixture write prompts in different ways; prompts are continued "
        "as they are"
    )


@frozen
class Mixture(Dataset):
    """Several data sets, each drawn in training as often as its weight says.

    A weight counts rows, not tokens: of a part with weight w, a share of w over the sum of all
    weights of the rows that are drawn, however many rows the part has. A pass (an epoch) draws as
    many rows as all parts have together, so rows of a small part with a large weight come several
    times in it, and of a large part with a small weight some wait for a later pass. Which rows
    are drawn follows from the seed and the number of the pass. What is held out, or for tests, is
    that of each part, every row once, whatever the weights.
    """

    parts: tuple[Dataset, ...] = field(validator=validators.min_len(1))
    """The data sets, each a table with its ``type``: another mixture also."""
    weights: tuple[float, ...] | None = field(default=None)
    """One for each part; unset: every row of every part is drawn once a pass."""

    @weights.validator
    def _fit(self, attribute: Attribute[Any], value: tuple[float, ...] | None) -> None:
        if value is None:
            if any(isinstance(part, Mixture) and part.weights for part in self.parts):
                raise ValueError("expected some, for one of the parts is a mixture by weights")
            return
        for number, weight in enumerate(value):
            if not 0 < weight <= _MOST:  # which NaN is not, either
                raise ValueError(
                    f"expected numbers above 0, and at most {_MOST:g}, got {weight} for "
                    f"parts[{number}]; leave out a part that is not to be drawn"
                )
        if len(value) != len(self.parts):
            raise ValueError(f"expected one for each of {len(self.parts)} parts, got {len(value)}")

    def splits(self) -> tuple[Split, ...]:
        """A test split is there where a part has one."""
        tested = any("test" in part.splits() for part in self.parts)
        return (*SPLITS, "test") if tested else SPLITS

    def rows(self, split: Split) -> Iterator[Row]:
        """Those of each part, one part behind the other.

        Raises:
            DataError: a part cannot be read, or has no row to train on.
        """
        for number, part in enumerate(self.parts):
            if split in part.splits():
                pairs = ((split, row) for row in part.rows(split))
                yield from (row for _, row in self._of(number, pairs, trains=split == "train"))

    def parted(self) -> Iterator[tuple[Split, Row]]:
        """Those of all splits, part by part, each read as it is alone.

        Raises:
            DataError: as for `rows`.
        """
        for number, part in enumerate(self.parts):
            yield from self._of(number, part.parted(), trains=True)

    def all_rows(self) -> Iterator[Row]:
        """Those of all parts; no text is cut.

        Raises:
            DataError: a part cannot be read.
        """
        return chain.from_iterable(part.all_rows() for part in self.parts)

    def asked(self, prompt: str | Mapping[str, Any]) -> Row | None:
        """What all parts say alike; None where they differ: prompts are continued as they are."""
        try:
            first, *others = [part.asked(prompt) for part in self.parts]
        except DataError:
            return None
        if all(other == first for other in others):
            return first
        _say_so()
        return None

    def columns(self) -> int | None:
        """Those of all parts, where they agree."""
        known = {part.columns() for part in self.parts}
        return known.pop() if len(known) == 1 else None

    def files(self) -> tuple[Path, ...] | None:
        """Those of all parts; None where those of a part are not known.

        Raises:
            DataError: one is missing.
        """
        each = [part.files() for part in self.parts]
        known = [files for files in each if files is not None]
        return tuple(file for files in known for file in files) if known == each else None

    def _of(
        self, number: int, rows: Iterable[tuple[Split, Row]], *, trains: bool
    ) -> Iterator[tuple[Split, Row]]:
        """Rows of a part with their splits, and with what they are drawn with."""
        name, share, trained = f"parts[{number}]", self._share(number), 0
        for split, row in rows:
            trained += split == "train"
            if share is None:
                yield split, row
                continue
            inner, own = row.source, Source(name, share)
            if inner is not None:  # of a mixture in a mixture
                own = Source(f"{name}.{inner.name}", share * inner.share)
            yield split, evolve(row, source=own)
        if trains and not trained:
            raise DataError(f"dataset.{name}: has no row to train on; expected one at least")

    def _share(self, number: int) -> float | None:
        """Of the rows drawn, those of a part."""
        return None if self.weights is None else self.weights[number] / math.fsum(self.weights)
