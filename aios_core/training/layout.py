"""How rows become sequences: a pass over a split in chunks, and these chunks as tensors."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import torch
from attrs import field, fields, frozen

from aios_core.contracts.sequences import Sequences
from aios_core.training.packing import pack
from aios_core.training.tasks import Mixture, Turned
from aios_core.training.token_rows import TokenRows, segment_starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.config.schema import Config
    from aios_core.contracts import Task

_AT_LEAST: Final = 4096
"""Sequences of a layout: passes over a smaller split are laid out together."""
_DRAWS: Final = 3
"""Keeps the draws of layouts apart from those of other things that follow from a seed."""
_TASKS: Final = 4
"""Likewise those of tasks, so that rows come in the same order whatever is asked of them."""
_SOURCES: Final = 5
"""And those of sources."""


@frozen
class Framing:
    """What sequences look like."""

    length: int
    """L."""
    documents: bool = True
    """Rows from their begin to their end, seen apart; otherwise windows of one stream of tokens."""
    packed: bool = True
    """Several short rows share a sequence; otherwise a row is padded."""
    fill: bool = True
    """Behind a row end tokens follow, up to any length: a network that fills in all positions at
    once must know what stands behind an end."""
    unit: int = 1
    """Lengths of chunks are multiples of it: each begins with a block."""
    tasks: tuple[Task, ...] = ()
    """What is asked of rows that are drawn, one of them of each that serves any."""

    @classmethod
    def of(cls, config: Config) -> Self:
        """Those of a configuration."""
        diffusion, is_twin = config.diffusion, config.mode == "ar"
        alone = not is_twin and config.conditioner.conditions  # whose cues are of one row
        return cls(
            length=diffusion.length,
            documents=diffusion.packing == "documents",
            packed=config.backbone.serves_masks and not alone,
            fill=not is_twin,
            unit=1 if is_twin else diffusion.block_size or 1,
            tasks=tuple(config.tasks.values()),
        )


@frozen(eq=False)
class Chunks:
    """Parts of rows, in the order of the sequences that they are in."""

    row: NDArray[np.int64]
    """(C,) number of the row."""
    start: NDArray[np.int64]
    """(C,) first position of the row, whose begin token is at 0."""
    stop: NDArray[np.int64]
    """(C,) behind the last one; positions that a task leaves out do not count."""
    fill: NDArray[np.int64]
    """(C,) end tokens behind it."""
    sequence: NDArray[np.int64]
    """(C,) number of the sequence, rising."""
    offset: NDArray[np.int64]
    """(C,) first position in the sequence."""
    task: NDArray[np.int64]
    """(C,) number of the task that is asked of the row; -1: it is as it is."""

    def __getitem__(self, part: slice | NDArray[np.int64]) -> Chunks:
        return Chunks(*(getattr(self, attribute.name)[part] for attribute in fields(Chunks)))

    @cached_property
    def count(self) -> int:
        """How many sequences there are."""
        return int(self.sequence[-1]) + 1 if len(self.sequence) else 0


class Draws:
    """Numbers for a layout; raw words of Philox, for NumPy promises that these never change."""

    def __init__(self, seed: int, layout: int, what: int = _DRAWS) -> None:
        self._philox = np.random.Philox(np.random.SeedSequence([seed, layout, what]))

    def words(self, count: int) -> NDArray[np.uint64]:
        """Uniform 64-bit words."""
        return self._philox.random_raw(count)

    def order(self, count: int) -> NDArray[np.int64]:
        """A random order of so many things."""
        return np.argsort(self.words(count), kind="stable")

    def below(self, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Whole numbers from 0 to below each bound; the modulo's bias is below bound / 2**64."""
        return (self.words(len(bounds)) % bounds.astype(np.uint64)).astype(np.int64)

    def uniform(self, count: int) -> NDArray[np.float64]:
        """In [0, 1)."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def lengths(rows: TokenRows) -> NDArray[np.int64]:
    """(R,) positions of each row, from its begin token to its end token."""
    return np.diff(rows.ends, prepend=0) + 1


def in_order(rows: TokenRows, framing: Framing) -> Chunks:
    """Every row once, each chunk in a sequence of its own; end tokens fill it up."""
    size, length = lengths(rows), framing.length
    row, start, stop = _cut(size, np.full(len(size), length), length)
    ends = stop == size[row]
    fill = np.where(ends & framing.fill, length - (stop - start), 0)
    as_it_is = np.full_like(row, -1)
    return Chunks(row, start, stop, fill, np.arange(len(row)), np.zeros_like(row), as_it_is)


def passes(rows: TokenRows, framing: Framing) -> int:
    """Over the rows, in a layout."""
    return max(1, -(-_AT_LEAST * framing.length // int(lengths(rows).sum())))


def drawn(rows: TokenRows, framing: Framing, seed: int, layout: int) -> Chunks:
    """A pass over all rows, or several over few, in random order.

    Every position of every row is in one sequence a pass, unless rows have sources: see
    `_of_passes`. A row that is longer than a sequence is
    cut at random: its first chunk has any length, the others are whole sequences, and the last is
    what is left.
    """
    size, length, draws = lengths(rows), framing.length, Draws(seed, layout)
    times = passes(rows, framing)
    row = _of_passes(rows, times, Draws(seed, layout, _SOURCES))[draws.order(times * len(size))]
    size, task = size[row], np.full_like(row, -1)
    if framing.tasks:
        mixture = Mixture.of(rows, framing.tasks)
        task = mixture.drawn(row, Draws(seed, layout, _TASKS).uniform(len(row)))
        size = size - mixture.removed[row, task]
    first = 1 + draws.below(np.full(len(row), length))
    first = np.where(size <= length, size, first)
    chunk, start, stop = _cut(size, first, length)
    row, size, task = row[chunk], size[chunk], task[chunk]
    taken = stop - start
    fill = np.zeros_like(taken)
    if framing.fill:
        # As many lengths of each order of magnitude; most cost little, some are as long as can be.
        room = np.where(stop == size, length - taken, 0)
        fill = np.exp(draws.uniform(len(room)) * np.log1p(room)).astype(np.int64) - 1
        fill = np.minimum(fill + (-(taken + fill)) % framing.unit, length - taken)
        fill = np.where(stop == size, fill, 0)
    occupied = taken + fill
    occupied += -occupied % framing.unit
    if framing.packed:
        sequence, offset = pack(occupied, length)
    else:
        sequence, offset = np.arange(len(row)), np.zeros_like(row)
    sequence = draws.order(int(sequence.max()) + 1)[sequence]
    order = np.lexsort((offset, sequence))
    return Chunks(row, start, stop, fill, sequence, offset, task)[order]


def _of_passes(rows: TokenRows, passes: int, draws: Draws) -> NDArray[np.int64]:
    """The rows of some passes, each once a pass, or, where they have sources, as shares say.

    Then there are as many rows in all. A source gets its share of them to below one row, on average
    its very share; each of its rows comes as often as any other, but for what is left of the
    division, which goes to rows of its own that are chosen at random, each once more.
    """
    total = passes * len(rows)
    if rows.source is None:
        return np.tile(np.arange(len(rows)), passes)
    edges = np.cumsum([source.share for source in rows.sources])
    ends = np.floor(edges / edges[-1] * total + draws.uniform(1)).astype(np.int64)
    ends[-1] = total
    chosen = []
    for number, count in enumerate(np.diff(np.minimum(ends, total), prepend=0).tolist()):
        own = np.flatnonzero(rows.source == number)
        whole, rest = divmod(count, len(own))
        chosen += [np.tile(own, whole), own[draws.order(len(own))[:rest]]]
    return np.concatenate(chosen)


def _cut(
    size: NDArray[np.int64], first: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows in chunks: the first as long as is said, the others of a length, the last the rest."""
    first = np.minimum(first, size)
    number = 1 + -(-(size - first) // length)
    chunk = np.repeat(np.arange(len(size)), number)
    nth = np.arange(len(chunk)) - np.repeat(np.cumsum(number) - number, number)
    start = np.where(nth == 0, 0, first[chunk] + (nth - 1) * length)
    stop = np.minimum(np.where(nth == 0, first[chunk], start + length), size[chunk])
    return chunk, start, stop


def sequences(rows: TokenRows, chunks: Chunks, framing: Framing) -> Sequences:
    """Chunks as tensors on the CPU; their sequences are numbered from 0 on, without a gap."""
    count, length = chunks.count, framing.length
    runs = _Runs.of(rows, chunks, Turned.by(framing.tasks, rows.names))
    occupied = chunks.stop - chunks.start + chunks.fill
    total = np.arange(int(occupied.sum()))
    place = total - np.repeat(np.cumsum(occupied) - occupied, occupied)
    at = np.repeat(chunks.sequence * length + chunks.offset, occupied) + place
    inside = total - np.repeat(np.cumsum(runs.size) - runs.size, runs.size)
    source = np.repeat(runs.source, runs.size)
    held = rows.ids[np.where(source < 0, 0, source + inside)]
    ids = np.where(source < 0, -source - 1, held)
    flat = {
        "ids": np.full(count * length, rows.vocabulary.pad_id, np.int64),
        "valid": np.zeros(count * length, bool),
        "targets": np.zeros(count * length, bool),
        "counted": np.zeros(count * length, bool),
        "rows": np.full(count * length, -1, np.int64),
        "positions": np.zeros(count * length, np.int64),
    }
    flat["ids"][at], flat["valid"][at] = ids, True
    flat["targets"][at] = np.repeat(runs.target, runs.size)
    flat["counted"][at] = np.repeat(runs.target & ~runs.filling, runs.size)
    flat["rows"][at] = np.repeat(np.arange(len(chunks.row)), occupied)
    flat["positions"][at] = place
    made = {name: torch.from_numpy(array.reshape(count, length)) for name, array in flat.items()}
    alone = len(chunks.row) == count  # each row has a sequence to itself
    return Sequences(
        made["ids"],
        made["valid"],
        made["targets"],
        made["counted"].sum(-1),
        None if alone else made["rows"],
        None if alone else made["positions"],
    )


@frozen(eq=False)
class _Runs:
    """Stretches of positions, those of one chunk behind the other, that come from one place."""

    size: NDArray[np.int64]
    """(N,) positions."""
    source: NDArray[np.int64]
    """(N,) first place in the ids of the rows, or -1 - id where all positions hold that token."""
    target: NDArray[np.bool_]
    """(N,) whether they are learned."""
    filling: NDArray[np.bool_] = field(repr=False)
    """(N,) whether they fill a row up."""

    @classmethod
    def of(cls, rows: TokenRows, chunks: Chunks, turned: Turned) -> _Runs:
        """Of each chunk: a begin token, what the row holds, end tokens."""
        vocabulary, origin = rows.vocabulary, rows.starts[chunks.row] - 1
        begins = (chunks.start == 0).astype(np.int64)
        # Rows of several segments are not cut, so one of which a task leaves out a part is whole.
        stop = np.where(chunks.task < 0, origin + chunks.stop, rows.ends[chunks.row])
        content = origin + chunks.start + begins, stop
        owner, source, size, target = _content(rows, chunks, content, turned)
        number = np.bincount(owner, minlength=len(chunks.row)) + 2
        ends = np.cumsum(number)
        made = cls(*(np.zeros(int(number.sum()), kind) for kind in (int, int, bool, bool)))
        head, tail = ends - number, ends - 1
        made.size[head], made.source[head] = begins, -1 - vocabulary.bos_id
        made.size[tail], made.source[tail] = chunks.fill, -1 - vocabulary.eos_id
        made.target[tail] = made.filling[tail] = True
        middle = np.ones(len(made.size), bool)
        middle[head] = middle[tail] = False
        made.size[middle], made.source[middle], made.target[middle] = size, source, target
        return made


def _content(
    rows: TokenRows,
    chunks: Chunks,
    content: tuple[NDArray[np.int64], NDArray[np.int64]],
    turned: Turned,
) -> tuple[NDArray[np.int64], ...]:
    """Of each chunk the runs of its content: which chunk, first place, size, whether learned."""
    start, stop = content
    everything = np.arange(len(chunks.row))
    if rows.segments is None or rows.of_row is None:
        return everything, start, stop - start, np.ones(len(start), bool)
    last = rows.of_row[chunks.row]
    first = np.append(0, rows.of_row)[chunks.row]
    number = last - first
    owner = np.repeat(everything, number)
    segment = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number - first, number)
    begin = np.maximum(segment_starts(rows)[segment], start[owner])
    end = np.minimum(rows.segments["end"][segment], stop[owner])
    # The end token, which no segment has, is a run of its own, behind those of its row.
    learned, name = ~rows.segments["given"][segment], rows.segments["name"][segment]
    absent, given = (of[chunks.task[owner], name] for of in (turned.absent, turned.given))
    end = np.where(absent & learned, begin, end)
    size = np.append(np.maximum(end - begin, 0), (stop == rows.ends[chunks.row]).astype(np.int64))
    owners = np.append(owner, everything)
    order = np.argsort(owners, kind="stable")
    source = np.append(begin, stop - 1)
    target = np.append(learned & ~given, np.ones(len(everything), bool))
    return owners[order], source[order], size[order], target[order]
