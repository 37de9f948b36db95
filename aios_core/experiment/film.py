"""How samples came about, as plain data that a report shows step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Sequences, TrainedTokenizer
    from aios_core.diffusion.core import State

GRIDS: Final = 6
"""Samples that are filmed where rows are grids; of texts one is."""


class Film:
    """Collects what changed in the first rows at each step; a begin token is no part of it."""

    def __init__(
        self,
        tokenizer: TrainedTokenizer,
        asked: Sequences,
        *,
        of_rows: bool = False,
        columns: int | None = None,
    ) -> None:
        """Watch the sampling of some rows.

        Args:
            tokenizer: of the run.
            asked: what is to be filled in.
            of_rows: it is of held-out rows, whose targets are what is expected.
            columns: characters of a line, where rows are grids.
        """
        self._tokenizer, self._columns = tokenizer, columns
        count = GRIDS if columns else 1
        self._rows = [
            _Row(tokenizer, ids, targets, of_rows=of_rows)
            for ids, targets in zip(asked.ids[:count], asked.targets[:count], strict=True)
        ]
        self._nfe: list[int] = []
        self._begun = False

    def record(self, state: State) -> None:
        """Take in the changes of a step."""
        changes = [row.advance(state, number) for number, row in enumerate(self._rows)]
        if self._begun or any(changes):  # what begins with other noise than masks shows it
            for row, changed in zip(self._rows, changes, strict=True):
                row.frames.append([[i, self._text(row.ids[i]), share] for i, share in changed])
            self._nfe.append(state.nfe)
        self._begun = True

    def finish(self) -> dict[str, Any]:
        """All that was recorded.

        Returns:
            Of the first row ``given``, the positions that it began with; ``tokens``, all its
            positions at the end; ``expected``, those of the held-out row that it was made from, if
            any; ``frames``, for each step the changes as ``[position, token, confidence]``, the
            token None where a mask came back; of grids also ``cells``, how many positions are
            before the end. ``nfe`` after each frame. Of grids also ``columns`` and ``beside``, the
            other rows under the same names.
        """
        first, *beside = (self._finished(row) for row in self._rows)
        first["nfe"] = self._nfe
        return first | ({"columns": self._columns, "beside": beside} if self._columns else {})

    def _finished(self, row: _Row) -> dict[str, Any]:
        tokens = list(map(self._tokenizer.token, row.ids))
        made: dict[str, Any] = {"given": row.given, "tokens": tokens, "frames": row.frames}
        if row.expected is not None:
            made["expected"] = list(map(self._tokenizer.token, row.expected))
        if self._columns:
            ids, end = row.expected or row.ids, self._tokenizer.vocabulary.eos_id
            made["cells"] = ids.index(end) if end in ids else len(ids)
        return made

    def _text(self, token_id: int) -> str | None:
        known = token_id != self._tokenizer.vocabulary.mask_id
        return self._tokenizer.token(token_id) if known else None


class _Row:
    """What a sample was made from, and what changed so far."""

    def __init__(
        self, tokenizer: TrainedTokenizer, ids: Tensor, targets: Tensor, *, of_rows: bool
    ) -> None:
        vocabulary = tokenizer.vocabulary
        self.begin = int(not targets[0] and ids[0] == vocabulary.bos_id)
        ids, targets = ids[self.begin :], targets[self.begin :]
        self.given: list[int] = (~targets).nonzero()[:, 0].tolist()
        self.expected: list[int] | None = ids.tolist() if of_rows else None
        self.ids: list[int] = ids.masked_fill(targets, vocabulary.mask_id).tolist()
        self.frames: list[list[list[Any]]] = []

    def advance(self, state: State, number: int) -> list[tuple[int, float]]:
        """The positions that are not as before, and how probable their tokens were."""
        before, self.ids = self.ids, state.ids[number, self.begin :].tolist()
        shares = state.confidence[number, self.begin :].tolist()
        return [(i, round(shares[i], 3)) for i, old in enumerate(before) if old != self.ids[i]]
