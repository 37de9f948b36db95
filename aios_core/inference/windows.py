"""Texts longer than those of the training: continued in windows as long as these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from aios_core.diffusion.random import row_seed
from aios_core.diffusion.rounding import up
from aios_core.inference.progress import Progress
from aios_core.inference.prompts import PromptRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aios_core.diffusion.model import Model
    from aios_core.inference.masked import MaskedRun
    from aios_core.inference.output import Update
    from aios_core.inference.settings import Settings

_OF_THE_WHOLE: Final = ("conditioned", "count_flips")
"""Fields of `Settings` that are of a text as a whole."""


def slide(run: MaskedRun, settings: Settings, rows: Sequence[PromptRow]) -> bool:
    """Whether texts can be written in windows: nothing is asked of them as a whole.

    Args:
        run: how a batch is written.
        settings: what was asked for.
        rows: of which none has anything given behind a gap.
    """
    return (
        run.constraint is None
        and settings.gamma == 1
        and not any(getattr(settings, name) for name in _OF_THE_WHOLE)
        and 2 * _unit(run.model) <= run.model.length
        and not any(any(row.fixed[len(row.prompt) :]) for row in rows)
    )


@frozen(eq=False)
class WindowedRun:
    """Writes a window at a time, of which the first half at least is there already.

    No window is longer than the sequences of the training, so the network is asked for nothing
    that it has not learned; it does not see what lies before a window.
    """

    run: MaskedRun

    @property
    def block_size(self) -> int:
        """Positions that are asked for at once."""
        return self.run.block_size or self.run.model.length

    def stream(self, progress: Progress, *, all_states: bool) -> Iterator[Update]:
        """Write a batch, and stop when every row has ended.

        Args:
            progress: the rows.
            all_states: yield every state; otherwise the last alone.
        """
        rows = progress.rows
        texts = [list(row.ids) for row in rows]
        log_probs = [[0.0] * len(text) for text in texts]
        entropy = [[0.0] * len(text) for text in texts]
        known = [len(row.prompt) for row in rows]
        step = nfe = window = 0
        while left := [i for i, text in enumerate(texts) if not progress.complete(i, text)]:
            spans = {i: self.span(known[i], len(texts[i])) for i in left}
            parts = [
                PromptRow(
                    tuple(texts[i][at]), tuple(n < known[i] for n in range(at.start, at.stop))
                )
                for i, at in spans.items()
            ]
            seeds = [row_seed(progress.seeds[i], window) if window else progress.seeds[i]
                     for i in left]  # fmt: skip
            inside = Progress(progress.mode, progress.tokenizer, parts, seeds, None)
            for update in self.run.stream(inside, all_states=all_states):
                last, output = update, update.output
                if output is None and (update.step or not window):
                    new = [[False] * len(text) for text in texts]
                    _put(texts, spans, update.token_ids)
                    _put(new, spans, update.new)
                    settled = self.run.settled
                    now = step + update.step, nfe + update.nfe
                    yield progress.update(*now, texts, new, settled=settled)
                elif output is not None:
                    _put(texts, spans, output.token_ids)
                    _put(log_probs, spans, output.log_probs, known)
                    _put(entropy, spans, output.uncertainty, known)
            step, nfe, window = step + last.step, nfe + last.nfe, window + 1
            known = [spans[i].stop if i in spans else n for i, n in enumerate(known)]
        yield progress.finish(step, progress.output(nfe, texts, log_probs, entropy))

    def span(self, known: int, length: int) -> slice:
        """The window in which a text goes on.

        Args:
            known: tokens that it has.
            length: that it is going to have.
        """
        most, size = self.run.model.length, _unit(self.run.model)
        # A whole window to the last: what is shorter would look like the end of a text.
        last = up(length - most, size)
        start = max(0, min(known - most // 2, last)) // size * size
        return slice(start, min(start + most, length))


def _unit(model: Model) -> int:
    """Of what the first position of a window is a multiple."""
    return model.block_size if model.in_blocks else 1


def _put(
    rows: list[list[Any]],
    spans: dict[int, slice],
    values: Sequence[Sequence[Any]],
    since: Sequence[int] | None = None,
) -> None:
    """Put what is known of windows into rows, of each from a place on."""
    for (row, at), part in zip(spans.items(), values, strict=True):
        begin = at.start if since is None else max(at.start, since[row])
        rows[row][begin : at.stop] = part[begin - at.start :]
