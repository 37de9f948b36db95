"""What is known of a batch while it is written, and how it is reported to the caller."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from aios_core.inference.output import Output, Update

if TYPE_CHECKING:
    from aios_core.contracts import TrainedTokenizer
    from aios_core.inference.output import Mode
    from aios_core.inference.prompts import PromptRow

_T = TypeVar("_T")

_HALF = "\ufffd"
"""What a text ends in while the last bytes of a character are still to come."""


class Progress:
    """Rows of a batch: what was given, and what was reported so far.

    Args:
        mode: which model writes.
        tokenizer: of the model.
        rows: what is to be completed.
        seeds: one for each row.
        eos_id: written behind the prompt, it ends a text; None: texts are as long as their rows.
    """

    def __init__(
        self,
        mode: Mode,
        tokenizer: TrainedTokenizer,
        rows: Sequence[PromptRow],
        seeds: Sequence[int],
        eos_id: int | None,
    ) -> None:
        self.mode, self.tokenizer, self.rows, self.seeds = mode, tokenizer, rows, seeds
        self.eos_id, self._began = eos_id, time.perf_counter()
        self._reported = [""] * len(rows)

    def end(self, number: int, ids: Sequence[int]) -> tuple[int, bool]:
        """How much of a row belongs to its text, and whether an end-of-text token ends it."""
        if self.eos_id is not None:
            for place in range(len(self.rows[number].prompt), len(ids)):
                if ids[place] == self.eos_id:
                    return place + 1, True
                if ids[place] == self.tokenizer.vocabulary.mask_id:
                    break
        return len(ids), False

    def complete(self, number: int, ids: Sequence[int]) -> bool:
        """Whether nothing more can belong to a row's text."""
        end, stopped = self.end(number, ids)
        return stopped or self.tokenizer.vocabulary.mask_id not in ids[:end]

    def update(
        self,
        step: int,
        nfe: int,
        ids: Sequence[Sequence[int]],
        new: Sequence[Sequence[bool]],
        *,
        settled: bool = True,
    ) -> Update:
        """The state after a step.

        Args:
            step: its number.
            nfe: evaluations so far.
            ids: whole rows.
            new: what came in this step.
            settled: whether what is written stays as it is.
        """
        given = [row.fixed[: len(written)] for row, written in zip(self.rows, ids, strict=True)]
        deltas = tuple(
            self._delta(number, row, last=False) if settled else ""
            for number, row in enumerate(ids)
        )
        return Update(step, nfe, self._texts(ids), self._texts(given), self._texts(new), deltas)

    def finish(self, step: int, output: Output) -> Update:
        """The last state once more, with all that is known of it."""
        begins = [row.ids[: row.begin] for row in self.rows]
        rows = [(*begin, *ids) for begin, ids in zip(begins, output.token_ids, strict=True)]
        deltas = tuple(self._delta(number, row, last=True) for number, row in enumerate(rows))
        none = tuple((False,) * len(row) for row in output.token_ids)
        return Update(step, output.nfe, output.token_ids, output.given, none, deltas, output)

    def _texts(self, values: Sequence[Sequence[_T]]) -> tuple[tuple[_T, ...], ...]:
        """Values of whole rows without those of begin tokens."""
        return tuple(
            tuple(row_values[row.begin :])
            for row, row_values in zip(self.rows, values, strict=True)
        )

    def _delta(self, number: int, ids: Sequence[int], *, last: bool) -> str:
        """What is complete from the left and was not reported yet."""
        end, stopped = self.end(number, ids)
        known = []
        for token, fixed in zip(ids[:end], self.rows[number].fixed, strict=False):
            if token == self.tokenizer.vocabulary.mask_id:
                break
            known += [] if fixed else [token]
        text = self.tokenizer.decode(known) if known else ""
        reported = self._reported[number]
        if not (last or stopped):
            text = text.rstrip(_HALF)
            if not text.startswith(reported):  # bytes that make no text until their last one comes
                return ""
        self._reported[number] = text
        return text[len(reported) :]

    def output(
        self,
        nfe: int,
        ids: Sequence[Sequence[int]],
        log_probs: Sequence[Sequence[float]],
        uncertainty: Sequence[Sequence[float]],
    ) -> Output:
        """The whole, each row cut where its text ends."""
        ends = [self.end(number, row) for number, row in enumerate(ids)]
        kept = self._texts([row[:end] for row, (end, _) in zip(ids, ends, strict=True)])
        given = self._texts(
            [row.fixed[:end] for row, (end, _) in zip(self.rows, ends, strict=True)]
        )
        written = [
            [token for token, fixed in zip(row, flags, strict=True) if not fixed]
            for row, flags in zip(kept, given, strict=True)
        ]
        return Output(
            mode=self.mode,
            texts=tuple(self.tokenizer.decode_batch(kept)),
            completions=tuple(self.tokenizer.decode_batch(written)),
            token_ids=kept,
            given=given,
            log_probs=self._texts(
                [row[:end] for row, (end, _) in zip(log_probs, ends, strict=True)]
            ),
            uncertainty=self._texts(
                [row[:end] for row, (end, _) in zip(uncertainty, ends, strict=True)]
            ),
            flips=((),) * len(kept),
            finish_reasons=tuple("stop" if stopped else "length" for _, stopped in ends),
            seeds=tuple(self.seeds),
            cues=((),) * len(kept),
            nfe=nfe,
            seconds=time.perf_counter() - self._began,
        )
