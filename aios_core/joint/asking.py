"""What a step asks of its rows: which, what is given or absent, at which times, by which noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import frozen

from aios_core.config.schema import RolesConfig
from aios_core.diffusion.joint_loss import Segments
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.errors import DataError
from aios_core.joint.patterns import Pattern, patterns

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from aios_core.config.schema import Config
    from aios_core.joint.rows import Columns


@frozen(eq=False)
class Drawn:
    """Rows with all that is drawn for them."""

    rows: Segments
    times: Mapping[str, Tensor]
    """(B, 1) float64 of each segment."""
    key: int
    """Of the noise."""
    first: int = 0
    """Number of the first row, among those of the step."""

    def __len__(self) -> int:
        return len(next(iter(self.times.values())))

    @property
    def random(self) -> dict[str, RowRandom]:
        """Of the noise of each segment, a stream for each row."""
        numbers = range(self.first, self.first + len(self))
        return {
            name: RowRandom.numbered(self.key, numbers, clean.shape[1]).fork(number)
            for number, (name, clean) in enumerate(sorted(self.rows.clean.items()))
        }

    def part(self, start: int, stop: int) -> Drawn:
        """Some of the rows, which draw what they draw among all of them."""
        own = slice(start, stop)
        rows = Segments(
            *({name: each[own] for name, each in column.items()} for column in self._columns())
        )
        return Drawn(rows, {n: t[own] for n, t in self.times.items()}, self.key, self.first + start)

    def _columns(self) -> tuple[Mapping[str, Tensor], ...]:
        return self.rows.clean, self.rows.targets, self.rows.present


class Asking:
    """Draws batches from the rows of a split.

    Args:
        config: ``[roles]``, or ``[tasks]``, say what is asked how often.
        columns: the rows.

    Raises:
        DataError: nothing is asked of any row.
    """

    def __init__(self, config: Config, columns: Columns) -> None:
        self._config, self._columns = config, columns
        self._names = list(columns.states)
        # Rows that have the same segments, and give the same, are asked the same.
        have = np.stack([columns.present[name] for name in self._names], -1)
        fixed = np.stack([columns.given[name] for name in self._names], -1)
        self._groups, self._group = np.unique(
            np.concatenate((have, fixed), -1), axis=0, return_inverse=True
        )
        self._asked = [self._patterns(group) for group in self._groups]
        self._usable = np.flatnonzero([bool(self._asked[group]) for group in self._group])
        if not len(self._usable):
            raise DataError(
                "nothing is asked of any row; expected [tasks], or shares of [roles], that serve "
                f"rows of {', '.join(self._names)}"
            )

    def _patterns(self, group: NDArray[np.bool_]) -> dict[Pattern, float]:
        """Those of rows with some segments; what the data set gives is never made."""
        have, fixed = group[: len(self._names)], group[len(self._names) :]
        present = {name for name, there in zip(self._names, have, strict=True) if there}
        given = {name for name, there in zip(self._names, fixed, strict=True) if there}
        asked = patterns(present, self._config.roles or RolesConfig(), self._config.tasks)
        kept = {pattern: p for pattern, p in asked.items() if not pattern.made & given}
        total = sum(kept.values())
        return {pattern: p / total for pattern, p in kept.items()}

    def batch(self, step: int, count: int) -> Drawn:
        """The rows of a step of training: each epoch has every row once, in an order of its own."""
        numbers = np.arange(step * count, (step + 1) * count)
        size = len(self._usable)
        rows = np.empty(count, np.int64)
        for epoch in np.unique(numbers // size):
            own = numbers // size == epoch
            order = np.random.default_rng([self._config.seed, int(epoch), 3]).permutation(size)
            rows[own] = self._usable[order[numbers[own] % size]]
        return self._drawn(rows, np.random.SeedSequence([self._config.seed, step, 1]))

    def spread(self, count: int) -> Drawn:
        """Some rows, evenly over the split, with the same draws at each call."""
        size = len(self._usable)
        rows = self._usable[np.linspace(0, size - 1, min(count, size)).round().astype(np.int64)]
        return self._drawn(rows, np.random.SeedSequence([self._config.seed, 4]))

    def _drawn(self, rows: NDArray[np.int64], seed: np.random.SeedSequence) -> Drawn:
        keys = [int(key) for key in seed.generate_state(2 + len(self._names), np.uint64)]
        drawn = np.random.default_rng(keys[0]).random(len(rows))
        given = np.zeros((len(rows), len(self._names)), bool)
        absent, one_clock = np.zeros_like(given), np.zeros(len(rows), bool)
        for number, (row, u) in enumerate(zip(rows, drawn, strict=True)):
            pattern = _chosen(self._asked[self._group[row]], u)
            given[number] = [name in pattern.given for name in self._names]
            absent[number] = [name not in pattern.present for name in self._names]
            one_clock[number] = pattern.one_clock
        clean = self._columns.chosen(rows)
        targets, present, times = {}, {}, {}
        diffusion, shared = self._config.diffusion, None
        for n, name in enumerate(self._names):
            gone, kept = torch.from_numpy(absent[:, n]), torch.from_numpy(given[:, n])
            present[name] = clean.present[name] & ~gone
            targets[name] = clean.targets[name] & ~(gone | kept)[:, None]
            generator = torch.Generator().manual_seed(keys[2 + n] >> 1)
            own = draw_times(len(rows), generator, diffusion.times, diffusion.time_epsilon)
            shared = own if shared is None else shared
            times[name] = torch.where(torch.from_numpy(one_clock), shared, own)[:, None]
        return Drawn(Segments(clean.clean, targets, present), times, keys[1])


def _chosen(asked: Mapping[Pattern, float], uniform: float) -> Pattern:
    below = 0.0
    for pattern, share in asked.items():
        below += share
        if uniform < below:
            return pattern
    return pattern
