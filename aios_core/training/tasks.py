"""Mixtures of tasks: which targets of a row are turned into given or absent ones, how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from aios_core.errors import DataError
from aios_core.training.token_rows import TokenRows, segment_starts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from aios_core.contracts import Task


@frozen(eq=False)
class Turned:
    """What tasks do to segments, by the number of the task (K) and that of the segment's name (N).

    There is one task more than was given, the last: it leaves a row as it is, and has number -1.
    """

    given: NDArray[np.bool_]
    """(K + 1, N) whether a target of that name is given."""
    absent: NDArray[np.bool_]
    """(K + 1, N) whether it is left out."""

    @classmethod
    def by(cls, tasks: Sequence[Task], names: Sequence[str]) -> Turned:
        """Of some tasks and names."""
        made = [
            [[name in getattr(task, role) for name in names] for task in tasks]
            + [[False] * len(names)]
            for role in ("given", "absent")
        ]
        return cls(*(np.array(table, bool) for table in made))


@frozen(eq=False)
class Mixture:
    """Which tasks the rows of a split serve."""

    serves: NDArray[np.bool_]
    """(R, K): its targets have all the names of the task, and others besides."""
    removed: NDArray[np.int64]
    """(R, K + 1) tokens that a task leaves out of a row; the last one leaves out none."""
    weights: NDArray[np.float64]
    """(K,)"""
    changes: NDArray[np.bool_]
    """(K,) whether a task names a segment at all."""

    @classmethod
    def of(cls, rows: TokenRows, tasks: Sequence[Task]) -> Mixture:
        """Of the rows of a split."""
        serves = np.zeros((len(rows), len(tasks)), bool)
        removed = np.zeros((len(rows), len(tasks) + 1), np.int64)
        for number, task in enumerate(tasks):
            serves[:, number], removed[:, number] = _served(rows, task)
        weights = np.array([task.weight for task in tasks])
        changes = np.array([bool(task.given or task.absent) for task in tasks])
        return cls(serves, removed, weights, changes)

    def drawn(self, row: NDArray[np.int64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """A task for each of some rows, among those that it serves, as often as weights say.

        Args:
            row: (M,) numbers of rows.
            uniform: (M,) in [0, 1).

        Returns:
            (M,) numbers of tasks; -1 where the row stays as it is.
        """
        edges = np.cumsum(np.where(self.serves[row], self.weights, 0.0), -1)
        total = edges[:, -1]
        place = np.minimum(uniform * total, np.nextafter(total, 0))  # rounded, it may be all of it
        task = (place[:, None] >= edges).sum(-1)
        task = np.where(total > 0, task, -1)
        return np.where(self.changes[task], task, -1)


def _served(rows: TokenRows, task: Task) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """(R,) whether each row serves a task, and (R,) tokens that the task leaves out of it."""
    names = {*task.given, *task.absent}
    if rows.segments is None or rows.of_row is None:
        return np.full(len(rows), not names), np.zeros(len(rows), np.int64)
    if not names <= set(rows.names):
        return np.zeros(len(rows), bool), np.zeros(len(rows), np.int64)
    owner, turned = owners(rows), Turned.by((task,), rows.names)
    name, learned = rows.segments["name"], ~rows.segments["given"]

    def have(some: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(owner[some & learned], minlength=len(rows)) > 0

    serves = have(~(turned.given | turned.absent)[0][name])
    for segment in names:
        serves &= have(name == rows.names.index(segment))
    gone = turned.absent[0][name] & learned
    sizes = (rows.segments["end"] - segment_starts(rows))[gone]
    removed = np.bincount(owner[gone], sizes, minlength=len(rows))
    return serves, removed.astype(np.int64)


def owners(rows: TokenRows) -> NDArray[np.int64]:
    """(S,) the row of each segment."""
    assert rows.of_row is not None
    return np.repeat(np.arange(len(rows)), np.diff(rows.of_row, prepend=0))


def asked(rows: TokenRows, task: Task) -> TokenRows:
    """The rows that serve a task, as it turns them; none may be left.

    Args:
        rows: of a split.
        task: one that names segments.
    """
    serves, _ = _served(rows, task)
    if rows.segments is None or rows.of_row is None:
        return rows
    owner, turned = owners(rows), Turned.by((task,), rows.names)
    name, learned = rows.segments["name"], ~rows.segments["given"]
    kept = serves[owner]
    gone = kept & turned.absent[0][name] & learned
    edges = np.zeros(len(rows.ids) + 1, np.int64)
    edges[rows.starts[serves]] += 1
    edges[rows.ends[serves]] -= 1
    starts = segment_starts(rows)
    np.add.at(edges, starts[gone], -1)
    np.add.at(edges, rows.segments["end"][gone], 1)
    held = np.cumsum(edges[:-1]) > 0
    place = np.append(0, np.cumsum(held))
    kept &= ~gone
    segments = rows.segments[kept].copy()
    segments["end"] = place[segments["end"]]
    segments["given"] |= turned.given[0][segments["name"]]
    number = np.bincount(owner[kept], minlength=len(rows))[serves]
    ends = place[rows.ends[serves]]
    return TokenRows(rows.ids[held], ends, segments, np.cumsum(number), rows.names, rows.vocabulary)


def check(rows: TokenRows, tasks: Mapping[str, Task], split: str) -> None:
    """Refuse a task that no row serves.

    Args:
        rows: of a split.
        tasks: by name.
        split: in words.

    Raises:
        DataError: with the names that there are.
    """
    for name, task in tasks.items():
        if not _served(rows, task)[0].any():
            own = ", ".join((*task.given, *task.absent))
            known = ", ".join(rows.names) or "of one text, which is learned as a whole"
            raise DataError(
                f"tasks.{name}: no row of the {split} split has targets named {own}, and another "
                f"target that is left to learn; expected names of segments, which are {known}"
            )
