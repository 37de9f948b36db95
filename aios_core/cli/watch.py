"""Denoising as a person can watch it: one text in the terminal, new tokens lit up."""

from __future__ import annotations

import sys
import time
from itertools import groupby
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from rich.text import Text

    from aios_core.contracts import TrainedTokenizer
    from aios_core.diffusion.core import State

_PAUSE: Final = 0.06
"""Seconds a step is shown: a small network would be done before one can look."""

_STYLES: Final = {"given": "bold", "new": "bold black on green", "old": "", "masked": "dim"}


def printable(text: str) -> str:
    """Text that does no harm to a terminal: a young network writes any byte, escapes included."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)


class Screen:
    """A context manager that redraws the first text of a batch; silent where there is no terminal.

    Args:
        tokenizer: of the model.
    """

    def __init__(self, tokenizer: TrainedTokenizer) -> None:
        from rich.console import Console
        from rich.live import Live

        self._tokenizer = tokenizer
        self._live = Live(
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,  # the finished text follows on stdout
            vertical_overflow="visible",
        )

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, state: State) -> None:
        """Draw one state."""
        if self._live.is_started:
            text = frame(self._tokenizer, state)
            text.append(f"\n\nstep {state.step}, {state.nfe} network calls", style="dim")
            self._live.update(text, refresh=True)
            time.sleep(_PAUSE)


def frame(tokenizer: TrainedTokenizer, state: State) -> Text:
    """The first text of a batch: given bold, new ones lit, masks as light blocks."""
    from rich.text import Text

    ids = state.ids[0].tolist()
    new, born = state.committed[0].tolist(), state.committed_at[0].tolist()

    def style(position: int) -> str:
        if ids[position] == tokenizer.vocabulary.mask_id:
            return "masked"
        return "given" if born[position] == 0 else "new" if new[position] else "old"

    text = Text()
    # Runs of one style are decoded at once: a letter may be several tokens long.
    for name, positions in groupby(range(len(ids)), key=style):
        run = [ids[position] for position in positions]
        shown = "░" * len(run) if name == "masked" else printable(tokenizer.decode(run))
        text.append(shown, _STYLES[name])
    return text
