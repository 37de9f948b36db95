"""A split of a data set, as the sequences that a network learns from and is measured on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Self

import attrs
import numpy as np
import torch
from attrs import field, frozen

from aios_core.contracts import Row, Segment, Sequences
from aios_core.errors import DataError
from aios_core.training import layout, tasks
from aios_core.training.layout import Chunks, Framing
from aios_core.training.token_rows import TokenRows, segment_starts

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from aios_core.contracts import HeldOutTokens, Task, TrainedTokenizer


@frozen(eq=False, slots=False)
class Tokens:
    """One split of a data set in tokens."""

    rows: TokenRows
    num_bytes: int
    """UTF-8 bytes of what is learned, which makes nats per token comparable across tokenizers."""
    fingerprint: str
    """Hex digest of rows and tokenizer: equal fingerprints give equal ids."""
    framing: Framing
    exact: bool = True
    """Whether decoding gives back every row; asked of those that are measured on alone."""
    _layouts: Layouts = field(init=False, repr=False)

    @_layouts.default
    def _(self) -> Layouts:
        return Layouts(self.rows, self.framing)

    @cached_property
    def ids(self) -> NDArray[np.int32]:
        """(n,) int32 tokens that are learned, an end token behind each row."""
        if not self.framing.documents:
            return self.rows.ids[:-1]  # a stream has end tokens between its texts alone
        if self.rows.segments is None:
            return self.rows.ids
        return self.rows.ids[self.rows.targets()]

    def framed(self, framing: Framing) -> Self:
        """The same rows in other sequences."""
        return self if framing == self.framing else attrs.evolve(self, framing=framing)

    def batch(self, step: int, seed: int, batch_size: int) -> Sequences:
        """Sequences to learn from, a function of the arguments alone: the same on every machine.

        Args:
            step: its number, from 0.
            seed: decides the order, and where long rows are cut.
            batch_size: sequences of a step, all of them; a worker takes some.
        """
        if self.framing.documents:
            return self._layouts.batch(seed, step * batch_size, batch_size)
        # Raw words of Philox are used because NumPy promises that they never change, which it does
        # not for its distributions; the modulo's bias is below n / 2**64.
        words = np.random.Philox(np.random.SeedSequence([seed, step])).random_raw(batch_size)
        length = self.framing.length
        starts = (words % np.uint64(len(self.ids) - length + 1)).astype(np.int64)
        ids = torch.from_numpy(self.ids[starts[:, None] + np.arange(length)].astype(np.int64))
        return Sequences(ids, torch.ones_like(ids, dtype=torch.bool))

    def epochs(self, seed: int, count: int) -> float:
        """Passes over the rows that so many sequences make, about.

        Args:
            seed: as for `batch`.
            count: sequences.
        """
        if self.framing.documents:
            return count / self._layouts.sequences_a_pass(seed)
        return count * self.framing.length / len(self.ids)

    def sequences(
        self,
        length: int | None = None,
        count: int | None = None,
        *,
        rows: NDArray[np.int64] | None = None,
    ) -> Sequences:
        """Every token exactly once, in order: what a network is measured on.

        Each row has a sequence to itself, with end tokens up to the end: a network must find out
        where a text ends. Longer rows are cut.

        Args:
            length: L; None: that of training.
            count: most sequences, spread evenly over the split; None: all.
            rows: numbers of the rows, none of which is longer than L; None: all.
        """
        framing = attrs.evolve(self.framing, length=length or self.framing.length)
        if not framing.documents:
            return Sequences(*self.windows(framing.length, count))
        chunks = layout.in_order(self.rows, framing)
        if rows is not None:
            chunks = chunks[np.searchsorted(chunks.row, rows)]
        elif count is not None and count < len(chunks.row):
            chunks = chunks[spread(len(chunks.row), count)]
        chunks = attrs.evolve(chunks, sequence=np.arange(len(chunks.row)))
        return layout.sequences(self.rows, chunks, framing)

    def windows(self, length: int, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Every token of `ids` exactly once, in order, wherever rows begin.

        Args:
            length: L.
            count: most windows, spread evenly over the split; None: all.

        Returns:
            ids (N, length) int64 and valid (N, length) bool, False where the last row is padded.
        """
        rows = np.arange(-(-len(self.ids) // length))
        if count is not None and count < len(rows):
            rows = spread(len(rows), count)
        places = rows[:, None] * length + np.arange(length)
        valid = places < len(self.ids)
        ids = self.ids[np.minimum(places, len(self.ids) - 1)].astype(np.int64)
        pad_id = self.rows.vocabulary.pad_id
        return torch.from_numpy(np.where(valid, ids, pad_id)), torch.from_numpy(valid)

    def first(self, count: int, tokenizer: TrainedTokenizer) -> Self:
        """The first tokens, in whole rows where sequences are, and their bytes.

        A row that is longer than all that is asked for is cut, if it is one text, where a sequence
        ends; a single sequence, or row of several segments, is not.
        """
        if count >= len(self.ids):
            return self
        if self.framing.documents:
            learned = np.cumsum(self.rows.targets())[self.rows.ends - 1]
            whole = int(np.searchsorted(learned, count, side="right"))
            rows = self.rows.first(max(1, whole))
            if not whole and self.rows.segments is None:
                length = self.framing.length  # whose first position is the begin token
                cut = max(1, (count + 1) // length) * length - 1
                ids = rows.ids[:cut]
                rows = attrs.evolve(rows, ids=ids, ends=np.array([len(ids)], np.int64))
        else:
            ends = np.append(self.rows.ends[self.rows.ends <= count], count + 1)
            ids = np.append(self.rows.ids[:count], self.rows.vocabulary.eos_id)
            rows = TokenRows(ids, ends, None, None, (), self.rows.vocabulary)
        part = attrs.evolve(self, rows=rows)
        ends = np.flatnonzero(part.ids == rows.vocabulary.eos_id)
        texts = np.split(part.ids, ends + 1)
        num_bytes = sum(len(tokenizer.decode(text).encode()) for text in texts)
        return attrs.evolve(part, num_bytes=num_bytes)

    def asked(self, name: str, task: Task, tokenizer: TrainedTokenizer) -> Self:
        """The rows that serve a task, as it turns them: what a network is measured on by request.

        Args:
            name: of the task, for messages.
            task: what is asked.
            tokenizer: of the rows.

        Raises:
            DataError: no row serves it.
        """
        if not (task.given or task.absent):
            return self
        tasks.check(self.rows, {name: task}, "validation")
        part = attrs.evolve(self, rows=tasks.asked(self.rows, task))
        texts = (part.row(number, tokenizer).joined("target") for number in range(len(part.rows)))
        return attrs.evolve(part, num_bytes=sum(len(text.encode()) for text in texts))

    def row(self, number: int, tokenizer: TrainedTokenizer) -> Row:
        """A row, from its tokens."""
        rows, start, end = self.rows, self.rows.starts[number], self.rows.ends[number] - 1
        if rows.segments is None or rows.of_row is None:
            return Row.of(tokenizer.decode(rows.ids[start:end]))
        first = rows.of_row[number - 1] if number else 0
        part = slice(first, rows.of_row[number])
        starts = segment_starts(rows)[part]
        return Row(
            tuple(
                Segment(
                    rows.names[segment["name"]],
                    tokenizer.decode(rows.ids[begin : segment["end"]]),
                    "given" if segment["given"] else "target",
                )
                for begin, segment in zip(starts, rows.segments[part], strict=True)
            )
        )

    def check(self, what: str, place: Callable[[int], str] = lambda _: "") -> None:
        """Hold rows against the length of sequences.

        Args:
            what: they are, in words.
            place: where a row is from, by its number from 0; nothing where that is not known.

        Raises:
            DataError: a row with a given part does not fit, or there is less than one sequence.
        """
        length = self.framing.length
        if not self.framing.documents:
            if self.rows.has_given:
                raise DataError(
                    "diffusion.packing = 'stream' cuts texts anywhere, and the rows of the data "
                    "set give parts that must be seen; expected 'documents'"
                )
            if self.rows.source is not None:
                raise DataError(
                    "diffusion.packing = 'stream' cuts texts anywhere, so that rows of a mixture "
                    "cannot be drawn by their weights; expected 'documents'"
                )
            if len(self.ids) < length and what == "the training split":
                raise DataError(
                    f"the training split has {len(self.ids)} tokens, fewer than diffusion.length "
                    f"= {length}; expected a longer text or a smaller length"
                )
        elif self.rows.segments is not None and self.rows.of_row is not None:
            several = np.diff(self.rows.of_row, prepend=0) > 1
            sizes = np.where(several, layout.lengths(self.rows), 0)
            if int(sizes.max(initial=0)) > length:
                row = int(sizes.argmax())
                where = f"{of}: " if (of := place(row)) else ""
                raise DataError(
                    f"{where}row {row + 1} of {what} has {sizes[row]} tokens, its begin and "
                    f"end token among them, and {int((sizes > length).sum())} rows are longer than "
                    f"diffusion.length = {length}: rows of several segments are not cut; expected "
                    "a larger diffusion.length, or shorter rows"
                )


def spread(total: int, count: int) -> NDArray[np.int64]:
    """Numbers of so many of all things, the first and the last among them, evenly apart."""
    return np.linspace(0, total - 1, count).round().astype(np.int64)


class Layouts:
    """The sequences of all passes over a split, one behind the other.

    Which layout a sequence is in follows from the sizes of those before it; they are made again
    where a run goes on.
    """

    def __init__(self, rows: TokenRows, framing: Framing) -> None:
        self._rows, self._framing = rows, framing
        self._seed: int | None = None
        self._ends: list[int] = []
        self._last: tuple[int, Chunks, NDArray[np.int64]] | None = None

    def batch(self, seed: int, start: int, count: int) -> Sequences:
        """Some sequences, by their numbers."""
        self._begin(seed)
        parts = []
        while count:
            number = self._number(start)
            begin = start - (self._ends[number - 1] if number else 0)
            taken = min(count, self._ends[number] - start)
            parts.append(self._part(number, begin, taken))
            start, count = start + taken, count - taken
        chunks = parts[0] if len(parts) == 1 else _joined(parts)
        return layout.sequences(self._rows, chunks, self._framing)

    def sequences_a_pass(self, seed: int) -> float:
        """How many a pass over all rows fills, in the first layout."""
        self._begin(seed)
        return (self._number(0) + self._ends[0]) / layout.passes(self._rows, self._framing)

    def _begin(self, seed: int) -> None:
        if seed != self._seed:
            self._seed, self._ends, self._last = seed, [], None

    def _number(self, sequence: int) -> int:
        """Of the layout that a sequence is in."""
        while not self._ends or self._ends[-1] <= sequence:
            number = len(self._ends)
            before = self._ends[-1] if self._ends else 0
            self._ends.append(before + self._layout(number)[0].count)
        return int(np.searchsorted(self._ends, sequence, side="right"))

    def _layout(self, number: int) -> tuple[Chunks, NDArray[np.int64]]:
        """The chunks of a layout, and where those of each sequence end."""
        if self._last is None or self._last[0] != number:
            assert self._seed is not None
            chunks = layout.drawn(self._rows, self._framing, self._seed, number)
            self._last = number, chunks, np.cumsum(np.bincount(chunks.sequence))
        return self._last[1:]

    def _part(self, number: int, start: int, count: int) -> Chunks:
        chunks, ends = self._layout(number)
        part = chunks[slice(ends[start - 1] if start else 0, ends[start + count - 1])]
        return attrs.evolve(part, sequence=part.sequence - start)


def _joined(parts: list[Chunks]) -> Chunks:
    """Chunks of several layouts, their sequences one behind the other."""
    before = np.cumsum([0, *(part.count for part in parts[:-1])])
    moved = [attrs.evolve(p, sequence=p.sequence + n) for p, n in zip(parts, before, strict=True)]
    names = [attribute.name for attribute in attrs.fields(Chunks)]
    return Chunks(*(np.concatenate([getattr(part, name) for part in moved]) for name in names))


if TYPE_CHECKING:

    def _offers(split: Tokens) -> HeldOutTokens:
        return split
